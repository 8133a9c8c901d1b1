//! The harness of the end-to-end tests and of the demo: real servers, real processes, real bytes.
//!
//! [`redis`] starts a Redis-compatible server and sends it plain RESP, [`sink`] is the destination of the
//! jobs, [`process`] runs the `postrider` binaries that `cargo xtask` built, [`otlp`] controls the receiver
//! of their telemetry, [`waterfall`] draws a trace. Everything blocks, panics with a sentence on failure, and
//! stops what it started when it is dropped.
//!
//! The library uses no OpenTelemetry crate, so it is the same in the lean build. The receiver, which uses
//! one, is the binary `otlp-receiver`.

pub mod background;
pub mod callgrind;
pub mod certificate;
pub mod cluster;
pub mod drain;
pub mod hostile;
pub mod http_call;
pub mod late;
pub mod otlp;
pub mod postgres;
pub mod process;
pub mod program;
pub mod proxy;
pub mod queue;
pub mod quick_sink;
pub mod redis;
pub mod resp;
pub mod scripts;
pub mod secure_sink;
pub mod sentinel;
pub mod sink;
pub mod sources;
pub mod text_file;
pub mod token_server;
pub mod wait;
pub mod waterfall;
pub mod world;

mod child;

/// Makes two tests of each function that takes a `Build`: `otel::NAME` and `lean::NAME`.
#[macro_export]
macro_rules! in_both_builds {
    ($($name:ident),+ $(,)?) => {
        mod otel {
            $(#[test]
            fn $name() {
                super::$name($crate::process::Build::Otel);
            })+
        }

        mod lean {
            $(#[test]
            fn $name() {
                super::$name($crate::process::Build::Lean);
            })+
        }
    };
}

/// Makes two tests of each function that takes a worker's number of threads: `one_thread::NAME` and `two_threads::NAME`.
#[macro_export]
macro_rules! on_one_thread_and_on_two {
    ($($name:ident),+ $(,)?) => {
        mod one_thread {
            $(#[test]
            fn $name() {
                super::$name("1");
            })+
        }

        mod two_threads {
            $(#[test]
            fn $name() {
                super::$name("2");
            })+
        }
    };
}
