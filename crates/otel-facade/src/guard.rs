//! Functions of the program that telemetry calls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Calls a function of the program, such as a hook. If it panics, telemetry and the program go on, and the first such panic
/// of the process is logged, with `what` panicked.
pub fn guarded(what: impl std::fmt::Display, call: impl FnOnce()) {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    if catch_unwind(AssertUnwindSafe(call)).is_err() && !LOGGED.swap(true, Ordering::Relaxed) {
        tracing::error!(
            "{what} panicked; nothing else is affected, and further panics like this are not logged"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught() {
        let mut calls = 0;
        for _ in 0..2 {
            guarded("the hook of this test", || {
                calls += 1;
                panic!("the hook of this test fails on purpose");
            });
        }
        assert_eq!(calls, 2);
    }
}
