//! Values of attributes.

use std::borrow::Cow;
use std::sync::Arc;

use crate::ErrorType;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A number.
    F64(f64),
    /// A text known at compile time; costs no allocation.
    Static(&'static str),
    /// An owned text.
    String(String),
    /// A text shared by many spans; costs a reference count.
    Shared(Arc<str>),
    /// Several texts, in order.
    Strings(Vec<String>),
}

macro_rules! value_from {
    ($($from:ty => $variant:ident($convert:expr)),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant($convert(value))
            }
        })+
    };
}

value_from! {
    bool => Bool(std::convert::identity),
    i64 => I64(std::convert::identity),
    u16 => I64(i64::from),
    u32 => I64(i64::from),
    f64 => F64(std::convert::identity),
    &'static str => Static(std::convert::identity),
    String => String(std::convert::identity),
    Arc<str> => Shared(std::convert::identity),
    Vec<String> => Strings(std::convert::identity),
}

/// Counts above `i64::MAX` cannot occur; they would be recorded as that.
impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::I64(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// Counts above `i64::MAX` cannot occur; they would be recorded as that.
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::I64(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&ErrorType> for Value {
    fn from(value: &ErrorType) -> Self {
        match value.as_str() {
            Cow::Borrowed(text) => Self::Static(text),
            Cow::Owned(text) => Self::String(text),
        }
    }
}
