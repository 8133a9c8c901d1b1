//! Texts that become part of an attribute's key or a span's name, kept once for the life of the process.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Texts. The process must not grow without limit.
const TEXTS_MAX: usize = 512;

type Texts = Mutex<Option<HashSet<&'static str>>>;

static KNOWN: Texts = Mutex::new(None);

/// The text with a static lifetime; `None` where there are too many.
pub(crate) fn intern(text: String) -> Option<&'static str> {
    intern_in(&KNOWN, text)
}

fn intern_in(known: &Texts, text: String) -> Option<&'static str> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn a_text_is_kept_once_and_their_number_is_limited() {
        // The tests of this crate share the process, and the texts in `KNOWN`.
        let texts = Mutex::new(None);
        let intern = |text: &str| intern_in(&texts, text.to_owned());
        let one = intern("one").expect("there is room");
        assert!(std::ptr::eq(one, intern("one").expect("it is known")));
        assert!((0..=TEXTS_MAX).any(|number| intern(&number.to_string()).is_none()));
        assert!(intern("one").is_some(), "a known text stays");
    }
}
