//! Checks the lines of a file, on all cores, before the first of its jobs is enqueued.

use std::error::Error;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use futures_util::stream::{FuturesOrdered, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::super::Usage;
use super::super::limits::JobLimits;
use super::super::render::count;
use super::lines::{Line, Lines};

/// Wrong lines that are reported at most.
const REPORTED_LINES_MAX: usize = 20;
/// Lines that are checked together, and bytes of them unless one line has more.
const LINES_MAX: usize = 1_000;
const BYTES_MAX: usize = 1 << 20;
/// Threads that check lines at most. Each has that many bytes.
const THREADS_MAX: usize = 4;

/// What was found in lines.
#[derive(Default)]
struct Found {
    jobs: u64,
    wrong: usize,
    /// Of the first wrong lines.
    errors: Vec<String>,
}

/// Checks all lines, and returns the number of jobs.
pub(super) async fn check(lines: &mut Lines, stop: &CancellationToken) -> Result<u64, Box<dyn Error>> {
    let (_, bytes) = lines.extent.unwrap_or_default();
    let bar = ProgressBar::new(bytes).with_style(style("checking {wide_bar} {percent}%"));
    let threads = available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    let (mut under_way, mut found) = (FuturesOrdered::new(), Found::default());
    loop {
        let some = tokio::select! {
            biased;
            () = stop.cancelled() => return Err("interrupted; nothing was enqueued".into()),
            some = lines.some(LINES_MAX, BYTES_MAX) => {
                some.map_err(|error| Usage(format!("cannot read {}: {error}", lines.name)))?
            }
        };
        let (is_end, limits) = (some.is_empty(), lines.limits);
        if !is_end {
            under_way.push_back(spawn_blocking(move || Found::of(&some, limits)));
        }
        while under_way.len() >= threads || is_end && !under_way.is_empty() {
            found.add(under_way.next().await.expect("there is one")?);
        }
        bar.set_position(lines.position);
        if is_end {
            break;
        }
    }
    bar.finish_and_clear();
    match found.wrong {
        0 => Ok(found.jobs),
        _ => Err(found.report(&lines.name).into()),
    }
}

impl Found {
    fn of(lines: &[Line], limits: JobLimits) -> Self {
        let mut found = Self::default();
        for line in lines {
            match line.job(limits) {
                None => {}
                Some(Ok(_)) => found.jobs += 1,
                Some(Err(error)) => {
                    found.wrong += 1;
                    if found.wrong <= REPORTED_LINES_MAX {
                        found.errors.push(format!("\n  line {}: {error}", line.number));
                    }
                }
            }
        }
        found
    }

    /// Adds what was found in later lines.
    fn add(&mut self, later: Self) {
        self.jobs += later.jobs;
        self.wrong += later.wrong;
        let room = REPORTED_LINES_MAX - self.errors.len();
        self.errors.extend(later.errors.into_iter().take(room));
    }

    fn report(&self, name: &str) -> Usage {
        let more = match self.wrong - self.errors.len() {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        let (wrong, errors) = (count(self.wrong, "line is", "lines are"), self.errors.concat());
        Usage(format!("{wrong} wrong in {name}, and nothing was enqueued:{errors}{more}"))
    }
}

pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is right")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_lines_are_reported_in_their_order() {
        let line = |number| Line::new(number, b"{}");
        let of = |numbers: std::ops::RangeInclusive<u64>| {
            Found::of(&numbers.map(line).collect::<Vec<_>>(), JobLimits::default())
        };
        let mut found = of(1..=15);
        found.add(of(16..=40));
        let report = found.report("jobs").to_string();
        assert!(report.starts_with("40 lines are wrong in jobs"), "{report}");
        assert!(report.contains("line 20: ") && !report.contains("line 21: "), "{report}");
        assert!(report.ends_with("and 20 more"), "{report}");
    }
}
