//! The health of a worker, as its loops report it.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;
use tokio::sync::SetOnce;
use tracing::{error, info};

use crate::loops::shard_list::ShardList;

/// The health of the worker. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The loop that panicked first.
    died: SetOnce<&'static str>,
    shards: ShardList,
    /// Queues with a shard that cannot be read, and why.
    unread: Mutex<BTreeMap<String, String>>,
    is_started: AtomicBool,
    is_stopping: AtomicBool,
}

impl Health {
    /// The shards that the worker reads.
    pub(super) fn shards(&self) -> &ShardList {
        &self.0.shards
    }

    /// Sets the queues with a shard that cannot be read, and why.
    pub(super) fn set_unread(&self, unread: &BTreeMap<String, String>) {
        self.unread().clone_from(unread);
    }

    fn unread(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.unread.lock().expect("nothing panics while it holds this lock")
    }

    /// Runs a loop that must not end before the worker does. A panic in it is caught and reported.
    pub(crate) fn watch<F>(&self, name: &'static str, task: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = ()>,
    {
        let health = self.clone();
        async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                // The panic hook has printed the message. It may contain anything, so it is not logged here.
                error!(
                    part = name,
                    "a part of this worker has panicked: the worker ends in order, and must be restarted"
                );
                // The first panic is the cause.
                let _ = health.0.died.set(name);
            }
        }
    }

    /// Waits until one of the loops has panicked.
    pub(crate) async fn wait_for_panic(&self) {
        self.0.died.wait().await;
    }

    /// The loop that panicked first; `None` if none has.
    pub(crate) fn panicked_loop(&self) -> Option<&'static str> {
        self.0.died.get().copied()
    }

    /// The worker fetches jobs.
    pub(crate) fn started(&self) {
        self.0.is_started.store(true, Ordering::Relaxed);
    }

    /// The worker fetches no more jobs.
    pub(crate) fn stopping(&self) {
        info!("stopping: no new jobs, requests in flight may finish");
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Why the process should be restarted; `None` if there is no reason.
    pub(crate) fn why_not_live(&self) -> Option<String> {
        let name = self.panicked_loop()?;
        Some(format!("the {name} has panicked: see the log, and restart this worker"))
    }

    /// Why the worker fetches no jobs now; `None` if it does, from one shard at least.
    pub(crate) fn why_not_ready(&self) -> Option<String> {
        if let Some(why) = self.why_not_live() {
            return Some(why);
        }
        if self.0.is_stopping.load(Ordering::Relaxed) {
            return Some("stopping: no new jobs, requests in flight may finish".to_owned());
        }
        if !self.0.is_started.load(Ordering::Relaxed) {
            return Some("starting: not connected to Redis yet".to_owned());
        }
        let shards = self.0.shards.from(0);
        let none_works = shards.iter().all(|shard| shard.queue.link().trouble().is_some());
        (!shards.is_empty() && none_works).then(|| self.troubled().join("; "))
    }

    /// The shards that do not work now, and why.
    pub(crate) fn troubled(&self) -> Vec<String> {
        let shards = self.0.shards.from(0);
        let links = shards.iter().map(|shard| shard.queue.link());
        let troubled = links.filter_map(|link| Some((link.shard().to_owned(), link.trouble()?)));
        let unread = self.unread().clone();
        let all = troubled.chain(unread);
        all.map(|(shard, why)| format!("the queue {shard} does not work: {why}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn a_worker_is_ready_between_its_start_and_its_end() {
        let health = Health::default();
        let why = || health.why_not_ready().unwrap_or_default();
        assert!(why().starts_with("starting"), "{}", why());
        health.started();
        assert_eq!(health.why_not_ready(), None);
        health.stopping();
        assert!(why().starts_with("stopping"), "{}", why());
        assert_eq!(health.why_not_live(), None);
    }

    #[tokio::test]
    async fn a_loop_that_panics_is_reported_and_one_that_ends_is_not() {
        let health = Health::default();
        health.watch("sweeper", async {}).await;
        assert_eq!((health.panicked_loop(), health.why_not_live()), (None, None));
        health.watch("fetcher", async { panic!("as a test") }).await;
        assert_eq!(health.panicked_loop(), Some("fetcher"));
        assert!(health.why_not_live().unwrap().contains("the fetcher has panicked"));
        health.watch("completer", async { panic!("as a consequence") }).await;
        assert_eq!(health.panicked_loop(), Some("fetcher"), "the first panic is the cause");
    }

    #[tokio::test]
    async fn a_loop_that_panics_leaves_the_others_to_end_in_order() {
        let (health, stop) = (Health::default(), CancellationToken::new());
        let (ended, mut loops) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        let other = (stop.clone(), ended.clone());
        loops.spawn(health.watch("scheduler", async move {
            other.0.cancelled().await;
            other.1.store(true, Ordering::Relaxed);
        }));
        loops.spawn(health.watch("sweeper", async { panic!("as a test") }));
        health.wait_for_panic().await;
        assert!(!ended.load(Ordering::Relaxed));
        stop.cancel();
        loops.join_all().await;
        assert!(ended.load(Ordering::Relaxed));
    }
}
