//! A flow: the jobs that are limited together, by default of a destination's `host:port`, else of a key that
//! the job names. Pure.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::Uri;
use sha1_smol::Sha1;

use super::Job;
use super::entry::Fields;
use super::host::Host;
use super::url::Destination;

/// A flow's id in Redis' keys: the first 64 bits of the SHA-1 of its name, in 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(u64);

impl FlowId {
    /// The id of a flow by its name.
    pub fn of(name: &str) -> Self {
        Self::hashed([name.as_bytes()])
    }

    /// The flow of a job. Allocates nothing.
    pub fn of_job(job: &Job) -> Self {
        Self::of_parts(job.flow.as_ref(), &job.uri)
    }

    /// The flow of a destination, whatever flow a job names.
    pub fn of_destination(uri: &Uri) -> Self {
        Self::of_parts(None, uri)
    }

    fn of_parts(flow: Option<&Bytes>, uri: &Uri) -> Self {
        if let Some(flow) = flow {
            return Self::hashed([flow.as_ref()]);
        }
        let mut port = [0; 6];
        let port = written(port_of(uri), &mut port);
        Self::hashed([usual(uri.host().unwrap_or_default()).as_bytes(), port])
    }

    /// Parses the 16 hex digits.
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

/// The name of a job's flow: the key that the job names, else `host:port` in its usual form.
pub fn flow_name(job: &Job) -> String {
    name_of_parts(job.flow.as_ref(), &job.uri)
}

fn name_of_parts(flow: Option<&Bytes>, uri: &Uri) -> String {
    match flow {
        Some(flow) => String::from_utf8_lossy(flow).into_owned(),
        None => format!("{}:{}", usual(uri.host().unwrap_or_default()), port_of(uri)),
    }
}

/// The name of a destination's flow from a text `HOST:PORT`; `None` for any other text.
pub fn destination(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    Host::parse(host).ok()?;
    Some(format!("{}:{port}", usual(host)))
}

/// The flows that a person means by a text: the flow of this name; for `HOST:PORT` and a URL its destination; for a host
/// without a port its destinations on 443 and 80; for an id its flow, whose name is not known.
pub fn flows_meant(text: &str) -> Vec<(FlowId, Option<String>)> {
    let named = |name: &str| (FlowId::of(name), Some(name.to_owned()));
    if let Some(id) = FlowId::parse(text).filter(|id| id.to_string() == text) {
        return vec![(id, None)];
    }
    if text.contains("://")
        && let Ok(url) = Destination::parse(&Bytes::copy_from_slice(text.as_bytes()))
    {
        return vec![named(&name_of_parts(None, &url.uri))];
    }
    let is_host = text.contains('.') || text.starts_with('[') || text.eq_ignore_ascii_case("localhost");
    let ports =
        if is_host { [443, 80].map(|port| destination(&format!("{text}:{port}"))) } else { [None, None] };
    let mut meant: Vec<_> =
        ports.into_iter().chain([destination(text)]).flatten().map(|name| named(&name)).collect();
    if meant.iter().all(|(id, _)| *id != FlowId::of(text)) {
        meant.push(named(text));
    }
    meant
}

/// A host in its usual form, so that another spelling does not bypass a destination's limits: in lower case,
/// without a dot at its end, an address in its usual form. Allocates nothing for a host that is already in
/// this form.
fn usual(host: &str) -> Cow<'_, str> {
    let last = host.rsplit('.').next().unwrap_or_default();
    let perhaps_address = host.starts_with('[') || last.is_empty() || last.as_bytes()[0].is_ascii_digit();
    if perhaps_address && host.parse::<Ipv4Addr>().is_err() {
        return match Host::parse(host).map(|host| host.canonical()) {
            Ok(Host::Address(IpAddr::V6(v6))) => format!("[{v6}]").into(),
            Ok(Host::Address(v4)) => v4.to_string().into(),
            Ok(Host::Name(name)) => name.to_ascii_lowercase().into(),
            Err(_) => host.into(),
        };
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return host.to_ascii_lowercase().into();
    }
    host.into()
}

