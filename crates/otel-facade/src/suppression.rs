//! Work that is not recorded: OpenTelemetry's own flag in the current context.

use std::future::Future;
use std::marker::PhantomData;

use crate::imp;

/// Whether the current context suppresses recording. Instrumentation checks this first. Always false without the feature `otel`.
pub fn is_suppressed() -> bool {
    imp::is_suppressed()
}

/// Suppresses recording in this thread until the guard is dropped. Only for code that does not await.
pub fn suppress() -> Suppressed {
    Suppressed { _inner: imp::suppress(), _not_send: PhantomData }
}

/// Runs a future without recording.
pub fn suppressed<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    imp::suppressed(future)
}

/// Nothing is recorded until this is dropped.
#[derive(Debug)]
#[must_use = "recording goes on when this is dropped"]
pub struct Suppressed {
    _inner: imp::Suppressed,
    _not_send: PhantomData<*const ()>,
}

/// In both builds, so that callers may drop it explicitly.
impl Drop for Suppressed {
    fn drop(&mut self) {}
}
