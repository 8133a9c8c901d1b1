//! HTTP/2 in frames written by hand (RFC 9113 §4.1): the first request is not worked on, the others are.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::play::Stream;

const PREFACE: usize = 24;
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
/// No stream was worked on, and nothing is wrong.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Of stream 1, with REFUSED_STREAM.
const REFUSED: [u8; 13] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// `:status 200` on stream 1, which ends with it.
const OK: [u8; 10] = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88];
const HEADERS: u8 = 1;

pub(super) async fn speak(stream: &mut dyn Stream, goes_away: bool, first: bool) -> io::Result<()> {
    let mut preface = [0; PREFACE];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&SETTINGS).await?;
    stream.write_all(&SETTINGS_ACK).await?;
    stream.flush().await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        if head[3] == HEADERS {
            let answer: &[u8] = match (first, goes_away) {
                (false, _) => &OK,
                (true, true) => &GOAWAY,
                (true, false) => &REFUSED,
            };
            stream.write_all(answer).await?;
            stream.flush().await?;
            if first && goes_away {
                return stream.shutdown().await;
            }
        }
    }
}
