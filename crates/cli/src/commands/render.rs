//! Tables for people.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use postrider_console::view::{masked, plain};
use postrider_queue::job::Fields;

use super::terminal;

/// Characters of a text that a table shows.
const CELL_CHARS_MAX: usize = 1_000;

/// A table for people.
pub(super) fn table<'a>(
    header: impl IntoIterator<Item = &'a str>,
    rows: impl IntoIterator<Item = impl IntoIterator<Item = String>>,
) -> Table {
    let mut table = Table::new();
    let style = TableStyle::new().header_separator(LineStyle::none().fill('─'));
    table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.into_iter().collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.into_iter().collect::<Vec<_>>());
    }
    table
}

/// All fields, for people.
pub(super) fn fields_table(fields: &Fields, reveal: bool) -> Table {
    let rows = fields.iter().filter(|(name, _)| name != "_history").map(|(name, value)| {
        let name = plain(name, 100);
        let shown = if reveal { None } else { masked(&name, value) };
        let value = shown
            .map_or_else(|| plain(value, CELL_CHARS_MAX), |shown| plain(shown.as_bytes(), CELL_CHARS_MAX));
        [name, value]
    });
    let mut table = table(["FIELD", "VALUE"], rows);
    if let Some(width) = terminal::width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width as u16);
    }
    table
}

/// `1 job`, `2 jobs`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn secrets_are_masked_unless_they_are_asked_for() {
        let fields = fields(&[
            ("url", "https://u:hunter2@h/p?api_key=hunter2&a=b&X-Session-Token=hunter2"),
            ("headers", r#"{"Authorization":"hunter2","X-Api-Key":["hunter2"],"Accept":"text/html"}"#),
            ("my_password", "hunter2"),
            ("_raw", "hunter2"),
            ("body", "hello"),
        ]);
        let shown = fields_table(&fields, false).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("a=b") && shown.contains("text/html") && shown.contains("hello"), "{shown}");
        assert!(fields_table(&fields, true).to_string().contains("hunter2"));
    }
}
