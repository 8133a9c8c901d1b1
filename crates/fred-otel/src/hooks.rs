//! Functions of the caller that see each recorded command.

use std::fmt;
use std::sync::Arc;

use fred::error::Error;
use otel_facade::{Span, guarded};

use crate::command::Command;

/// Functions that are called with the span of a command, to set their own attributes. They run only where the span
/// is recorded. If one panics, the command goes on, and the first panic is logged.
#[derive(Clone, Default)]
pub struct Hooks {
    start: Option<StartHook>,
    end: Option<EndHook>,
}

type StartHook = Arc<dyn Fn(&Span, &Command<'_>) + Send + Sync>;
type EndHook = Arc<dyn Fn(&Span, &Command<'_>, Option<&Error>) + Send + Sync>;

impl Hooks {
    /// Called with each command, after its span has begun.
    #[must_use]
    pub fn on_start(mut self, hook: impl Fn(&Span, &Command<'_>) + Send + Sync + 'static) -> Self {
        self.start = Some(Arc::new(hook));
        self
    }

    /// Called with each command that has ended, and with its error.
    #[must_use]
    pub fn on_end(
        mut self,
        hook: impl Fn(&Span, &Command<'_>, Option<&Error>) + Send + Sync + 'static,
    ) -> Self {
        self.end = Some(Arc::new(hook));
        self
    }

    pub(crate) fn start(&self, span: &Span, command: &Command<'_>) {
        if let Some(hook) = &self.start {
            guarded("the start hook of Redis telemetry", || hook(span, command));
        }
    }

    pub(crate) fn end(&self, span: &Span, command: &Command<'_>, error: Option<&Error>) {
        if let Some(hook) = &self.end {
            guarded("the end hook of Redis telemetry", || hook(span, command, error));
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [("start", self.start.is_some()), ("end", self.end.is_some())];
        f.debug_set().entries(set.iter().filter(|(_, set)| *set).map(|(name, _)| name)).finish()
    }
}
