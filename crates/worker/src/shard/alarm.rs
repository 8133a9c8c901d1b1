//! When the scheduler of a shard wakes next.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The time at which the scheduler wakes next.
#[derive(Debug)]
pub(crate) struct Alarm {
    at: Mutex<Instant>,
    earlier: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { at: Mutex::new(Instant::now()), earlier: Notify::new() }
    }
}

impl Alarm {
    /// This worker has scheduled a job that is due after `wait`.
    pub(crate) fn due_in(&self, wait: Duration) {
        let due = Instant::now() + wait;
        let mut at = self.at.lock().expect("nothing panics while it holds this lock");
        if due < *at {
            *at = due;
            self.earlier.notify_one();
        }
    }

    pub(crate) fn set(&self, wait: Duration) {
        *self.at.lock().expect("nothing panics while it holds this lock") = Instant::now() + wait;
    }

    pub(crate) async fn ring(&self) {
        loop {
            let at = *self.at.lock().expect("nothing panics while it holds this lock");
            tokio::select! {
                () = tokio::time::sleep_until(at) => return,
                () = self.earlier.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_alarm_rings_at_the_earliest_time_it_was_given() {
        let alarm = Alarm::default();
        alarm.set(Duration::from_secs(1));
        let start = Instant::now();
        let earlier = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            alarm.due_in(Duration::from_millis(50));
            alarm.due_in(Duration::from_millis(500));
        };
        tokio::join!(alarm.ring(), earlier);
        assert_eq!(start.elapsed(), Duration::from_millis(150));
    }
}
