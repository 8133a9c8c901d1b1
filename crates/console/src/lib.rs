//! The console of Postrider: an HTTP API and pages, to enqueue jobs, and to find out what happened to them.
//!
//! [`Console::start`] serves it on an address. [`view`] shows jobs with masked secrets, in the API and on the command
//! line.

mod access;
mod api;
mod gate;
mod pages;
mod problem;
mod router;
mod serve;
mod state;
mod trace;
pub mod view;

pub use access::{Access, BadTokens, NewToken, Open, Scope, Tokens, TrustedHeader};
pub use api::openapi;
pub use problem::Problem;
pub use serve::{Console, Options, StartError};
