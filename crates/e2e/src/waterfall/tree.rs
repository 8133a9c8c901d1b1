//! What every drawing of a trace shares: the order of its spans, and the time that they take together.

use std::collections::HashMap;

use crate::otlp::SpanRecord;

/// The time from the first start to the last end, in Unix nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) start: u64,
    /// At least 1.
    pub(super) length: u64,
}

impl Axis {
    /// `None` without spans.
    pub(super) fn of(spans: &[SpanRecord]) -> Option<Axis> {
        let start = spans.iter().map(|span| span.start).min()?;
        let end = spans.iter().map(|span| span.end).max()?;
        Some(Axis { start, length: end.saturating_sub(start).max(1) })
    }
}

/// A span and its place in the tree.
pub(super) struct Row<'a> {
    pub(super) span: &'a SpanRecord,
    /// For each ancestor below the root, and then for the span itself: is it the last of its siblings?
    pub(super) lasts: Vec<bool>,
}

/// The spans as a tree by parent, siblings in order of their start. A span whose parent is missing is a root.
pub(super) fn rows(spans: &[SpanRecord]) -> Vec<Row<'_>> {
    let mut children: HashMap<Option<&str>, Vec<&SpanRecord>> = HashMap::new();
    for span in spans {
        let parent = span.parent_span_id.as_deref();
        let known = parent.filter(|id| *id != span.span_id && spans.iter().any(|other| other.span_id == *id));
        children.entry(known).or_default().push(span);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|span| (span.start, span.end));
    }
    let mut rows = Vec::new();
    for root in children.remove(&None).unwrap_or_default() {
        rows.push(Row { span: root, lasts: Vec::new() });
        descend(root, &[], &mut children, &mut rows);
    }
    rows
}

/// Takes the children out of the map, so that a span that the receiver has twice is drawn once.
fn descend<'a>(
    parent: &'a SpanRecord,
    above: &[bool],
    children: &mut HashMap<Option<&'a str>, Vec<&'a SpanRecord>>,
    rows: &mut Vec<Row<'a>>,
) {
    let siblings = children.remove(&Some(parent.span_id.as_str())).unwrap_or_default();
    for (index, span) in siblings.iter().enumerate() {
        let lasts = [above, &[index + 1 == siblings.len()]].concat();
        rows.push(Row { span, lasts: lasts.clone() });
        descend(span, &lasts, children, rows);
    }
}
