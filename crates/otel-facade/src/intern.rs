//! Texts that become part of an attribute's key or a span's name, kept once for the life of the process.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// Texts. The process must not grow without limit.
const TEXTS_MAX: usize = 4096;

type Texts = RwLock<Option<HashSet<&'static str>>>;

static KNOWN: Texts = RwLock::new(None);

/// A text with a static lifetime, for names of spans and keys of attributes that are made at run time and are few: they
/// are kept for the life of the process. `None` for a new text once the process has 4,096 of them.
pub fn intern(text: String) -> Option<&'static str> {
    intern_in(&KNOWN, text)
}

fn intern_in(texts: &Texts, text: String) -> Option<&'static str> {
    let known = texts.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.as_ref().and_then(|known| known.get(text.as_str())) {
        return Some(known);
    }
    drop(known);
    let mut known = texts.write().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    // Another thread may have been first.
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
        // Not `KNOWN`, which other tests of this process need.
        let texts = RwLock::new(None);
        let intern = |text: &str| intern_in(&texts, text.to_owned());
        let one = intern("one").expect("there is room");
        assert!(std::ptr::eq(one, intern("one").expect("it is known")));
        assert!((0..=TEXTS_MAX).any(|number| intern(&number.to_string()).is_none()));
        assert!(intern("one").is_some(), "a known text stays");
    }
}
