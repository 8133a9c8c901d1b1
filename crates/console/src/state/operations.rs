//! Changes of many dead letters, which go on after their request has ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// Operations at once.
const RUNNING_MAX: usize = 4;
/// Operations that are remembered.
const REMEMBERED_MAX: usize = 100;

/// How far an operation is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// Its id.
    pub(crate) id: u64,
    /// `replay` or `purge`.
    pub(crate) change: &'static str,
    /// Who began it.
    pub(crate) caller: String,
    /// `running`, `finished`, `stopped` or `failed`.
    pub(crate) state: &'static str,
    /// How many dead letters were looked at.
    pub(crate) read: u64,
    /// How many there were to look at, at its beginning.
    pub(crate) total: u64,
    /// How many were changed.
    pub(crate) changed: u64,
    /// How many matched and could not be changed.
    pub(crate) failed: u64,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// An operation that is known.
#[derive(Debug)]
pub(crate) struct Operation {
    progress: Mutex<Progress>,
    /// Stops it.
    pub(crate) stop: CancellationToken,
}

impl Operation {
    pub(crate) fn progress(&self) -> Progress {
        self.progress.lock().expect("nothing panics while it holds this lock").clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().expect("nothing panics while it holds this lock"));
    }

    fn is_running(&self) -> bool {
        self.progress().state == "running"
    }
}

/// All operations since the console was started.
#[derive(Debug, Default)]
pub(crate) struct Operations(Mutex<(u64, VecDeque<Arc<Operation>>)>);

impl Operations {
    /// Remembers a new operation; `None` if too many run.
    pub(crate) fn begin(
        &self,
        change: &'static str,
        caller: &str,
        total: u64,
        stop: CancellationToken,
    ) -> Option<Arc<Operation>> {
        let mut known = self.0.lock().expect("nothing panics while it holds this lock");
        let (last, all) = &mut *known;
        if all.iter().filter(|one| one.is_running()).count() >= RUNNING_MAX {
            return None;
        }
        if all.len() >= REMEMBERED_MAX
            && let Some(oldest) = all.iter().position(|one| !one.is_running())
        {
            all.remove(oldest);
        }
        *last += 1;
        let (caller, state) = (caller.to_owned(), "running");
        let progress =
            Progress { id: *last, change, caller, state, read: 0, total, changed: 0, failed: 0, error: None };
        let operation = Arc::new(Operation { progress: Mutex::new(progress), stop });
        all.push_back(operation.clone());
        Some(operation)
    }

    /// All that are remembered, the last one first.
    pub(crate) fn all(&self) -> Vec<Arc<Operation>> {
        let known = self.0.lock().expect("nothing panics while it holds this lock");
        known.1.iter().rev().cloned().collect()
    }

    pub(crate) fn find(&self, id: u64) -> Option<Arc<Operation>> {
        self.all().into_iter().find(|one| one.progress().id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_operations_run_and_few_are_remembered() {
        let operations = Operations::default();
        let begin = || operations.begin("replay", "ann", 10, CancellationToken::new());
        let running: Vec<_> = (0..RUNNING_MAX).map(|_| begin().unwrap()).collect();
        assert!(begin().is_none(), "too many run");
        running[0].update(|progress| progress.state = "finished");
        for _ in 0..REMEMBERED_MAX {
            begin().unwrap().update(|progress| progress.state = "finished");
        }
        assert_eq!(operations.all().len(), REMEMBERED_MAX);
        assert!(operations.find(1).is_none() && operations.find(2).is_some(), "one that runs is remembered");
    }
}
