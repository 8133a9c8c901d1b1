//! Signatures by Standard Webhooks 1.0 (<https://github.com/standard-webhooks/standard-webhooks>, `spec`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use ring::signature::Ed25519KeyPair;

/// A key that signs requests. Cheap to clone.
#[derive(Clone)]
pub enum SigningKey {
    /// `whsec_` and 24 to 64 bytes in Base64: HMAC-SHA256, the signature `v1`.
    Symmetric(Arc<hmac::Key>),
    /// `whsk_` and an Ed25519 key in Base64, its seed of 32 bytes or the seed followed by the public key: the
    /// signature `v1a`.
    Asymmetric(Arc<Ed25519KeyPair>),
}

/// Text that is not a signing key. The error does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It has another prefix.
    #[error("a signing key begins with `whsec_` or `whsk_`")]
    Prefix,
    /// The text after the prefix is not Base64.
    #[error("the text after `whsec_` or `whsk_` must be Base64")]
    Base64,
    /// It is too short or too long.
    #[error("a key after `whsec_` must have 24 to 64 bytes, a key after `whsk_` 32 or 64")]
    Length,
    /// The parts of an Ed25519 key do not belong together.
    #[error("the public key does not belong to the private key before it")]
    Pair,
}

impl FromStr for SigningKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| BadKey::Base64);
        if let Some(text) = text.strip_prefix("whsec_") {
            let key = decode(text)?;
            if !(24..=64).contains(&key.len()) {
                return Err(BadKey::Length);
            }
            return Ok(Self::Symmetric(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key))));
        }
        let key = decode(text.strip_prefix("whsk_").ok_or(BadKey::Prefix)?)?;
        let pair = match key.len() {
            32 => Ed25519KeyPair::from_seed_unchecked(&key),
            64 => Ed25519KeyPair::from_seed_and_public_key(&key[..32], &key[32..]),
            _ => return Err(BadKey::Length),
        };
        pair.map(|pair| Self::Asymmetric(Arc::new(pair))).map_err(|_| BadKey::Pair)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Sets `webhook-id`, `webhook-timestamp` and `webhook-signature`, which replace the job's own. The signed
/// content is `id.timestamp.body`. Spaces separate the signatures of several keys. `now` is in Unix seconds.
pub(super) fn sign(headers: &mut HeaderMap, keys: &[SigningKey], id: &Bytes, body: &[u8], now: u64) {
    let timestamp = now.to_string();
    let mut content = Vec::with_capacity(id.len() + timestamp.len() + body.len() + 2);
    for part in [id.as_ref(), b".", timestamp.as_bytes(), b".", body] {
        content.extend_from_slice(part);
    }
    let signatures: Vec<String> = keys.iter().map(|key| key.signature(&content)).collect();
    let signatures = Bytes::from(signatures.join(" "));
    for (name, value) in [
        ("webhook-id", id.clone()),
        ("webhook-timestamp", timestamp.into()),
        ("webhook-signature", signatures),
    ] {
        let value =
            HeaderValue::from_maybe_shared(value).expect("labels, digits and Base64 are visible ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl SigningKey {
    fn signature(&self, content: &[u8]) -> String {
        match self {
            Self::Symmetric(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, content))),
            Self::Asymmetric(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(content))),
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};

    use super::*;

    /// The example of the reference implementations.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signed(keys: &[&str], id: &str, body: &str, now: u64) -> HeaderMap {
        let keys: Vec<SigningKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static("the job's own"));
        sign(&mut headers, &keys, &Bytes::copy_from_slice(id.as_bytes()), body.as_bytes(), now);
        headers
    }

    #[test]
    fn a_signature_is_that_of_the_reference() {
        let headers =
            signed(&[SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#, 1_614_265_330);
        assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// Made with the Python package `cryptography` 48.0.0: `Ed25519PrivateKey.from_private_bytes(bytes(range(32)))`
    /// signs `msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}`.
    #[test]
    fn an_ed25519_signature_is_that_of_another_implementation() {
        let key = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let headers =
            signed(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#, 1_614_265_330);
        let signature =
            "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAey+r4iaBGxTFRrl2iBQxtDQ==";
        assert_eq!(headers["webhook-signature"], signature);
    }

    #[test]
    fn each_key_makes_a_signature_and_ed25519_can_be_verified() {
        let seed = format!("whsk_{}", STANDARD.encode([7; 32]));
        let headers = signed(&[SECRET, &seed], "1-0", "body", 5);
        let text = headers["webhook-signature"].to_str().unwrap();
        let (first, second) = text.split_once(' ').unwrap();
        assert!(first.starts_with("v1,"), "{text}");
        let signature = STANDARD.decode(second.strip_prefix("v1a,").unwrap()).unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = pair.public_key().as_ref();
        UnparsedPublicKey::new(&ED25519, public).verify(b"1-0.5.body", &signature).unwrap();
        let whole = format!("whsk_{}", STANDARD.encode([&[7; 32], public].concat()));
        assert_eq!(signed(&[&whole], "1-0", "body", 5)["webhook-signature"], second);
    }

    #[test]
    fn text_that_is_not_a_key_is_refused_without_being_repeated() {
        for (text, error) in [
            ("", BadKey::Prefix),
            ("hunter2", BadKey::Prefix),
            ("whpk_AAAA", BadKey::Prefix),
            ("whsec_%", BadKey::Base64),
            ("whsec_aHVudGVyMg==", BadKey::Length),
            ("whsk_aHVudGVyMg==", BadKey::Length),
            (&format!("whsk_{}", STANDARD.encode([7; 64])), BadKey::Pair),
        ] {
            let found = text.parse::<SigningKey>().unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("hunter2"));
        }
    }
}
