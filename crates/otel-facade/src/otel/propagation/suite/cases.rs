//! The 41 cases of the W3C's own test suite for Trace Context (<https://github.com/w3c/trace-context>, `test/`, as of
//! June 2026, level 2), in the words of this project: received headers, and the headers that must be sent. The
//! propagator's unit tests read this table, and so may end-to-end tests.

/// The received trace's id.
pub(crate) const TRACE: &str = "12345678901234567890123456789012";
/// The received span's id.
pub(crate) const PARENT: &str = "1234567890123456";
/// The number of cases.
pub(crate) const COUNT: usize = 41;

/// What happens to the received trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// It continues with new spans, with these flags.
    Continues(u8),
    /// It is not used: a new trace begins.
    StartsNew,
}

use Trace::{Continues, StartsNew};

/// Received headers, and the headers that must be sent.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Its place in the suite, from 1.
    pub(crate) number: usize,
    /// Its subject.
    pub(crate) name: &'static str,
    /// In their order, names in any case, some of them twice.
    pub(crate) headers: Vec<(String, String)>,
    /// The sent `traceparent`.
    pub(crate) trace: Trace,
    /// The sent `tracestate`; `None` for no such header.
    pub(crate) tracestate: Option<String>,
    /// The number of sent requests.
    pub(crate) requests: usize,
}

/// All cases, in their order; some are listed more than once, with different headers.
pub(crate) fn all() -> Vec<Case> {
    let mut table = Table(vec![]);
    the_header_traceparent(&mut table);
    the_parts_of_traceparent(&mut table);
    the_header_tracestate(&mut table);
    the_members_of_tracestate(&mut table);
    many_requests_and_flags(&mut table);
    table.0
}

struct Table(Vec<Case>);

impl Table {
    fn add(&mut self, number: usize, name: &'static str, trace: Trace, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.0.push(Case { number, name, headers, trace, tracestate: None, requests: 1 });
    }

    /// A `traceparent` alone.
    fn parent(&mut self, number: usize, name: &'static str, trace: Trace, value: &str) {
        self.add(number, name, trace, &[("traceparent", value)]);
    }

    /// A valid `traceparent` with one invalid part.
    fn bad(&mut self, number: usize, name: &'static str, part: usize, values: &[&str]) {
        for value in values {
            let mut parts = ["00", TRACE, PARENT, "01"];
            parts[part] = value;
            self.parent(number, name, StartsNew, &parts.join("-"));
        }
    }

    /// A valid `traceparent` and these `tracestate` headers.
    fn state(&mut self, number: usize, name: &'static str, values: &[&str], expected: Option<&str>) {
        let parent = format!("00-{TRACE}-{PARENT}-00");
        let states = values.iter().map(|value| ("tracestate", *value));
        let headers: Vec<(&str, &str)> =
            [("traceparent", parent.as_str())].into_iter().chain(states).collect();
        self.add(number, name, Continues(0), &headers);
        self.last().tracestate = expected.map(str::to_owned);
    }

    fn last(&mut self) -> &mut Case {
        self.0.last_mut().expect("one was added before")
    }
}

fn good() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

fn the_header_traceparent(table: &mut Table) {
    let good = good();
    table.add(1, "neither header", StartsNew, &[]);
    table.parent(2, "a traceparent alone", Continues(1), &good);
    table.add(3, "two traceparents", StartsNew, &[("traceparent", &good), ("traceparent", &good)]);
    for name in ["trace-parent", "trace.parent"] {
        table.add(4, "a traceparent by another name", StartsNew, &[(name, &good)]);
    }
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        table.add(5, "a traceparent in any case", Continues(1), &[(name, &good)]);
    }
    for end in [".", "-what-the-future-will-be-like"] {
        table.parent(6, "version 00 with more behind", StartsNew, &format!("{good}{end}"));
    }
    let future = good.replacen("00", "cc", 1);
    table.parent(7, "a version of the future", Continues(1), &future);
    let (more, wrong) = ("-what-the-future-will-be-like", ".what-the-future-will-be-like");
    table.parent(7, "a version of the future", Continues(1), &format!("{future}{more}"));
    table.parent(7, "a version of the future", StartsNew, &format!("{future}{wrong}"));
    for (before, after) in [(" ", ""), ("\t", ""), ("", " "), ("", "\t"), ("\t ", " \t")] {
        let spaced = format!("{before}{good}{after}");
        table.parent(23, "white space around a traceparent", Continues(1), &spaced);
    }
}

