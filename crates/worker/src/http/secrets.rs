//! Secrets by name, which sign and authenticate a job's request. The worker reads them from files or the
//! environment when it starts. They never appear in Redis, logs, spans or errors.

mod client_credentials;
mod identity;
mod signing;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use hyper_otel::HostPattern;
use postrider_queue::job::port_of;

pub use client_credentials::{ClientAuthentication, ClientCredentials};
pub(crate) use client_credentials::{Granted, read_reply};
pub use identity::{BadIdentity, Identity};
pub use signing::{BadKey, SigningKey};

/// All secrets of a worker, by their names.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<String, Secret>);

/// One secret: any of signing keys, headers, access tokens and a client certificate.
#[derive(Clone, Default)]
pub struct Secret {
    /// Each key makes a signature, so that keys can be rotated without a gap.
    pub keys: Vec<SigningKey>,
    /// Headers that are set on each request and replace the job's own.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How the worker gets access tokens for it. Each is sent in `Authorization`.
    pub tokens: Option<ClientCredentials>,
    /// The client certificate for destinations that request one.
    pub identity: Option<Identity>,
    /// The hosts that may get it. Default: none, which is all; only a secret without credentials may go to all.
    pub hosts: Vec<HostPattern>,
    /// Whether it may be sent over `http`. Default: only over `https`.
    pub allow_http: bool,
}

/// Why a secret is not for a destination. The text continues a sentence that begins with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFor {
    /// The URL's scheme is `http`.
    #[error("is sent over https only, unless its `allow_http` is true in the configuration")]
    Http,
    /// No pattern of `hosts` covers the URL's host.
    #[error("is not for this host: no entry of its `hosts` in the configuration covers it")]
    Host,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Secrets {
    /// The secret of that name.
    pub fn get(&self, name: &[u8]) -> Option<&Secret> {
        self.0.get(std::str::from_utf8(name).ok()?)
    }

    /// The names of all secrets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds a secret.
    pub fn insert(&mut self, name: &str, secret: Secret) {
        self.0.insert(name.to_owned(), secret);
    }

    /// The client certificates, by the names of their secrets.
    pub fn identities(&self) -> BTreeMap<String, Identity> {
        self.parts(|secret| secret.identity.clone())
    }

    /// How access tokens are got, by the names of their secrets.
    pub fn tokens(&self) -> BTreeMap<String, ClientCredentials> {
        self.parts(|secret| secret.tokens.clone())
    }

    fn parts<T>(&self, of: impl Fn(&Secret) -> Option<T>) -> BTreeMap<String, T> {
        self.0.iter().filter_map(|(name, secret)| Some((name.clone(), of(secret)?))).collect()
    }
}

impl Secret {
    /// Whether it contains what lets its holder act as this worker's operator. A signature does not.
    pub fn has_credentials(&self) -> bool {
        !self.headers.is_empty() || self.tokens.is_some() || self.identity.is_some()
    }

    /// Checks that it may be sent to a URL.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, uri: &Uri) -> Result<(), NotFor> {
        if uri.scheme_str() != Some("https") && !self.allow_http {
            return Err(NotFor::Http);
        }
        let (host, port) = (uri.host().unwrap_or_default(), port_of(uri));
        let is_covered = self.hosts.iter().any(|own| own.covers(host, Some(port)));
        if is_covered || self.hosts.is_empty() && !self.has_credentials() {
            Ok(())
        } else {
            Err(NotFor::Host)
        }
    }

    /// Signs a request and sets the secret's headers. Header values are marked as sensitive, so that `Debug`
    /// does not show them and HTTP/2 leaves them out of its tables. `now` is in Unix milliseconds.
    pub fn apply(&self, headers: &mut HeaderMap, id: &Bytes, body: &[u8], now: u64) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if !self.keys.is_empty() {
            signing::sign(headers, &self.keys, id, body, now / 1000);
        }
    }
}

/// A header value that is a secret; `None` if it contains bytes that no header may have.
pub fn sensitive(value: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let value = sensitive(b"hunter2").unwrap();
        let secret = Secret {
            headers: vec![(http::header::AUTHORIZATION, value)],
            hosts: vec!["*.example.org".parse().unwrap()],
            ..Secret::default()
        };
        let secret = Secret {
            keys: vec!["whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==".parse().unwrap()],
            ..secret
        };
        let mut secrets = Secrets::default();
        secrets.insert("acme", secret.clone());
        let mut headers = HeaderMap::new();
        secret.apply(&mut headers, &"1-0".into(), b"", 0);
        let shown = format!("{secrets:?} {headers:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVy"), "{shown}");
        assert_eq!(headers["authorization"], "hunter2", "it replaces the job's own");
    }

    #[test]
    fn a_secret_goes_only_to_its_hosts_and_over_https() {
        let check = |secret: &Secret, url: &str| secret.check(&url.parse().unwrap());
        let hosts = ["api.example.org", "*.internal:8443"].map(|host| host.parse().unwrap()).to_vec();
        let headers = vec![(http::header::AUTHORIZATION, sensitive(b"hunter2").unwrap())];
        let token = Secret { headers, hosts, ..Secret::default() };
        for (url, verdict) in [
            ("https://api.example.org/", Ok(())),
            ("https://API.example.org.:8080/", Ok(())),
            ("https://a.internal:8443/", Ok(())),
            ("https://a.internal/", Err(NotFor::Host)),
            ("https://evil.test/api.example.org", Err(NotFor::Host)),
            ("https://api.example.org.evil.test/", Err(NotFor::Host)),
            ("http://api.example.org/", Err(NotFor::Http)),
        ] {
            assert_eq!(check(&token, url), verdict, "{url}");
        }
        let plain = Secret { allow_http: true, ..token.clone() };
        assert_eq!(check(&plain, "http://api.example.org/"), Ok(()));
        assert_eq!(check(&plain, "http://evil.test/"), Err(NotFor::Host));
        let nowhere = Secret { hosts: vec![], ..token };
        assert_eq!(check(&nowhere, "https://api.example.org/"), Err(NotFor::Host), "credentials need hosts");
        let signature = Secret { hosts: vec![], headers: vec![], ..nowhere };
        assert_eq!(check(&signature, "https://any.test/"), Ok(()));
        assert_eq!(check(&signature, "http://any.test/"), Err(NotFor::Http));
    }
}
