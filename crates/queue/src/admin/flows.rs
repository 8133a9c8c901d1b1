//! Flows whose breaker is open, that hold jobs, or that are paused.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use fred::clients::Client;
use fred_otel::Command;

use super::pauses::Pause;
use super::queues::scanned;
use super::{Inspector, Place, ShardName, array, is_of_wrong_type};
use crate::job::FlowId;
use crate::redis::{Error, Keys};

/// How many flows of a shard are listed at most.
const FLOWS_MAX: u64 = 1_000;

/// A flow whose breaker is open, that holds jobs, or that is paused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldFlow {
    /// Its name, if known.
    pub name: Option<String>,
    /// When its breaker opened, Unix ms.
    pub since: Option<u64>,
    /// When the breaker's pause ends, Unix ms. Then one attempt is a trial.
    pub open_until: Option<u64>,
    /// How often in a row its breaker has opened; 0 if it is closed.
    pub trips: u32,
    /// Why the last attempt failed, if its breaker is open.
    pub error: Option<String>,
    /// Until when the destination asked for a pause, Unix ms.
    pub hold_until: Option<u64>,
    /// The tokens that its rate has left; `None` without a limit of the rate.
    pub tokens: Option<f64>,
    /// How many attempts all workers make of it; `None` without a limit of concurrency.
    pub attempts: Option<u64>,
    /// Its pause, if somebody has paused it.
    pub pause: Option<Pause>,
    /// How many jobs it holds, by shard.
    pub held: Vec<(ShardName, u64)>,
}

impl HeldFlow {
    /// How many jobs it holds in all shards.
    pub fn jobs(&self) -> u64 {
        self.held.iter().map(|(_, jobs)| jobs).sum()
    }
}

impl Inspector {
    /// The flows that hold jobs of a shard.
    ///
    /// # Errors
    /// fred's.
    pub(super) async fn flows(&self, queue: &ShardName) -> Result<Vec<FlowId>, Error> {
        let key = Self::keys(queue).flows;
        let args = vec![key.clone().into(), "0".into(), (FLOWS_MAX - 1).to_string().into()];
        let found = array(self.command("ZRANGE", Some(&key), args).await?)?;
        Ok(found.iter().filter_map(|flow| FlowId::parse(flow.as_str()?.as_ref())).collect())
    }

    /// The flows that hold jobs of these shards, and with `all` every flow whose breaker is open or that is
    /// paused. The flows that hold most jobs come first.
    ///
    /// # Errors
    /// fred's.
    pub async fn held_flows(
        &self,
        queues: &[ShardName],
        all: bool,
    ) -> Result<Vec<(FlowId, HeldFlow)>, Error> {
        let mut held: BTreeMap<FlowId, HeldFlow> = BTreeMap::new();
        for queue in queues {
            for (flow, jobs) in self.survey(queue, 0).await?.held {
                let one = held.entry(flow).or_default();
                one.held.push((queue.clone(), jobs));
                if one.name.is_none() {
                    one.name = match self.name(queue, flow).await {
                        Err(error) if is_of_wrong_type(&error) => None,
                        name => name?,
                    };
                }
            }
        }
        if all {
            for flow in self.flows_with_shared_state().await? {
                held.entry(flow).or_default();
            }
        }
        // In a cluster, they may be on a node that does not answer.
        let mut pauses = self.pauses().await.unwrap_or_default().flows;
        if all {
            for flow in pauses.keys() {
                held.entry(*flow).or_default();
            }
        }
        for (flow, one) in &mut held {
            let HeldFlow { name, held, .. } = std::mem::take(one);
            let shared = self.flow(*flow).await?;
            let pause = pauses.remove(flow);
            let given = pause.as_ref().and_then(|pause| pause.name.clone());
            *one = HeldFlow { name: name.or(shared.name).or(given), held, pause, ..shared };
        }
        held.retain(|_, one| one.trips > 0 || !one.held.is_empty() || one.pause.is_some());
        let mut held: Vec<_> = held.into_iter().collect();
        held.sort_by_key(|(_, one)| (Reverse(one.jobs()), one.name.clone()));
        Ok(held)
    }

