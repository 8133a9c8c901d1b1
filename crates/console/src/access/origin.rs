//! Refuses what browsers send on behalf of other sites.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Headers that must come at most once: which of two counts would be a guess.
const ONCE: [HeaderName; 6] =
    [HOST, ORIGIN, SEC_FETCH_SITE, AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("idempotency-key")];

/// The names under which the console is reached. Addresses and `localhost` are always allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Arc<[String]>);

impl Hosts {
    pub(crate) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Refuses unknown names in `Host`, since a site can let its own name point to this machine (DNS rebinding), and
    /// changes that a page of another origin asks for.
    pub(crate) fn check_origin(&self, request: &Request) -> Result<(), Problem> {
        check(self, request.method(), request.uri(), request.headers())
    }

    fn allow(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.parse::<IpAddr>().is_ok() {
            return true;
        }
        let host = host.to_ascii_lowercase();
        is_localhost(&host) || self.0.contains(&host)
    }
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether the request was sent to this machine by one of its loopback names or addresses.
pub(crate) fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Uri>().ok());
    let host =
        host.as_ref().and_then(Uri::host).unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    is_localhost(host) || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check(hosts: &Hosts, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    for name in ONCE {
        if headers.get_all(&name).iter().nth(1).is_some() {
            let name = name.as_str();
            return Err(Problem::parameter(
                name,
                format!("the header `{name}` is given twice; send it once"),
            ));
        }
    }
    // The host of an absolute URL counts, and not the header (RFC 9112 §3.2.2).
    let named = uri.authority().map(|own| own.as_str());
    let host = named.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()));
    let host = host.and_then(|host| host.parse::<Uri>().ok()).filter(|host| host.host().is_some());
    let Some(host) = host else {
        return Err(Problem::parameter("host", "the header `Host` is missing or wrong"));
    };
    if !hosts.allow(host.host().unwrap_or_default()) {
        let detail = "the console does not serve this host; allow its name with --host";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if method.is_safe() {
        return Ok(());
    }
    // Browsers send it to safe origins, and no script can set it. They write the origin of a form as `null` where the
    // page's policy is to send no referrer, so that this header is believed first.
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return if site == "same-origin" { Ok(()) } else { Err(foreign()) };
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let is_own = origin.is_some_and(|origin| {
        origin.host() == host.host() && port(&origin) == host.port_u16().unwrap_or(port(&origin))
    });
    if is_own { Ok(()) } else { Err(foreign()) }
}

fn foreign() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "the request comes from another site")
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(method: Method, headers: &[(&'static str, &str)]) -> Option<u16> {
        let hosts = Hosts::new(&["Jobs.example.org".to_owned()]);
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        refused(&hosts, &method, "/v1/queues", &headers)
    }

    fn refused(hosts: &Hosts, method: &Method, uri: &'static str, headers: &HeaderMap) -> Option<u16> {
        let problem = check(hosts, method, &Uri::from_static(uri), headers).err()?;
        serde_json::to_value(problem).unwrap()["status"].as_u64().map(|status| status as u16)
    }

    #[test]
    fn only_known_hosts_are_served() {
        for known in [
            "localhost",
            "localhost:8025",
            "a.localhost",
            "127.0.0.1:8025",
            "[::1]:8025",
            "10.0.0.1",
            "jobs.EXAMPLE.org",
        ] {
            assert_eq!(answer(Method::GET, &[("host", known)]), None, "{known}");
        }
        for (other, status) in [
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("127.0.0.1.evil.example:80", 421),
            ("a b", 400),
            ("", 400),
        ] {
            assert_eq!(answer(Method::GET, &[("host", other)]), Some(status), "{other}");
        }
        assert_eq!(answer(Method::GET, &[]), Some(400));
    }

    #[test]
    fn a_request_names_one_host() {
        let hosts =
            |names: &[&str]| names.iter().map(|name| (HOST, name.parse().unwrap())).collect::<HeaderMap>();
        let get = |uri, names: &[&str]| refused(&Hosts::default(), &Method::GET, uri, &hosts(names));
        assert_eq!(get("/", &["localhost", "localhost"]), Some(400));
        assert_eq!(get("http://evil.example/", &["localhost"]), Some(421), "the URL counts");
        assert_eq!(get("http://localhost/", &["localhost"]), None);
    }

    #[test]
    fn a_change_that_another_site_asks_for_is_refused() {
        let host = ("host", "localhost:8025");
        assert_eq!(answer(Method::POST, &[host]), None, "no browser");
        assert_eq!(answer(Method::POST, &[host, ("origin", "http://localhost:8025")]), None);
        for other in ["http://evil.example", "http://localhost:9000", "https://localhost", "null"] {
            assert_eq!(answer(Method::POST, &[host, ("origin", other)]), Some(403), "{other}");
            assert_eq!(answer(Method::GET, &[host, ("origin", other)]), None, "{other}");
        }
        let null = ("origin", "null");
        assert_eq!(answer(Method::POST, &[host, null, ("sec-fetch-site", "same-origin")]), None, "a form");
        for site in ["same-site", "cross-site", "none"] {
            assert_eq!(answer(Method::POST, &[host, ("sec-fetch-site", site)]), Some(403), "{site}");
        }
        let named = ("host", "jobs.example.org");
        assert_eq!(
            answer(Method::POST, &[named, ("origin", "https://jobs.example.org")]),
            None,
            "behind a proxy"
        );
    }
}
