//! The texts of the scripts, and the interpreters that run them: one for each thread and each set of texts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use e2e::resp::Reply;

use crate::calls::Call;
use crate::lua::Interpreter;
use crate::redis::Db;

/// A set of texts.
#[derive(Debug)]
pub(crate) struct Sources {
    number: u64,
    texts: Vec<(&'static str, String)>,
}

thread_local! {
    static INTERPRETERS: RefCell<HashMap<u64, Interpreter>> = RefCell::default();
}

impl Sources {
    /// The texts of `crates/queue`, with a change of one: `from` becomes `to`.
    ///
    /// # Panics
    /// If the script does not contain `from`.
    pub(crate) fn new(changes: &[(&str, &str, &str)]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut texts = postrider_queue::internals::script_sources();
        for (script, from, to) in changes {
            let text = texts.iter_mut().find(|(name, _)| name == script);
            let (_, text) = text.unwrap_or_else(|| panic!("there is no script {script}"));
            assert!(text.contains(from), "{script} does not contain: {from}");
            *text = text.replacen(from, to, 1);
        }
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), texts }
    }

    /// A hash of a state of these texts.
    pub(crate) fn fingerprint(&self, state: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.number, state).hash(&mut hasher);
        hasher.finish()
    }

    /// Runs a script.
    pub(crate) fn call(&self, db: &mut Db, call: &Call) -> Reply {
        self.call_without(db, call, None).0
    }

    /// Runs a script without the right to a command. Also returns whether it lacked that.
    pub(crate) fn call_without(
        &self,
        db: &mut Db,
        call: &Call,
        denied: Option<&'static str>,
    ) -> (Reply, bool) {
        INTERPRETERS.with_borrow_mut(|all| {
            let interpreter = all.entry(self.number).or_insert_with(|| Interpreter::new(&self.texts));
            let reply = interpreter.call(db, call, denied);
            (reply, interpreter.lacks_right())
        })
    }
}
