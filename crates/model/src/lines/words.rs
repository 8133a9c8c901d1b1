//! The steps in words.

use super::{Step, Verdict};
use crate::faults::with_fate;

fn worker(index: usize) -> &'static str {
    ["worker A", "worker B"][index]
}

fn job(index: usize) -> &'static str {
    ["job 1", "job 2"][index]
}

pub(super) fn sentence(step: Step) -> String {
    match step {
        Step::Pass => "half a lease passes; workers that run renew their leases".to_owned(),
        Step::Fetch(own, fate) => with_fate(format!("{} fetches a job", worker(own)), fate),
        Step::Ask(own, Some(id), fate) => {
            with_fate(format!("{} asks for the turn of the job of entry {id}", worker(own)), fate)
        }
        Step::Ask(own, None, fate) => {
            with_fate(format!("{} asks for the turns of its jobs", worker(own)), fate)
        }
        Step::Begin(own, id) => format!("{} sends the job of entry {id}", worker(own)),
        Step::Finish(own, id, verdict, fate) => {
            let verdict = match verdict {
                Verdict::Works => "succeeds",
                Verdict::Fails => "fails",
                Verdict::Refused => "is refused for good",
            };
            with_fate(format!("the job of entry {id} {verdict}, and {} settles it", worker(own)), fate)
        }
        Step::Settle(own, id, fate) => {
            with_fate(format!("{} settles the job of entry {id} again", worker(own)), fate)
        }
        Step::Promote(own, fate) => with_fate(format!("{} moves due jobs to the stream", worker(own)), fate),
        Step::Reclaim(own, fate) => with_fate(format!("{} takes over jobs", worker(own)), fate),
        Step::SweepWaiting(own, fate) => {
            with_fate(format!("{} looks at the jobs that wait for their turns", worker(own)), fate)
        }
        Step::SweepLines(own, fate) => with_fate(format!("{} looks at the lines", worker(own)), fate),
        Step::DropPlaces(own, fate) => {
            with_fate(format!("{} ends the places of jobs that are nowhere", worker(own)), fate)
        }
        Step::Cancel(number, fate) => with_fate(format!("an operator cancels {}", job(number)), fate),
        Step::Replay(number, fate) => with_fate(format!("an operator replays {}", job(number)), fate),
        Step::Purge(number, fate) => {
            with_fate(format!("an operator purges the dead letter of {}", job(number)), fate)
        }
        Step::Resume(fate) => with_fate("an operator lets the stopped line go".to_owned(), fate),
        Step::Kill(own) => format!("{} is killed", worker(own)),
        Step::Pause(own) => format!("{} stands still", worker(own)),
        Step::Stop(own) => format!("{} shuts down in order", worker(own)),
        Step::Start(own) => format!("{} starts again, as a new process", worker(own)),
        Step::Continue(own) => format!("{} goes on", worker(own)),
        Step::Happen(event) => event.sentence("a lease and a half"),
        Step::DeleteKey(name) => format!("somebody deletes the key `{name}`"),
    }
}
