//! OpenTelemetry's flag that nothing is recorded. The SDK's tracer obeys it, its instruments do not.

use std::future::Future;

use opentelemetry::Context;
use opentelemetry::context::{ContextGuard, FutureExt};

pub(crate) fn is_suppressed() -> bool {
    Context::is_current_telemetry_suppressed()
}

pub(crate) fn suppress() -> Suppressed {
    Suppressed { _guard: Context::enter_telemetry_suppressed_scope() }
}

pub(crate) async fn suppressed<F: Future>(future: F) -> F::Output {
    future.with_context(Context::current().with_telemetry_suppressed()).await
}

#[derive(Debug)]
pub(crate) struct Suppressed {
    _guard: ContextGuard,
}
