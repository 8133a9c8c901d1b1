//! Texts that become part of an attribute's key or a span's name, kept once for the life of the process.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Texts. The process must not grow without limit.
const TEXTS_MAX: usize = 512;

static KNOWN: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// The text with a static lifetime; `None` where there are too many.
pub(crate) fn intern(text: String) -> Option<&'static str> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(known) = known.get(text.as_str()) {
        return Some(known);
    }
    if known.len() >= TEXTS_MAX {
        return None;
    }
    let text: &'static str = Box::leak(text.into_boxed_str());
    known.insert(text);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_so_many_at_most() {
        let one = intern("one".to_owned()).expect("there is room");
        assert!(std::ptr::eq(one, intern("one".to_owned()).expect("it is known")));
        assert!((0..=TEXTS_MAX).any(|number| intern(number.to_string()).is_none()));
        assert!(intern("one".to_owned()).is_some(), "what is known stays");
    }
}
