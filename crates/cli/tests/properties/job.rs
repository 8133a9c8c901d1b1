//! Whatever the fields of an entry hold, it is a job that can be sent or is refused in one short sentence.

use bytes::Bytes;
use http::Method;
use postrider_queue::job::Host;
use postrider_queue::job::{Delivery, EntryId, Fields, Lease};
use postrider_queue::job::{Job, Malformed};

/// What the client sets itself: RFC 9110 §7.6.1, RFC 9112 §6.
const RESERVED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];

/// `NAME=VALUE` with 0xFF, which no text has, between two fields.
pub(crate) fn check(data: &[u8]) {
    let fields: Fields = data.split(|byte| *byte == 0xFF).map(field).collect();
    let url = fields.iter().find(|(name, _)| name == "url").map(|(_, value)| value.clone());
    match decode(fields) {
        Ok(job) => sendable(&job, &url.expect("no job without a URL")),
        Err(malformed) => told(&malformed),
    }
}

fn field(data: &[u8]) -> (Bytes, Bytes) {
    let at = data.iter().position(|byte| *byte == b'=').unwrap_or(data.len());
    let (name, value) = data.split_at(at);
    (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value.get(1..).unwrap_or_default()))
}

/// Reads a job as the worker does.
pub(crate) fn decode(fields: Fields) -> Result<Job, Malformed> {
    let entry = EntryId { millis: 1_795_396_101_000, sequence: 0 };
    Job::decode(&Delivery::new(Lease { entry, delivery: 1, epoch: 0 }, fields))
}

/// The sentence is there, is short, and is a line of printable text.
pub(crate) fn told(malformed: &Malformed) {
    let error = &malformed.error;
    assert!(!error.is_empty() && error.chars().count() <= 500, "{} characters: {error}", error.len());
    assert!(!error.contains(char::is_control), "{error:?}");
}

fn sendable(job: &Job, url: &Bytes) {
    destination(job, url);
    assert_ne!(job.method, Method::CONNECT);
    assert!(job.headers.len() <= 256);
    for (name, value) in &job.headers {
        assert!(!RESERVED.contains(&name.as_str()), "{name}");
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{name}");
    }
    assert!(job.max_attempts.is_none_or(|attempts| (1..=100).contains(&attempts)));
    assert!(job.timeout.is_none_or(|timeout| !timeout.is_zero()));
    for label in [&job.label, &job.id] {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        assert!((1..=128).contains(&label.len()) && label.iter().all(plain), "{label:?}");
    }
}

/// The host and port that are dialled are those that a second reader finds: the authority goes from `//` to the
/// first of `/?#` (RFC 3986 §3.2), and is a host and perhaps digits.
fn destination(job: &Job, url: &Bytes) {
    let url = std::str::from_utf8(url).expect("a URL is text");
    assert!(matches!(job.uri.scheme_str(), Some("http" | "https")), "{url}");
    let (scheme, rest) = url.split_once("://").expect("a URL is absolute");
    assert!(scheme.eq_ignore_ascii_case(job.uri.scheme_str().unwrap_or_default()), "{url}");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    assert!(!authority.contains(['@', '\\', '%', ' ']) && authority.is_ascii(), "{url}");
    let end = authority.find(']').map_or_else(|| authority.find(':'), |at| Some(at + 1));
    let (host, port) = authority.split_at(end.unwrap_or(authority.len()));
    assert_eq!(job.uri.host(), Some(host), "{url}");
    assert!(Host::parse(host).is_ok(), "{url}");
    match port.trim_start_matches(':') {
        "" => assert_eq!(job.uri.port_u16(), None, "{url}"),
        digits => {
            let port: u32 = digits.parse().expect("a port is a number");
            assert_eq!(job.uri.port_u16().map(u32::from), Some(port).filter(|port| *port > 0), "{url}");
        }
    }
}
