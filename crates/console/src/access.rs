//! Who may do what: tokens with scopes, and which requests of browsers are refused.

mod origin;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

pub use tokens::{BadTokens, NewToken, Tokens};

pub(crate) use origin::{Hosts, check_origin};

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

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: Arc<str>,
    scopes: Vec<Scope>,
}

impl Caller {
    /// Somebody on this machine, where no tokens are used.
    fn local() -> Self {
        Self { name: "local".into(), scopes: Scope::ALL.to_vec() }
    }

    /// Fails with 403 unless the caller has this scope.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let detail = format!("the token {} lacks the scope `{}`", self.name, scope.as_str());
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// How callers prove who they are.
#[derive(Debug)]
pub enum Access {
    /// Everybody who reaches the address may do everything: it is one of this machine's own.
    Local,
    /// A caller needs a token.
    Tokens(Tokens),
}

/// An address that others can reach must not be open to everybody.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} can be reached from other machines, and no tokens are set; name a token file with --tokens (`postrider console \
     token create` makes one), or listen on 127.0.0.1"
)]
pub struct Open(pub SocketAddr);

impl Access {
    /// Refuses an address that is open to others without tokens.
    ///
    /// # Errors
    /// [`Open`].
    pub fn check(&self, address: SocketAddr) -> Result<(), Open> {
        match self {
            Self::Local if !address.ip().is_loopback() => Err(Open(address)),
            _ => Ok(()),
        }
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Self::Tokens(tokens) = self else { return Ok(Caller::local()) };
        let unauthorized = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Err(unauthorized("send a token: `Authorization: Bearer TOKEN`"));
        };
        let token = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token = token.ok_or_else(|| unauthorized("write `Authorization: Bearer TOKEN`"))?;
        let (name, scopes) = tokens.find(token).ok_or_else(|| unauthorized("the token is not known"))?;
        Ok(Caller { name, scopes })
    }
}

/// Middleware: finds out who the caller is, and refuses callers without access.
pub(crate) async fn authenticate(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = access.caller(request.headers())?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Middleware: requires a scope.
pub(crate) async fn require(
    State(scope): State<Scope>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match request.extensions().get::<Caller>() {
        Some(caller) => caller.require(scope)?,
        None => return Err(Problem::new(StatusCode::UNAUTHORIZED, "the caller is not known")),
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open_without_tokens() {
        for (address, ok) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("0.0.0.0:1", false), ("10.0.0.1:1", false)]
        {
            assert_eq!(Access::Local.check(address.parse().unwrap()).is_ok(), ok, "{address}");
        }
        let tokens = Access::Tokens(Tokens::parse("").unwrap());
        assert!(tokens.check("0.0.0.0:1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_token_allows_its_scopes_and_no_others() {
        let entry = NewToken::generate("ci", &[Scope::Read]);
        let access = Access::Tokens(Tokens::parse(&entry.entry).unwrap());
        let with = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            access.caller(&headers)
        };
        let caller = with(&format!("bearer {}", entry.token)).unwrap();
        assert_eq!(&*caller.name, "ci");
        assert!(caller.require(Scope::Read).is_ok() && caller.require(Scope::Operate).is_err());
        for wrong in ["Bearer x", "Basic dTpw", "Bearer", &format!("Bearer {}x", entry.token)] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
        assert!(access.caller(&HeaderMap::new()).is_err());
    }
}
