//! Renders the attempts of a job, for people. Pure.

use std::time::Duration;

use comfy_table::Table;
use postrider_console::view::{brief, field, plain, time};
use postrider_queue::job::Fields;
use serde_json::Value;

use super::render::table;
use super::terminal::{self, wrapped};

/// The attempts in a job's field `_history`; none if it is not a list.
pub(super) fn of_fields(fields: &Fields) -> Vec<Value> {
    field(fields, "_history").and_then(|history| serde_json::from_slice(history).ok()).unwrap_or_default()
}

/// A row for each attempt; `None` if there was none.
pub(super) fn attempts_table(attempts: &[Value]) -> Option<Table> {
    let rows = attempts.iter().map(|attempt| {
        let number = |name: &str| attempt[name].as_u64();
        let text = |name: &str| plain(attempt[name].as_str().unwrap_or_default().as_bytes(), 100);
        [
            number("at").map_or(String::new(), time),
            number("ms").map_or(String::new(), |ms| brief(Duration::from_millis(ms))),
            number("status").map_or_else(|| text("error"), |status| status.to_string()),
            text("trace_id"),
        ]
    });
    (!attempts.is_empty()).then(|| table(["ATTEMPT AT", "TOOK", "OUTCOME", "TRACE"], rows))
}

/// Prints the attempts, and the phases of each.
pub(super) fn print(attempts: &[Value]) {
    attempts_table(attempts).iter().for_each(|table| print_line!("{table}"));
    for line in attempts.iter().filter_map(phases) {
        print_line!("{}", wrapped(&line, "    ", terminal::width()));
    }
}

/// The phases of an attempt, in one line; `None` if none is known.
fn phases(attempt: &Value) -> Option<String> {
    const ORDER: [&str; 6] = ["dns", "connect", "tls", "request", "first_byte", "body"];
    let phase = |name: &&str| Some(format!("{name} {}", micros(attempt["us"][name].as_u64()?)));
    let phases: Vec<_> = ORDER.iter().filter_map(phase).collect();
    (!phases.is_empty()).then(|| format!("attempt {}: {}", attempt["attempt"], phases.join(", ")))
}

/// Microseconds, with three digits.
fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..10_000 => format!("{:.1}ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{}ms", micros / 1_000),
        _ => format!("{:.1}s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attempt_has_a_line_with_its_phases_in_their_order() {
        let attempt = json!({"attempt": 2, "us": {"body": 7, "connect": 1_250, "first_byte": 12_345, "tls": 2_300_000}});
        let line = "attempt 2: connect 1.2ms, tls 2.3s, first_byte 12ms, body 7µs";
        assert_eq!(phases(&attempt).as_deref(), Some(line));
        assert_eq!(phases(&json!({"attempt": 1, "status": 200})), None);
    }

    #[test]
    fn a_history_that_is_no_list_has_no_table() {
        let fields = |text: &'static str| vec![("_history".into(), text.into())];
        assert!(attempts_table(&of_fields(&fields("{}"))).is_none());
        assert!(attempts_table(&of_fields(&fields("[]"))).is_none());
        let shown = attempts_table(&of_fields(&fields(r#"[{"at":1795396101000,"ms":7,"error":"timeout"}]"#)));
        assert!(shown.unwrap().to_string().contains("2026-11-23T01:08:21.000Z  7ms   timeout"));
    }
}
