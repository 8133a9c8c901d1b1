//! The names of everything that a run has in Redis: they begin with `certify-`.

use postrider_queue::QueueName;
use postrider_queue::admin::ShardName;
use postrider_queue::job::FlowId;

/// What the names of the queues and flows begin with.
pub(crate) const PREFIX: &str = "certify-";
/// The flow of all jobs without another one.
pub(crate) const DESTINATION: &str = "certify-destination";
/// The flow with limits.
pub(crate) const LIMITED: &str = "certify-limited";
/// The flow of callbacks of jobs that are dead.
pub(crate) const CALLBACKS: &str = "certify-callbacks";
/// The flow of periodic jobs.
pub(crate) const TICKS: &str = "certify-ticks";
/// The secret by which each worker puts its process id into its requests, and the header with it.
pub(crate) const WORKER: &str = "certify-worker";
/// The variable of a worker with its process id.
pub(crate) const WORKER_VARIABLE: &str = "CERTIFY_WORKER";
/// Hosts that never answer.
pub(crate) const HOSTS: u8 = 50;

/// The queues, and how many shards each has.
const QUEUES: [(&str, u32); 2] = [("certify-plain", 1), ("certify-sharded", 3)];

/// The queues with their numbers of shards.
pub(crate) fn queues() -> [(QueueName, u32); 2] {
    QUEUES.map(|(name, shards)| (name.parse().expect("it is a name of a queue"), shards))
}

/// All shards.
pub(crate) fn shards() -> Vec<ShardName> {
    let shards = |(queue, shards): (QueueName, u32)| {
        (0..shards).map(move |number| ShardName { queue: queue.clone(), number })
    };
    queues().into_iter().flat_map(shards).collect()
}

/// The flow of a host that never answers.
pub(crate) fn host_flow(host: usize) -> String {
    format!("{PREFIX}host-{host}")
}

/// All flows.
pub(crate) fn flows() -> Vec<FlowId> {
    let named = [DESTINATION, LIMITED, CALLBACKS, TICKS].map(str::to_owned);
    let hosts = (0..usize::from(HOSTS)).map(host_flow);
    named.into_iter().chain(hosts).map(|name| FlowId::of(&name)).collect()
}
