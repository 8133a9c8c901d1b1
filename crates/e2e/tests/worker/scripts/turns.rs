//! The turns of ordered jobs.

use super::{Call, RunningJob, Stage, held_by};

const ORDERED: &[(&str, &str)] = &[("url", "http://127.0.0.1/"), ("order", "k")];
/// SHA-1 of `k`: 13fbd79c3d390e5d…
const LINE: &str = "13fbd79c3d390e5d";

/// The place of a job in the line of `k`.
fn place(job: &RunningJob) -> String {
    let (millis, sequence) = job.id.split_once('-').expect("an entry id");
    let letter = |number: &str| char::from(64 + u8::try_from(number.len()).expect("a short number"));
    format!("{LINE}{}{millis}{}{sequence}", letter(millis), letter(sequence))
}

fn ask(stage: &Stage, job: &RunningJob) -> String {
    stage.call(&Call::take_turns(job, &place(job))).array()[0].text()
}

#[test]
fn the_second_job_waits_for_the_first_one_also_if_it_asks_first() {
    let stage = Stage::new();
    let (first, second) = (stage.deliver("a", ORDERED), stage.deliver("b", ORDERED));
    assert_eq!(ask(&stage, &second), "w");
    assert_eq!(ask(&stage, &first), "t");
}

/// A worker that has lost the lease of a job asks for its turn. The worker that has it now has not asked yet.
#[test]
fn a_question_under_a_lost_lease_lets_no_later_job_overtake() {
    let stage = Stage::new();
    let first = stage.deliver("a", ORDERED);
    stage.take_over("b", 0);
    assert_eq!(ask(&stage, &first), "l");
    let second = stage.deliver("c", ORDERED);
    assert_eq!(ask(&stage, &second), "w", "the first job has not ended");
    assert_eq!(ask(&stage, &held_by(&first, "b", "2")), "t");
}
