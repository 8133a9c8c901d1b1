//! The HTTP API of Postrider: enqueue jobs, and find out what happened to them.
//!
//! [`Console::start`] serves it on an address. [`view`] shows jobs with masked secrets, in the API and on the command
//! line.

mod access;
mod api;
mod problem;
mod serve;
mod state;
mod trace;
pub mod view;

pub use access::{Access, BadTokens, NewToken, Open, Scope, Tokens};
pub use api::openapi;
pub use problem::Problem;
pub use serve::{Console, Options, StartError};
