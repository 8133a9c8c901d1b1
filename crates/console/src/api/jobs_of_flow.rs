//! The live jobs of a flow.

use postrider_queue::admin::{FoundJob, Place, ShardName, State};
use postrider_queue::job::of_fields;

use crate::problem::Problem;
use crate::state::Shared;
use crate::view::{JobView, is_meant};

/// How many jobs of each shard are searched for those of a flow. Only held jobs have a list for each flow.
const SEARCHED: usize = 1_000;

/// Up to `limit` jobs of each of these shards that are of a flow, which is given by its key, its id, or a host; and whether there
/// may be more.
pub(super) async fn jobs_of_flow(
    shared: &Shared,
    shards: &[ShardName],
    state: Option<State>,
    wanted: &str,
    limit: usize,
) -> Result<(Vec<JobView>, bool), Problem> {
    let (mut all, mut more) = (vec![], false);
    let flows = match state {
        None | Some(State::Held) => shared.inspector.held_flows(shards, false).await?,
        Some(_) => vec![],
    };
    for shard in shards {
        let listing = shared.inspector.list(shard, state, SEARCHED).await?;
        let is_other = |job: &FoundJob| !matches!(job.place, Place::Held { .. });
        let of_flow = |job: &FoundJob| {
            of_fields(&job.fields).is_some_and(|(id, name)| is_meant(wanted, id, Some(&name)))
        };
        let mut jobs: Vec<FoundJob> =
            listing.jobs.into_iter().filter(|job| is_other(job) && of_flow(job)).collect();
        for (flow, held) in &flows {
            if is_meant(wanted, *flow, held.name.as_deref()) && jobs.len() <= limit {
                jobs.extend(shared.inspector.held_by(shard, *flow, limit + 1 - jobs.len()).await?);
            }
        }
        more |= listing.has_more || jobs.len() > limit;
        all.extend(jobs.iter().take(limit).map(JobView::new));
    }
    Ok((all, more))
}
