//! What is limited together: by default a destination's `host:port`, or what the job names. Pure.

use std::fmt;

use bytes::Bytes;
use http::Uri;
use sha1_smol::Sha1;

use crate::entry::Fields;
use crate::job::Job;

/// A flow, as Redis' keys name it: the first 64 bits of the SHA-1 of its name, in 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(u64);

impl FlowId {
    /// The flow of that name.
    pub fn of(name: &str) -> Self {
        Self::hashed([name.as_bytes()])
    }

    /// The flow of a job. Nothing is allocated.
    pub fn of_job(job: &Job) -> Self {
        Self::of_parts(job.flow.as_ref(), &job.uri)
    }

    fn of_parts(flow: Option<&Bytes>, uri: &Uri) -> Self {
        if let Some(flow) = flow {
            return Self::hashed([flow.as_ref()]);
        }
        let host = uri.host().unwrap_or_default();
        let mut port = [0; 6];
        let port = written(port_of(uri), &mut port);
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Self::hashed([host.to_ascii_lowercase().as_bytes(), port]);
        }
        Self::hashed([host.as_bytes(), port])
    }

    /// From the 16 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 16 {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }

    fn hashed<const N: usize>(parts: [&[u8]; N]) -> Self {
        let mut hash = Sha1::new();
        parts.into_iter().for_each(|part| hash.update(part));
        let [a, b, c, d, e, f, g, h, ..] = hash.digest().bytes();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The name of a job's flow: `host:port` in small letters, or what the job says.
pub(super) fn name(job: &Job) -> String {
    name_of_parts(job.flow.as_ref(), &job.uri)
}

fn name_of_parts(flow: Option<&Bytes>, uri: &Uri) -> String {
    match flow {
        Some(flow) => String::from_utf8_lossy(flow).into_owned(),
        None => format!("{}:{}", uri.host().unwrap_or_default().to_ascii_lowercase(), port_of(uri)),
    }
}

/// Flow and its name, of a job that is looked at from outside; `None` where its fields tell none.
pub fn of_fields(fields: &Fields) -> Option<(FlowId, String)> {
    let field = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let flow = field("flow");
    let uri = match (flow, field("url")) {
        (None, None) => return None,
        (Some(_), _) => Uri::default(),
        (None, Some(url)) => Uri::from_maybe_shared(url.clone()).ok()?,
    };
    Some((FlowId::of_parts(flow, &uri), name_of_parts(flow, &uri)))
}

fn port_of(uri: &Uri) -> u16 {
    let implied = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    uri.port_u16().unwrap_or(implied)
}

/// `:PORT`
fn written(port: u16, buffer: &mut [u8; 6]) -> &[u8] {
    let mut at = buffer.len();
    let mut left = port;
    loop {
        at -= 1;
        buffer[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    at -= 1;
    buffer[at] = b':';
    &buffer[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_in_sixteen_digits_and_read_again() {
        let id = FlowId::of("example.org:443");
        assert_eq!(id.to_string().len(), 16);
        assert_eq!(FlowId::parse(&id.to_string()), Some(id));
        for wrong in ["", "xyz", "+123456789abcdef", "00000000000000000"] {
            assert_eq!(FlowId::parse(wrong).filter(|id| id.to_string() == wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_job_is_in_the_flow_that_its_fields_tell() {
        let of = |fields: &[(&'static str, &'static str)]| {
            of_fields(&fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        let named = |name: &str| Some((FlowId::of(name), name.to_owned()));
        assert_eq!(of(&[("url", "https://Example.org/a?b")]), named("example.org:443"));
        assert_eq!(of(&[("url", "http://[::1]:81/")]), named("[::1]:81"));
        assert_eq!(of(&[("url", "http://h/"), ("flow", "orders")]), named("orders"));
        assert_eq!((of(&[("url", "http://a b")]), of(&[("body", "x")])), (None, None));
    }

    #[test]
    fn a_destination_is_its_host_and_port() {
        let mut buffer = [0; 6];
        for port in [1, 80, 443, 8080, 65535] {
            assert_eq!(written(port, &mut buffer), format!(":{port}").as_bytes());
        }
        assert_eq!(FlowId::hashed([b"h".as_slice(), b":80"]), FlowId::of("h:80"));
    }
}
