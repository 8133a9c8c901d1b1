//! Instruments whose values are read when metrics are collected.

use crate::{Attributes, imp};

/// Describes an observable instrument: its kind, name, unit and description.
///
/// Its values are whole numbers unless it is [`fractional`](Observable::fractional).
#[derive(Clone, Copy, Debug)]
pub struct Observable {
    pub(crate) kind: ObservableKind,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
    pub(crate) is_fractional: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ObservableKind {
    Counter,
    UpDownCounter,
    Gauge,
}

impl Observable {
    /// A sum that only grows, recorded as its total. The unit is UCUM, as `s`.
    pub const fn counter(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self { kind: ObservableKind::Counter, name, unit, description, is_fractional: false }
    }

    /// A sum that grows and shrinks, recorded as its total. It makes sense to add it up over processes.
    pub const fn up_down_counter(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self { kind: ObservableKind::UpDownCounter, name, unit, description, is_fractional: false }
    }

    /// A value that it makes no sense to add up.
    pub const fn gauge(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self { kind: ObservableKind::Gauge, name, unit, description, is_fractional: false }
    }

    /// The same with fractional values.
    #[must_use]
    pub const fn fractional(self) -> Self {
        Self { is_fractional: true, ..self }
    }
}

/// Takes the values of an observable instrument; lent to its callback.
pub struct Observer<'a>(pub(crate) imp::Observer<'a>);

impl Observer<'_> {
    /// The current value, at most one for each set of attributes. Only values recorded in this collection are exported.
    pub fn record(&self, value: f64, attributes: impl FnOnce(&mut Attributes)) {
        self.0.record(value, attributes);
    }
}

impl std::fmt::Debug for Observer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
