//! The steps of a worker that are possible.

use super::view;
use super::{FLIGHTS_MAX, Fate, Life, Lines, PROCESSES_MAX, Stage, Step, Verdict};
use crate::faults::Kind;

impl Lines {
    fn add_work(&self, worker: usize, fates: &[Fate], steps: &mut Vec<Step>) {
        let own = &self.workers[worker];
        if own.flights.len() < FLIGHTS_MAX && self.has_new() {
            steps.push(Step::Fetch(worker, Fate::Answered));
            steps.extend(self.redis.left.has(Kind::Reply).then_some(Step::Fetch(worker, Fate::Lost)));
        }
        let mut asking = 0;
        for (id, flight) in &own.flights {
            let of_each =
                |step: &dyn Fn(Fate) -> Step| fates.iter().map(|fate| step(*fate)).collect::<Vec<_>>();
            match flight.stage {
                Stage::New => {
                    asking += 1;
                    steps.extend(of_each(&|fate| Step::Ask(worker, Some(*id), fate)));
                }
                Stage::HasTurn => steps.push(Step::Begin(worker, *id)),
                Stage::Sending if view::is_callback(&flight.fields) => {
                    steps.extend(of_each(&|fate| Step::Finish(worker, *id, Verdict::Works, fate)));
                }
                Stage::Sending => {
                    for verdict in [Verdict::Works, Verdict::Fails, Verdict::Refused] {
                        steps.extend(of_each(&|fate| Step::Finish(worker, *id, verdict, fate)));
                    }
                }
                Stage::Ends(_) => steps.extend(of_each(&|fate| Step::Settle(worker, *id, fate))),
            }
        }
        if asking > 1 {
            steps.extend(fates.iter().map(|fate| Step::Ask(worker, None, *fate)));
        }
    }

    pub(super) fn add_worker(&self, worker: usize, fates: &[Fate], steps: &mut Vec<Step>) {
        let own = &self.workers[worker];
        match own.life {
            Life::Paused => return steps.push(Step::Continue(worker)),
            Life::Absent if own.process < PROCESSES_MAX => return steps.push(Step::Start(worker)),
            Life::Absent => return,
            Life::Up => {}
        }
        self.add_work(worker, fates, steps);
        self.add_loops(worker, fates, steps);
        let faults = [
            (Kind::Kill, Step::Kill(worker)),
            (Kind::Pause, Step::Pause(worker)),
            (Kind::Stop, Step::Stop(worker)),
        ];
        steps.extend(faults.into_iter().filter(|(kind, _)| self.redis.left.has(*kind)).map(|(_, step)| step));
    }
}
