//! The report as one page, without scripts and without requests to others.

mod chart;

use std::fmt::Display;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Latency, Report};

const STYLE: &str = include_str!("html/page.css");

impl Report {
    /// The report as an HTML page that needs no other file.
    pub fn html(&self) -> String {
        let title = format!("Postrider certificate, {}, seed {}", self.server.version, self.plan.seed);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        (self.verdict())
                        (self.figures())
                        h2 { "Timeline" }
                        (chart::chart(&self.timeline, &self.incidents))
                        (self.problem_list())
                        div.columns {
                            (self.job_table())
                            (self.duplicate_table())
                            (self.fault_table())
                            (self.circumstances_table())
                        }
                        (self.half_minutes())
                        (self.details())
                    }
                }
            }
        };
        page.into_string()
    }

    fn verdict(&self) -> Markup {
        let again = format!(
            "postrider certify --seed {} --minutes {} --workers {} --rate {} --kills-per-second {}{}",
            self.plan.seed,
            self.plan.time.as_secs_f64() / 60.0,
            self.plan.workers,
            self.plan.rate,
            self.plan.kills_per_second,
            if self.plan.may_disturb_server { " --may-disturb-server" } else { "" }
        );
        html! {
            header {
                p.kind { "Postrider certificate" }
                h1 class=(if self.certified { "good" } else { "bad" }) {
                    @if self.certified { "Certified: " } @else { "Not certified: " }
                    (self.conclusion())
                }
                p { (self.server.version) ", " (self.server.topology) ". " (self.began_at) ", " (duration(self.seconds)) "." }
                p.again { "The same plan again: " code { (again) } }
            }
        }
    }

    fn figures(&self) -> Markup {
        let account = &self.account;
        let figure = |value: String, name: &str, bad: bool| {
            html! { div.figure.bad[bad] { b { (value) } span { (name) } } }
        };
        html! {
            section.figures {
                (figure(count(account.acknowledged), "jobs acknowledged", false))
                (figure(count(account.lost), "lost", account.lost > 0))
                @if account.lost_in_failover > 0 {
                    (figure(count(account.lost_in_failover), "lost by Redis in a failover", false))
                }
                (figure(count(account.explained()), "duplicates, each explained", false))
                (figure(count(account.unexplained), "duplicates unexplained", account.unexplained > 0))
                (figure(count(self.all_kills()), "workers killed", false))
                @if let Some(latency) = &account.latency {
                    (figure(millis(latency.p99_ms), "p99 of healthy jobs", false))
                }
            }
        }
    }

    fn problem_list(&self) -> Markup {
        html! {
            @if !self.problems.is_empty() {
                h2 { "Problems" }
                ul.problems { @for problem in &self.problems { li { pre { (problem) } } } }
            }
        }
    }

    fn job_table(&self) -> Markup {
        let account = &self.account;
        table(
            "Jobs",
            html! {
                (row("Enqueued", count(account.enqueued)))
                (row("Acknowledged by Redis", count(account.acknowledged)))
                (row("Acknowledged again under their keys", count(account.repeated)))
                (row("Delivered", count(account.delivered)))
                (row("Dead letters", count(account.all_dead())))
                @for (reason, number) in &account.dead { (part(reason, count(*number))) }
                (row("Lost", count(account.lost)))
                @if account.lost_in_failover > 0 { (part("by Redis in a failover, before it had copied them", count(account.lost_in_failover))) }
            (row("Not acknowledged, and done", count(account.unacknowledged_done)))
                (row("Callbacks delivered", count(account.callbacks)))
                (row("Ticks of periodic jobs", count(account.ticks)))
                (row("Requests", count(account.requests)))
                (row("Requests for jobs taken over", count(account.taken_over)))
            },
        )
    }

    fn duplicate_table(&self) -> Markup {
        let account = &self.account;
        table(
            "Duplicates",
            html! {
                (row("Explained by a fault", count(account.explained())))
                @for (window, number) in &account.duplicates { (part(window.text(), count(*number))) }
                (row("Unexplained", count(account.unexplained)))
                (row("Repeated after a later job of their key", count(account.late)))
            },
        )
    }

    fn fault_table(&self) -> Markup {
        table(
            "Faults",
            html! {
                (row("Workers killed", count(self.all_kills())))
                @for (place, number) in &self.kills { (part(place, count(*number))) }
                (row("Others", count(self.faults.values().sum())))
                @for (name, number) in &self.faults { (part(name, count(*number))) }
                @for why in &self.skipped { tr { td colspan="2" { "Not done: " (why) } } }
            },
        )
    }

    fn circumstances_table(&self) -> Markup {
        let (server, machine, plan) = (&self.server, &self.machine, &self.plan);
        table(
            "Circumstances",
            html! {
                (row("Server", format!("{}, {}", server.version, server.topology)))
                (row("Servers with keys", server.nodes))
                (row("Round trip", format!("{} ms", server.round_trip_ms)))
                @for (name, value) in &server.settings { (part(name, value)) }
                (row("Postrider", self.version))
                (row("Seed", plan.seed))
                (row("Workers", plan.workers))
                (row("Jobs per second", plan.rate))
                (row("Kills per second", plan.kills_per_second))
                (row("Processors", format!("{} × {}", machine.processors, machine.processor)))
                (row("Memory", format!("{} MiB", machine.memory_mib)))
                (row("System", format!("{}, {}", machine.system, machine.architecture)))
            },
        )
    }

    fn half_minutes(&self) -> Markup {
        let line = |(number, latency): (usize, &Latency)| {
            html! { tr { td { (duration(number as f64 * 30.0)) } td { (millis(latency.p50_ms)) } td { (millis(latency.p99_ms)) } } }
        };
        html! {
            details {
                summary { "From enqueue to request of healthy jobs, each half minute" }
                table.numbers {
                    thead { tr { th { "from" } th { "p50" } th { "p99" } } }
                    tbody { @for latency in self.account.latencies.iter().enumerate() { (line(latency)) } }
                }
            }
        }
    }

    fn details(&self) -> Markup {
        html! {
            details {
                summary { "Some duplicates, and jobs that were dead-lettered as poison" }
                p { "Each request: when, the worker's process, the status it got. Then the fault." }
                ul.problems { @for example in &self.examples { li { code { (example) } } } }
            }
        }
    }
}

fn table(title: &str, rows: Markup) -> Markup {
    html! { section { h2 { (title) } table { tbody { (rows) } } } }
}

fn row(name: &str, value: impl Display) -> Markup {
    html! { tr { th scope="row" { (name) } td { (value.to_string()) } } }
}

/// A row that is a part of the one before.
fn part(name: &str, value: impl Display) -> Markup {
    html! { tr.part { th scope="row" { (name) } td { (value.to_string()) } } }
}

/// A number with its thousands apart.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let (mut text, mut left) = (String::new(), digits.len());
    for digit in digits.chars() {
        text.push(digit);
        left -= 1;
        if left > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
    }
    text
}

fn millis(millis: u64) -> String {
    if millis < 1_000 { format!("{millis} ms") } else { format!("{:.1} s", millis as f64 / 1000.0) }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([7, 1_240].map(millis), ["7 ms", "1.2 s"]);
        assert_eq!([7.4, 90.0].map(duration), ["7 s", "1 min 30 s"]);
    }
}
