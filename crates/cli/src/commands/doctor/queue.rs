//! Checks the contents of a queue. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_console::view::brief;
use postrider_queue::admin::{HeldFlow, ShardName, Survey};
use postrider_queue::job::{FIELDS, Fields, FlowId, meant_field, quoted};

use super::super::render::count;
use super::{Finding, workers};

/// An id that is further ahead of the clock was chosen by a producer.
const AHEAD_MS: u64 = 60_000;
/// Unknown fields that are named.
const NAMES_MAX: usize = 10;
const MANY_READY: u64 = 100_000;
const MANY_DEAD: u64 = 90_000;

/// What was read of a queue.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) survey: Survey,
    /// Keys of a wrong type, with the right one.
    pub(super) wrong_keys: Vec<(String, &'static str)>,
    /// The fields of some jobs.
    pub(super) sample: Vec<Fields>,
    /// How many dead letters that stop order keys were deleted.
    pub(super) deleted: usize,
}

pub(super) fn examine(queue: &ShardName, look: &Look) -> Vec<Finding> {
    let survey = &look.survey;
    let mut findings: Vec<_> = look.wrong_keys.iter().map(wrong_key).collect();
    if findings.is_empty() {
        findings.extend(survey.faults.iter().map(|fault| broken(queue, fault)));
    }
    findings.extend(unknown_fields(&look.sample));
    findings.extend(group(queue, survey));
    findings.extend(last_id(queue, survey));
    findings.extend(depth(survey));
    findings.extend(schedule(queue, survey));
    findings.extend(stopped_keys(queue, look));
    findings.extend(lost(queue, survey));
    findings.extend(workers::examine(queue, survey));
    if findings.is_empty() {
        let Survey { ready, in_flight, scheduled, dead, .. } = survey;
        let held = survey.all_held();
        let seen =
            format!("{ready} ready, {in_flight} running, {scheduled} scheduled, {held} held, {dead} dead");
        findings.push(Finding::ok("queue", seen));
    }
    findings
}

fn broken(queue: &ShardName, fault: &str) -> Finding {
    let advice = format!(
        "find with TYPE which of postrider:{{{queue}}}:jobs (stream), :waiting (hash), :scheduled and :flows \
         (zset), :dead (stream), :workers (hash) has another type, and move it away with RENAME"
    );
    Finding::error("keys", fault, advice)
}

