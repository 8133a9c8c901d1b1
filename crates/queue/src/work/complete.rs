//! Removes succeeded jobs, many in one call.

use bytes::Bytes;
use fred::types::Value;
use telemetry::Context;

use super::fetch::IN_FLIGHT_MAX;
use super::line::LineMode;
use crate::job::{Lease, LinePlace};
use crate::redis::{Error, QueueShard, Settled, ids, number};

impl QueueShard {
    /// Removes succeeded jobs: at most 256. A success ends a job also if another worker has taken it over by then, unless it
    /// is ordered. Those without an order key are before the others, both in ascending order of
    /// their entries. `log` has the record of each, if there is a delivery log, and `place` its place in its line, if one of
    /// them is ordered. `count` is how many jobs of earlier calls to count with these; with `None`, a later call or [`QueueShard::count`] has to
    /// count these.
    ///
    /// # Errors
    /// fred's. Then none, some or all of them may be settled.
    pub async fn complete<'a>(
        &self,
        leases: &[Lease],
        log: impl Fn(Lease) -> Option<&'a str>,
        place: Option<impl Fn(Lease) -> Option<&'a LinePlace> + Sync>,
        mut count: Option<u64>,
        parent: &Context,
    ) -> Result<Vec<Settled>, Error> {
        let mut settled = Vec::with_capacity(leases.len());
        let place_of = |lease: &Lease| place.as_ref().and_then(|place| place(*lease));
        let is_ordered = |lease: &Lease| place_of(lease).is_some();
        // A call for those without an order key, and one for each delivery count of the others.
        for same in leases.chunk_by(|one, next| {
            is_ordered(one) == is_ordered(next) && (one.delivery == next.delivery || !is_ordered(one))
        }) {
            let is_ordered = is_ordered(&same[0]);
            let target = self.0.log.target();
            let records = target.map(|_| records(same, &log));
            let make = || {
                let mut keys = vec![self.0.keys.jobs.clone(), self.0.keys.stats.clone()];
                let mut args = self.identity(3 + same.len());
                let empty = Value::from_static_str("");
                args.push(Value::from_static_str(IN_FLIGHT_MAX));
                args.push(if is_ordered { number(same[0].delivery) } else { empty.clone() });
                args.push(count.map_or(empty, number));
                self.push_records(&mut keys, &mut args, target, records.clone());
                args.extend(ids(same));
                if is_ordered {
                    let places = same.iter().filter_map(place_of);
                    self.push_line(&mut keys, &mut args, places, LineMode::End, None);
                }
                (keys, args)
            };
            let own = &self.0;
            let script = if is_ordered { &own.scripts.in_line.complete } else { &own.scripts.complete };
            let reply = script.call_with(&own.redis, parent, &own.keys.jobs, make).await;
            let own = self.settled(&self.healed(reply).await?)?;
            if own.contains(&Settled::Done) {
                count = count.map(|_| 0);
            }
            settled.extend(own);
        }
        Ok(settled)
    }

    /// Counts succeeded jobs that [`QueueShard::complete`] has settled and not counted.
    ///
    /// # Errors
    /// fred's. Then they may be counted or not.
    pub async fn count(&self, jobs: u64) -> Result<(), Error> {
        let own = &self.0;
        own.scripts.count.poll(&own.redis, vec![own.keys.stats.clone()], vec![number(jobs)]).await.map(drop)
    }
}

/// The records of jobs, a line each, also for a job without one: the lines are in the order of the jobs.
fn records<'a>(leases: &[Lease], log: impl Fn(Lease) -> Option<&'a str>) -> Bytes {
    leases.iter().map(|lease| log(*lease).unwrap_or("\n")).collect::<String>().into()
}
