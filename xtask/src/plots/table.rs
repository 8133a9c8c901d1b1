//! Reads the tables of a document: the median and the range in each cell of one column.

use std::sync::LazyLock;

use regex_lite::Regex;

use crate::sources::expression;
use crate::step::Result;

/// A median, and from where to where the rounds were: `40.6 (39.2–40.8)`. Of several, which commas separate, the first.
static MEASURE: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)";
    expression(&format!(r"^{number}(?: \({number}[–-]{number}\))?(?:, .*)?$"))
});
static LINK: LazyLock<Regex> = LazyLock::new(|| expression(r"\[([^\]]*)\]\([^)]*\)"));
/// Bold, italic, code, and the numbers of footnotes.
static MARK: LazyLock<Regex> = LazyLock::new(|| expression(r"[*`]| ?[¹²³⁴-⁹]"));

/// What a cell contains.
#[derive(Debug, PartialEq)]
pub(super) struct Measure {
    /// The digits of the median, without separators.
    pub(super) digits: String,
    pub(super) median: f64,
    pub(super) range: Option<(f64, f64)>,
}

/// One row: what is in its first columns, and what is in the chosen one.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) labels: Vec<String>,
    pub(super) measure: Measure,
}

impl Measure {
    /// `None` if the cell has another form. It has no marks.
    fn parse(cell: &str) -> Option<Self> {
        let found = MEASURE.captures(cell)?;
        let digits = |index| Some(found.get(index)?.as_str().replace(',', ""));
        let number = |index| digits(index)?.parse().ok();
        let range = number(2).zip(number(3));
        Some(Self { digits: digits(1)?, median: number(1)?, range })
    }

    /// The smallest and the largest value.
    pub(super) fn ends(&self) -> (f64, f64) {
        let (low, high) = self.range.unwrap_or((self.median, self.median));
        (low.min(self.median), high.max(self.median))
    }
}

/// The rows of the first table below a heading that has a column of this name. Labels are in the first column and in those behind it
/// without a name. A row whose cell is empty was not measured and is left out.
pub(super) fn rows(page: &str, section: &str, column: &str) -> Result<Vec<Row>> {
    let lines = section_lines(page, section).ok_or_else(|| format!("no section `{section}`"))?;
    let tables = lines.split(|line| !line.starts_with('|')).filter(|table| table.len() > 2);
    for table in tables {
        let head = cells(table[0]);
        // The first column has labels, whatever its name is.
        let Some(at) = head.iter().skip(1).position(|name| name == column).map(|at| at + 1) else { continue };
        let labels = 1 + head[1..at].iter().take_while(|name| name.is_empty()).count();
        let rows = table[2..].iter().filter_map(|line| row(line, head.len(), labels, at).transpose());
        return rows.collect::<Result<_>>().map_err(|failure| format!("section `{section}`, {failure}"));
    }
    Err(format!("no table of the section `{section}` has a column `{column}`"))
}

/// The lines between a heading and the next one.
fn section_lines<'a>(page: &'a str, section: &str) -> Option<Vec<&'a str>> {
    let mut lines = page.lines().skip_while(|line| line.trim_start_matches('#') != format!(" {section}"));
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with('#')).collect())
}

fn row(line: &str, width: usize, labels: usize, at: usize) -> Result<Option<Row>> {
    let mut cells = cells(line);
    if cells.len() != width {
        return Err(format!("row `{}`: {} cells below a head of {width}", cells[0], cells.len()));
    }
    if cells[at].is_empty() {
        return Ok(None);
    }
    let measure = Measure::parse(&cells[at])
        .ok_or_else(|| format!("row `{}`: `{}` is not `median (min–max)`", cells[0], cells[at]))?;
    cells.truncate(labels);
    Ok(Some(Row { labels: cells, measure }))
}

/// The cells of a line, without marks.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = line.strip_prefix('|').unwrap_or(line);
    let line = line.strip_suffix('|').unwrap_or(line);
    line.split('|')
        .map(|cell| MARK.replace_all(&LINK.replace_all(cell, "$1"), "").trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cell: &str, expected: Option<Measure>) {
        assert_eq!(Measure::parse(&cells(&format!("| label | {cell} |"))[1]), expected, "{cell}");
    }

    fn single(digits: &str, median: f64) -> Option<Measure> {
        Some(Measure { digits: digits.to_owned(), median, range: None })
    }

    fn ranged(digits: &str, median: f64, low: f64, high: f64) -> Option<Measure> {
        Some(Measure { digits: digits.to_owned(), median, range: Some((low, high)) })
    }

    #[test]
    fn a_cell_is_a_median_with_or_without_a_range() {
        check("103", single("103", 103.0));
        check("40.0 (39.2–40.8)", ranged("40.0", 40.0, 39.2, 40.8));
        check("0 (0-10272)", ranged("0", 0.0, 0.0, 10272.0));
    }

    #[test]
    fn separators_of_thousands_are_no_separators_of_values() {
        check("1,234,567.5 (1,000–2,000,000)", ranged("1234567.5", 1_234_567.5, 1000.0, 2_000_000.0));
        check("14.6, 14.9, 15.7", single("14.6", 14.6));
        check("30672 (28903–33464), 28386 (25036–30164)", ranged("30672", 30672.0, 28903.0, 33464.0));
    }

    #[test]
    fn marks_are_left_out() {
        check("280,300 ¹", single("280300", 280_300.0));
        check("0.49 (0.30–0.55), 0.22 ²", ranged("0.49", 0.49, 0.30, 0.55));
        check("**0.60** (0.5–0.7)⁴", ranged("0.60", 0.60, 0.5, 0.7));
        assert_eq!(cells("| `send --from`, [lean](a.md#b) ³ | *x* |"), ["send --from, lean", "x"]);
        assert_eq!(cells("|| a |"), ["", "a"]);
    }

    #[test]
    fn anything_else_is_no_measure() {
        for cell in ["", "8 ns", "about 2.5", "1.2.3", "12,34", "-0.03", "1 (2)", "1 (2–3) 4"] {
            check(cell, None);
        }
    }

    const PAGE: &str = "# Page\n\n## One\n\n| what | how |\n|---|---|\n| a | b |\n\nText.\n\n| | | x | y |\n|---|---|---|---|\n\
                        | A | b | 1 | 2 |\n| A | c | | 3 |\n\n### Below\n\n| | z |\n|---|---|\n| d | 1 |\n| e | f |\n| g |\n";

    #[test]
    fn a_column_is_found_by_its_section_and_its_name() {
        let found = |column| rows(PAGE, "One", column).unwrap();
        let labels = |column| found(column).into_iter().map(|row| row.labels.join("/")).collect::<Vec<_>>();
        assert_eq!(labels("y"), ["A/b", "A/c"]);
        assert_eq!(labels("x"), ["A/b"]);
        // The second column without a name.
        let page = "## Z\n| | |\n|---|---|\n| rows | 5 |\n";
        assert_eq!(rows(page, "Z", "").unwrap()[0].labels, ["rows"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let failure = |section, column| rows(PAGE, section, column).unwrap_err();
        assert_eq!(failure("Two", "x"), "no section `Two`");
        assert_eq!(failure("One", "z"), "no table of the section `One` has a column `z`");
        assert_eq!(failure("Below", "z"), "section `Below`, row `e`: `f` is not `median (min–max)`");
        let short = rows(&PAGE.replace("| e | f |\n", ""), "Below", "z").unwrap_err();
        assert_eq!(short, "section `Below`, row `g`: 1 cells below a head of 2");
    }
}
