//! Counts the interim responses (1xx) of an HTTP/1.1 connection. hyper skips them, however many there are.

use super::flood::{Flood, INTERIM_BYTES_MAX, INTERIM_MAX};

/// The start of each status line, before the version's last digit.
const START: &[u8] = b"HTTP/1.";
/// The status code's first digit in a status line.
const CODE: usize = 9;

#[derive(Debug)]
pub(super) struct Interim {
    state: State,
    heads: u32,
    bytes: usize,
}

#[derive(Debug)]
enum State {
    /// In a status line, after this number of bytes.
    Status(usize),
    /// In the status line of 10x: 101 is final.
    Code(usize),
    /// In the head of an interim response. Whether the line is empty so far.
    Head(bool),
    /// The final response has begun.
    Final,
}

impl Interim {
    pub(super) fn new() -> Self {
        Self { state: State::Status(0), heads: 0, bytes: 0 }
    }

    /// A request, or a part of one, was sent.
    pub(super) fn sent(&mut self) {
        if matches!(self.state, State::Final) {
            *self = Self::new();
        }
    }

    pub(super) fn received(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        for byte in bytes {
            self.state = match (&self.state, *byte) {
                (State::Final, _) => return Ok(()),
                // hyper skips empty lines before a response.
                (State::Status(0), b'\r' | b'\n') => State::Status(0),
                (State::Status(at), byte) if *at < START.len() && byte != START[*at] => State::Final,
                (State::Status(CODE), b'1') => State::Code(CODE + 1),
                (State::Status(CODE), _) => State::Final,
                (State::Status(at), _) => State::Status(at + 1),
                (State::Code(at), b'0') if *at == CODE + 1 => State::Code(CODE + 2),
                (State::Code(at), b'1') if *at == CODE + 2 => State::Final,
                (State::Code(_), _) => {
                    self.heads += 1;
                    State::Head(false)
                }
                (State::Head(true), b'\n') => State::Status(0),
                (State::Head(_), b'\n') => State::Head(true),
                (State::Head(is_empty), b'\r') => State::Head(*is_empty),
                (State::Head(_), _) => State::Head(false),
            };
            self.bytes += 1;
        }
        if self.heads > INTERIM_MAX {
            Err(Flood::Interim)
        } else if self.bytes > INTERIM_BYTES_MAX {
            Err(Flood::InterimBytes)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";

    /// All at once, and byte by byte.
    fn received(text: &str) -> Result<(), Flood> {
        let whole = Interim::new().received(text.as_bytes());
        let mut interim = Interim::new();
        let single = text.as_bytes().chunks(1).try_for_each(|byte| interim.received(byte));
        assert_eq!(whole, single, "{text:?}");
        whole
    }

    #[test]
    fn up_to_a_hundred_interim_responses_are_skipped() {
        for head in
            [CONTINUE, "HTTP/1.0 102 Processing\n\n", "\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"]
        {
            assert_eq!(received(&(head.repeat(100) + OK)), Ok(()), "{head:?}");
            assert_eq!(received(&head.repeat(101)), Err(Flood::Interim), "{head:?}");
        }
    }

    #[test]
    fn their_bytes_are_limited_and_those_of_a_final_response_are_not() {
        let large = "x: y\r\n".repeat(INTERIM_BYTES_MAX / 6);
        assert_eq!(received(&format!("HTTP/1.1 103 Early Hints\r\n{large}")), Err(Flood::InterimBytes));
        assert_eq!(received(&format!("{CONTINUE}HTTP/1.1 101 Switching Protocols\r\n{large}")), Ok(()));
        assert_eq!(received(&format!("{CONTINUE}{OK}{large}{}", CONTINUE.repeat(200))), Ok(()));
        assert_eq!(received(&format!("SSH-2.0-OpenSSH\r\n{large}")), Ok(()), "hyper refuses it");
    }

    #[test]
    fn each_request_has_its_own_count() {
        let mut interim = Interim::new();
        for _ in 0..10 {
            interim.sent();
            assert_eq!(interim.received((CONTINUE.repeat(60) + OK).as_bytes()), Ok(()));
        }
        interim.sent();
        assert_eq!(interim.received(CONTINUE.repeat(60).as_bytes()), Ok(()));
        interim.sent();
        let rest = interim.received(CONTINUE.repeat(60).as_bytes());
        assert_eq!(rest, Err(Flood::Interim), "the rest of a request is no new one");
    }
}
