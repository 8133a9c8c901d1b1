//! Notices: jobs that report how flows and queues are, once for each change over all workers.

use std::collections::BTreeMap;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::HashesInterface;
use fred::types::Value;
use fred_otel::Command;

use crate::job::{Fields, FlowId};
use crate::redis::{Error, Keys, QueueShard, number, push_fields};

/// How long the states of subjects are kept without a further notice.
const STATES_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// A flow whose breaker is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingFlow {
    /// When it opened, Unix milliseconds.
    pub since: u64,
    /// The flow's name.
    pub name: String,
    /// Why the last attempt failed.
    pub error: String,
}

/// A notice, and what it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about: a key of [`QueueShard::noticed`].
    pub subject: String,
    /// The state of the subject as it was read; empty for none.
    pub before: String,
    /// The new state; empty for none.
    pub after: String,
    /// The fields of the job.
    pub fields: Fields,
}

impl QueueShard {
    /// What was noticed and has not ended, with its state.
    ///
    /// # Errors
    /// fred's.
    pub async fn noticed(&self) -> Result<BTreeMap<String, String>, Error> {
        let key = self.0.keys.notices();
        let call = |client: Client| {
            let key = key.clone();
            async move { client.hgetall::<BTreeMap<String, String>, _>(key).await }
        };
        let (found, pending) = self.0.redis.defer(&key, Command::new("HGETALL"), call).await;
        // Each worker polls it.
        pending.discard();
        found
    }

    /// Enqueues a notice, unless another worker has changed the state of its subject. Returns whether it was enqueued.
    ///
    /// # Errors
    /// fred's. Then it may be enqueued.
    pub async fn notice(&self, notice: &Notice) -> Result<bool, Error> {
        let keys = vec![self.0.keys.jobs.clone(), self.0.keys.notices()];
        let mut args: Vec<Value> =
            [&notice.subject, &notice.before, &notice.after].map(|text| text.as_str().into()).to_vec();
        args.push(number(STATES_TTL.as_millis() as u64));
        push_fields(&mut args, &notice.fields);
        let reply = self.0.scripts.notice.poll(&self.0.redis, keys, args).await?;
        Ok(reply.as_str().as_deref() == Some("o"))
    }

    /// The failure of a flow, as all workers see it; `None` if its breaker is closed.
    ///
    /// # Errors
    /// fred's.
    pub async fn failing(&self, flow: FlowId) -> Result<Option<FailingFlow>, Error> {
        let key = Keys::limits(flow);
        let call = |client: Client| {
            let key = key.clone();
            async move { client.hmget::<Vec<Option<String>>, _, _>(key, vec!["opened_at", "name", "error"]).await }
        };
        let (found, pending) = self.0.redis.defer(&key, Command::new("HMGET"), call).await;
        pending.discard();
        let mut found = found?.into_iter();
        let mut next = || found.next().flatten();
        let Some(since) = next().and_then(|since| since.parse().ok()) else { return Ok(None) };
        let (name, error) = (next().unwrap_or_default(), next().unwrap_or_default());
        Ok(Some(FailingFlow { since, name, error }))
    }
}
