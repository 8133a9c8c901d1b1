//! The demo: five jobs through a real Redis and a real worker, and the traces that they leave.
//!
//! `cargo xtask demo` runs it. It stops everything it started, whichever way it ends: with 0, with 1 and a
//! sentence on standard error, or with 130 after Ctrl-C or SIGTERM.

mod play;
mod report;

use std::any::Any;
use std::process::ExitCode;

use e2e::wait::{self, Interrupted};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // The harness panics with a sentence for a person, who has no use for a line number. It is printed at the
    // end, as after Ctrl-C, which reaches the child processes as well, it would mean nothing.
    std::panic::set_hook(Box::new(|_| {}));
    let (end, ended) = oneshot::channel::<()>();
    let play = std::thread::spawn(move || {
        play::run();
        // Dropped in any case, also when the play panics.
        drop(end);
    });
    let is_interrupted = interrupted_before(ended);
    if is_interrupted {
        wait::interrupt();
    }
    exit_code(play.join(), is_interrupted)
}

fn interrupted_before(ended: oneshot::Receiver<()>) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime needs no more than a few file descriptors").block_on(async {
        let handler = |kind| signal(kind).expect("a signal handler can be set");
        let mut interrupt = handler(SignalKind::interrupt());
        let mut terminate = handler(SignalKind::terminate());
        let mut hangup = handler(SignalKind::hangup());
        tokio::select! {
            biased;
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = hangup.recv() => true,
            _ = ended => false,
        }
    })
}

fn exit_code(result: Result<(), Box<dyn Any + Send>>, is_interrupted: bool) -> ExitCode {
    let Err(panic) = result else { return ExitCode::SUCCESS };
    if is_interrupted || panic.is::<Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    eprintln!("demo: {}", message.unwrap_or("failed"));
    ExitCode::FAILURE
}
