//! URLs without secrets, for spans.

use std::fmt::Write;

use http::Uri;

use crate::host_pattern::{HostPattern, covers};

/// Bytes. A longer URL is cut, since the SDK has no limit.
const URL_BYTES_MAX: usize = 2048;

/// A name that contains one of these, in any case, names a secret. They cover the parameters of the conventions
/// (`docs/http/http-spans.md`) and of the Python instrumentation, and other usual names.
const PARTS: [&str; 9] =
    ["auth", "token", "secret", "key", "cookie", "signature", "password", "passwd", "credential"];
/// Whole names of secrets; other names may contain them.
const WHOLE: [&str; 2] = ["sig", "code"];

/// Hosts whose paths are secrets: everybody who knows one may post. Those below a name where it begins with a dot.
const SECRET_PATHS: [&str; 24] = [
    "hooks.slack.com",
    "hooks.slack-gov.com",
    "discord.com",
    ".discord.com",
    "discordapp.com",
    ".discordapp.com",
    // Microsoft Teams, by connectors and by workflows.
    ".webhook.office.com",
    "outlook.office.com",
    ".logic.azure.com",
    ".environment.api.powerplatform.com",
    "hooks.zapier.com",
    ".make.com",
    "hook.integromat.com",
    "maker.ifttt.com",
    ".pipedream.net",
    "webhook.site",
    "chat.googleapis.com",
    "api.telegram.org",
    "open.feishu.cn",
    "open.larksuite.com",
    "events.pagerduty.com",
    "alert.victorops.com",
    "hc-ping.com",
    "cronitor.link",
];

/// Whether a parameter, a header or a field of that name is treated as a secret: the rule of [`Redaction::default`]. It
/// rather hides too much: `author` as well as `auth`.
pub fn is_secret(name: &str) -> bool {
    let contains = |part: &&str| {
        name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    };
    WHOLE.iter().any(|whole| name.eq_ignore_ascii_case(whole)) || PARTS.iter().any(contains)
}

/// The parts of a URL that are hidden: user information, the values of query parameters that [`is_secret`] names, and
/// path and query of hosts whose paths are secrets, as those of Slack's, Discord's, Teams' and Zapier's webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    parameters: Option<Vec<String>>,
    paths_of: Vec<HostPattern>,
}

impl Redaction {
    /// Hides the values of these query parameters, and of no others. They are compared without regard to case.
    pub fn of_parameters<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let parameters = Some(names.into_iter().map(str::to_owned).collect());
        Self { parameters, ..Self::default() }
    }

    /// Hides path and query of these hosts, too.
    #[must_use]
    pub fn paths_of(mut self, hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        self.paths_of.extend(hosts);
        self
    }

    fn hides_path(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default();
        SECRET_PATHS.iter().any(|own| covers(own, host))
            || self.paths_of.iter().any(|own| own.covers(host, port(uri)))
    }

    fn hides(&self, name: &str) -> bool {
        match &self.parameters {
            None => is_secret(name),
            Some(names) => names.iter().any(|secret| name.eq_ignore_ascii_case(secret)),
        }
    }

    /// The absolute URL with `REDACTED`, or `/…` for path and query, in place of what is hidden. Everything else is
    /// unchanged. At most 2,048 bytes.
    pub fn apply(&self, uri: &Uri) -> String {
        let mut url = String::with_capacity(128);
        if let Some(scheme) = uri.scheme_str() {
            url.push_str(scheme);
            url.push_str("://");
        }
        if let Some(authority) = uri.authority() {
            let authority = authority.as_str();
            match authority.rsplit_once('@') {
                Some((_, host)) => {
                    let _ = write!(url, "REDACTED:REDACTED@{host}");
                }
                None => url.push_str(authority),
            }
        }
        if self.hides_path(uri) {
            url.push_str("/…");
            return url;
        }
        url.push_str(uri.path());
        if let Some(query) = uri.query() {
            self.push_query(query, &mut url);
        }
        url.truncate(url.floor_char_boundary(URL_BYTES_MAX));
        url
    }

    fn push_query(&self, query: &str, url: &mut String) {
        for (index, pair) in query.split('&').enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            match pair.split_once('=') {
                Some((name, _)) if self.hides(name) => {
                    let _ = write!(url, "{name}=REDACTED");
                }
                _ => url.push_str(pair),
            }
        }
    }
}

/// A URL as a span shows it by default: [`Redaction::apply`] of the default.
pub fn redacted(uri: &Uri) -> String {
    Redaction::default().apply(uri)
}

