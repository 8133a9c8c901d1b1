//! What is paused, and for how long. Pure.

use postrider_console::view::{pause_text, plain};
use postrider_queue::admin::{Pause, Pauses};

use super::Finding;

/// A finding for each pause: a warning if it has no end, since somebody may have forgotten it.
pub(super) fn examine(pauses: &Pauses, now: u64) -> Vec<Finding> {
    let queues = pauses.queues.iter().map(|(queue, pause)| {
        let finding = finding("the queue is", pause, now, format!("`postrider queues resume {queue}`"));
        Finding { queue: Some(queue.clone()), ..finding }
    });
    let flows = pauses.flows.iter().map(|(id, pause)| {
        let name = pause.name.as_ref().map_or_else(|| id.to_string(), |name| plain(name.as_bytes(), 256));
        finding(&format!("the flow {name} is"), pause, now, format!("`postrider flows resume '{name}'`"))
    });
    queues.chain(flows).collect()
}

fn finding(what: &str, pause: &Pause, now: u64, command: String) -> Finding {
    let seen = format!("{what} {}", pause_text(pause, now));
    match pause.until {
        Some(_) => Finding::ok("paused", seen),
        None => Finding::warn("paused", seen, format!("{command} lets its jobs go")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use postrider_queue::job::FlowId;

    #[test]
    fn a_pause_without_an_end_is_a_warning() {
        let mut pauses = Pauses::default();
        assert!(examine(&pauses, 10_000).is_empty());
        let endless = Pause { since: Some(5_000), ..Pause::default() };
        pauses.queues.insert("mail".to_owned(), endless.clone());
        pauses
            .flows
            .insert(FlowId::of("h:80"), Pause { until: Some(70_000), name: Some("h:80".into()), ..endless });
        let found = examine(&pauses, 10_000);
        let [queue, flow] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((queue.level, queue.queue.as_deref()), (Level::Warn, Some("mail")));
        assert_eq!(queue.seen, "the queue is paused for 5s, until it is resumed");
        assert_eq!(queue.advice.as_deref(), Some("`postrider queues resume mail` lets its jobs go"));
        assert_eq!((flow.level, flow.queue.as_ref(), flow.advice.as_ref()), (Level::Ok, None, None));
        assert!(flow.seen.starts_with("the flow h:80 is paused for 5s, until "), "{}", flow.seen);
    }
}
