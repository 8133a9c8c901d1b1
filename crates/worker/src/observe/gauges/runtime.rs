//! The runtime that the worker's tasks run on.

use postrider_queue::names;
use telemetry::{Observable, Telemetry};
use tokio::runtime::RuntimeMetrics;

/// Registers the instruments of the runtime, which only read its counters.
pub(super) fn register(telemetry: &Telemetry, metrics: &RuntimeMetrics) {
    let tasks = "Tasks that have not ended; each job in flight has one";
    let tasks = Observable::up_down_counter(names::RUNTIME_TASKS, "{task}", tasks);
    let own = metrics.clone();
    telemetry.observe(tasks, move |to| to.record(own.num_alive_tasks() as f64, |_| ()));

    let queued = "Tasks in the runtime's shared queue, ready to run";
    let queued = Observable::up_down_counter(names::RUNTIME_QUEUED_TASKS, "{task}", queued);
    let own = metrics.clone();
    telemetry.observe(queued, move |to| to.record(own.global_queue_depth() as f64, |_| ()));

    let busy =
        "How long the runtime's threads have run tasks; one second per second in each thread is full load";
    let busy = Observable::counter(names::RUNTIME_BUSY_TIME, "s", busy);
    let own = metrics.clone();
    telemetry.observe(busy.fractional(), move |to| {
        let threads = 0..own.num_workers();
        let busy: f64 = threads.map(|thread| own.worker_total_busy_duration(thread).as_secs_f64()).sum();
        to.record(busy, |_| ());
    });
}