/// Host and port of a URL's authority. `Uri` searches it three times, with functions for long texts.
pub(crate) fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    let last = |text: &str, byte: u8| text.as_bytes().iter().rposition(|own| *own == byte);
    let place = last(authority, b'@').map_or(authority, |at| &authority[at + 1..]);
    // The colons in brackets are those of an IPv6 address.
    match last(place, b':').filter(|_| !place.ends_with(']')) {
        Some(at) => (&place[..at], place[at + 1..].parse().ok()),
        None => (place, None),
    }
}

/// The host without the brackets of an IPv6 address.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// The port, also where it is only implied by the scheme.
pub(crate) fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or_else(|| implied_port(uri))
}

/// The port that the scheme implies.
pub(crate) fn implied_port(uri: &Uri) -> Option<u16> {
    match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, shown: &str) {
        assert_eq!(redacted(&url.parse().unwrap()), shown);
    }

    #[test]
    fn secrets_are_redacted_and_nothing_else_is_changed() {
        check("http://me:pw@h:1/p", "http://REDACTED:REDACTED@h:1/p");
        check("https://h/a%20b?x=%2F&Sig=abc&y", "https://h/a%20b?x=%2F&Sig=REDACTED&y");
        check("https://h/?token=&a=b", "https://h/?token=REDACTED&a=b");
        check("http://h", "http://h/");
    }

    #[test]
    fn the_parameters_of_the_conventions_and_usual_names_are_secret() {
        for name in [
            "X-Amz-Signature",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
            "AWSAccessKeyId",
            "Signature",
            "sig",
            "X-Goog-Signature",
            "access_token",
            "session-token",
            "Authorization",
            "apikey",
            "key",
            "code",
            "passwd",
            "my_password",
            "client_secret",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["", "a", "sign", "signal", "codec", "status_code", "page", "user"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_list_takes_the_place_of_the_known_parameters() {
        let url = "http://me@h/?token=a&Mine=b".parse().unwrap();
        let shown = Redaction::of_parameters(["mine"]).apply(&url);
        assert_eq!(shown, "http://REDACTED:REDACTED@h/?token=a&Mine=REDACTED");
    }

    #[test]
    fn a_path_that_is_a_secret_is_hidden() {
        check("https://hooks.slack.com/services/T0/B0/hunter2", "https://hooks.slack.com/…");
        check("https://Discord.com/api/webhooks/1/hunter2?wait=true", "https://Discord.com/…");
        check("https://me.webhook.office.com./hunter2", "https://me.webhook.office.com./…");
        check(
            "https://me:pw@hooks.zapier.com:8443/hooks/catch/1/2",
            "https://REDACTED:REDACTED@hooks.zapier.com:8443/…",
        );
        check("https://slack.com/api/chat.postMessage", "https://slack.com/api/chat.postMessage");
        check("https://hooks.slack.com.evil.test/x", "https://hooks.slack.com.evil.test/x");
        let own = Redaction::default().paths_of(["*.own.test:8443".parse().unwrap()]);
        let shown = |url: &str| own.apply(&url.parse().unwrap());
        assert_eq!(shown("https://a.own.test:8443/x"), "https://a.own.test:8443/…");
        assert_eq!(shown("https://a.own.test/x"), "https://a.own.test/x");
        assert_eq!(shown("https://hooks.slack.com/x"), "https://hooks.slack.com/…");
    }

    #[test]
    fn a_long_url_is_cut() {
        let url = format!("http://h/{}", "x".repeat(5000));
        assert_eq!(redacted(&url.parse().unwrap()).len(), URL_BYTES_MAX);
    }

    #[test]
    fn the_port_is_known_without_being_written() {
        assert_eq!(port(&"https://h/".parse().unwrap()), Some(443));
        assert_eq!(port(&"http://h:8080/".parse().unwrap()), Some(8080));
    }

    #[test]
    fn host_and_port_are_those_of_the_url() {
        for url in [
            "http://a.test/",
            "http://a.test:8080/",
            "http://me:80@a.test/",
            "http://me:80@a.test:81/",
            "http://[::1]/",
            "http://[::1]:8080/",
            "http://me@[fe80::1]:1/",
            "http://127.0.0.1:65535/",
            "http://a.test:65536/",
            "http://a.test:/",
        ] {
            let uri: Uri = url.parse().unwrap();
            let own = host_and_port(uri.authority().unwrap().as_str());
            assert_eq!((Some(own.0), own.1), (uri.host(), uri.port_u16()), "{url}");
        }
    }
}
