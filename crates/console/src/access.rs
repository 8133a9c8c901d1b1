//! Who may do what: tokens with scopes, and which requests of browsers are refused.

mod attempts;
mod header;
mod origin;
mod session;
mod tokens;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

pub use header::TrustedHeader;
pub use tokens::{BadTokens, NewToken, Tokens};

pub(crate) use attempts::Attempts;
pub(crate) use origin::{Hosts, is_loopback};
pub(crate) use session::{accepts_page, is_of_page, sign_out, to_login};

use session::Sessions;

use crate::problem::Problem;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at queues, jobs, dead letters and flows, with secrets masked.
    Read,
    /// Enqueue jobs.
    Enqueue,
    /// Change jobs and queues: cancel, run now, replay, purge.
    Operate,
    /// See secrets in headers, URLs and bodies.
    Reveal,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Read, Self::Enqueue, Self::Operate, Self::Reveal];

    /// Its name in token files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Enqueue => "enqueue",
            Self::Operate => "operate",
            Self::Reveal => "reveal",
        }
    }
}

/// The address that a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: Arc<str>,
    scopes: Arc<[Scope]>,
    /// Whether it is a browser that is signed in, and so can sign out.
    pub(crate) has_session: bool,
}

impl Caller {
    fn new(name: impl Into<Arc<str>>, scopes: impl Into<Arc<[Scope]>>) -> Self {
        Self { name: name.into(), scopes: scopes.into(), has_session: false }
    }

    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Fails with 403 unless the caller has this scope.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.may(scope) {
            return Ok(());
        }
        let detail = format!("the token {} lacks the scope `{}`", self.name, scope.as_str());
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// How callers prove who they are.
#[derive(Debug, Default)]
pub struct Access {
    tokens: Option<Tokens>,
    header: Option<TrustedHeader>,
    sessions: Sessions,
}

/// An address that others can reach must not be open to everybody.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} can be reached from other machines, and no tokens are set; name a token file with --tokens (`postrider console \
     token create` makes one), or listen on 127.0.0.1"
)]
pub struct Open(pub SocketAddr);

impl Access {
    /// A caller needs one of these tokens. Without tokens and without a header, everybody who reaches the address may do
    /// everything.
    #[must_use]
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// A proxy names the caller in a header.
    #[must_use]
    pub fn header(mut self, header: TrustedHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Whether nobody has to prove anything.
    pub(crate) fn is_open(&self) -> bool {
        self.tokens.is_none() && self.header.is_none()
    }

    /// Whether callers can sign in with a token.
    pub(crate) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Refuses an address that is open to others.
    ///
    /// # Errors
    /// [`Open`].
    pub fn check(&self, address: SocketAddr) -> Result<(), Open> {
        if self.is_open() && !address.ip().is_loopback() { Err(Open(address)) } else { Ok(()) }
    }

    /// The cookie of a new session, if the token is known.
    pub(crate) fn sign_in(&self, token: &str) -> Option<(Arc<str>, String)> {
        let token = self.tokens.as_ref()?.find(token)?;
        Some((token.name.clone(), self.sessions.start(token)))
    }

    /// Finds out who the caller is, for the handlers of the request. Returns the answer to callers without access: a browser is
    /// sent to the login page.
    pub(crate) fn refuse_unknown(&self, request: &mut Request) -> Option<Response> {
        let peer = request.extensions().get::<Peer>().copied();
        match self.caller(request.headers(), peer) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                None
            }
            Err(_) if self.has_tokens() && is_of_page(request) => Some(to_login(request)),
            Err(problem) => Some(problem.into_response()),
        }
    }

    fn caller(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Caller, Problem> {
        if self.is_open() {
            static LOCAL: LazyLock<Caller> = LazyLock::new(|| Caller::new("local", Scope::ALL));
            return Ok(LOCAL.clone());
        }
        if let Some(caller) = self.header.as_ref().and_then(|header| header.caller(headers, peer)) {
            return Ok(caller);
        }
        let unauthorized = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
        let Some(tokens) = &self.tokens else {
            return Err(unauthorized("requests must come through the proxy that names the caller"));
        };
        let Some(value) = headers.get(AUTHORIZATION) else {
            let session = self.sessions.find(headers, tokens);
            return session.ok_or_else(|| unauthorized("send a token: `Authorization: Bearer TOKEN`"));
        };
        let token = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token = token.ok_or_else(|| unauthorized("write `Authorization: Bearer TOKEN`"))?;
        let token = tokens.find(token).ok_or_else(|| unauthorized("the token is not known"))?;
        Ok(Caller::new(token.name.clone(), token.scopes.clone()))
    }
}

/// Middleware: requires a scope.
pub(crate) async fn require(
    State(scope): State<Scope>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check(request.extensions(), scope)?;
    Ok(next.run(request).await)
}

/// Fails unless the caller of a request has this scope.
pub(crate) fn check(extensions: &Extensions, scope: Scope) -> Result<(), Problem> {
    match extensions.get::<Caller>() {
        Some(caller) => caller.require(scope),
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "the caller is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open_without_tokens() {
        for (address, ok) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("0.0.0.0:1", false), ("10.0.0.1:1", false)]
        {
            assert_eq!(Access::default().check(address.parse().unwrap()).is_ok(), ok, "{address}");
        }
        let tokens = Access::default().tokens(Tokens::parse("").unwrap());
        assert!(tokens.check("0.0.0.0:1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_token_allows_its_scopes_and_no_others() {
        let entry = NewToken::generate("ci", &[Scope::Read]);
        let access = Access::default().tokens(Tokens::parse(&entry.entry).unwrap());
        let with = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            access.caller(&headers, None)
        };
        let caller = with(&format!("bearer {}", entry.token)).unwrap();
        assert_eq!(&*caller.name, "ci");
        assert!(caller.require(Scope::Read).is_ok() && caller.require(Scope::Operate).is_err());
        for wrong in ["Bearer x", "Basic dTpw", "Bearer", &format!("Bearer {}x", entry.token)] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
        assert!(access.caller(&HeaderMap::new(), None).is_err());
    }
}