fn the_parts_of_traceparent(table: &mut Table) {
    table.bad(8, "version ff", 0, &["ff"]);
    table.bad(9, "a version with other characters", 0, &[".0", "0."]);
    table.bad(10, "a version that is too long", 0, &["000", "0000"]);
    table.bad(11, "a version that is too short", 0, &["0"]);
    table.bad(12, "a trace id of zeros", 1, &[&"0".repeat(32)]);
    let wrong = [format!(".{}", &TRACE[1..]), format!("{}.", &TRACE[..31])];
    table.bad(13, "a trace id with other characters", 1, &[&wrong[0], &wrong[1]]);
    table.bad(14, "a trace id that is too long", 1, &[&format!("{TRACE}3")]);
    table.bad(15, "a trace id that is too short", 1, &[&TRACE[..31]]);
    table.bad(16, "a parent id of zeros", 2, &[&"0".repeat(16)]);
    let wrong = [format!(".{}", &PARENT[1..]), format!("{}.", &PARENT[..15])];
    table.bad(17, "a parent id with other characters", 2, &[&wrong[0], &wrong[1]]);
    table.bad(18, "a parent id that is too long", 2, &[&format!("{PARENT}7")]);
    table.bad(19, "a parent id that is too short", 2, &[&PARENT[..15]]);
    table.bad(20, "flags with other characters", 3, &[".0", "0."]);
    table.bad(21, "flags that are too long", 3, &["001"]);
    table.bad(22, "flags that are too short", 3, &["1"]);
}

fn the_header_tracestate(table: &mut Table) {
    for value in ["foo=1", "foo=1,bar=2"] {
        table.add(24, "a tracestate without a traceparent", StartsNew, &[("tracestate", value)]);
    }
    table.state(25, "both headers", &["foo=1,bar=2"], Some("foo=1,bar=2"));
    let good = good();
    for name in ["trace-state", "trace.state"] {
        let headers = [("traceparent", good.as_str()), (name, "foo=1")];
        table.add(26, "a tracestate by another name", Continues(1), &headers);
    }
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        let headers = [("traceparent", good.as_str()), (name, "foo=1")];
        table.add(27, "a tracestate in any case", Continues(1), &headers);
        table.last().tracestate = Some("foo=1".to_owned());
    }
    table.state(28, "an empty tracestate", &[""], None);
    table.state(28, "an empty tracestate", &["foo=1", ""], Some("foo=1"));
    table.state(28, "an empty tracestate", &["", "foo=1"], Some("foo=1"));
    let three = ["foo=1,bar=2", "rojo=1,congo=2", "baz=3"];
    table.state(29, "several tracestates", &three, Some("foo=1,bar=2,rojo=1,congo=2,baz=3"));
    for values in [&["foo=1,foo=1"][..], &["foo=1,foo=2"], &["foo=1", "foo=1"], &["foo=1", "foo=2"]] {
        table.state(30, "a key that is there twice", values, Some("foo=1"));
    }
}

fn the_members_of_tracestate(table: &mut Table) {
    let key: String = ('a'..='z').chain('0'..='9').chain("_-*/".chars()).collect();
    let value: String = (' '..='~').filter(|character| !",=".contains(*character)).collect();
    for member in [format!("{key}={value}"), format!("{key}@a-z0-9_-*/={value}")] {
        table.state(31, "all characters that are allowed", &[&member], Some(&member));
    }
    for value in ["foo=1 \t , \t bar=2, \t baz=3", "foo=1\t \t,\t \tbar=2,\t \tbaz=3"] {
        table.state(32, "white space in a tracestate", &[value], Some("foo=1,bar=2,baz=3"));
    }
    for value in [" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t", "\t foo=1 \t"] {
        table.state(32, "white space in a tracestate", &[value], Some("foo=1"));
    }
    for value in ["foo =1", "FOO=1", "foo.bar=1"] {
        table.state(33, "a key with other characters", &[value], None);
    }
    for value in ["foo@=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"] {
        table.state(34, "at signs in a key", &[value], Some(value));
    }
    table.state(34, "at signs in a key", &["@foo=1,bar=2"], None);
    let members = |count: usize| (1..=count).map(|n| format!("bar{n:02}={n:02}")).collect::<Vec<_>>();
    let (most, too_many) = (members(32), members(33).join(","));
    let split: Vec<String> = most.chunks(10).map(|some| some.join(",")).collect();
    let split: Vec<&str> = split.iter().map(String::as_str).collect();
    table.state(35, "as many members as are allowed", &split, Some(&most.join(",")));
    table.state(35, "a member too many", &[&too_many], None);
    let (tenant, vendor) = (format!("{}@v", "t".repeat(242)), format!("t@{}", "v".repeat(15)));
    let long = ["z".repeat(256), format!("{}@{}", "t".repeat(241), "v".repeat(14)), tenant, vendor];
    for key in long {
        let member = format!("{key}=1");
        table.state(36, "a long key", &["foo=1", &member], Some(&format!("foo=1,{member}")));
    }
    table.state(36, "a key that is too long", &["foo=1", &format!("{}=1", "z".repeat(257))], None);
    for value in ["foo=bar=baz", "foo=,bar=3"] {
        table.state(37, "a value with other characters", &[value], None);
    }
}

fn many_requests_and_flags(table: &mut Table) {
    table.parent(38, "many requests under one traceparent", Continues(1), &good());
    table.last().requests = 3;
    table.add(39, "many requests without a traceparent", StartsNew, &[]);
    table.last().requests = 3;
    let zeros = format!("00-{}-{PARENT}-01", "0".repeat(32));
    table.parent(40, "many requests under a bad traceparent", StartsNew, &zeros);
    table.last().requests = 3;
    for flags in 0..4 {
        let parent = format!("00-{TRACE}-{PARENT}-0{flags}");
        table.parent(COUNT, "the random flag", Continues(flags), &parent);
    }
}
