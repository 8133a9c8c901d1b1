//! The attributes that a span or a measurement starts with.

use crate::{Value, imp};

/// Collects attributes; lent to the closure that describes a span or a measurement.
///
/// The closure runs only when something will be recorded, so a costly value belongs inside it.
#[derive(Debug)]
pub struct Attributes(pub(crate) imp::Attributes);

impl Attributes {
    /// Adds an attribute. Names come from [`semconv`](crate::semconv) and are set once each.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set(key, value.into());
    }
}