    /// The flow's name, read from its first job.
    async fn name(&self, queue: &ShardName, flow: FlowId) -> Result<Option<String>, Error> {
        let first = self.due(queue, Some(flow), 1).await?.into_iter().next();
        Ok(first.and_then(|job| match job.place {
            Place::Held { name, .. } => Some(name).filter(|name| !name.is_empty()),
            _ => None,
        }))
    }

    /// The state of a flow that all workers share.
    ///
    /// # Errors
    /// fred's.
    pub async fn flow(&self, flow: FlowId) -> Result<HeldFlow, Error> {
        let key = Keys::limits(flow);
        let found = self.command("HGETALL", Some(&key), vec![key.clone().into()]).await?;
        Ok(parse(&found.convert()?))
    }

    /// All flows whose state workers have shared lately.
    async fn flows_with_shared_state(&self) -> Result<BTreeSet<FlowId>, Error> {
        let scan = |client: Client| async move {
            const PATTERN: &str = "postrider:flow:{*}";
            scanned(client.scan(PATTERN, Some(1_000), None), id_of).await
        };
        let found = self.redis.on_each_node(Command::new("SCAN"), scan).await?;
        Ok(found.into_iter().flat_map(|(found, _)| found).collect())
    }
}

/// The fields are those of the script `flow_acquire`.
fn parse(fields: &BTreeMap<String, String>) -> HeldFlow {
    let number = |name: &str| fields.get(name)?.parse::<u64>().ok();
    let trips = number("trips").and_then(|trips| trips.try_into().ok()).unwrap_or(0);
    let breaker = |name: &str| number(name).filter(|_| trips > 0);
    let making = fields.iter().filter(|(name, _)| name.starts_with("w:"));
    let making = making.filter_map(|(_, value)| value.split(' ').next()?.parse::<u64>().ok());
    HeldFlow {
        name: fields.get("name").cloned(),
        since: breaker("opened_at"),
        open_until: breaker("open_until"),
        trips,
        error: fields.get("error").filter(|_| trips > 0).cloned(),
        hold_until: number("hold_until"),
        // Those of the configured rate, and of the rate that the destination accepts.
        tokens: ["tokens", "learned"]
            .iter()
            .filter_map(|name| fields.get(*name)?.parse::<f64>().ok())
            .reduce(f64::min),
        attempts: making.reduce(|sum, one| sum + one),
        pause: None,
        held: vec![],
    }
}

fn id_of(key: &str) -> Option<FlowId> {
    FlowId::parse(key.strip_prefix("postrider:flow:{")?.strip_suffix('}')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_state_of_a_flow_is_read() {
        let of = |pairs: &[(&str, &str)]| {
            parse(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let flow = of(&[
            ("tokens", "5.5"),
            ("learned", "0.250000"),
            ("w:a", "2 17"),
            ("w:b", "3 17"),
            ("error", "x"),
        ]);
        assert_eq!((flow.tokens, flow.attempts, flow.trips, flow.error), (Some(0.25), Some(5), 0, None));
        let open = of(&[
            ("trips", "2"),
            ("open_until", "9"),
            ("opened_at", "7"),
            ("error", "x"),
            ("hold_until", "8"),
        ]);
        assert_eq!(
            (open.trips, open.open_until, open.since, open.hold_until),
            (2, Some(9), Some(7), Some(8))
        );
        assert_eq!((open.error.as_deref(), open.tokens), (Some("x"), None));
    }

    #[test]
    fn a_key_contains_its_flow() {
        let flow = FlowId::of("example.org:443");
        let key = Keys::limits(flow);
        assert_eq!(id_of(key.as_str().unwrap()), Some(flow));
        assert_eq!(id_of("postrider:flow:{x}"), None);
    }
}
