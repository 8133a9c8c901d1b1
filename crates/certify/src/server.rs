//! The server of a run: whether a run does no harm there, the claim of a run, and the removal of everything that it had.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use postrider_queue::Redis;
use postrider_queue::admin::{Inspector, Pausable, Server, Topology, Upstream};
use serde::{Deserialize, Serialize};
use telemetry::Telemetry;
use tokio_util::task::AbortOnDropHandle;

use super::error::CertifyError;
use super::options::Options;
use super::places::{self, PREFIX};

/// How often a run renews its claim.
const BEAT: Duration = Duration::from_secs(2);
/// A run whose claim is older than this is dead, ms. Redis may not answer for a while.
const DEAD_AFTER: u64 = 30_000;
/// How long Redis may be away, or refuse writes, at the end of a run.
const ABSENCE_MAX: Duration = Duration::from_secs(30);
/// The pause before a call is repeated.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of Redis that a second of a run needs at most for each job per second: dead letters, keys, and a backlog.
const BYTES_PER_JOB: u64 = 1_024;
/// Bytes that a run needs whatever its length.
const BYTES_MIN: u64 = 16 << 20;
/// Keys that an error names at most.
const NAMED_KEYS_MAX: usize = 5;

/// What a run writes into Redis so that no other one begins, and the next one knows what it finds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    /// The run.
    id: String,
    seed: u64,
    /// Whether the run pauses its queues.
    disturbs: bool,
    /// When it was renewed, Unix ms by Redis' clock.
    at: u64,
}

/// A server that a run has for itself.
pub(crate) struct Claimed {
    pub(crate) inspector: Inspector,
    pub(crate) upstream: Upstream,
    pub(crate) server: Server,
    /// The INFO of each node.
    pub(crate) nodes: Vec<HashMap<String, String>>,
    pub(crate) id: String,
    heartbeat: AbortOnDropHandle<()>,
}

impl Claimed {
    /// Checks that a run does no harm, removes what a dead run has left, and claims the server.
    pub(crate) async fn begin(options: &Options) -> Result<Self, CertifyError> {
        let upstream = Upstream::of(&options.redis_url)?;
        let inspector = Inspector::connect(&options.redis_url, &Telemetry::disabled()).await?;
        let server = inspector.server().await?;
        let nodes = inspector.node_infos().await?;
        nodes.iter().try_for_each(|node| check(node, options))?;
        free(&inspector, &options.redis_url).await?;
        let now = inspector.now().await?;
        let (id, disturbs) = (format!("{now:x}"), options.may_disturb_server);
        let claim = Claim { id: id.clone(), seed: options.seed, disturbs, at: now };
        if let Some(other) = inspector.claim(&text(&claim)).await? {
            return Err(CertifyError::Refused(format!("another run has just begun: {other}")));
        }
        let heartbeat = AbortOnDropHandle::new(tokio::spawn(beat(options.redis_url.clone(), claim)));
        Ok(Self { inspector, upstream, server, nodes, id, heartbeat })
    }

    /// How the server is found, in words.
    pub(crate) fn topology(&self) -> &'static str {
        match self.upstream.topology() {
            Topology::Single => "one server",
            Topology::Cluster => "cluster",
            Topology::Sentinel => "Sentinel",
        }
    }

    /// Removes everything that the run had.
    pub(crate) async fn release(self, redis_url: &str) -> Result<(), CertifyError> {
        self.heartbeat.abort();
        let _ = self.heartbeat.await;
        self.inspector.close().await;
        remove_all(redis_url).await.map(drop)
    }
}

/// Calls Redis until it succeeds. At the end of a run, as in its midst, Redis may be away, or refuse writes after a failover.
pub(crate) async fn insist<T>(
    mut call: impl AsyncFnMut() -> Result<T, CertifyError>,
) -> Result<T, CertifyError> {
    let end = Instant::now() + ABSENCE_MAX;
    loop {
        match call().await {
            Err(_) if Instant::now() < end => tokio::time::sleep(RETRY_INTERVAL).await,
            result => return result,
        }
    }
}

/// Removes what dead runs have left. Returns how many keys there were.
///
/// # Errors
/// [`CertifyError`], if a run is alive, or the keys are of no run.
pub async fn clean(redis_url: &str) -> Result<u64, CertifyError> {
    let inspector = Inspector::connect(redis_url, &Telemetry::disabled()).await?;
    let removed = free(&inspector, redis_url).await;
    inspector.close().await;
    removed
}

/// Whether a run does no harm to this server, and no jobs of a run are lost by it.
fn check(node: &HashMap<String, String>, options: &Options) -> Result<(), CertifyError> {
    let text = |name: &str| node.get(name).map_or("", String::as_str);
    let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
    let refuse = |why: String| Err(CertifyError::Refused(why));
    if node.is_empty() {
        return refuse(
            "this user may not call INFO, which shows whether a run does no harm; allow it".to_owned(),
        );
    }
    if text("role") == "slave" {
        return refuse(
            "this server is a replica, and a run writes; give the address of its master".to_owned(),
        );
    }
    let policy = text("maxmemory_policy");
    if number("maxmemory") > 0 && !policy.is_empty() && policy != "noeviction" {
        return refuse(format!(
            "maxmemory-policy is {policy}: a run could make Redis evict other keys; set noeviction, or use another server"
        ));
    }
    let needed = BYTES_MIN + (options.time.as_secs() + 60) * u64::from(options.rate) * BYTES_PER_JOB;
    let (used, most) = (number("used_memory"), number("maxmemory"));
    if most > 0 && used + needed > most {
        let mib = |bytes: u64| bytes >> 20;
        return refuse(format!(
            "Redis may use {} MiB and uses {} MiB, and a run of this length may need {} MiB; raise maxmemory, or give fewer --minutes or a lower --rate",
            mib(most),
            mib(used),
            mib(needed)
        ));
    }
    Ok(())
}

