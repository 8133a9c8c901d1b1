//! Waiting for a condition, never for a time.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What a wait unwinds with after [`interrupt`].
#[derive(Debug)]
pub struct Interrupted;

/// Ends each wait of this process, now and later, by unwinding with [`Interrupted`], so that every owner on the
/// stack stops what it started. For the demo's Ctrl-C.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Lets time go by, for what is a measure of time; unwinds after [`interrupt`].
pub fn unless_interrupted(time: Duration) {
    let end = Instant::now() + time;
    // Ends at `end`, as nobody answers.
    let _ = poll_each(PAUSE.min(time), time, || if Instant::now() < end { Err(()) } else { Ok(()) });
}

/// Asks `probe` about every 10 ms until it has an answer.
///
/// # Panics
///
/// With `what` when there is none within `deadline`.
pub fn eventually<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    match poll(deadline, || probe().ok_or(())) {
        Ok(answer) => answer,
        Err(()) => panic!("{what}: not within {deadline:?}"),
    }
}

/// Like [`eventually`], for a probe that can say how far things are.
///
/// # Panics
///
/// With `what` and the last state when there is no answer within `deadline`.
pub fn eventually_or<T, S: Display>(
    what: &str,
    deadline: Duration,
    probe: impl FnMut() -> Result<T, S>,
) -> T {
    match poll(deadline, probe) {
        Ok(answer) => answer,
        Err(state) => panic!("{what}: not within {deadline:?}; last seen: {state}"),
    }
}

/// Asks `probe` at least once, and until it succeeds or `deadline` is over; the error is that of the last time.
pub(crate) fn poll<T, E>(deadline: Duration, probe: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    poll_each(PAUSE, deadline, probe)
}

fn poll_each<T, E>(
    pause: Duration,
    deadline: Duration,
    mut probe: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let end = Instant::now() + deadline;
    loop {
        if INTERRUPTED.load(Ordering::SeqCst) {
            // Not `panic!`: whoever pressed Ctrl-C needs no message about it.
            std::panic::resume_unwind(Box::new(Interrupted));
        }
        // Taken first, so that a slow probe gets its last chance after the deadline and not before it.
        let now = Instant::now();
        match probe() {
            Err(_) if now < end => std::thread::sleep(pause),
            answer => return answer,
        }
    }
}
