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
        Err(malformed) => check_error(&malformed),
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
pub(crate) fn check_error(malformed: &Malformed) {
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
    assert!((1..=128).contains(&job.label.len()) && job.label.iter().all(u8::is_ascii_graphic), "{job:?}");
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    assert!((1..=128).contains(&job.id.len()) && job.id.iter().all(plain), "{job:?}");
}

/// The destination is that of the WHATWG URL standard, and what is sent is ASCII without user information.
fn destination(job: &Job, url: &Bytes) {
    let url = std::str::from_utf8(url).expect("a URL is text");
    let standard = url::Url::parse(url).expect("a URL by the standard");
    assert!(matches!(job.uri.scheme_str(), Some("http" | "https")), "{url}");
    assert_eq!(job.uri.scheme_str(), Some(standard.scheme()), "{url}");
    let host = job.uri.host().expect("an absolute URL has a host");
    assert_eq!(Some(host), standard.host_str(), "{url}");
    assert!(Host::parse(host).is_ok(), "{url}");
    assert_eq!(job.uri.port_u16().filter(|port| *port != 0), standard.port(), "{url}");
    assert_eq!((job.uri.path(), job.uri.query()), (standard.path(), standard.query()), "{url}");
    assert!(job.uri.to_string().bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
    assert!(!job.uri.authority().expect("it has a host").as_str().contains('@'), "{url}");
}
