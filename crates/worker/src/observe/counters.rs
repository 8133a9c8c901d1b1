//! The metrics of the jobs of a queue. Instruments that each job uses are bound to their attributes once.

use std::sync::OnceLock;
use std::time::Duration;

use postrider_queue::job::Reason;
use postrider_queue::names;
use telemetry::{Attributes, BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Telemetry, semconv};

use crate::policy::Outcome;

/// By the first digit of the status; index 0 is for an attempt without a response.
const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The statuses with which attempts fail, one of each class.
const FAILURES: [Option<u16>; 4] = [None, Some(300), Some(400), Some(500)];

const WAITED: &str = "Time that a job was ready before a worker began it, for each delivery";
const END_TO_END: &str = "Time from the enqueue of a job to its successful settlement";
const LOST: &str = "Jobs in flight whose lease was lost";
const REFUSED: &str = "Settlements that were refused because another worker has the job, or it is gone";
const UNSETTLED: &str =
    "Jobs that a worker has worked on and cannot settle now, since Redis does not take it";
const RECLAIMED: &str = "Jobs taken over from workers without a heartbeat";
const HELD: &str =
    "Jobs that were held because their flow had reached a limit, or until they have their turn";
const UNKNOWN: &str = "Jobs with fields that are not known and have no effect";
const HOLD_DURATION: &str = "Time that held jobs waited for their flow before their first attempt";

/// The instruments of one shard.
#[derive(Debug)]
pub(crate) struct Counts {
    queue: &'static str,
    waited: BoundHistogram,
    end_to_end: BoundHistogram,
    in_flight: BoundUpDownCounter,
    unsettled: BoundUpDownCounter,
    attempts: Counter,
    attempts_bound: [[OnceLock<BoundCounter>; STATUS_CLASSES.len()]; Outcome::TEXTS.len()],
    retries: BoundCounter,
    leases_lost: BoundCounter,
    settlements_refused: BoundCounter,
    reclaimed: BoundCounter,
    dead: Counter,
    callbacks: [BoundCounter; 2],
    unknown_fields: BoundCounter,
    held: BoundCounter,
    hold_duration: BoundHistogram,
    trips: BoundCounter,
    ticks: [BoundCounter; 3],
}

/// Makes instruments that are bound to a queue.
struct Maker<'a>(&'a Telemetry, &'static str);

impl Maker<'_> {
    fn queue(&self) -> impl FnOnce(&mut Attributes) + use<> {
        let queue = self.1;
        move |attributes| attributes.set(semconv::MESSAGING_DESTINATION_NAME, queue)
    }

    fn jobs(&self, name: &'static str, description: &'static str) -> BoundCounter {
        self.0.counter(name, "{job}", description).bind(self.queue())
    }

    /// By whether they have made a job, were missed, or were skipped.
    fn ticks(&self) -> [BoundCounter; 3] {
        let ticks = "Ticks of periodic definitions, by whether they made a job";
        let ticks = self.0.counter(names::CRON_TICKS, "{tick}", ticks);
        ["made", "missed", "skipped"].map(|outcome| {
            ticks.bind(|attributes| {
                attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.1);
                attributes.set(names::CRON_OUTCOME, outcome);
            })
        })
    }

    /// By whether the job succeeded.
    fn callbacks(&self) -> [BoundCounter; 2] {
        let callbacks = "Callbacks that were enqueued with the end of their job";
        let callbacks = self.0.counter(names::JOB_CALLBACKS, "{job}", callbacks);
        ["on_failure", "on_success"].map(|event| {
            callbacks.bind(|attributes| {
                attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.1);
                attributes.set(names::CALLBACK_EVENT, event);
            })
        })
    }

    fn seconds(&self, name: &'static str, description: &'static str) -> BoundHistogram {
        self.0.histogram(name, "s", description, names::WAIT_SECONDS).bind(self.queue())
    }
}

impl Counts {
    /// Instruments for a queue.
    pub(crate) fn new(telemetry: &Telemetry, queue: &'static str) -> Self {
        let make = Maker(telemetry, queue);
        let in_flight = "Jobs in flight: fetched by a worker and not settled yet";
        let in_flight = telemetry.up_down_counter(names::JOB_IN_FLIGHT, "{job}", in_flight);
        let unsettled = telemetry.up_down_counter(names::JOB_UNSETTLED, "{job}", UNSETTLED);
        let attempts = "Attempts by their outcome and by the class of the response status";
        let trips = "How often this worker opened the closed breaker of a flow";
        let trips = telemetry.counter(names::FLOW_BREAKER_TRIPS, "{trip}", trips);
        let dead = "Jobs that were dead-lettered, by reason";
        let counts = Self {
            queue,
            waited: make.seconds(names::JOB_WAIT_DURATION, WAITED),
            end_to_end: make.seconds(names::JOB_END_TO_END_DURATION, END_TO_END),
            in_flight: in_flight.bind(make.queue()),
            unsettled: unsettled.bind(make.queue()),
            attempts: telemetry.counter(names::JOB_ATTEMPTS, "{attempt}", attempts),
            attempts_bound: Default::default(),
            retries: make.jobs(names::JOB_RETRIES, "Jobs that were scheduled for another attempt"),
            leases_lost: make.jobs(names::JOB_LEASES_LOST, LOST),
            settlements_refused: make.jobs(names::JOB_SETTLEMENTS_REFUSED, REFUSED),
            reclaimed: make.jobs(names::JOB_RECLAIMED, RECLAIMED),
            dead: telemetry.counter(names::JOB_DEAD, "{job}", dead),
            callbacks: make.callbacks(),
            unknown_fields: make.jobs(names::JOB_UNKNOWN_FIELDS, UNKNOWN),
            held: make.jobs(names::JOB_HOLDS, HELD),
            hold_duration: make.seconds(names::FLOW_WAIT_DURATION, HOLD_DURATION),
            trips: trips.bind(make.queue()),
            ticks: make.ticks(),
        };
        counts.begin_at_zero();
        counts
    }

