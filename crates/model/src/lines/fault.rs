//! What goes wrong.

use super::{JOBS, Life, Lines, SHARD, Step};
use crate::faults::Kind;
use crate::faulty::Event;
use crate::scripts::Sources;

impl Lines {
    pub(super) fn happen(&mut self, sources: &Sources, fault: Step) {
        match fault {
            Step::Kill(worker) => {
                self.redis.left.spend(Kind::Kill);
                (self.workers[worker].life, self.workers[worker].flights) =
                    (Life::Absent, Default::default());
            }
            Step::Pause(worker) => {
                self.redis.left.spend(Kind::Pause);
                self.workers[worker].life = Life::Paused;
            }
            Step::Stop(worker) => {
                self.redis.left.spend(Kind::Stop);
                self.stop(sources, worker);
            }
            Step::Happen(event) => {
                self.redis.happen(event);
                self.is_disordered |= event == Event::Failover;
            }
            Step::DeleteKey(name) => self.delete_key(name),
            _ => {}
        }
    }

    fn delete_key(&mut self, name: &str) {
        self.redis.left.spend(Kind::Key);
        let lost: Vec<usize> = (0..JOBS).filter(|job| !self.waiting_of(name, *job).is_empty()).collect();
        self.redis.command(&[b"DEL", &SHARD.key(name)]);
        for job in lost {
            if self.live(job) == 0 {
                let account = &mut self.redis.truth[job];
                (account.is_over, account.is_nowhere) = (true, true);
            }
        }
        match name {
            "order" => (self.is_disordered, self.is_torn) = (true, true),
            // The line is not stopped any more, and its first place belongs to nobody.
            "order_stopped" => {
                self.is_torn = true;
                self.redis.truth.iter_mut().for_each(|account| account.stops = false);
            }
            _ => self.is_torn = true,
        }
    }
}
