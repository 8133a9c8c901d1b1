//! What a peer sends besides responses, without end.

use std::io;

/// Interim responses to one request.
pub(super) const INTERIM_MAX: u32 = 100;
/// Bytes of interim responses to one request.
pub(super) const INTERIM_BYTES_MAX: usize = 64 * 1024;
/// Bytes of HTTP/2 for each request: the head of its response and all else but bodies.
pub(super) const FRAME_BYTES_PER_REQUEST: u64 = 64 * 1024;

/// A peer sends more of what is no response than any honest one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Flood {
    #[error("more than {} interim responses", INTERIM_MAX)]
    Interim,
    #[error("more than {} KiB of interim responses", INTERIM_BYTES_MAX / 1024)]
    InterimBytes,
    #[error("more HTTP/2 control frames than {} KiB for each request", FRAME_BYTES_PER_REQUEST / 1024)]
    Frames,
    #[error("too many TLS records without content")]
    Empty,
}

impl From<Flood> for io::Error {
    fn from(flood: Flood) -> Self {
        // HTTP/2 keeps only the kind and the text.
        io::Error::new(io::ErrorKind::InvalidData, flood)
    }
}