    /// Exports every counter before it counts. A counter that first appears with 1 never grows from 0 to 1,
    /// so Prometheus' `increase` misses what it counted first.
    fn begin_at_zero(&self) {
        let jobs = [&self.retries, &self.leases_lost, &self.settlements_refused, &self.reclaimed, &self.held];
        for counter in jobs.into_iter().chain([&self.trips, &self.unknown_fields]) {
            counter.add(0);
        }
        self.ticked([0; 3]);
        self.callbacks.iter().for_each(|counter| counter.add(0));
        self.unsettled.add(0);
        // Jobs are cancelled by hand, and no worker counts that.
        for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Cancelled) {
            self.add_dead(reason, 0);
        }
        for (outcome, text) in Outcome::TEXTS.into_iter().enumerate() {
            let statuses = if text == Outcome::Succeeded.as_str() { &[Some(200)][..] } else { &FAILURES };
            for status in statuses {
                self.attempts(outcome, class_of(*status)).add(0);
            }
        }
    }

    /// Counts the jobs in flight.
    pub(crate) fn in_flight(&self) -> BoundUpDownCounter {
        self.in_flight.clone()
    }

    /// Counts the jobs that cannot be settled now.
    pub(crate) fn unsettled(&self) -> BoundUpDownCounter {
        self.unsettled.clone()
    }

    /// A worker begins a job that was ready for this time.
    pub(crate) fn waited(&self, wait: Duration) {
        self.waited.record(wait.as_secs_f64());
    }

    /// A worker begins a job that its flow held for this time.
    pub(crate) fn hold_ended(&self, wait: Duration) {
        self.hold_duration.record(wait.as_secs_f64());
    }

    /// A job is delivered and settled this time after its enqueue.
    pub(crate) fn delivered(&self, after: Duration) {
        self.end_to_end.record(after.as_secs_f64());
    }

    /// An attempt was made. `status` is that of the response, if there was one.
    pub(crate) fn attempt(&self, outcome: &Outcome, status: Option<u16>) {
        self.attempts(outcome.index(), class_of(status)).add(1);
        if matches!(outcome, Outcome::Retry { .. }) {
            self.retries.add(1);
        }
    }

    /// The counter for an outcome, by its index.
    fn attempts(&self, outcome: usize, class: usize) -> &BoundCounter {
        self.attempts_bound[outcome][class].get_or_init(|| {
            self.attempts.bind(|attributes| {
                attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.queue);
                attributes.set(names::JOB_OUTCOME, Outcome::TEXTS[outcome]);
                attributes.set(names::RESPONSE_STATUS_CLASS, STATUS_CLASSES[class]);
            })
        })
    }

    /// The lease of a job in flight was lost.
    pub(crate) fn lease_lost(&self) {
        self.leases_lost.add(1);
    }

    /// Redis refused a settlement: the lease was lost.
    pub(crate) fn settlement_refused(&self) {
        self.settlements_refused.add(1);
    }

    /// Jobs were taken over.
    pub(crate) fn reclaimed(&self, jobs: usize) {
        self.reclaimed.add(jobs as u64);
    }

    /// A job was dead-lettered.
    pub(crate) fn dead(&self, reason: Reason) {
        self.add_dead(reason, 1);
    }

    /// The end of a job has enqueued its callback.
    pub(crate) fn called_back(&self, has_succeeded: bool) {
        self.callbacks[usize::from(has_succeeded)].add(1);
    }

    fn add_dead(&self, reason: Reason, jobs: u64) {
        self.dead.add(jobs, |attributes| {
            attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.queue);
            attributes.set(names::JOB_DEAD_REASON, reason.as_str());
        });
    }

    /// A job has fields that are not known.
    pub(crate) fn unknown_fields(&self) {
        self.unknown_fields.add(1);
    }

    /// A job was held for its flow.
    pub(crate) fn held(&self) {
        self.held.add(1);
    }

    /// Ticks have made jobs, were missed, or were skipped.
    pub(crate) fn ticked(&self, numbers: [u64; 3]) {
        for (counter, number) in self.ticks.iter().zip(numbers) {
            counter.add(number);
        }
    }

    /// A closed breaker was opened.
    pub(crate) fn tripped(&self) {
        self.trips.add(1);
    }
}

/// The index of a status in [`STATUS_CLASSES`].
fn class_of(status: Option<u16>) -> usize {
    let class = usize::from(status.unwrap_or(0) / 100);
    if class < STATUS_CLASSES.len() { class } else { 0 }
}
