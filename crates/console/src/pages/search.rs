//! The search box: leads to the page of what was asked for.

use axum::extract::Query;
use axum::response::Redirect;
use serde::Deserialize;

use super::parts::{encoded, job_path};
use super::viewer::Viewer;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
}

pub(super) async fn find(Viewer(_): Viewer, Query(Asked { q }): Query<Asked>) -> Redirect {
    Redirect::to(&page_of(q.trim()))
}

/// The path of the page about a text: a URL or a host is a destination, anything else a job's id, label or trace.
fn page_of(text: &str) -> String {
    if text.is_empty() {
        return "/".to_owned();
    }
    match host(text) {
        Some(host) => format!("/destination?name={}", encoded(&host)),
        None => job_path(text),
    }
}

/// The host of a URL, or a text that looks like one: `acme.example`, `10.0.0.1:8080`, `localhost`.
fn host(text: &str) -> Option<String> {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    if let Some(authority) = authority {
        let host = authority.rsplit('@').next().unwrap_or(authority);
        return (!host.is_empty()).then(|| host.to_ascii_lowercase());
    }
    let (name, port) = text.rsplit_once(':').unwrap_or((text, "80"));
    let is_name = name.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    let has_dot = name.contains('.') && name.bytes().any(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    let is_host = port.parse::<u16>().is_ok() && is_name && (has_dot || name == "localhost");
    is_host.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_urls_lead_to_destinations() {
        for (text, name) in [
            ("acme.example", "acme.example"),
            ("Acme.example:8443", "acme.example:8443"),
            ("https://user:pw@acme.example/hook?x=1", "acme.example"),
            ("http://10.0.0.1:8080", "10.0.0.1:8080"),
            ("10.0.0.1", "10.0.0.1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(page_of(text), format!("/destination?name={}", encoded(name)), "{text}");
        }
    }

    #[test]
    fn everything_else_leads_to_a_job() {
        for text in
            ["1795396101000-0", "order:4711", "order-1", "0af7651916cd43dd8448eb211c80319c", "a/b", "://"]
        {
            assert_eq!(page_of(text), job_path(text), "{text}");
        }
        assert_eq!(page_of(""), "/");
    }
}
