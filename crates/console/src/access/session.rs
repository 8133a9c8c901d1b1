//! Browsers that are signed in.
//!
//! A session is a cookie that this process has signed: nothing is stored, and all sessions end with the process, or with
//! their token's entry in the file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, COOKIE, HeaderName};
use http::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use ring::rand::SystemRandom;

use super::Caller;
use super::tokens::{Token, Tokens};

/// The prefix makes browsers refuse the cookie unless it is `Secure`, for one host, and for all paths (RFC 6265bis §4.1.3.2).
const COOKIE_NAME: &str = "__Host-postrider";
/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(12 * 3600);
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Signs sessions.
#[derive(Debug)]
pub(super) struct Sessions(hmac::Key);

impl Default for Sessions {
    fn default() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("the system has random numbers"))
    }
}

impl Sessions {
    /// The value of `Set-Cookie` for a new session.
    pub(super) fn start(&self, token: &Token) -> String {
        let value = self.sign(token, seconds() + LIFE.as_secs());
        format!(
            "{COOKIE_NAME}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict",
            LIFE.as_secs()
        )
    }

    /// Who the cookie of a request belongs to.
    pub(super) fn find(&self, headers: &HeaderMap, tokens: &Tokens) -> Option<Caller> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = cookies.find(|(name, _)| *name == COOKIE_NAME)?;
        let mut parts = value.split('.');
        let (name, end, signature) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        let token = tokens.named(&name)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.0, &signed(token, end), &signature).ok()?;
        let caller = Caller { has_session: true, ..Caller::new(token.name.clone(), token.scopes.clone()) };
        (end > seconds()).then_some(caller)
    }

    fn sign(&self, token: &Token, end: u64) -> String {
        let name = URL_SAFE_NO_PAD.encode(token.name.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &signed(token, end)));
        format!("{name}.{end}.{signature}")
    }
}

/// What is signed. It contains the token's hash, so that a session ends when another token gets the name.
fn signed(token: &Token, end: u64) -> Vec<u8> {
    [&token.sha256[..], &end.to_be_bytes(), token.name.as_bytes()].concat()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// The value of `Set-Cookie` that ends a session.
pub(crate) fn sign_out() -> String {
    format!("{COOKIE_NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
}

/// Whether a browser asks for a page.
pub(crate) fn is_of_page(request: &Request) -> bool {
    request.method() == Method::GET && accepts_page(request.headers())
}

/// Whether the caller is a browser, which shows a page better than a problem.
pub(crate) fn accepts_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// Sends a browser to the login page. A link on another site does not carry the cookie of a session, so such a request is
/// repeated once from here.
pub(crate) fn to_login(request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if request.headers().get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
        let path = maud::html! {
            (maud::DOCTYPE) meta http-equiv="refresh" content=(format!("0;url={path}")); a href=(path) { "Continue" }
        };
        return Html(path.into_string()).into_response();
    }
    let next = utf8_percent_encode(path, NON_ALPHANUMERIC);
    Redirect::to(&format!("/login?next={next}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{NewToken, Scope};

    fn tokens(name: &str, scope: Scope) -> Tokens {
        Tokens::parse(&NewToken::generate(name, &[scope]).entry).unwrap()
    }

    fn with(cookie: &str) -> HeaderMap {
        let pair = cookie.split(';').next().unwrap_or_default();
        HeaderMap::from_iter([(COOKIE, format!("other=1; {pair}").parse().unwrap())])
    }

    #[test]
    fn a_session_belongs_to_its_token() {
        let (sessions, tokens) = (Sessions::default(), tokens("web shop", Scope::Read));
        let cookie = sessions.start(tokens.named("web shop").unwrap());
        let caller = sessions.find(&with(&cookie), &tokens).unwrap();
        assert!(&*caller.name == "web shop" && caller.has_session);
        assert!(caller.may(Scope::Read) && !caller.may(Scope::Operate));
        let replaced = Tokens::parse(&NewToken::generate("web shop", &[Scope::Operate]).entry).unwrap();
        assert!(sessions.find(&with(&cookie), &replaced).is_none(), "another token of the same name");
        assert!(Sessions::default().find(&with(&cookie), &tokens).is_none(), "another process");
    }

    #[test]
    fn a_session_that_is_over_or_changed_is_none() {
        let (sessions, tokens) = (Sessions::default(), tokens("a", Scope::Read));
        let token = tokens.named("a").unwrap();
        let find = |value: &str| sessions.find(&with(&format!("{COOKIE_NAME}={value}")), &tokens).is_some();
        assert!(find(&sessions.sign(token, seconds() + 60)));
        assert!(!find(&sessions.sign(token, seconds())));
        let longer = sessions.sign(token, seconds() + 60).replacen(".1", ".2", 1);
        for wrong in ["", "a", "..", &longer] {
            assert!(!find(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_link_of_another_site_is_followed_once_more() {
        let request = |site: &str| {
            let request = Request::builder().uri("/dead?host=a.test").header(SEC_FETCH_SITE, site);
            request.body(axum::body::Body::empty()).unwrap()
        };
        assert_eq!(to_login(&request("cross-site")).status(), 200);
        let redirect = to_login(&request("same-origin"));
        assert_eq!(redirect.status(), 303);
        assert_eq!(redirect.headers()["location"], "/login?next=%2Fdead%3Fhost%3Da%2Etest");
    }
}
