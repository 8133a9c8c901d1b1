//! Counts what a peer sends on an HTTP/2 connection besides bodies: PING, SETTINGS, WINDOW_UPDATE, interim responses,
//! empty and tiny DATA frames. Each costs time, and some cost memory.

use std::time::Instant;

use super::flood::{FRAME_BYTES_PER_REQUEST, Flood, INTERIM_MAX};

/// Bytes of a connection before its first request.
const BYTES_PER_CONNECTION: u64 = 256 * 1024;
/// Bytes for each byte of a body received: a DATA frame of one byte has a head of nine.
const BYTES_PER_BODY_BYTE: u64 = 16;
/// A body that is sent needs a WINDOW_UPDATE of 13 bytes or two now and then.
const SENT_BYTES_PER_BYTE: u64 = 8;
/// Bytes for each second, for pings.
const BYTES_PER_SECOND: u64 = 4 * 1024;
/// Bytes that a frame counts as, besides its own, if it must be answered: the answer is a TLS record, and often a system call.
const BYTES_PER_ANSWER: u64 = 64;
/// HEADERS frames for each request: interim responses, the response, and trailers.
const HEADS_PER_REQUEST: u64 = INTERIM_MAX as u64 + 2;

/// RFC 9113 §3.4.
const PREFACE_LENGTH: usize = 24;
const HEAD_LENGTH: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// The flag of the answer to one of the last two.
const ACK: u8 = 1;

#[derive(Debug)]
pub(super) struct Frames {
    began: Instant,
    sent: Direction,
    received: Direction,
}

/// What went into one direction.
#[derive(Debug, Default)]
struct Direction {
    /// The head of the frame, as far as it is complete.
    head: [u8; HEAD_LENGTH],
    head_length: usize,
    payload_left: usize,
    is_data: bool,
    heads: u64,
    body: u64,
    other: u64,
}

impl Frames {
    pub(super) fn new() -> Self {
        let sent = Direction { payload_left: PREFACE_LENGTH, ..Direction::default() };
        Self { began: Instant::now(), sent, received: Direction::default() }
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.sent.add(bytes);
    }

    pub(super) fn received(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        self.received.add(bytes);
        let (sent, received) = (&self.sent, &self.received);
        if received.heads > HEADS_PER_REQUEST * sent.heads {
            return Err(Flood::Interim);
        }
        let allowed = BYTES_PER_CONNECTION
            + FRAME_BYTES_PER_REQUEST * sent.heads
            + BYTES_PER_BODY_BYTE * received.body
            + sent.body / SENT_BYTES_PER_BYTE;
        if received.other > allowed
            && received.other > allowed + BYTES_PER_SECOND * self.began.elapsed().as_secs()
        {
            return Err(Flood::Frames);
        }
        Ok(())
    }
}

impl Direction {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let length = self.payload_left.min(bytes.len());
                self.payload_left -= length;
                *(if self.is_data { &mut self.body } else { &mut self.other }) += length as u64;
                bytes = &bytes[length..];
                continue;
            }
            let length = (HEAD_LENGTH - self.head_length).min(bytes.len());
            self.head[self.head_length..][..length].copy_from_slice(&bytes[..length]);
            self.head_length += length;
            bytes = &bytes[length..];
            if self.head_length == HEAD_LENGTH {
                self.begin_frame();
            }
        }
    }

    fn begin_frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.head_length = 0;
        self.payload_left = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.is_data = kind == DATA;
        self.heads += u64::from(kind == HEADERS);
        self.other += HEAD_LENGTH as u64;
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            self.other += BYTES_PER_ANSWER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let length_bytes = u32::try_from(length).unwrap().to_be_bytes();
        [&length_bytes[1..], &[kind, 0, 0, 0, 0, 1], &vec![0; length]].concat()
    }

    /// A connection that has sent its preface, settings and this number of requests.
    fn after_requests(requests: usize) -> Frames {
        let mut frames = Frames::new();
        let sent = [&[0; PREFACE_LENGTH][..], &frame(4, 18), &frame(HEADERS, 50).repeat(requests)].concat();
        sent.chunks(7).for_each(|part| frames.sent(part));
        assert_eq!((frames.sent.heads, frames.sent.payload_left), (requests as u64, 0));
        frames
    }

    /// The number of times that a connection accepts a frame.
    fn accepted(frames: &mut Frames, frame: &[u8], most: usize) -> usize {
        (0..most).take_while(|_| frames.received(frame).is_ok()).count()
    }

    #[test]
    fn control_frames_without_end_are_a_flood() {
        for (kind, length) in [(PING, 8), (SETTINGS, 0), (8, 4), (DATA, 0), (9, 300), (0xfa, 4)] {
            let mut frames = after_requests(1);
            let answer = if matches!(kind, PING | SETTINGS) { BYTES_PER_ANSWER as usize } else { 0 };
            let most = 2 * (BYTES_PER_CONNECTION + FRAME_BYTES_PER_REQUEST) as usize
                / (HEAD_LENGTH + length + answer);
            let accepted = accepted(&mut frames, &frame(kind, length), most);
            assert!((most / 4..most * 3 / 4).contains(&accepted), "{kind}: {accepted} of {most}");
        }
    }

    #[test]
    fn interim_responses_are_limited_by_number() {
        let mut frames = after_requests(2);
        assert_eq!(accepted(&mut frames, &frame(HEADERS, 4), 1000), 204);
    }

    #[test]
    fn honest_connections_are_not_limited() {
        let mut frames = after_requests(0);
        for _ in 0..2000 {
            frames.sent(&frame(HEADERS, 60));
            // A large head, and a body in pieces of one byte.
            let response = [frame(HEADERS, 16_000), frame(DATA, 1).repeat(1000)].concat();
            response.chunks(1000).for_each(|part| assert_eq!(frames.received(part), Ok(())));
        }
        // A large body is sent, with two updates of the window for each frame.
        for _ in 0..1000 {
            frames.sent(&frame(DATA, 16_384));
            assert_eq!(frames.received(&frame(8, 4).repeat(2)), Ok(()));
        }
    }
}
