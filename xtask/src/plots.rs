//! `cargo xtask plots`: the pictures of `docs/performance.md`, each drawn from a table of that page, so that no figure is
//! in two places.

mod axis;
mod chart;
mod table;
mod text;

use std::fs;

use crate::sources::{self, expression};
use crate::step::{self, Result};

use axis::Scale;
use chart::{Bar, Chart};
use table::Row;

const PAGE: &str = "docs/performance.md";
const FOLDER: &str = "docs/plots";

/// What is drawn of a section's table.
struct Plot {
    section: &'static str,
    column: &'static str,
    title: &'static str,
    /// Which values are good.
    good: &'static str,
    scale: Scale,
    /// An expression for the labels of Postrider.
    ours: &'static str,
    /// Only rows whose labels end like this are drawn, without this end.
    ending: &'static str,
}

const CPU: &str = "CPU µs/job";

const PLOTS: [Plot; 10] = [
    less("Numbers", CPU, "Processor time of a job, in µs"),
    Plot { scale: Scale::Logarithmic, ..less("Other systems", CPU, "Processor time of a job, in µs") },
    more("Slow destinations", "jobs/s", "Jobs a second to slow destinations"),
    less("Over TLS", CPU, "Processor time of a job over TLS, in µs"),
    Plot {
        scale: Scale::Logarithmic, ..less("Bodies", "CPU µs/MB", "Processor time of a megabyte, in µs")
    },
    less("Threads", CPU, "Processor time of a job, in µs"),
    less("From enqueue to the request", "p99 ms", "Enqueue to request, 99th percentile in ms"),
    Plot {
        ours: "enqueue_all|send|console",
        ..more("Many jobs at once", "jobs/s", "Jobs enqueued a second, many at a time")
    },
    // The second column, which has no name.
    Plot {
        ours: "^relay",
        ending: ", rows a second",
        ..more("The outbox", "", "Rows of the outbox a second")
    },
    Plot { ours: "^console", ..more("The console", "a second", "Jobs enqueued a second over HTTP") },
];

const fn less(section: &'static str, column: &'static str, title: &'static str) -> Plot {
    Plot { section, column, title, good: "less is better", scale: Scale::Linear, ours: "worker", ending: "" }
}

const fn more(section: &'static str, column: &'static str, title: &'static str) -> Plot {
    Plot { good: "more is better", ours: "", ..less(section, column, title) }
}

/// Draws all plots, and reports together which ones cannot be drawn.
pub(crate) fn run() -> Result {
    let page = page()?;
    fs::create_dir_all(step::root().join(FOLDER)).map_err(|error| format!("{FOLDER}: {error}"))?;
    let write = |plot: &Plot| {
        let path = step::root().join(plot.file());
        fs::write(&path, plot.draw(&page)?).map_err(|error| step::at(&path, &error))
    };
    sources::none(&PLOTS.iter().filter_map(|plot| write(plot).err()).collect::<Vec<_>>())
}

/// Checks that each plot is what its table gives now, and that there is no other one.
pub(crate) fn check() -> Result {
    let page = page()?;
    let committed = |file: &str| fs::read_to_string(step::root().join(file)).ok();
    let mut failures: Vec<String> =
        PLOTS.iter().filter_map(|plot| plot.problem(&page, committed(&plot.file()).as_deref())).collect();
    let files = fs::read_dir(step::root().join(FOLDER)).map_err(|error| format!("{FOLDER}: {error}"))?;
    let files = files.flatten().map(|file| format!("{FOLDER}/{}", file.file_name().display()));
    let others = files.filter(|file| PLOTS.iter().all(|plot| plot.file() != *file));
    failures.extend(others.map(|file| format!("{file}: no plot of xtask/src/plots.rs: delete it")));
    sources::none(&failures)
}

fn page() -> Result<String> {
    fs::read_to_string(step::root().join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))
}

impl Plot {
    /// The file has the name of the section's anchor.
    fn file(&self) -> String {
        format!("{FOLDER}/{}.svg", self.section.to_lowercase().replace(' ', "-"))
    }

