//! Lists of jobs and of dead letters: a table for people, one JSON object a line for programs.

use postrider_console::view::{field, line, method, plain, url};
use postrider_queue::admin::ShardName;
use postrider_queue::job::Fields;

use super::render::table;
use super::terminal;

/// The least width of a label.
const LABEL_MIN: usize = 8;

/// A job or a dead letter of a list.
pub(super) struct Listed<'a, const N: usize> {
    pub(super) queue: &'a ShardName,
    pub(super) job_id: &'a str,
    pub(super) fields: &'a Fields,
    /// Its own columns, between LABEL and ATTEMPTS.
    pub(super) columns: [String; N],
    /// An error, or what the job waits for.
    pub(super) note: String,
}

fn attempts(fields: &Fields) -> u32 {
    field(fields, "_attempt").and_then(|made| std::str::from_utf8(made).ok()?.parse().ok()).unwrap_or(0)
}

/// Prints a table. On a terminal, request and note are on their own lines below each row, within the terminal's
/// width. Elsewhere they are columns, and nothing is cut.
pub(super) fn print<const N: usize>(columns: [&str; N], note: &str, rows: &[Listed<'_, N>]) {
    print_line!("{}", rendered(columns, note, rows, terminal::width()));
}

/// Prints a table whose rows have a note of any length. On a terminal, it is on its own lines below its row.
/// Elsewhere it is the last column.
pub(super) fn print_noted<const N: usize>(header: [&str; N], note: &str, rows: Vec<([String; N], String)>) {
    let width = terminal::width();
    let details = rows.iter().map(|(_, note)| own_line(note, width)).collect();
    let cells = rows.into_iter().map(|(row, note)| row.into_iter().chain(width.is_none().then_some(note)));
    let table = table(header.into_iter().chain(width.is_none().then_some(note)), cells).trim_fmt();
    print_line!("{}", interleaved(&table, details));
}

fn rendered<const N: usize>(
    columns: [&str; N],
    note: &str,
    rows: &[Listed<'_, N>],
    width: Option<usize>,
) -> String {
    let mut header = vec!["QUEUE", "JOB ID", "LABEL"];
    header.extend(columns);
    header.push("ATTEMPTS");
    let mut cells: Vec<_> = rows.iter().map(Listed::cells).collect();
    let Some(width) = width else {
        header.extend(["METHOD", "URL", note]);
        for (cells, row) in cells.iter_mut().zip(rows) {
            cells.extend([method(row.fields), url(row.fields), row.note.clone()]);
        }
        return table(header, cells).trim_fmt();
    };
    shorten(&header, &mut cells, width);
    let details = rows.iter().map(|row| {
        let request = cut(&format!("    {} {}", method(row.fields), url(row.fields)), width);
        [vec![request], own_line(&row.note, Some(width))].concat()
    });
    interleaved(&table(header, cells).trim_fmt(), details.collect())
}

/// A note below its row; none without a terminal or a note.
fn own_line(note: &str, width: Option<usize>) -> Vec<String> {
    if width.is_none() || note.is_empty() { vec![] } else { vec![terminal::wrapped(note, "    ", width)] }
}

/// A table with lines of details below each row.
fn interleaved(table: &str, details: Vec<Vec<String>>) -> String {
    let mut lines = table.lines().map(str::to_owned);
    let mut shown: Vec<String> = lines.by_ref().take(2).collect();
    for (row, details) in lines.zip(details) {
        shown.push(row);
        shown.extend(details);
    }
    shown.join("\n")
}

impl<const N: usize> Listed<'_, N> {
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.queue.to_string(), plain(self.job_id.as_bytes(), 128)];
        cells.push(line(self.fields, "label", usize::MAX));
        cells.extend(self.columns.iter().cloned());
        cells.push(attempts(self.fields).to_string());
        cells
    }
}

/// Cuts the labels to the width that the other columns leave.
fn shorten(header: &[&str], rows: &mut [Vec<String>], width: usize) {
    const LABEL: usize = 2;
    let longest = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).fold(header[column].len(), usize::max)
    };
    // Each column has a blank on both sides.
    let others: usize =
        (0..header.len()).filter(|column| *column != LABEL).map(|column| longest(column) + 2).sum();
    let left = width.saturating_sub(others + 2).max(LABEL_MIN);
    rows.iter_mut().for_each(|row| row[LABEL] = cut(&row[LABEL], left));
}

/// The text on one line of that width.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: Option<usize>, error: &str) -> String {
        let queue = ShardName { queue: "mail".parse().unwrap(), number: 0 };
        let url = format!("http://h/{}", "x".repeat(200));
        let fields: Fields = vec![("url".into(), url.into()), ("label".into(), "a".repeat(100).into())];
        let columns = ["1m ago".to_owned()];
        let row = Listed { queue: &queue, job_id: "1-0", fields: &fields, columns, note: error.to_owned() };
        rendered(["DIED"], "ERROR", &[row], width)
    }

    #[test]
    fn a_piped_list_has_one_whole_line_for_each_row() {
        let error = "e".repeat(300);
        let text = shown(None, &error);
        assert!(text.contains(&error) && text.contains(&"x".repeat(200)) && text.contains(&"a".repeat(100)));
        assert_eq!(text.lines().count(), 3, "header, line, row:\n{text}");
    }

    #[test]
    fn a_list_on_a_terminal_keeps_to_its_width() {
        let text = shown(Some(80), &"eeeee ".repeat(60));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 9, "{text}");
        assert!(lines[3].starts_with("    POST http://h/xxx") && lines[3].ends_with('…'), "{text}");
        assert_eq!(text.matches('e').count(), 300, "an error is wrapped, not cut: {text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(shown(Some(80), "").lines().count(), 4);
    }
}
