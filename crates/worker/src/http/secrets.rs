//! Secrets by name, which sign and authenticate a job's request. The worker reads them from files or the
//! environment when it starts. They never appear in Redis, logs, spans or errors.

mod identity;
mod signing;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use identity::{BadIdentity, Identity};
pub use signing::{BadKey, SigningKey};

/// All secrets of a worker, by their names.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<String, Secret>);

/// One secret: any of signing keys, headers and a client certificate.
#[derive(Clone, Default)]
pub struct Secret {
    /// Each key makes a signature, so that keys can be rotated without a gap.
    pub keys: Vec<SigningKey>,
    /// Headers that are set on each request and replace the job's own.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The client certificate for destinations that request one.
    pub identity: Option<Identity>,
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

    /// Adds a secret.
    pub fn insert(&mut self, name: &str, secret: Secret) {
        self.0.insert(name.to_owned(), secret);
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The client certificates, by the names of their secrets.
    pub fn identities(&self) -> BTreeMap<String, Identity> {
        let with = self.0.iter().filter_map(|(name, secret)| Some((name.clone(), secret.identity.clone()?)));
        with.collect()
    }
}

impl Secret {
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
            identity: None,
            keys: vec!["whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==".parse().unwrap()],
        };
        let mut secrets = Secrets::default();
        secrets.insert("acme", secret.clone());
        let mut headers = HeaderMap::new();
        secret.apply(&mut headers, &"1-0".into(), b"", 0);
        let shown = format!("{secrets:?} {headers:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVy"), "{shown}");
        assert_eq!(headers["authorization"], "hunter2", "it replaces the job's own");
    }
}
