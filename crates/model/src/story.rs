//! A counterexample in words.

use crate::faults::with_fate;
use crate::world::{Action, Answer, CLOCK_TICKS, Fault, Invariant, Pausable, Shape};

fn worker(index: usize) -> &'static str {
    ["worker A", "worker B"][index]
}

fn paused(what: Pausable) -> &'static str {
    match what {
        Pausable::Queue => "queue",
        Pausable::Flow => "flow",
    }
}

fn job(index: usize) -> &'static str {
    ["job 1", "job 2"][index]
}

/// The numbered steps, and what is broken after them.
pub(crate) fn in_words(invariant: Invariant, steps: &[Action]) -> String {
    let lines =
        steps.iter().enumerate().map(|(index, step)| format!("{:3}. {}\n", index + 1, sentence(step)));
    format!("{}     Broken: {}\n", lines.collect::<String>(), invariant.text())
}

fn sentence(step: &Action) -> String {
    match *step {
        Action::Pass => "half a lease passes; workers that run renew their leases".to_owned(),
        Action::Enqueue(number, shape, fate) => {
            let kind = match shape {
                Shape::Plain => "",
                Shape::Delayed => " with a delay",
                Shape::Limited => " of a flow",
                Shape::Expiring => " of a flow, which expires after a lease",
                Shape::Result => " that asks for a result",
            };
            with_fate(format!("a producer enqueues {}{kind}", job(number)), fate)
        }
        Action::Fetch(own, fate) => with_fate(format!("{} fetches a job", worker(own)), fate),
        Action::Try(own, id, answer) => {
            let answer = match answer {
                Answer::Success => "sends it, with success",
                Answer::Failure => "sends it, and it fails",
                Answer::Held => "finds that its flow has no room",
                Answer::Open => "waits for the answer",
            };
            format!("{} works on the job of entry {id}: {answer}", worker(own))
        }
        Action::Settle(own, id, fate) => {
            with_fate(format!("{} settles the job of entry {id}", worker(own)), fate)
        }
        Action::Promote(own, fate) => {
            with_fate(format!("{} moves due jobs to the stream", worker(own)), fate)
        }
        Action::Admit(own, fate) => with_fate(format!("{} admits a held job", worker(own)), fate),
        Action::Expire(own, fate) => {
            with_fate(format!("{} admits the held jobs that have expired", worker(own)), fate)
        }
        Action::ReadControl(own) => format!("{} reads what is paused", worker(own)),
        Action::Resume(what) => format!("an operator ends the pause of the {}", paused(what)),
        Action::Sweep(own) => format!("{} looks for orphaned jobs", worker(own)),
        Action::Requeue(own) => format!("{} requeues the orphaned jobs that it has found", worker(own)),
        Action::ClaimLost(own) => format!("{} claims entries that are pending for nobody", worker(own)),
        Action::Ask(own) => format!("{} learns that Redis answers, before it takes over jobs", worker(own)),
        Action::Reclaim(own, fate) => with_fate(format!("{} takes over jobs", worker(own)), fate),
        Action::Start(own) => format!("{} starts again, as a new process", worker(own)),
        Action::Continue(own) => format!("{} goes on", worker(own)),
        Action::FreeMemory => "Redis has memory again".to_owned(),
        Action::Happen(fault, fate) => with_fate(fault_sentence(fault), fate),
    }
}

fn fault_sentence(fault: Fault) -> String {
    match fault {
        Fault::Kill(own) => format!("{} is killed", worker(own)),
        Fault::Pause(own) => format!("{} stands still", worker(own)),
        Fault::Stop(own) => format!("{} shuts down in order", worker(own)),
        Fault::FillMemory => "the memory of Redis is full".to_owned(),
        Fault::SetClock(ticks) => {
            let way = if ticks == CLOCK_TICKS { "ahead" } else { "back" };
            format!("the clock of Redis is set {way} by a lease and a half")
        }
        Fault::Failover => "a failover of Redis loses the last write".to_owned(),
        Fault::Cancel(number) => format!("an operator cancels {}", job(number)),
        Fault::RunNow(number) => format!("an operator runs {} now", job(number)),
        Fault::Replay(number) => format!("an operator replays {}", job(number)),
        Fault::Purge(number) => format!("an operator purges the dead letter of {}", job(number)),
        Fault::Acknowledge(id) => format!("somebody acknowledges entry {id} by XACK"),
        Fault::DeleteConsumer(own) => format!("somebody deletes the consumer of {}", worker(own)),
        Fault::DeleteKey(name) => format!("somebody deletes the key `{name}`"),
        Fault::PauseJobs(what, 0) => format!("an operator pauses the {}", paused(what)),
        Fault::PauseJobs(what, _) => format!("an operator pauses the {} for half a lease", paused(what)),
        Fault::DestroyGroup => "somebody destroys the consumer group".to_owned(),
    }
}