fn wrong_key((key, kind): &(String, &'static str)) -> Finding {
    let advice = "another program wrote it: move it away with RENAME";
    Finding::error("keys", format!("the key {key} is no {kind}"), advice)
}

/// Names the unknown fields of some jobs, each once.
fn unknown_fields(sample: &[Fields]) -> Option<Finding> {
    let names: BTreeSet<String> = sample
        .iter()
        .flatten()
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .filter(|name| !name.starts_with('_') && !FIELDS.contains(&name.as_str()))
        .collect();
    let listed = names.iter().take(NAMES_MAX).map(|name| match meant_field(name) {
        Some(meant) => format!("{} (did you mean {meant}?)", quoted(name)),
        None => quoted(name),
    });
    let seen = format!("jobs have fields that are not known: {}", listed.collect::<Vec<_>>().join(", "));
    let advice =
        "they have no effect: correct the producer; unknown_fields = \"refuse\" of a queue refuses such jobs";
    (!names.is_empty()).then(|| Finding::warn("fields", seen, advice))
}

fn group(queue: &ShardName, survey: &Survey) -> Option<Finding> {
    if !survey.has_stream || survey.delivered.is_some() {
        return None;
    }
    let seen = "the consumer group `postrider` is missing: nothing is read until a worker creates it";
    let advice =
        format!("start `postrider worker --queue {}`; a running worker creates it by itself", queue.queue);
    Some(Finding::warn("group", seen, advice))
}

fn last_id(queue: &ShardName, survey: &Survey) -> Option<Finding> {
    let last = survey.last?;
    let ahead = last.millis.checked_sub(survey.now).filter(|ahead| *ahead > AHEAD_MS)?;
    let key = format!("postrider:{{{queue}}}:jobs");
    let advice = format!(
        "let all producers write the id `*`; when the stream is empty, correct it with `XSETID {key} {}-0`",
        survey.now
    );
    if last.millis == u64::MAX {
        let seen = format!("the stream's last id, {last}, is the greatest possible: no job can be enqueued");
        return Some(Finding::error("last id", seen, advice));
    }
    let ahead = brief(Duration::from_millis(ahead));
    let seen = format!("the stream's last id, {last}, is {ahead} ahead of Redis' clock: a producer chose it");
    Some(Finding::warn("last id", seen, advice))
}

fn depth(survey: &Survey) -> Vec<Finding> {
    let mut findings = Vec::new();
    let alive = survey.consumers.iter().filter(|worker| worker.alive()).count();
    if survey.ready > 0 && alive == 0 {
        let seen = format!("{} ready, and no worker is alive", survey.ready);
        findings.push(Finding::warn("workers", seen, "start a worker for this queue"));
    }
    if survey.ready > MANY_READY {
        let seen = format!("{} ready: producers are faster than workers", survey.ready);
        findings.push(Finding::warn("depth", seen, "start more workers, or raise --concurrency"));
    }
    if survey.dead > MANY_DEAD {
        let seen = format!("{} dead letters: above about 100000 the oldest are deleted", survey.dead);
        let advice = "see `postrider dead list`; replay or purge them";
        findings.push(Finding::warn("dead", seen, advice));
    }
    findings
}

fn schedule(queue: &ShardName, survey: &Survey) -> Vec<Finding> {
    let mut findings = Vec::new();
    if survey.without_job > 0 {
        let seen = format!(
            "{} scheduled without a job",
            count(survey.without_job as usize, "job id is", "job ids are")
        );
        let advice =
            "no job is lost: they are dropped when they are due. Does another program write these keys?";
        findings.push(Finding::warn("schedule", seen, advice));
    }
    let stray = survey.waiting.saturating_sub(survey.scheduled + survey.held_jobs());
    if stray > 0 {
        let jobs = count(stray as usize, "job waits", "jobs wait");
        let advice = format!(
            "start a worker: it requeues them. By hand, `ZADD postrider:{{{queue}}}:scheduled 0 JOB_ID` \
             requeues a job id of `HKEYS postrider:{{{queue}}}:waiting`"
        );
        let seen = format!("{jobs} in neither the schedule nor a known flow");
        findings.push(Finding::warn("schedule", seen, advice));
    }
    findings
}

/// Nobody may have noticed that jobs wait behind a dead letter.
fn stopped_keys(queue: &ShardName, look: &Look) -> Option<Finding> {
    let stopped = look.survey.lines.stopped;
    (stopped > 0).then(|| {
        let deleted = match look.deleted {
            0 => String::new(),
            1 => "; 1 of them was deleted since, and cannot be replayed".to_owned(),
            deleted => format!("; {deleted} of them were deleted since, and cannot be replayed"),
        };
        let seen = format!(
            "{} the later jobs of {}{deleted}",
            count(stopped as usize, "dead letter stops", "dead letters stop"),
            if stopped == 1 { "its order key" } else { "their order keys" }
        );
        let advice = format!(
            "`postrider order list --queue {0}` shows them; `postrider dead replay` tries them again, and `postrider \
             order resume KEY --queue {0}` lets the later jobs go",
            queue.queue
        );
        Finding::warn("order", seen, advice)
    })
}

fn lost(queue: &ShardName, survey: &Survey) -> Option<Finding> {
    let jobs = count(survey.lost as usize, "job was", "jobs were");
    let seen = format!(
        "at least {jobs} delivered and {} pending for no worker",
        if survey.lost == 1 { "is" } else { "are" }
    );
    let advice = format!(
        "a worker finds and delivers them within a minute. Somebody has deleted a consumer of \
         postrider:{{{queue}}}:jobs, acknowledged by hand, or created the group behind them"
    );
    (survey.lost > 0).then(|| Finding::warn("queue", seen, advice))
}

/// Reports flows whose breaker is open.
pub(super) fn held_jobs(flows: &[(FlowId, HeldFlow)]) -> Option<Finding> {
    let broken: Vec<_> = flows.iter().map(|(_, flow)| flow).filter(|flow| flow.trips > 0).collect();
    let jobs: u64 = broken.iter().map(|flow| flow.jobs()).sum();
    if broken.is_empty() {
        return None;
    }
    let seen = format!(
        "{} not answer, and {} for {}",
        count(broken.len(), "destination does", "destinations do"),
        count(jobs as usize, "job waits", "jobs wait"),
        if broken.len() == 1 { "it" } else { "them" }
    );
    Some(Finding::warn(
        "flows",
        seen,
        "see `postrider flows`; the workers keep retrying each, nothing to do here",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use postrider_queue::job::EntryId;

    const NOW: u64 = 1_795_396_101_000;

    fn well() -> Survey {
        Survey { now: NOW, has_stream: true, delivered: Some("1-0".into()), ..Survey::default() }
    }

    fn found(survey: &Survey) -> Vec<(Level, &'static str)> {
        found_in(Look { survey: survey.clone(), ..Look::default() })
    }

    fn found_in(look: Look) -> Vec<(Level, &'static str)> {
        let found = examine(&ShardName { queue: "mail".parse().unwrap(), number: 0 }, &look);
        found.iter().map(|finding| (finding.level, finding.check)).collect()
    }

    #[test]
    fn a_healthy_queue_is_ok() {
        assert_eq!(found(&well()), [(Level::Ok, "queue")]);
        assert_eq!(found(&Survey { now: NOW, ..Survey::default() }), [(Level::Ok, "queue")]);
    }

    #[test]
    fn an_id_that_a_producer_chose_is_reported() {
        let last = |millis| Survey { last: Some(EntryId { millis, sequence: 0 }), ..well() };
        assert_eq!(found(&last(NOW + 59_000)), [(Level::Ok, "queue")]);
        assert_eq!(found(&last(9_999_999_999_999_999)), [(Level::Warn, "last id")]);
        assert_eq!(found(&last(u64::MAX)), [(Level::Error, "last id")]);
    }

    #[test]
    fn a_missing_group_and_missing_jobs_are_reported() {
        assert_eq!(found(&Survey { delivered: None, ..well() }), [(Level::Warn, "group")]);
        assert_eq!(found(&Survey { without_job: 1, ..well() }), [(Level::Warn, "schedule")]);
        assert_eq!(found(&Survey { waiting: 2, scheduled: 1, ..well() }), [(Level::Warn, "schedule")]);
        assert_eq!(found(&Survey { lost: 1, ..well() }), [(Level::Warn, "queue")]);
        let held = |jobs| vec![(postrider_queue::job::FlowId::of("h:80"), jobs)];
        let waiting = |jobs| Survey { waiting: 3, scheduled: 1, held: held(jobs), ..well() };
        assert_eq!(found(&waiting(2)), [(Level::Ok, "queue")]);
        assert_eq!(found(&waiting(1)), [(Level::Warn, "schedule")]);
        assert_eq!(found(&Survey { faults: vec!["WRONGTYPE".into()], ..well() }), [(Level::Error, "keys")]);
        let crowded = Survey { ready: 100_001, ..well() };
        assert_eq!(found(&crowded), [(Level::Warn, "workers"), (Level::Warn, "depth")]);
    }

    #[test]
    fn flows_that_are_only_limited_are_no_finding() {
        let queue = ShardName { queue: "mail".parse().unwrap(), number: 0 };
        let flow = |trips| {
            (FlowId::of("h:80"), HeldFlow { trips, held: vec![(queue.clone(), 3)], ..HeldFlow::default() })
        };
        assert!(held_jobs(&[flow(0)]).is_none());
        let found = held_jobs(&[flow(0), flow(2)]).expect("a finding");
        assert_eq!(
            (found.level, found.seen.as_str()),
            (Level::Warn, "1 destination does not answer, and 3 jobs wait for it")
        );
    }

    #[test]
    fn unknown_fields_and_foreign_keys_are_named() {
        let job: Fields = ["url", "max_attemps", "_job_id"].map(|name| (name.into(), "x".into())).to_vec();
        let finding = unknown_fields(&[job.clone(), job.clone()]).expect("a finding");
        assert!(
            finding.seen.ends_with("known: \"max_attemps\" (did you mean max_attempts?)"),
            "{}",
            finding.seen
        );
        assert!(unknown_fields(&[vec![("url".into(), "x".into())]]).is_none());
        let wrong_keys = vec![("postrider:{mail}:jobs".to_owned(), "stream")];
        let survey = Survey { faults: vec!["WRONGTYPE".into()], ..well() };
        assert_eq!(found_in(Look { survey, wrong_keys, ..Look::default() }), [(Level::Error, "keys")]);
    }
}
