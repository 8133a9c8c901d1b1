//! Values of the worker's options, and how they go together with the file. Pure.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use hyper_otel::{BadHostPattern, HostPattern, Propagation, Recipients};
use postrider_worker::WeightedQueue;
use postrider_worker::settings::{BadProxy, BadRule, Egress, HttpConfig, Rule};
use telemetry::Propagators;
use tracing::warn;

use super::Usage;
use crate::units::duration;

/// The flags add to the file. A rule that exposes the machine's own credentials to jobs is allowed, with a warning.
pub(super) fn egress(mut egress: Egress, allow: Vec<Option<Rule>>) -> Egress {
    egress.allow.extend(allow.into_iter().flatten());
    for rule in egress.allow.iter().filter(|rule| rule.opens_metadata()) {
        warn!(%rule, "this egress rule lets jobs reach the metadata services of clouds, which give out credentials");
    }
    egress
}

/// The flag overrides the file. An empty variable counts as unset.
pub(super) fn with_proxy(mut http: HttpConfig, flag: Option<&str>) -> Result<HttpConfig, Usage> {
    if let Some(text) = flag.filter(|text| !text.is_empty()) {
        http.proxy = Some(text.parse().map_err(|error: BadProxy| Usage(format!("--http-proxy: {error}")))?);
    }
    Ok(http)
}

/// A flag overrides the file.
pub(super) fn propagation(
    mut policy: Propagation,
    traces_to: Option<&str>,
    baggage_to: Vec<Option<HostPattern>>,
) -> Result<Propagation, Usage> {
    if let Some(text) = traces_to.filter(|text| !text.is_empty()) {
        let traces = text.parse().map_err(|error: BadHostPattern| Usage(format!("--traces-to: {error}")))?;
        policy.traces = traces;
    }
    let baggage: Vec<HostPattern> = baggage_to.into_iter().flatten().collect();
    if !baggage.is_empty() {
        policy.baggage = baggage;
    }
    Ok(limited(policy, telemetry::Config::from_env().propagators))
}

/// `OTEL_PROPAGATORS` limits propagation in every build, also with telemetry off, which passes the context on
/// unchanged.
pub(super) fn limited(mut policy: Propagation, known: Propagators) -> Propagation {
    if !known.trace_context {
        policy.traces = Recipients::Only(vec![]);
    }
    if !known.baggage {
        policy.baggage.clear();
    }
    policy
}

/// An empty variable, `POSTRIDER_BAGGAGE_TO=`, counts as unset.
pub(super) fn recipient(text: &str) -> Result<Option<HostPattern>, BadHostPattern> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// A queue that an argument names.
#[derive(Clone, Debug)]
pub(super) struct NamedQueue {
    queue: WeightedQueue,
    has_weight: bool,
}

impl NamedQueue {
    /// With the settings of the file for it, if it has some; a weight of the argument counts.
    pub(super) fn with_file(self, file: &[WeightedQueue]) -> WeightedQueue {
        match file.iter().find(|known| known.name == self.queue.name) {
            Some(known) if self.has_weight => WeightedQueue { weight: self.queue.weight, ..known.clone() },
            Some(known) => known.clone(),
            None => self.queue,
        }
    }
}

/// `NAME` or `NAME:WEIGHT`.
pub(super) fn queue(text: &str) -> Result<NamedQueue, String> {
    Ok(NamedQueue { queue: text.parse()?, has_weight: text.contains(':') })
}

pub(in super::super) fn address(text: &str) -> Result<SocketAddr, Usage> {
    text.parse().map_err(|_| {
        Usage(format!(
            "--listen: {text} is not an address with a port; write 127.0.0.1:9090, or 0.0.0.0:9090 for all"
        ))
    })
}

/// An empty variable, `POSTRIDER_EGRESS_ALLOW=`, counts as unset.
pub(super) fn allow(text: &str) -> Result<Option<Rule>, BadRule> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=100_000) => Ok(number),
        _ => Err("write a whole number from 1 to 100000".to_owned()),
    }
}

/// How many threads a worker has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Threads {
    /// One for each core that the process may use, by its affinity and its control group.
    Auto,
    Number(NonZeroUsize),
}

impl Threads {
    const MAX: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not 0");

    /// Their number; each needs a slot.
    pub(super) fn for_slots(self, slots: usize) -> Result<NonZeroUsize, String> {
        let most = NonZeroUsize::new(slots).unwrap_or(NonZeroUsize::MIN).min(Self::MAX);
        match self {
            Self::Number(threads) if threads > most => Err(format!(
                "{threads} threads need a --concurrency of at least {threads}, and it is {slots}"
            )),
            Self::Number(threads) => Ok(threads),
            // Where the number of cores is not known, one thread works.
            Self::Auto => Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(most)),
        }
    }
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = text.parse().ok().filter(|number| *number <= Self::MAX);
        number
            .map(Self::Number)
            .ok_or_else(|| format!("write auto, or a whole number from 1 to {}", Self::MAX))
    }
}

/// At least 500 ms: with a shorter lease, a short pause of the system or the network would lose leases.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if lease < Duration::from_millis(500) {
        return Err("a lease must be at least 500ms".to_owned());
    }
    Ok(lease)
}

#[cfg(test)]
mod tests {
    use postrider_worker::settings::OnDead;

    use super::*;

    #[test]
    fn a_named_queue_has_the_settings_of_the_file() {
        let file: Vec<WeightedQueue> = ["mail:4", "bulk:2"].map(|text| text.parse().unwrap()).into();
        let file: Vec<_> =
            file.into_iter().map(|queue| WeightedQueue { on_dead: OnDead::Stop, ..queue }).collect();
        for (text, weight, on_dead) in
            [("mail", 4, OnDead::Stop), ("mail:1", 1, OnDead::Stop), ("other", 1, OnDead::Skip)]
        {
            let named = queue(text).unwrap().with_file(&file);
            assert_eq!((named.weight, named.on_dead), (weight, on_dead), "{text}");
        }
        assert!(queue("mail:0").is_err());
    }
}
