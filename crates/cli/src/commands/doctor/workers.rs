//! Checks the workers of a queue. Pure.

use std::time::Duration;

use postrider_console::view::{brief, plain};
use postrider_queue::admin::{Life, ShardName, Survey, SurveyedConsumer};

use super::super::render::count;
use super::Finding;

/// A consumer that is idle for longer, and not a live worker, is left over.
const STALE_MS: u64 = 60_000;

pub(super) fn examine(queue: &ShardName, survey: &Survey) -> Vec<Finding> {
    let lost: Vec<_> = survey.consumers.iter().filter(|worker| !worker.alive()).collect();
    let alive = survey.consumers.iter().any(SurveyedConsumer::alive);
    let name = |worker: &SurveyedConsumer| plain(worker.name.as_bytes(), 100);
    let missed = lost.iter().filter(|worker| worker.pending > 0 || worker.life() == Life::Silent).map(|worker| {
        let seen = worker.seen_ms.map(|seen| format!("silent for {}", brief(Duration::from_millis(seen))));
        let state = seen.filter(|_| worker.life() == Life::Silent).unwrap_or("gone".to_owned());
        let jobs = match worker.pending {
            0 => String::new(),
            jobs => format!(", with {}", count(jobs as usize, "job", "jobs")),
        };
        let advice = if alive {
            "it was killed or hangs; another worker takes over its jobs when the lease expires: nothing to do"
        } else {
            "start a worker: it takes over its jobs after it has been connected for a whole lease"
        };
        Finding::warn("workers", format!("the worker {} is {state}{jobs}", name(worker)), advice)
    });
    let is_stale = |worker: &SurveyedConsumer| {
        worker.reads && worker.pending == 0 && worker.idle_ms > STALE_MS && worker.life() == Life::Gone
    };
    let stale = lost.iter().filter(|worker| is_stale(worker)).map(|worker| {
        let name = name(worker);
        let idle = brief(Duration::from_millis(worker.idle_ms));
        let advice = format!("XGROUP DELCONSUMER postrider:{{{queue}}}:jobs postrider {name}");
        Finding::warn("workers", format!("the consumer {name} is left over, idle for {idle}"), advice)
    });
    let warned = survey.consumers.iter().filter(|worker| worker.alive()).flat_map(|worker| {
        let warning = |sentence: &String| {
            let seen = format!("the worker {}: {}", name(worker), plain(sentence.as_bytes(), 300));
            Finding::warn(
                "workers",
                seen,
                "it goes on working; what is wrong is in its configuration or its surroundings",
            )
        };
        worker.warnings.iter().map(warning)
    });
    missed.chain(stale).chain(warned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn shard() -> ShardName {
        ShardName { queue: "mail".parse().unwrap(), number: 0 }
    }

    fn gone(pending: u64, idle_ms: u64) -> SurveyedConsumer {
        SurveyedConsumer { name: "w".into(), pending, reads: true, idle_ms, ..SurveyedConsumer::default() }
    }

    #[test]
    fn workers_that_are_gone_are_reported() {
        let found =
            |survey: Survey| examine(&shard(), &survey).into_iter().map(|it| it.level).collect::<Vec<_>>();
        let with = |consumer| Survey { consumers: vec![consumer], ..Survey::default() };
        assert_eq!(found(with(gone(3, 0))), [Level::Warn]);
        assert_eq!(found(with(gone(0, 60_001))), [Level::Warn]);
        assert_eq!(found(with(gone(0, 1_000))), []);
        let last_seen = |seen| SurveyedConsumer { seen_ms: Some(seen), lease_ms: Some(30_000), ..gone(0, 0) };
        assert_eq!(found(with(last_seen(30_000))), []);
        let silent = examine(&shard(), &with(last_seen(50_000)));
        assert_eq!(silent[0].seen, "the worker w is silent for 50s");
        let warnings = vec!["its changed configuration is wrong".to_owned()];
        let warned = examine(&shard(), &with(SurveyedConsumer { warnings, ..last_seen(1_000) }));
        assert_eq!(warned[0].seen, "the worker w: its changed configuration is wrong");
    }
}
