//! Leaves a server that is, most probably, no longer the primary, and may keep its connections for as long as it runs: a service
//! whose name leads to the new primary closes none, and one that Sentinel has replaced refuses writes for seconds. A new connection goes
//! where the name or a Sentinel leads now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::ClientLike;
use tracing::debug;

use super::address::Topology;
use super::reply::of_command;

/// The shortest time between two new connections: the name may lead to the old primary for a while, and a primary without
/// replicas may be the right one.
const PAUSE: Duration = Duration::from_secs(5);

/// When a client was last connected again. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Demotion(Arc<Mutex<Option<Instant>>>);

impl Demotion {
    /// Connects the client again if the error is that of such a server. Commands under way then fail without an answer.
    pub(super) fn look(&self, topology: Topology, client: &Client, error: &Error) {
        if !is_of_old_primary(topology, error) || !self.is_due(Instant::now()) {
            return;
        }
        let client = client.clone();
        tokio::spawn(async move {
            if let Err(error) = client.force_reconnection().await {
                debug!(%error, "cannot connect again");
            }
        });
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

fn is_of_old_primary(topology: Topology, error: &Error) -> bool {
    // Redis 6.2 puts the error of a script's command into another.
    match fred_otel::reply_code(&of_command(error.clone())) {
        Some("READONLY") => true,
        Some("NOREPLICAS") => topology == Topology::Sentinel,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use fred::error::ErrorKind;

    use super::*;

    #[test]
    fn a_replica_is_left_and_behind_sentinel_a_primary_without_replicas_too() {
        let leaves =
            |topology, text: &'static str| is_of_old_primary(topology, &Error::new(ErrorKind::Unknown, text));
        let readonly = "READONLY You can't write against a read only replica.";
        let in_script = "ERR Error running script (call to f_ab): @user_script:12: @user_script: 12: -READONLY You can't write";
        let alone = "NOREPLICAS Not enough good replicas to write.";
        assert!(leaves(Topology::Single, readonly) && leaves(Topology::Single, in_script));
        assert!(leaves(Topology::Sentinel, alone) && !leaves(Topology::Single, alone));
        assert!(!leaves(Topology::Sentinel, "OOM command not allowed"));
    }

    #[test]
    fn a_client_connects_again_only_after_a_pause() {
        let (demotion, start) = (Demotion::default(), Instant::now());
        let due = [0, 1, 4, 5, 9, 10].map(|second| demotion.is_due(start + Duration::from_secs(second)));
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
