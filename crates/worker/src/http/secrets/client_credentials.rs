//! OAuth 2.0 client credentials (RFC 6749 §4.4): how an access token is requested, and what the reply grants.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::sensitive;

/// For how long a token is used whose reply does not say when it expires.
const DEFAULT_LIFE: Duration = Duration::from_secs(300);
/// A longer life counts as this one.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bytes of an error code that are shown.
const CODE_BYTES_MAX: usize = 64;

/// How a worker gets the access tokens of a secret. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct ClientCredentials {
    /// The token endpoint.
    pub token_url: Uri,
    /// The client's public name.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The scopes to ask for. Default: none, which leaves them to the server.
    pub scopes: Vec<String>,
    /// The API that the tokens are meant for, which some servers want to know. It is no part of RFC 6749. Default: none.
    pub audience: Option<String>,
    /// How the client authenticates itself.
    pub authentication: ClientAuthentication,
}

/// How the client authenticates itself to the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// By HTTP Basic authentication, which every server must support.
    #[default]
    Basic,
    /// By `client_id` and `client_secret` in the body.
    Body,
}

/// An access token.
pub(crate) struct Granted {
    /// The value of `Authorization`.
    pub(crate) authorization: HeaderValue,
    /// For how long it is valid.
    pub(crate) life: Duration,
}

impl ClientCredentials {
    /// The request for a token.
    pub(crate) fn request(&self) -> Request<Bytes> {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        if let Some(audience) = &self.audience {
            form.append_pair("audience", audience);
        }
        if self.authentication == ClientAuthentication::Body {
            form.append_pair("client_id", &self.client_id).append_pair("client_secret", &self.client_secret);
        }
        let mut request = Request::new(Bytes::from(form.finish()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.token_url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if self.authentication == ClientAuthentication::Basic {
            headers.insert(AUTHORIZATION, self.basic());
        }
        request
    }

    /// Name and secret are encoded as in a form first, which other uses of Basic authentication do not do.
    fn basic(&self) -> HeaderValue {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.client_id), encoded(&self.client_secret));
        let value = format!("Basic {}", STANDARD.encode(pair));
        sensitive(value.as_bytes()).expect("Base64 is visible ASCII")
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Reads the reply of a token endpoint (RFC 6749 §5).
///
/// # Errors
/// Why there is no token: a sentence that contains nothing of the reply but its status and error code.
pub(crate) fn read_reply(status: u16, body: &[u8]) -> Result<Granted, String> {
    let reply: Value = serde_json::from_slice(body).unwrap_or_default();
    if status != 200 {
        return Err(match reply["error"].as_str().filter(|code| is_code(code)) {
            Some(code) => format!("it answered {status}, `{code}`"),
            None => format!("it answered {status}"),
        });
    }
    let token = reply["access_token"].as_str().ok_or("it answered 200 without an `access_token`")?;
    if let Some(kind) = reply["token_type"].as_str().filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        let kind = if is_code(kind) { kind } else { "another" };
        return Err(format!("its tokens are of the type `{kind}`; only `Bearer` is supported"));
    }
    let authorization = sensitive(format!("Bearer {token}").as_bytes());
    let authorization = authorization.ok_or("its `access_token` holds bytes that no header may have")?;
    Ok(Granted { authorization, life: life(&reply["expires_in"]) })
}

/// Some servers send the number as a text.
fn life(expires_in: &Value) -> Duration {
    let seconds = expires_in.as_f64().or_else(|| expires_in.as_str()?.parse().ok());
    let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    life.unwrap_or(DEFAULT_LIFE).min(LIFE_MAX)
}

/// RFC 6749 §5.2: no quotes, no backslash, only visible characters. A long text may be anything.
fn is_code(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"\\`".contains(&byte);
    !text.is_empty() && text.len() <= CODE_BYTES_MAX && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(authentication: ClientAuthentication) -> ClientCredentials {
        ClientCredentials {
            token_url: "https://login.example.org/token".parse().unwrap(),
            client_id: "me:too".to_owned(),
            client_secret: "hunter2&+ü".to_owned(),
            scopes: vec!["jobs.read".to_owned(), "jobs.write".to_owned()],
            audience: Some("https://api.example.org/".to_owned()),
            authentication,
        }
    }

    const FORM: &str = "grant_type=client_credentials&scope=jobs.read+jobs.write\
                        &audience=https%3A%2F%2Fapi.example.org%2F";

    #[test]
    fn the_client_authenticates_itself_in_a_header() {
        let request = credentials(ClientAuthentication::Basic).request();
        assert_eq!(request.body(), FORM);
        let pair = STANDARD.encode("me%3Atoo:hunter2%26%2B%C3%BC");
        assert_eq!(request.headers()[AUTHORIZATION], format!("Basic {pair}"));
        let shown = format!("{request:?} {:?}", credentials(ClientAuthentication::Basic));
        assert!(!shown.contains(&pair) && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn or_in_the_body() {
        let request = credentials(ClientAuthentication::Body).request();
        let own = "&client_id=me%3Atoo&client_secret=hunter2%26%2B%C3%BC";
        assert_eq!(request.body(), &format!("{FORM}{own}"));
        assert!(!request.headers().contains_key(AUTHORIZATION));
    }

    #[test]
    fn a_token_has_the_life_that_its_server_gives() {
        for (expires_in, seconds) in [
            (r#","expires_in":3600"#, 3600),
            (r#","expires_in":"60""#, 60),
            ("", 300),
            (r#","expires_in":null"#, 300),
            (r#","expires_in":-1"#, 300),
            (r#","expires_in":1e300"#, 300),
            (r#","expires_in":1e10"#, LIFE_MAX.as_secs()),
        ] {
            let body = format!(r#"{{"access_token":"abc","token_type":"bearer"{expires_in}}}"#);
            let granted = read_reply(200, body.as_bytes()).unwrap();
            assert_eq!(granted.life.as_secs(), seconds, "{expires_in}");
            assert_eq!(granted.authorization, "Bearer abc");
            assert!(granted.authorization.is_sensitive());
        }
    }

    #[test]
    fn what_is_no_token_is_an_error_that_repeats_no_secret() {
        for (status, body, error) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"hunter2"}"#,
                "it answered 401, `invalid_client`",
            ),
            (400, r#"{"error":"a secret: hunter2"}"#, "it answered 400"),
            (503, "hunter2", "it answered 503"),
            (200, "hunter2", "it answered 200 without an `access_token`"),
            (200, r#"{"access_token":5}"#, "it answered 200 without an `access_token`"),
            (
                200,
                r#"{"access_token":"hunter2","token_type":"mac"}"#,
                "its tokens are of the type `mac`; only `Bearer` is supported",
            ),
            (
                200,
                "{\"access_token\":\"hunter2\\n\"}",
                "its `access_token` holds bytes that no header may have",
            ),
        ] {
            assert_eq!(read_reply(status, body.as_bytes()).err().as_deref(), Some(error), "{body}");
        }
    }
}
