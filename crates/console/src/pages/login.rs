//! Signing in and out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Form;
use axum::extract::{Extension, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::header::{HeaderName, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use maud::html;
use serde::Deserialize;
use tracing::{info, warn};

use super::layout::bare;
use crate::access::{Access, Attempts, Peer, is_loopback, sign_out};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const INSECURE: &str = "Signing in needs HTTPS, because the cookie of a session is sent only over TLS. Reach the console through a \
                        proxy that ends TLS and sets X-Forwarded-Proto: https, or on this machine as localhost.";

/// What logins share.
#[derive(Debug)]
pub(super) struct Logins {
    access: Arc<Access>,
    failed: Attempts,
}

impl Logins {
    pub(super) fn new(access: Arc<Access>) -> Self {
        Self { access, failed: Attempts::default() }
    }
}

/// Where to go after the login.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Next {
    next: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Login {
    token: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn show(
    State(logins): State<Arc<Logins>>,
    headers: HeaderMap,
    Query(Next { next }): Query<Next>,
) -> Response {
    if !logins.access.has_tokens() {
        return Redirect::to("/").into_response();
    }
    if !is_secure(&headers) {
        return (StatusCode::FORBIDDEN, bare("Sign in", &html! { p .notice.bad { (INSECURE) } }))
            .into_response();
    }
    form(&next, None).into_response()
}

fn form(next: &str, error: Option<&str>) -> Html<String> {
    let body = html! {
        @if let Some(error) = error { p .notice.bad role="alert" { (error) } }
        form method="post" action="/login" .stack {
            input type="hidden" name="next" value=(next);
            label for="token" { "Token" }
            input #token type="password" name="token" required autofocus autocomplete="current-password" maxlength="200";
            button { "Sign in" }
        }
        p .hint { "An operator makes a token with " code { "postrider console token create" } "." }
    };
    bare("Sign in", &body)
}

pub(super) async fn sign_in(
    State(logins): State<Arc<Logins>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Form(Login { token, next }): Form<Login>,
) -> Response {
    if !is_secure(&headers) {
        return (StatusCode::FORBIDDEN, bare("Sign in", &html! { p .notice.bad { (INSECURE) } }))
            .into_response();
    }
    let address = peer.map_or(IpAddr::from([0, 0, 0, 0]), |Extension(Peer(peer))| peer.ip().to_canonical());
    if let Some(wait) = logins.failed.wait(address) {
        let page = form(&next, Some("Too many logins have failed. Wait a minute, then try again."));
        let seconds = [(RETRY_AFTER, wait.as_secs().saturating_add(1).to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, seconds, page).into_response();
    }
    match logins.access.sign_in(token.trim()) {
        Some((name, cookie)) => {
            info!(caller = &*name, "signed in");
            ([(SET_COOKIE, cookie)], Redirect::to(own_path(&next))).into_response()
        }
        None => {
            logins.failed.failed(address);
            warn!(%address, "a login failed");
            (StatusCode::UNAUTHORIZED, form(&next, Some("The token is not known."))).into_response()
        }
    }
}

pub(super) async fn leave() -> Response {
    ([(SET_COOKIE, sign_out())], Redirect::to("/login")).into_response()
}

/// Whether browsers keep a `Secure` cookie of this answer: behind TLS, and on this machine.
fn is_secure(headers: &HeaderMap) -> bool {
    is_loopback(headers) || headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https")
}

/// A path here; the overview for anything that would lead elsewhere.
fn own_path(next: &str) -> &str {
    let is_own =
        next.starts_with('/') && !next[1..].starts_with(['/', '\\']) && !next.contains(char::is_control);
    if is_own && next.is_ascii() { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_page_here() {
        for own in ["/", "/dead?host=a.test", "/jobs/1-0"] {
            assert_eq!(own_path(own), own);
        }
        for other in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/\r\nx", "/\u{e4}"] {
            assert_eq!(own_path(other), "/", "{other:?}");
        }
    }

    #[test]
    fn a_cookie_needs_tls_or_this_machine() {
        let with = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            is_secure(&headers.collect())
        };
        let host = |name| (http::header::HOST, name);
        assert!(with(&[host("127.0.0.1:8025")]) && with(&[host("localhost")]) && with(&[host("[::1]:1")]));
        assert!(with(&[host("jobs.test"), (FORWARDED_PROTO, "https")]));
        assert!(!with(&[host("jobs.test")]) && !with(&[host("10.0.0.1"), (FORWARDED_PROTO, "http")]));
    }
}
