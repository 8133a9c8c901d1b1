//! Waiting for a condition, never for a time.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The deadline of every expectation, generous for a loaded machine. Only a failing test waits for it.
pub const DEADLINE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(10);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The panic payload of a wait after [`interrupt`].
#[derive(Debug)]
pub struct Interrupted;

/// Ends each current and later wait of this process by unwinding with [`Interrupted`], so that every owner on
/// the stack stops what it started. For the demo's Ctrl-C.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Waits for `time`, for a measurement over time. Unwinds after [`interrupt`].
pub fn unless_interrupted(time: Duration) {
    let end = Instant::now() + time;
    // The result carries nothing: the wait succeeds at `end`.
    let _ = poll_each(PAUSE.min(time), time, || if Instant::now() < end { Err(()) } else { Ok(()) });
}

/// Calls `probe` about every 10 ms until it returns a value.
///
/// # Panics
///
/// With `what` if it returns none within `deadline`.
pub fn eventually<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    match poll(deadline, || probe().ok_or(())) {
        Ok(answer) => answer,
        Err(()) => panic!("{what}: not within {deadline:?}"),
    }
}

/// Like [`eventually`], for a probe that can report its state.
///
/// # Panics
///
/// With `what` and the last state if `probe` does not succeed within `deadline`.
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

/// Calls `probe` at least once, until it succeeds or `deadline` is over. The error is the last one.
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
            // Not `panic!`: the user who pressed Ctrl-C needs no message about it.
            std::panic::resume_unwind(Box::new(Interrupted));
        }
        // Taken first, so that a slow probe is called once more after the deadline.
        let now = Instant::now();
        match probe() {
            Err(_) if now < end => std::thread::sleep(pause),
            answer => return answer,
        }
    }
}
