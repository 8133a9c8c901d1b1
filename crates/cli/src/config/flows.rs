//! `[flows.NAME]`: the limits of a flow.

use std::time::Duration;

use postrider_queue::job::{Breaker, Host, Limits, Rate, destination};

use super::table::Table;

/// A note on a name that looks like a host or a URL. Any text may be a flow key, but this one is more likely
/// a destination without its port.
pub(super) fn note(name: &str) -> Option<String> {
    let host = name.split_once("://").map_or(name, |(_, rest)| rest.split('/').next().unwrap_or_default());
    let is_host = host.contains('.') && Host::parse(host).is_ok();
    let is_url = name.contains("://");
    (is_url || is_host && destination(name).is_none()).then(|| {
        let with_port = if is_host { format!("{host}:443") } else { host.to_owned() };
        format!(
            "[flows.{name:?}] applies to jobs whose field `flow` is {name:?} and to no destination; write a \
             destination with its port, as [flows.{with_port:?}]"
        )
    })
}

pub(super) fn limits(table: &mut Table<'_, '_>) -> Limits {
    let concurrency = table.whole("concurrency", 1, 100_000).map(|most| most as u32);
    let rate = table.rate("rate");
    let burst = table.whole("burst", 1, 1_000_000).map(|burst| burst as u32);
    if burst.is_some() && rate.is_none() {
        table.problem("`burst` belongs to `rate`; give both");
    }
    let rate =
        rate.map(|per_second| Rate { per_second, burst: burst.unwrap_or((per_second.ceil() as u32).max(1)) });
    let standard = Breaker::default();
    let breaker = Breaker {
        failures: table.whole("breaker_failures", 0, 1000).map_or(standard.failures, |most| most as u32),
        pause: table.duration("breaker_pause").unwrap_or(standard.pause),
        longest: table.duration("breaker_longest").unwrap_or(standard.longest),
    };
    if breaker.longest > Duration::from_secs(3600) || breaker.pause > breaker.longest {
        table.problem(
            "`breaker_pause` must be at most `breaker_longest`, and `breaker_longest` at most \"1h\"",
        );
    }
    let longest_hold = table.duration("hold_longest").unwrap_or(Limits::default().longest_hold);
    if longest_hold > Duration::from_secs(24 * 3600) {
        table.problem("`hold_longest` must be at most \"24h\"");
    }
    Limits { concurrency, rate, breaker, longest_hold }
}
