//! Runs a program that uses the harness, like the demo: it prints one sentence on failure, and stops what it
//! started however it ends.

use std::any::Any;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::wait::{self, Interrupted};

const INTERRUPTED: u8 = 130;

/// Runs `play`. The exit code is 0 on success, 1 with a sentence on standard error on failure, and 130 after
/// Ctrl-C or SIGTERM.
pub fn run(name: &str, play: fn()) -> ExitCode {
    // The harness panics with a sentence for a person, who does not need a line number. `run` prints it at
    // the end: Ctrl-C also reaches the child processes, and the failures that follow are no news.
    std::panic::set_hook(Box::new(|_| {}));
    let (end, ended) = oneshot::channel::<()>();
    let play = std::thread::spawn(move || {
        play();
        // Also dropped when `play` panics.
        drop(end);
    });
    let is_interrupted = interrupted_before(ended);
    if is_interrupted {
        wait::interrupt();
    }
    exit_code(name, play.join(), is_interrupted)
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

fn exit_code(name: &str, result: Result<(), Box<dyn Any + Send>>, is_interrupted: bool) -> ExitCode {
    let Err(panic) = result else { return ExitCode::SUCCESS };
    if is_interrupted || panic.is::<Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    eprintln!("{name}: {}", message.unwrap_or("failed"));
    ExitCode::FAILURE
}
