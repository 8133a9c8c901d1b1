//! What operators have set for all workers, in one hash: which queues and flows are paused.
//!
//! A field is `q:QUEUE` or `f:FLOW`. Its value is `END SINCE JSON`: when it ends, in Unix ms of Redis' clock, or 0 for no
//! end; when it was set; and texts for people. Every field of the hash begins with its end, also those of other
//! kinds, so that whatever has ended is removed by the same rule.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use fred::error::Error;
use fred::types::Value;

use super::client::Redis;
use super::clock::Clock;
use super::keys::{Keys, QueueName};
use crate::job::FlowId;

/// How many pauses there may be at once: every worker reads them once a second.
pub(super) const FIELDS_MAX: u64 = 1_000;

/// What can be paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pausable {
    /// All jobs of a queue.
    Queue(QueueName),
    /// All jobs of a flow, in all queues.
    Flow(FlowId),
}

impl Pausable {
    /// Its field in the hash.
    pub(crate) fn field(&self) -> String {
        match self {
            Self::Queue(queue) => format!("q:{queue}"),
            Self::Flow(flow) => format!("f:{flow}"),
        }
    }

    /// From its field; `None` for a field of another kind.
    pub(crate) fn parse(field: &str) -> Option<Self> {
        match field.split_once(':')? {
            ("q", queue) => queue.parse().ok().map(Self::Queue),
            ("f", flow) => FlowId::parse(flow).map(Self::Flow),
            _ => None,
        }
    }
}

/// What is paused, and until when: the end in Unix ms of Redis' clock, or 0 for no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    queues: HashMap<String, u64>,
    flows: HashMap<FlowId, u64>,
}

impl Control {
    /// Whether a queue is paused.
    pub fn pauses_queue(&self, queue: &str) -> bool {
        !self.queues.is_empty() && self.queues.contains_key(queue)
    }

    /// Whether a flow is paused.
    pub fn pauses_flow(&self, flow: FlowId) -> bool {
        !self.flows.is_empty() && self.flows.contains_key(&flow)
    }

    /// How many flows are paused.
    pub fn paused_flows(&self) -> usize {
        self.flows.len()
    }

    /// The same without what has ended at this time.
    #[must_use]
    pub fn at(&self, now: u64) -> Self {
        let mut control = self.clone();
        let lasts = |end: u64| end == 0 || end > now;
        control.queues.retain(|_, end| lasts(*end));
        control.flows.retain(|_, end| lasts(*end));
        control
    }

    /// When something ends next.
    pub fn next_end(&self) -> Option<u64> {
        self.queues.values().chain(self.flows.values()).copied().filter(|end| *end > 0).min()
    }

    fn parse(fields: Vec<(String, u64)>) -> Self {
        let mut control = Self::default();
        for (field, end) in fields {
            match Pausable::parse(&field) {
                Some(Pausable::Queue(queue)) => drop(control.queues.insert(queue.to_string(), end)),
                Some(Pausable::Flow(flow)) => drop(control.flows.insert(flow, end)),
                None => {}
            }
        }
        control
    }
}

impl Redis {
    /// What operators have set for all workers, in one call for all queues. Sets the clock.
    ///
    /// # Errors
    /// fred's.
    pub async fn control(&self, clock: &Clock) -> Result<Control, Error> {
        let asked = Instant::now();
        let reply = self.scripts.control.poll(&self.connection, vec![Keys::control()], vec![]).await?;
        let (now, fields): (u64, Vec<Value>) = reply.convert()?;
        clock.set(now, asked);
        let pairs = fields.chunks_exact(2);
        let known = pairs.filter_map(|pair| Some((pair[0].as_string()?, pair[1].as_u64()?)));
        let known: Vec<_> = known.collect();
        let is_followed = known.iter().any(|(field, _)| field == "tail");
        self.is_followed.store(is_followed, Ordering::Relaxed);
        Ok(Control::parse(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_what_is_paused() {
        let flow = FlowId::of("h:80");
        for paused in [Pausable::Queue("mail_1.x-y".parse().unwrap()), Pausable::Flow(flow)] {
            assert_eq!(Pausable::parse(&paused.field()), Some(paused));
        }
        for other in ["tail", "q:", "q:a b", "f:mail", "x:mail", ""] {
            assert_eq!(Pausable::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_pause_lasts_until_its_end() {
        let flow = FlowId::of("h:80");
        let fields = [("q:mail", 0), ("q:bulk", 70), (&format!("f:{flow}"), 50), ("tail", 90)];
        let control = Control::parse(fields.iter().map(|(field, end)| ((*field).to_owned(), *end)).collect());
        assert_eq!((control.next_end(), control.paused_flows()), (Some(50), 1));
        let paused = |now| {
            let control = control.at(now);
            (control.pauses_queue("mail"), control.pauses_queue("bulk"), control.pauses_flow(flow))
        };
        assert_eq!(
            [paused(49), paused(50), paused(70)],
            [(true, true, true), (true, true, false), (true, false, false)]
        );
        assert!(!control.pauses_queue("other") && !control.pauses_flow(FlowId::of("other")));
        assert_eq!(Control::default().next_end(), None);
    }
}
