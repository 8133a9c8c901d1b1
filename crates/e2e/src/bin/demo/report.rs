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
            &story.trace_id,
        ]);
    }
    format!("\n{}\n\n", table.trim_fmt())
}

/// The trace of the plain and of the retried job, each with a sentence on how to read it.
pub(crate) fn trace(story: &Story) -> String {
    let sentence = match story.name {
        "plain" => {
            "The plain job: `publish` is the producer, `process` the worker, `POST` the request itself, `ack`\n\
             its settlement in Redis; the bars show when each started and how long it took."
        }
        "retried" => {
            "The retried job: all three attempts are one trace under one `publish`; each `process` links to\n\
             the attempt before, and the gaps between them are the waits of the retry policy."
        }
        _ => return String::new(),
    };
    format!("{sentence}\n\n{}\n", waterfall::render(&story.spans, Colour::of_stdout()))
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
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    }
}
