//! Names of batches.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Names. Further batches are named without their command.
const NAMES_MAX: usize = 512;

type Names = HashMap<(&'static str, &'static str), &'static str>;

static KNOWN: RwLock<Option<Names>> = RwLock::new(None);

/// `PIPELINE GET` where all commands are one, else `PIPELINE`; a single command keeps its own name.
pub(crate) fn batch_name(kind: &'static str, commands: &[&'static str]) -> &'static str {
    match commands {
        [] => kind,
        [only] => only,
        [first, rest @ ..] if rest.iter().all(|command| command == first) => joined(kind, first),
        _ => kind,
    }
}

fn joined(kind: &'static str, command: &'static str) -> &'static str {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = known.as_ref().and_then(|known| known.get(&(kind, command))) {
        return name;
    }
    drop(known);
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if known.len() >= NAMES_MAX {
        return kind;
    }
    known.entry((kind, command)).or_insert_with(|| Box::leak(format!("{kind} {command}").into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_once() {
        let name = batch_name("MULTI", &["SET", "SET"]);
        assert_eq!(name, "MULTI SET");
        assert!(std::ptr::eq(name, batch_name("MULTI", &["SET", "SET", "SET"])));
    }
}