/// The flow and its name from the fields of an undecoded job; `None` if the fields name none.
pub fn of_fields(fields: &Fields) -> Option<(FlowId, String)> {
    let field = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let flow = field("flow");
    let uri = match (flow, field("url")) {
        (None, None) => return None,
        (Some(_), _) => Uri::default(),
        (None, Some(url)) => Destination::parse(url).ok()?.uri,
    };
    Some((FlowId::of_parts(flow, &uri), name_of_parts(flow, &uri)))
}

/// The port of a URL, also if only its scheme implies it.
pub fn port_of(uri: &Uri) -> u16 {
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
    fn a_job_is_in_the_flow_of_its_fields() {
        let of = |fields: &[(&'static str, &'static str)]| {
            of_fields(&fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        let named = |name: &str| Some((FlowId::of(name), name.to_owned()));
        assert_eq!(of(&[("url", "https://Example.org/a?b")]), named("example.org:443"));
        assert_eq!(of(&[("url", "http://[::1]:81/")]), named("[::1]:81"));
        assert_eq!(of(&[("url", "http://h/"), ("flow", "orders")]), named("orders"));
        assert_eq!(of(&[("url", "http://BÜCHER.example/a b")]), named("xn--bcher-kva.example:80"));
        assert_eq!((of(&[("url", "http://a b")]), of(&[("body", "x")])), (None, None));
    }

    #[test]
    fn a_destination_has_one_flow_in_every_spelling() {
        for (url, name) in [
            ("http://EXAMPLE.org./", "example.org:80"),
            ("http://example.org:80/", "example.org:80"),
            ("http://0x7f.1:81/", "127.0.0.1:81"),
            ("http://2130706433/", "127.0.0.1:80"),
            ("http://127.0.0.1./", "127.0.0.1:80"),
            ("http://[::ffff:7f00:1]/", "127.0.0.1:80"),
            ("http://[0:0::1]/", "[::1]:80"),
            ("https://1.a/", "1.a:443"),
            ("https://a.1x/", "a.1x:443"),
        ] {
            let uri: Uri = url.parse().unwrap();
            assert_eq!(FlowId::of_parts(None, &uri), FlowId::of(name), "{url}");
            assert_eq!(name_of_parts(None, &uri), name, "{url}");
        }
        assert_eq!(destination("API.example.org.:443").as_deref(), Some("api.example.org:443"));
        assert_eq!(destination("[::0001]:80").as_deref(), Some("[::1]:80"));
        for other in ["api.example.org", "orders", "a:b", "h:0", "https://h:80/", ":80", "::1"] {
            assert_eq!(destination(other), None, "{other}");
        }
    }

    #[test]
    fn a_text_means_a_flow_or_the_destinations_of_a_host() {
        let meant = |text: &str| -> Vec<String> {
            let flows = flows_meant(text);
            assert!(flows.iter().all(|(id, name)| name.as_ref().is_none_or(|name| *id == FlowId::of(name))));
            flows.into_iter().map(|(id, name)| name.unwrap_or(id.to_string())).collect()
        };
        assert_eq!(meant("orders"), ["orders"]);
        assert_eq!(meant("api.example.org:8443"), ["api.example.org:8443"]);
        assert_eq!(meant("API.example.org:8443"), ["api.example.org:8443", "API.example.org:8443"]);
        assert_eq!(meant("h.test"), ["h.test:443", "h.test:80", "h.test"]);
        assert_eq!(meant("localhost"), ["localhost:443", "localhost:80", "localhost"]);
        assert_eq!(meant("https://h.test/a?b"), ["h.test:443"]);
        assert_eq!(meant("tenant 7: a.b/c"), ["tenant 7: a.b/c"]);
        let id = FlowId::of("orders").to_string();
        assert_eq!(meant(&id), [id]);
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