/// Removes what a dead run has left.
async fn free(inspector: &Inspector, redis_url: &str) -> Result<u64, CertifyError> {
    if let Some(claim) = inspector.claimed().await? {
        let now = inspector.now().await?;
        return match serde_json::from_str::<Claim>(&claim) {
            Ok(claim) if claim.at + DEAD_AFTER > now => Err(CertifyError::Refused(format!(
                "the run {} (seed {}) is alive on this server, or was {} s ago; wait for its end, or for {} s after its death",
                claim.id,
                claim.seed,
                now.saturating_sub(claim.at) / 1000,
                DEAD_AFTER / 1000
            ))),
            _ => remove_all(redis_url).await,
        };
    }
    let keys = inspector.keys_of(PREFIX, &places::flows()).await?;
    if keys.is_empty() {
        return Ok(0);
    }
    let named = keys.iter().take(NAMED_KEYS_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = keys.len().saturating_sub(NAMED_KEYS_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(CertifyError::Refused(format!(
        "these keys have names that a run uses, and no run has left them: {named}{more}; remove or rename them"
    )))
}

/// Removes all keys of runs, and the claim as the last one, however often it takes. Returns how many there were.
async fn remove_all(redis_url: &str) -> Result<u64, CertifyError> {
    let end = Instant::now() + ABSENCE_MAX;
    let (mut removed, mut last) = (0, String::new());
    while Instant::now() < end {
        match Box::pin(remove_once(redis_url)).await {
            Ok(0) => return Ok(removed),
            // What a dead worker has sent may run after the removal.
            Ok(count) => removed += count,
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    Err(CertifyError::NotClean(last))
}

/// With a new connection, since another server may have become the master. Returns how many keys there were; if there
/// were none, removes the claim.
async fn remove_once(redis_url: &str) -> Result<u64, CertifyError> {
    let inspector = Inspector::connect(redis_url, &Telemetry::disabled()).await?;
    let keys = inspector.keys_of(PREFIX, &places::flows()).await?;
    inspector.remove_keys(&keys).await?;
    if keys.is_empty() {
        let claim = inspector.claimed().await?;
        let disturbs = claim
            .and_then(|claim| serde_json::from_str::<Claim>(&claim).ok())
            .is_some_and(|claim| claim.disturbs);
        if disturbs {
            let redis = Redis::connect(redis_url, &Telemetry::disabled()).await?;
            redis.resume(&places::queues().map(|(queue, _)| Pausable::Queue(queue))).await?;
            redis.close().await;
        }
        inspector.remove_claim().await?;
    }
    inspector.close().await;
    Ok(keys.len() as u64)
}

/// Renews the claim until it is stopped.
async fn beat(redis_url: String, mut claim: Claim) {
    let mut connected = None;
    loop {
        tokio::time::sleep(BEAT).await;
        if connected.is_none() {
            connected = Inspector::connect(&redis_url, &Telemetry::disabled()).await.ok();
        }
        let Some(inspector) = &connected else { continue };
        // While Redis does not answer, nobody else can claim it either. Another server may have become the master.
        if renew(inspector, &mut claim).await.is_err() {
            connected = None;
        }
    }
}

async fn renew(inspector: &Inspector, claim: &mut Claim) -> Result<(), postrider_queue::Error> {
    claim.at = inspector.now().await?;
    inspector.renew_claim(&text(claim)).await
}

fn text(claim: &Claim) -> String {
    serde_json::to_string(claim).expect("a claim is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_of(info: &[(&str, &str)], minutes: u64) -> Result<(), String> {
        let info = info.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = Options {
            redis_url: String::new(),
            seed: 1,
            time: Duration::from_secs(60 * minutes),
            workers: 4,
            rate: 80,
            kills_per_second: 0.5,
            may_disturb_server: false,
            programs: vec![],
            starter: "/".into(),
        };
        check(&info, &options).map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_that_could_be_harmed_is_refused() {
        let evicts = [("maxmemory", "1000000000"), ("maxmemory_policy", "allkeys-lru")];
        assert!(check_of(&evicts, 1).unwrap_err().contains("allkeys-lru"));
        assert!(check_of(&[("role", "slave")], 1).unwrap_err().contains("replica"));
        assert!(check_of(&[], 1).unwrap_err().contains("INFO"));
        let small =
            [("maxmemory", "104857600"), ("used_memory", "1048576"), ("maxmemory_policy", "noeviction")];
        assert!(check_of(&small, 60).unwrap_err().contains("--minutes"));
        assert_eq!(check_of(&small, 1), Ok(()));
        assert_eq!(check_of(&[("maxmemory", "0"), ("maxmemory_policy", "allkeys-lru")], 60), Ok(()));
    }
}
