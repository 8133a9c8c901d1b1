//! Reads the configuration again when its files have changed, or on SIGHUP.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::work::{LogBounds, Spans};
use postrider_worker::settings::Retries;
use postrider_worker::{WeightedQueue, WorkerConfig};
use tokio::sync::{Notify, mpsc};
use tracing::warn;

use super::{Usage, WorkerArgs};

/// The time between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// What changes when a file is written or replaced, also by a change of a symbolic link: device, inode, size and time.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// A configuration and the files that it was read from.
pub(super) struct Read {
    pub(super) config: WorkerConfig,
    pub(super) files: Vec<PathBuf>,
}

/// Reads again, and sends what it has read, or what is wrong with it.
pub(super) struct Reloader {
    args: WorkerArgs,
    files: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    fixed: Fixed,
    configs: mpsc::Sender<Result<WorkerConfig, String>>,
}

/// What a worker uses until its restart.
struct Fixed {
    queues: Vec<WeightedQueue>,
    log: LogBounds,
    retries: Retries,
    spans: Spans,
}

impl Fixed {
    fn of(config: &WorkerConfig) -> Self {
        let WorkerConfig { queues, log, trace_retries, spans, .. } = config;
        Self { queues: queues.clone(), log: *log, retries: *trace_retries, spans: *spans }
    }

    /// What in the file differs.
    fn changed(&self, new: &Self) -> Vec<&'static str> {
        let parts = [
            ("[queues]", self.queues != new.queues),
            ("the delivery log of [results]", self.log != new.log),
            ("[traces]", self.retries != new.retries || self.spans != new.spans),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
    }
}

impl Reloader {
    pub(super) fn new(
        args: WorkerArgs,
        Read { config, files }: &Read,
        configs: mpsc::Sender<Result<WorkerConfig, String>>,
    ) -> Self {
        Self { args, files: files.clone(), stamps: stamps(files), fixed: Fixed::of(config), configs }
    }

    /// Runs until the worker ends. The files may be on a disk that does not answer, so another thread reads them.
    pub(super) async fn run(mut self, hangup: Arc<Notify>) {
        loop {
            let is_asked = tokio::select! {
                () = hangup.notified() => true,
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            let look = tokio::task::spawn_blocking(move || {
                let read = self.look(is_asked);
                (self, read)
            });
            let Ok((own, read)) = look.await else { return };
            self = own;
            let Some(read) = read else { continue };
            for part in read.iter().flat_map(|config| self.fixed.changed(&Fixed::of(config))) {
                warn!("{part} has changed: that needs a restart");
            }
            if self.configs.send(read.map_err(|error| error.0)).await.is_err() {
                return;
            }
        }
    }

    /// The configuration, if its files have changed, or if somebody has asked for it.
    fn look(&mut self, is_asked: bool) -> Option<Result<WorkerConfig, Usage>> {
        let now = stamps(&self.files);
        if now == self.stamps && !is_asked {
            return None;
        }
        self.stamps = now;
        // Reading a pipe would wait for somebody who writes.
        let is_other = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|found| !found.is_file());
        if let Some(path) = self.files.iter().find(is_other) {
            return Some(Err(Usage(format!("{} is not a regular file", path.display()))));
        }
        let Read { config, files } = match self.args.clone().read() {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        if files != self.files {
            self.stamps = stamps(&files);
            self.files = files;
        }
        Some(Ok(config))
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second, link) = ("a", "b", folder.path().join("link"));
        for name in [first, second] {
            std::fs::write(folder.path().join(name), "same").unwrap();
        }
        std::os::unix::fs::symlink(folder.path().join(first), &link).unwrap();
        let files = [link.clone(), folder.path().join("missing")];
        let before = stamps(&files);
        assert_eq!(stamps(&files), before);
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(folder.path().join(second), &link).unwrap();
        assert_ne!(stamps(&files)[0], before[0]);
        assert_eq!(stamps(&files)[1], None);
    }
}
