//! The `postrider` command: its arguments, its configuration file, and the commands.

mod commands;
mod config;
mod units;

pub use commands::main;

/// For fuzz targets and property tests: unstable.
#[doc(hidden)]
pub mod internals {
    pub use crate::config::Config;
}
