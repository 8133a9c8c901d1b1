//! Searches of streams and of waiting jobs: what is found, in which order, and in pages of a bounded size.

use super::{Call, Reply, Script, Stage, key};

fn call(script: Script, what: &str, arguments: &[&str]) -> Call {
    let args = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
    Call { script, keys: vec![key(what)], args }
}

/// The numbers of entries that each call has read, and what was found.
fn pages(stage: &Stage, order: &str, page: &str, sought: &[&str]) -> (Vec<i64>, Vec<String>) {
    let (mut behind, mut reads, mut found) = (String::new(), vec![], vec![]);
    loop {
        let reply = stage.call(&call(Script::Search, "jobs", &[&[order, &behind, page], sought].concat()));
        let [next, read, ids] = reply.array() else { panic!("{reply:?}") };
        reads.push(read.integer());
        found.extend(ids.array().iter().map(Reply::text));
        behind = next.text();
        if behind.is_empty() {
            return (reads, found);
        }
    }
}

#[test]
fn a_search_reads_a_stream_from_either_end() {
    let stage = Stage::new();
    assert_eq!(pages(&stage, "first", "7", &["label", "x"]), (vec![0], vec![]), "an empty stream");
    let ids: Vec<String> = (0..50)
        .map(|job| stage.enqueue(&[("label", &format!("Order:{}", job % 25)), ("url", "u")]))
        .collect();
    let (reads, found) = pages(&stage, "first", "20", &["label", "order:7", "body", "order"]);
    assert_eq!((reads, found), (vec![20, 20, 10], vec![ids[7].clone(), ids[32].clone()]));
    let (reads, found) = pages(&stage, "last", "100", &["label", "order:24"]);
    assert_eq!((reads, found), (vec![50], vec![ids[49].clone(), ids[24].clone()]));
    assert_eq!(pages(&stage, "first", "100", &["label", "%d"]).1, [""; 0], "the text is no pattern");
    assert_eq!(pages(&stage, "first", "100", &["nosuch", "order"]).1, [""; 0]);
}

#[test]
fn a_url_that_may_be_spelled_otherwise_is_found() {
    let stage = Stage::new();
    let urls =
        ["http://EXAMPLE.org/", "http://ex%61mple.org/", "http://b\u{fc}cher.example/", "http://other.test/"];
    let ids = urls.map(|url| stage.enqueue(&[("url", url)]));
    assert_eq!(pages(&stage, "first", "10", &["url", "example.org"]).1, ids[..3]);
}

#[test]
fn large_entries_end_a_page_early() {
    let stage = Stage::new();
    let body = "x".repeat(300_000);
    (0..9).for_each(|_| drop(stage.enqueue(&[("url", "u"), ("body", &body)])));
    let (reads, _) = pages(&stage, "first", "100", &["label", "x"]);
    assert_eq!(reads, [5, 4], "1.5 MB");
}

#[test]
fn waiting_jobs_are_searched() {
    let stage = Stage::new();
    for job in 0..300 {
        let fields = stage.pack(&format!("{{'label','order:{job}','body',string.rep('x',100)}}"));
        stage.schedule("9000000000000", &format!("{job}-0"), Some(&fields));
    }
    stage.schedule("9000000000000", "bad-0", Some(b"not-msgpack"));
    let (mut cursor, mut read, mut calls, mut found) = ("0".to_owned(), 0, 0, vec![]);
    loop {
        let reply = stage.call(&call(
            Script::SearchWaiting,
            "waiting",
            &[&cursor, "50", "label", "order:77", "x", "y"],
        ));
        let [next, count, ids] = reply.array() else { panic!("{reply:?}") };
        found.extend(ids.array().iter().map(Reply::text));
        (cursor, read, calls) = (next.text(), read + count.integer(), calls + 1);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((read, found), (301, vec!["77-0".to_owned()]));
    assert!(calls > 2, "{calls}");
}
