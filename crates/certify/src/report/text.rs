//! The report for a terminal of 80 columns.

use std::fmt::{self, Display};

use super::{Latency, Report};

/// Problems that are printed at most.
const PROBLEMS_MAX: usize = 20;

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.certified { "certified" } else { "NOT certified" };
        writeln!(f, "{verdict}: {}\n", self.conclusion())?;
        self.circumstances(f)?;
        self.jobs(f)?;
        self.duplicates(f)?;
        self.faults(f)?;
        let shown = |f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]| {
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "\n{title} ({})", lines.len())?;
            lines.iter().take(PROBLEMS_MAX).try_for_each(|line| writeln!(f, "  {line}"))
        };
        shown(f, "not done", &self.skipped)?;
        shown(f, "problems", &self.problems)
    }
}

impl Report {
    fn circumstances(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, plan) = (&self.server, &self.plan);
        let nodes = if server.nodes > 1 { format!(" of {} masters", server.nodes) } else { String::new() };
        row(f, "server", &format!("{}, {}{nodes}", server.version, server.topology))?;
        let settings: Vec<String> =
            server.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        row(f, "settings", &settings.join(", "))?;
        let machine = &self.machine;
        row(
            f,
            "machine",
            &format!("{} × {}", machine.processors, or(&machine.processor, machine.architecture)),
        )?;
        row(f, "", &format!("{} MiB, {}", machine.memory_mib, machine.system))?;
        row(f, "postrider", &self.version)?;
        row(f, "began", &format!("{}, took {:.0} s", self.began_at, self.seconds))?;
        row(
            f,
            "plan",
            &format!(
                "seed {}, {:.0} s, {} workers, {} jobs/s, {} kills/s{}",
                plan.seed,
                plan.time.as_secs_f64(),
                plan.workers,
                plan.rate,
                plan.kills_per_second,
                if plan.may_disturb_server { ", disturbs the server" } else { "" }
            ),
        )
    }

    fn jobs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        writeln!(f)?;
        row(f, "enqueued", &format!("{}, acknowledged {}", account.enqueued, account.acknowledged))?;
        row(f, "delivered", &account.delivered)?;
        let reasons: Vec<String> =
            account.dead.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        row(f, "dead letters", &format!("{} ({})", account.all_dead(), reasons.join(", ")))?;
        row(f, "lost", &account.lost)?;
        if account.lost_in_failover > 0 {
            row(
                f,
                "",
                &format!(
                    "{} by a failover: Redis had acknowledged and not copied them",
                    account.lost_in_failover
                ),
            )?;
        }
        row(f, "keys", &format!("{} acknowledged twice, as one job each", account.repeated))?;
        row(f, "callbacks", &account.callbacks)?;
        row(f, "ticks", &account.ticks)?;
        row(f, "requests", &format!("{}, {} of jobs taken over", account.requests, account.taken_over))?;
        if let Some(latency) = &account.latency {
            row(f, "healthy jobs", &format!("{} from enqueue to request", Shown(latency)))?;
        }
        // A long run has many half minutes: the text shows twenty of them.
        let every = account.latencies.len().div_ceil(20).max(1);
        let halves = account.latencies.iter().enumerate().filter(|(number, _)| number % every == 0);
        halves
            .skip(1)
            .try_for_each(|(number, latency)| row(f, &format!("  {:>5} s on", number * 30), &Shown(latency)))
    }

    fn duplicates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        writeln!(f)?;
        row(
            f,
            "duplicates",
            &format!("{}, unexplained {}", account.explained() + account.unexplained, account.unexplained),
        )?;
        for (window, count) in &account.duplicates {
            row(f, &format!("{count:>14}"), &window.text())?;
        }
        row(f, "out of order", &format!("{} repeated requests, each with its fault", account.late))
    }

    fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        row(f, "kills", &format!("{} workers", self.all_kills()))?;
        for (place, count) in &self.kills {
            row(f, &format!("{count:>14}"), place)?;
        }
        row(f, "other faults", &self.faults.values().sum::<u64>())?;
        for (name, count) in &self.faults {
            row(f, &format!("{count:>14}"), name)?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: &dyn Display) -> fmt::Result {
    writeln!(f, "{name:<14}  {value}")
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// A latency in seconds.
struct Shown<'a>(&'a Latency);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |millis: u64| millis as f64 / 1000.0;
        write!(f, "p50 {:.3} s, p99 {:.3} s", seconds(self.0.p50_ms), seconds(self.0.p99_ms))
    }
}
