//! Which context is read and passed on.

use super::reader::Reader;

/// Which parts of the W3C context are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Propagators {
    /// `traceparent` and `tracestate`.
    pub trace_context: bool,
    /// `baggage`.
    pub baggage: bool,
}

impl Propagators {
    /// All parts.
    pub const ALL: Self = Self { trace_context: true, baggage: true };
    /// No part.
    pub const NONE: Self = Self { trace_context: false, baggage: false };
    /// `traceparent` and `tracestate` alone.
    pub const TRACE_CONTEXT: Self = Self { trace_context: true, baggage: false };

    /// Sets [`trace_context`](Self::trace_context).
    #[must_use]
    pub const fn trace_context(mut self, trace_context: bool) -> Self {
        self.trace_context = trace_context;
        self
    }

    /// Sets [`baggage`](Self::baggage).
    #[must_use]
    pub const fn baggage(mut self, baggage: bool) -> Self {
        self.baggage = baggage;
        self
    }

    /// The parts that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            trace_context: self.trace_context && other.trace_context,
            baggage: self.baggage && other.baggage,
        }
    }
}

impl Reader<'_> {
    pub(super) fn propagators(&mut self) -> Propagators {
        const NAME: &str = "OTEL_PROPAGATORS";
        let Some(list) = self.word(NAME) else { return Propagators::ALL };
        let (mut known, mut others, mut none) = (Propagators::NONE, false, false);
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "tracecontext" => known.trace_context = true,
                "baggage" => known.baggage = true,
                "none" => none = true,
                _ => others = true,
            }
        }
        let used = if none || known != Propagators::NONE { known } else { Propagators::ALL };
        if others {
            let rest = match used {
                Propagators::ALL => "`tracecontext,baggage` is used",
                Propagators { trace_context: true, .. } => "`tracecontext` is used",
                Propagators { baggage: true, .. } => "`baggage` is used",
                Propagators { .. } => "none is used",
            };
            self.warn(format!("{NAME} knows `tracecontext`, `baggage` and `none`; {rest}"));
        }
        used
    }
}
