//! HTTP/2 in frames written by hand (RFC 9113 §4.1).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What an HTTP/2 server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// Sends GOAWAY on the first connection, and answers on the others.
    GoAway,
    /// Refuses the stream of the first connection, and answers on the others.
    RefusedStream,
    /// Wants HTTP/1.1 for the request of the first connection, and answers no other one in HTTP/2.
    Http1Required,
    /// Resets each stream without reporting whether it was processed (CVE-2023-44487, but sent by the
    /// server).
    Resets,
    /// Answers the first request of the first connection and ignores its later ones. Answers on the other
    /// connections.
    DeafAtReuse,
    /// Sends pings without end.
    Pings,
    /// Sends settings without end.
    Settings,
    /// Starts with headers that continue without end (CVE-2024-27316).
    Continuation,
    /// Sends interim responses without end.
    Interim,
    /// Answers with headers, then sends empty DATA frames without end (CVE-2019-9518).
    EmptyData,
    /// Answers with a longer body than the client's window allows.
    TooMuchData,
    /// Answers with a header list that is small on the wire and large when decoded (CVE-2016-6581).
    HeaderBomb,
    /// Sends invalid frames.
    Junk,
}

const PREFACE: usize = 24;
const SETTINGS_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status 200` and `:status 103` (RFC 7541 §6).
const STATUS_200: &[u8] = &[0x88];
const STATUS_103: &[u8] = &[0x08, 0x03, b'1', b'0', b'3'];

/// A frame of a stream. Stream 0 is the connection.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are short").to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, &stream.to_be_bytes()[..], payload].concat()
}

pub(super) async fn speak(connection: &mut dyn Stream, plays: Http2, first: bool) -> io::Result<()> {
    let mut preface = [0; PREFACE];
    connection.read_exact(&mut preface).await?;
    connection.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    connection.write_all(&SETTINGS_ACK).await?;
    connection.flush().await?;
    let mut number = 0;
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        connection.read_exact(&mut payload).await?;
        match head[3] {
            HEADERS => {
                number += 1;
                if first && number == 2 && plays == Http2::DeafAtReuse {
                    return std::future::pending().await;
                }
                answer(connection, plays, first, stream).await?;
            }
            PING if head[4] == 0 => connection.write_all(&frame(PING, 1, 0, &payload)).await?,
            _ => {}
        }
        connection.flush().await?;
    }
}

async fn answer(connection: &mut dyn Stream, plays: Http2, first: bool, stream: u32) -> io::Result<()> {
    let ok = frame(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200);
    let begins = frame(HEADERS, END_HEADERS, stream, STATUS_200);
    match plays {
        Http2::GoAway if first => {
            // Stream id 0 and NO_ERROR: the server processed no stream, and nothing is wrong.
            connection.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).await?;
            connection.shutdown().await
        }
        Http2::RefusedStream if first => {
            connection.write_all(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 7])).await
        }
        Http2::Http1Required if first => {
            connection.write_all(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 13])).await
        }
        Http2::Http1Required => std::future::pending().await,
        // With CANCEL.
        Http2::Resets => connection.write_all(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).await,
        Http2::Pings => flood(connection, &[], &frame(PING, 0, 0, &[0; 8])).await,
        Http2::Settings => flood(connection, &[], &frame(SETTINGS, 0, 0, &[])).await,
        Http2::Continuation => {
            let more = frame(
                CONTINUATION,
                0,
                stream,
                &[&[0x00, 0x01, b'x', 0x7f, 0x81, 0x01][..], &[b'y'; 256]].concat(),
            );
            flood(connection, &frame(HEADERS, 0, stream, STATUS_200), &more).await
        }
        Http2::Interim => flood(connection, &[], &frame(HEADERS, END_HEADERS, stream, STATUS_103)).await,
        Http2::EmptyData => flood(connection, &begins, &frame(DATA, 0, stream, &[])).await,
        Http2::TooMuchData => flood(connection, &begins, &frame(DATA, 0, stream, &[b'x'; 16_384])).await,
        Http2::HeaderBomb => {
            // A header of 4,000 bytes goes into the table. 4,000 indexes then refer to it.
            let add = [&[0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
            let block = [STATUS_200, &add, &[0xbe; 4000]].concat();
            connection.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await
        }
        Http2::Junk => flood(connection, &[], &frame(0xfa, 0xff, stream, b"junk")).await,
        Http2::GoAway | Http2::RefusedStream | Http2::DeafAtReuse => connection.write_all(&ok).await,
    }
}

/// Writes until the client closes the connection, and reads everything so that the client never blocks.
async fn flood(connection: &mut dyn Stream, begin: &[u8], piece: &[u8]) -> io::Result<()> {
    connection.write_all(begin).await?;
    let pieces = piece.repeat(64);
    let (mut reader, mut writer) = tokio::io::split(connection);
    let mut nowhere = tokio::io::sink();
    let read = tokio::io::copy(&mut reader, &mut nowhere);
    let write = async {
        loop {
            writer.write_all(&pieces).await?;
            writer.flush().await?;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        read = read => read.map(drop),
        written = write => written,
    }
}
