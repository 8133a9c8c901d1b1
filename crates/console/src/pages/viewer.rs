//! Who looks at a page, and who may change something there.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use super::layout::Failure;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

/// A caller who may look.
#[derive(Debug)]
pub(super) struct Viewer(pub(super) Caller);

/// A caller who may change something.
#[derive(Debug)]
pub(super) struct Operator(pub(super) Caller);

fn caller(parts: &Parts, scope: Scope) -> Result<Caller, Failure> {
    let unknown = || Problem::new(StatusCode::UNAUTHORIZED, "the caller is not known");
    let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(unknown)?;
    caller.require(scope)?;
    Ok(caller)
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        caller(parts, Scope::Read).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        caller(parts, Scope::Operate).map(Self)
    }
}