    fn draw(&self, page: &str) -> Result<String> {
        let failure = |reason| {
            let file = self.file();
            format!(
                "{PAGE}: {reason}; {file} is drawn from it: change the page, or `PLOTS` in xtask/src/plots.rs"
            )
        };
        let rows = table::rows(page, self.section, self.column).map_err(failure)?;
        let bars: Vec<Bar> = rows.into_iter().filter_map(|row| self.bar(row)).collect();
        if bars.is_empty() {
            let ending = self.ending;
            return Err(failure(format!("no row `…{ending}` of the section `{}` has a value", self.section)));
        }
        let note = if self.scale == Scale::Logarithmic { "; the axis is logarithmic" } else { "" };
        let subtitle = format!("{}{note}", self.good);
        let chart = Chart { title: self.title, subtitle, scale: self.scale, bars };
        chart::svg(&chart).ok_or_else(|| failure(format!("section `{}` has values of 0", self.section)))
    }

    fn bar(&self, row: Row) -> Option<Bar> {
        let (label, groups) = row.labels.split_last()?;
        let label = label.strip_suffix(self.ending)?.to_owned();
        let is_ours = expression(self.ours).is_match(&label);
        Some(Bar { group: groups.join(", "), label, measure: row.measure, is_ours })
    }

    /// What is wrong with the committed file, or with the page that shows it.
    fn problem(&self, page: &str, committed: Option<&str>) -> Option<String> {
        let (file, section) = (self.file(), self.section);
        match self.draw(page) {
            Err(failure) => Some(failure),
            Ok(svg) if committed != Some(&svg) => Some(format!(
                "{file} is not what the table of the section `{section}` in {PAGE} gives: `cargo xtask plots` draws it"
            )),
            Ok(_) => {
                let link = format!("]({})", file.trim_start_matches("docs/"));
                (!page.contains(&link))
                    .then(|| format!("{PAGE}: the section `{section}` does not show {file}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: Plot = less("A section", "b", "A title");
    const TEXT: &str = "## A section\n\n| | b |\n|---|---|\n| bare | 10 |\n| worker | 20 (15–30) |\n\n![b](plots/a-section.svg)\n";

    #[test]
    fn a_plot_that_is_out_of_date_is_named_with_what_mends_it() {
        let drawn = PLOT.draw(TEXT).unwrap();
        assert_eq!(PLOT.problem(TEXT, Some(&drawn)), None);
        let expected = "docs/plots/a-section.svg is not what the table of the section `A section` in docs/performance.md \
                        gives: `cargo xtask plots` draws it";
        assert_eq!(PLOT.problem(TEXT, None).as_deref(), Some(expected));
        for changed in [("10", "11"), ("–30", "–31"), ("worker", "the worker")] {
            let page = TEXT.replace(changed.0, changed.1);
            assert_eq!(PLOT.problem(&page, Some(&drawn)).as_deref(), Some(expected), "{changed:?}");
        }
        // Text around the table does not matter.
        assert_eq!(PLOT.problem(&format!("# A page\n\n{TEXT}More.\n"), Some(&drawn)), None);
    }

    #[test]
    fn what_a_plot_needs_of_the_page_is_named() {
        let drawn = PLOT.draw(TEXT).unwrap();
        let problem = |from, to| PLOT.problem(&TEXT.replace(from, to), Some(&drawn)).unwrap();
        let advice =
            "; docs/plots/a-section.svg is drawn from it: change the page, or `PLOTS` in xtask/src/plots.rs";
        assert_eq!(
            problem("## A section", "## B"),
            format!("docs/performance.md: no section `A section`{advice}")
        );
        assert_eq!(
            problem("| b |", "| c |"),
            format!("docs/performance.md: no table of the section `A section` has a column `b`{advice}")
        );
        assert_eq!(
            problem("![b](plots/a-section.svg)", ""),
            "docs/performance.md: the section `A section` does not show docs/plots/a-section.svg"
        );
    }

    #[test]
    fn rows_are_chosen_and_shortened_by_how_their_labels_end() {
        let plot = Plot { ending: ", rows a second", ours: "^relay", ..PLOT };
        let page = "## A section\n| | b |\n|---|---|\n| relay, rows a second | 2 |\n| relay, ms | 3 |\n";
        let rows = table::rows(page, "A section", "b").unwrap();
        let bars: Vec<Bar> = rows.into_iter().filter_map(|row| plot.bar(row)).collect();
        assert_eq!(
            bars.iter().map(|bar| (bar.label.as_str(), bar.is_ours)).collect::<Vec<_>>(),
            [("relay", true)]
        );
        let failure = plot.draw(&page.replace("rows", "lines")).unwrap_err();
        let expected = "no row `…, rows a second` of the section `A section` has a value";
        assert!(failure.contains(expected), "{failure}");
    }
}
