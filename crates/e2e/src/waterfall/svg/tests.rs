//! Tests of the picture, on traces made by hand.

use serde_json::json;

use super::*;
use crate::otlp::Status;
use crate::waterfall::tests::{retried_job, span};

/// The value of the first attribute `name` after `start`.
fn number(svg: &str, start: &str, name: &str) -> f64 {
    let rest = &svg[svg.find(start).expect("the element is there")..];
    let rest = &rest[rest.find(&format!(" {name}=\"")).expect("it has the attribute") + name.len() + 3..];
    rest[..rest.find('"').expect("the attribute ends")].parse().expect("it is a number")
}

/// The start of the text of a name.
fn name_x(svg: &str, name: &str) -> f64 {
    let end = svg.find(&format!(">{name}</text>")).expect("the name is there");
    let element = &svg[svg[..end].rfind("<text").expect("it is in a text")..];
    number(element, "<text", "x")
}

#[test]
fn children_are_indented_below_their_parent() {
    let svg = svg(&retried_job());
    let [producer, attempt, request] =
        ["publish default", "process default", "POST"].map(|name| name_x(&svg, name));
    assert_eq!((attempt - producer, request - attempt), (INDENT, INDENT));
    let order: Vec<usize> =
        [">publish", ">process", ">POST"].iter().filter_map(|name| svg.find(name)).collect();
    assert!(order.len() == 3 && order.is_sorted(), "{svg}");
    assert_eq!(svg.matches("class=\"name\"").count(), 4);
}

#[test]
fn a_bar_is_where_its_time_is_and_can_be_seen_however_short() {
    let mut spans = retried_job();
    spans[3].end = spans[3].start;
    let svg = svg(&spans);
    // The trace has 100 ms, the first attempt the third to the tenth.
    let length = BARS_RIGHT - BARS_LEFT;
    assert_eq!(
        number(&svg, "<rect class=\"consumer\"", "x"),
        ((BARS_LEFT + 0.1 * length) * 10.0).round() / 10.0
    );
    assert_eq!(number(&svg, "<rect class=\"consumer\"", "width"), (0.2 * length * 10.0).round() / 10.0);
    assert_eq!(number(&svg, "<rect class=\"producer\"", "width"), BAR_MIN_WIDTH);
}

#[test]
fn an_error_has_its_own_colour_and_its_mark() {
    let svg = svg(&retried_job());
    assert_eq!(svg.matches("<rect class=\"error\"").count(), 1, "{svg}");
    assert!(svg.contains("<tspan class=\"error\">■</tspan> error"), "{svg}");
    assert!(
        svg.contains("<tspan class=\"error strong\">✗ 503</tspan><tspan class=\"rest\"> · 10.0 ms</tspan>"),
        "{svg}"
    );
}

#[test]
fn a_trace_without_errors_has_no_word_about_errors() {
    let mut spans = retried_job();
    spans[2].status = Status::Unset;
    let svg = svg(&spans);
    assert!(!svg.contains("class=\"error\"") && !svg.contains("✗") && svg.contains(">503</tspan>"), "{svg}");
}

#[test]
fn an_arrow_leads_from_each_attempt_to_the_next() {
    let svg = svg(&retried_job());
    assert_eq!(svg.matches("class=\"head\"").count(), 1);
    assert!(svg.contains(">50.0 ms later</text>"), "{svg}");
    let mut alone = retried_job();
    alone[0].links.clear();
    assert!(!super::svg(&alone).contains("class=\"head\""));
}

#[test]
fn an_attempt_is_named_with_its_outcome() {
    let mut spans = retried_job();
    spans[1].attributes.insert("postrider.job.attempt".to_owned(), json!(1));
    spans[1].attributes.insert("postrider.job.outcome".to_owned(), json!("retry"));
    let expected = ">attempt 1</tspan><tspan class=\"rest\"> · retry · 20.0 ms</tspan>";
    assert!(svg(&spans).contains(expected));
}

#[test]
fn a_label_without_room_behind_its_bar_is_before_it() {
    let mut spans = retried_job();
    spans[0].status = Status::Error("an error with a description of some length".to_owned());
    let svg = svg(&spans);
    let label = "<text class=\"label before\"";
    assert_eq!(svg.matches(label).count(), 1, "{svg}");
    assert!(number(&svg, label, "x") < BARS_LEFT + 0.8 * (BARS_RIGHT - BARS_LEFT), "{svg}");
}

#[test]
fn what_a_span_contains_is_no_markup() {
    let mut spans = retried_job();
    spans[3].name = "<script>alert(1)</script>".to_owned();
    spans[0].trace_id = "\"><a href='x'>".to_owned();
    spans[2].attributes.insert("error.type".to_owned(), json!("a&b<c>"));
    let svg = svg(&spans);
    assert!(svg.contains("&lt;script&gt;") && svg.contains("&quot;&gt;&lt;a"), "{svg}");
    assert!(svg.contains("a&amp;b&lt;c&gt;"), "{svg}");
    assert!(!svg.contains("<script") && !svg.contains("<a "), "{svg}");
}

#[test]
fn nothing_is_fetched_or_run() {
    let svg = svg(&retried_job());
    for word in ["<script", "href", "url(", "@import", "foreignObject", "onload"] {
        assert!(!svg.contains(word), "{word}");
    }
    assert_eq!(svg.matches("://").count(), 1, "only the name space of SVG: {svg}");
}

#[test]
fn the_order_in_which_spans_arrive_changes_nothing() {
    let mut spans = retried_job();
    let first = svg(&spans);
    spans.reverse();
    assert_eq!(svg(&spans), first);
}

#[test]
fn a_long_name_and_a_deep_tree_stay_left_of_the_bars() {
    let spans: Vec<_> = (0..12)
        .map(|depth: u64| {
            let parent = depth.checked_sub(1).map(|parent| format!("{parent:016x}"));
            let name = "a name that is longer than its column is wide";
            span(&format!("{depth:016x}"), parent.as_deref(), name, SpanKind::Internal, (0, 10))
        })
        .collect();
    let svg = svg(&spans);
    assert!(!svg.contains("longer than its column"), "{svg}");
    for line in svg.lines().filter(|line| line.contains("class=\"name\"")) {
        let text = &line[line.find('>').expect("a text opens") + 1..line.rfind('<').expect("a text closes")];
        assert!(number(line, "<text", "x") + width(text, true) < BARS_LEFT + GAP, "{line}");
    }
}

#[test]
fn no_spans_are_an_empty_picture() {
    assert_eq!(svg(&[]), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n");
}
