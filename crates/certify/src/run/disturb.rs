//! What others on the server may notice: only with leave.

use std::time::Duration;

use postrider_queue::Redis;
use postrider_queue::admin::{Pausable, PauseEnd, PauseNote, ToPause};
use telemetry::Telemetry;

use crate::options::Options;
use crate::places;
use crate::server::Claimed;

/// A pause ends by itself, also if this program is killed.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Makes Redis forget all scripts.
pub(super) async fn flush_scripts(claimed: &Claimed) -> Result<(), String> {
    claimed.inspector.flush_scripts().await.map_err(|error| error.details().to_owned())
}

/// Pauses a queue for all workers.
pub(super) async fn pause(options: &Options, queue: usize) -> Result<(), String> {
    let redis = connect(options).await?;
    let note = PauseNote { by: Some("postrider certify".to_owned()), why: None };
    let all = [ToPause { what: pausable(queue), name: None }];
    let paused = redis.pause(&all, PauseEnd::After(PAUSE_MAX), &note).await;
    redis.close().await;
    paused.map(drop).map_err(|error| error.to_string())
}

/// Ends its pause.
pub(super) async fn resume(options: &Options, queue: usize) -> Result<(), String> {
    let redis = connect(options).await?;
    let resumed = redis.resume(&[pausable(queue)]).await;
    redis.close().await;
    resumed.map(drop).map_err(|error| error.details().to_owned())
}

async fn connect(options: &Options) -> Result<Redis, String> {
    Redis::connect(&options.redis_url, &Telemetry::disabled()).await.map_err(|error| error.to_string())
}

fn pausable(queue: usize) -> Pausable {
    let [first, second] = places::queues().map(|(queue, _)| queue);
    Pausable::Queue(if queue == 0 { first } else { second })
}

/// Makes another server the master, or moves a slot.
pub(super) async fn fail_over(claimed: &Claimed, options: &Options, choice: usize) -> Result<(), String> {
    let [queue, _] = places::queues().map(|(queue, _)| queue);
    claimed.inspector.fail_over(&options.redis_url, &queue, choice).await.map(drop)
}
