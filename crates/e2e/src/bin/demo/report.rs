//! The demo's report on its jobs.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use e2e::otlp::SpanRecord;
use e2e::waterfall::{self, Colour};

/// The outcome of a job.
pub(crate) enum Fate {
    Delivered,
    /// With the reason of its dead letter.
    Dead(String),
}

/// The report on one job.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) enqueued_by: &'static str,
    pub(crate) destination: &'static str,
    pub(crate) fate: Fate,
    pub(crate) attempts: usize,
    pub(crate) last_status: Option<String>,
    pub(crate) trace_id: String,
    pub(crate) spans: Vec<SpanRecord>,
}

pub(crate) fn table(stories: &[Story]) -> String {
    let mut table = Table::new();
    let style = TableStyle::new().header_separator(LineStyle::none().fill('─'));
    table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["job", "by", "destination", "outcome", "tries", "last", "trace"]);
    for story in stories {
        let fate = match &story.fate {
            Fate::Delivered => "delivered".to_owned(),
            Fate::Dead(reason) => format!("dead: {reason}"),
        };
        table.add_row([
            story.name,
            story.enqueued_by,
            story.destination,
            &fate,
            &story.attempts.to_string(),
            story.last_status.as_deref().unwrap_or("-"),
            &story.trace_id[..8],
        ]);
    }
    format!("\n{}\n\n", table.trim_fmt())
}

/// The trace of the plain and of the retried job, each with a sentence on how to read it.
pub(crate) fn trace(story: &Story) -> String {
    let sentence = match story.name {
        "plain" => {
            "The plain job: `publish` is the producer, `process` the worker, `POST` the\n\
             request itself, `ack` its settlement in Redis. The bars show when each started\n\
             and how long it took."
        }
        "retried" => {
            "The retried job: all three attempts are one trace under one `publish`. Each\n\
             `process` links to the attempt before; the gaps are the waits of the policy."
        }
        _ => return String::new(),
    };
    format!("{sentence}\n\n{}\n", waterfall::render(&story.spans, Colour::of_stdout()))
}

/// The last lines of the demo.
pub(crate) const WHAT_NEXT: &str = "\
Nothing is left running. What to try next:

  cargo xtask demo --keep    the same, with servers that stay for your commands
  cargo xtask compose-up --profile observability
                             a worker, Redis and Jaeger as containers
  docs/getting-started.md    a worker and a producer of your own
";

/// What a user can do while the servers stay.
pub(crate) fn commands(redis: &str, sink: &str) -> String {
    format!(
        "\
Redis, the sink and a worker go on until Ctrl-C. Try in another terminal:

  export POSTRIDER_REDIS_URL={redis} PATH=target/debug:$PATH
  postrider send {sink}/flaky/2/mine -d hello --wait
  postrider queues
  postrider dead list
  postrider dead replay --all --yes
  postrider doctor
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_a_terminal() {
        let story = Story {
            name: "retried",
            enqueued_by: "send",
            destination: "/flaky/2/demo",
            fate: Fate::Dead("final_status".to_owned()),
            attempts: 3,
            last_status: Some("410".to_owned()),
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            spans: Vec::new(),
        };
        let table = table(&[story]);
        assert!(table.contains("dead: final_status"), "{table}");
        let commands = commands("redis://127.0.0.1:65535", "http://127.0.0.1:65535");
        for text in [&table, WHAT_NEXT, &commands] {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}
