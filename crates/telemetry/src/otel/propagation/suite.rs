//! The 41 cases of the W3C's own test suite for Trace Context (<https://github.com/w3c/trace-context>, `test/`, as of
//! June 2026, level 2), in the words of this project: what comes in, and what must go out under a child span.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags};

use super::*;

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";

/// Headers as they come: in their order, names in any case, some of them twice.
#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl Carrier for Headers {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        if values.next().is_some() { None } else { Some(value) }
    }

    fn joined(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        let values = self.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
        if values.is_empty() { None } else { Some(values.join(",").into()) }
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.0.retain(|(own, _)| own != name);
        self.0.push((name.to_owned(), value));
    }
}

/// What goes out when these come in: the `traceparent` of a child span, and the `tracestate`.
struct Out {
    traceparent: String,
    tracestate: Option<String>,
}

fn pass(headers: &[(&str, &str)]) -> Out {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let remote = extract(&Headers(headers), Propagators::ALL).unwrap_or_default();
    let parent = remote.span().span_context().clone();
    // As the SDK makes a child: ids, flags and state of the parent, or new ones.
    let trace_id = if parent.is_valid() { parent.trace_id() } else { 0xabc_u128.into() };
    let flags = parent.trace_flags() | TraceFlags::SAMPLED;
    let child =
        SpanContext::new(trace_id, SpanId::from(0xdef_u64), flags, false, parent.trace_state().clone());
    let mut out = Headers::default();
    inject(&remote.with_remote_span_context(child), &mut out, Propagators::ALL);
    Out {
        traceparent: out.get(TRACEPARENT).expect("it is always written").to_owned(),
        tracestate: out.get(TRACESTATE).map(str::to_owned),
    }
}

impl Out {
    /// The trace goes on under a new span.
    fn continues(&self) -> bool {
        self.traceparent.starts_with(&format!("00-{TRACE}-"))
            && self.traceparent.split('-').nth(2) != Some(PARENT)
    }

    /// A new trace has begun.
    fn begins_anew(&self) -> bool {
        !self.traceparent.contains(&TRACE[1..31]) && self.tracestate.is_none()
    }
}

/// With this `traceparent` alone.
fn parent(value: &str) -> Out {
    pass(&[(TRACEPARENT, value)])
}

/// With a good `traceparent` and these `tracestate` headers.
fn state(values: &[&str]) -> Option<String> {
    let parent = format!("00-{TRACE}-{PARENT}-00");
    let mut headers = vec![(TRACEPARENT, parent.as_str())];
    headers.extend(values.iter().map(|value| (TRACESTATE, *value)));
    let out = pass(&headers);
    assert!(out.continues(), "a bad tracestate does no harm to the traceparent");
    out.tracestate
}

fn good() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

#[test]
fn case_1_neither_header() {
    assert!(pass(&[]).begins_anew());
}

#[test]
fn case_2_a_traceparent_alone() {
    assert!(parent(&good()).continues());
}

#[test]
fn case_3_two_traceparents() {
    assert!(pass(&[(TRACEPARENT, &good()), (TRACEPARENT, &good())]).begins_anew());
}

#[test]
fn case_4_a_traceparent_by_another_name() {
    for name in ["trace-parent", "trace.parent"] {
        assert!(pass(&[(name, &good())]).begins_anew(), "{name}");
    }
}

#[test]
fn case_5_a_traceparent_in_any_case() {
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        assert!(pass(&[(name, &good())]).continues(), "{name}");
    }
}

#[test]
fn case_6_version_00_with_more_behind() {
    for end in [".", "-what-the-future-will-be-like"] {
        assert!(parent(&format!("{}{end}", good())).begins_anew(), "{end}");
    }
}

#[test]
fn case_7_a_version_of_the_future() {
    let future = good().replacen("00", "cc", 1);
    assert!(parent(&future).continues());
    assert!(parent(&format!("{future}-what-the-future-will-be-like")).continues());
    assert!(parent(&format!("{future}.what-the-future-will-be-like")).begins_anew());
}

#[test]
fn case_8_version_ff() {
    assert!(parent(&good().replacen("00", "ff", 1)).begins_anew());
}

/// A traceparent with one part replaced.
fn with(part: usize, value: &str) -> Out {
    let mut parts = ["00", TRACE, PARENT, "01"];
    parts[part] = value;
    parent(&parts.join("-"))
}

#[test]
fn case_9_a_version_with_other_characters() {
    assert!(with(0, ".0").begins_anew() && with(0, "0.").begins_anew());
}

#[test]
fn case_10_a_version_that_is_too_long() {
    assert!(with(0, "000").begins_anew() && with(0, "0000").begins_anew());
}

#[test]
fn case_11_a_version_that_is_too_short() {
    assert!(with(0, "0").begins_anew());
}

#[test]
fn case_12_a_trace_id_of_zeros() {
    assert!(with(1, &"0".repeat(32)).begins_anew());
}

#[test]
fn case_13_a_trace_id_with_other_characters() {
    assert!(with(1, &format!(".{}", &TRACE[1..])).begins_anew());
    assert!(with(1, &format!("{}.", &TRACE[..31])).begins_anew());
}

#[test]
fn case_14_a_trace_id_that_is_too_long() {
    assert!(with(1, &format!("{TRACE}3")).begins_anew());
}

#[test]
fn case_15_a_trace_id_that_is_too_short() {
    assert!(with(1, &TRACE[..31]).begins_anew());
}

#[test]
fn case_16_a_parent_id_of_zeros() {
    assert!(with(2, &"0".repeat(16)).begins_anew());
}

#[test]
fn case_17_a_parent_id_with_other_characters() {
    assert!(with(2, &format!(".{}", &PARENT[1..])).begins_anew());
    assert!(with(2, &format!("{}.", &PARENT[..15])).begins_anew());
}

#[test]
fn case_18_a_parent_id_that_is_too_long() {
    assert!(with(2, &format!("{PARENT}7")).begins_anew());
}

#[test]
fn case_19_a_parent_id_that_is_too_short() {
    assert!(with(2, &PARENT[..15]).begins_anew());
}

#[test]
fn case_20_flags_with_other_characters() {
    assert!(with(3, ".0").begins_anew() && with(3, "0.").begins_anew());
}

#[test]
fn case_21_flags_that_are_too_long() {
    assert!(with(3, "001").begins_anew());
}

#[test]
fn case_22_flags_that_are_too_short() {
    assert!(with(3, "1").begins_anew());
}

#[test]
fn case_23_white_space_around_a_traceparent() {
    for (before, after) in [(" ", ""), ("\t", ""), ("", " "), ("", "\t"), ("\t ", " \t")] {
        assert!(parent(&format!("{before}{}{after}", good())).continues(), "{before:?} {after:?}");
    }
}

#[test]
fn case_24_a_tracestate_without_a_traceparent() {
    for value in ["foo=1", "foo=1,bar=2"] {
        assert!(pass(&[(TRACESTATE, value)]).begins_anew());
    }
}

#[test]
fn case_25_both_headers() {
    assert_eq!(state(&["foo=1,bar=2"]).as_deref(), Some("foo=1,bar=2"));
}

#[test]
fn case_26_a_tracestate_by_another_name() {
    for name in ["trace-state", "trace.state"] {
        let out = pass(&[(TRACEPARENT, &good()), (name, "foo=1")]);
        assert!(out.continues() && out.tracestate.is_none(), "{name}");
    }
}

#[test]
fn case_27_a_tracestate_in_any_case() {
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        let out = pass(&[(TRACEPARENT, &good()), (name, "foo=1")]);
        assert_eq!(out.tracestate.as_deref(), Some("foo=1"), "{name}");
    }
}

#[test]
fn case_28_an_empty_tracestate() {
    assert_eq!(state(&[""]), None);
    assert_eq!(state(&["foo=1", ""]).as_deref(), Some("foo=1"));
    assert_eq!(state(&["", "foo=1"]).as_deref(), Some("foo=1"));
}

#[test]
fn case_29_several_tracestates() {
    let joined = state(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"]);
    assert_eq!(joined.as_deref(), Some("foo=1,bar=2,rojo=1,congo=2,baz=3"));
}

#[test]
fn case_30_a_key_that_stands_twice() {
    for values in [&["foo=1,foo=1"][..], &["foo=1,foo=2"], &["foo=1", "foo=1"], &["foo=1", "foo=2"]] {
        assert_eq!(state(values).as_deref(), Some("foo=1"), "{values:?}");
    }
}

#[test]
fn case_31_all_characters_that_are_allowed() {
    let key: String = ('a'..='z').chain('0'..='9').chain("_-*/".chars()).collect();
    let value: String = (' '..='~').filter(|character| !",=".contains(*character)).collect();
    for member in [format!("{key}={value}"), format!("{key}@a-z0-9_-*/={value}")] {
        assert_eq!(state(&[&member]).as_deref(), Some(member.as_str()));
    }
}

#[test]
fn case_32_white_space_in_a_tracestate() {
    for value in ["foo=1 \t , \t bar=2, \t baz=3", "foo=1\t \t,\t \tbar=2,\t \tbaz=3"] {
        assert_eq!(state(&[value]).as_deref(), Some("foo=1,bar=2,baz=3"));
    }
    for value in [" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t", "\t foo=1 \t"] {
        assert_eq!(state(&[value]).as_deref(), Some("foo=1"));
    }
}

#[test]
fn case_33_a_key_with_other_characters() {
    for value in ["foo =1", "FOO=1", "foo.bar=1"] {
        assert_eq!(state(&[value]), None, "{value}");
    }
}

#[test]
fn case_34_at_signs_in_a_key() {
    for value in ["foo@=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"] {
        assert_eq!(state(&[value]).as_deref(), Some(value));
    }
    assert_eq!(state(&["@foo=1,bar=2"]), None);
}

#[test]
fn case_35_as_many_members_as_are_allowed_and_one_more() {
    let members = |count: usize| (1..=count).map(|n| format!("bar{n:02}={n:02}")).collect::<Vec<_>>();
    let (most, too_many) = (members(32), members(33));
    let headers: Vec<String> = most.chunks(10).map(|some| some.join(",")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    assert_eq!(state(&headers), Some(most.join(",")));
    assert_eq!(state(&[&too_many.join(",")]), None);
}

#[test]
fn case_36_keys_as_long_as_is_allowed_and_longer() {
    let long = ["z".repeat(256), format!("{}@{}", "t".repeat(241), "v".repeat(14))];
    let at = [format!("{}@v", "t".repeat(242)), format!("t@{}", "v".repeat(15))];
    for key in long.iter().chain(&at) {
        let member = format!("{key}=1");
        assert_eq!(state(&["foo=1", &member]), Some(format!("foo=1,{member}")));
    }
    assert_eq!(state(&["foo=1", &format!("{}=1", "z".repeat(257))]), None);
}

#[test]
fn case_37_a_value_with_other_characters() {
    for value in ["foo=bar=baz", "foo=,bar=3"] {
        assert_eq!(state(&[value]), None, "{value}");
    }
}

#[test]
fn case_38_many_requests_under_one_traceparent() {
    let remote = extract(&Headers(vec![(TRACEPARENT.to_owned(), good())]), Propagators::ALL);
    let remote = remote.expect("it is good");
    for span_id in 1..=3_u64 {
        let parent = remote.span().span_context().clone();
        let child = SpanContext::new(
            parent.trace_id(),
            span_id.into(),
            parent.trace_flags(),
            false,
            TraceState::NONE,
        );
        let mut out = Headers::default();
        inject(&remote.with_remote_span_context(child), &mut out, Propagators::ALL);
        assert_eq!(out.get(TRACEPARENT), Some(format!("00-{TRACE}-{span_id:016x}-01").as_str()));
    }
}

#[test]
fn case_39_many_requests_without_a_traceparent() {
    assert!(extract(&Headers::default(), Propagators::ALL).is_none(), "each begins a trace");
}

#[test]
fn case_40_many_requests_under_a_bad_traceparent() {
    let zeros = format!("00-{}-{PARENT}-01", "0".repeat(32));
    assert!(extract(&Headers(vec![(TRACEPARENT.to_owned(), zeros)]), Propagators::ALL).is_none());
}

#[test]
fn case_41_the_random_flag() {
    let out = parent(&format!("00-{TRACE}-{PARENT}-02"));
    assert!(out.continues());
    assert!(out.traceparent.ends_with("-03"), "{}", out.traceparent);
}

#[test]
fn baggage_goes_where_it_is_wanted_and_needs_no_trace() {
    let headers = Headers(vec![(BAGGAGE.to_owned(), "a=1".into()), ("Baggage".to_owned(), "b=2".into())]);
    let context = extract(&headers, Propagators::ALL).expect("there is baggage");
    let mut out = Headers::default();
    inject(&context, &mut out, Propagators::TRACE_CONTEXT);
    assert!(out.0.is_empty());
    inject(&context, &mut out, Propagators::ALL);
    assert_eq!(out.0, [(BAGGAGE.to_owned(), "a=1,b=2".to_owned())]);
    assert!(extract(&headers, Propagators::TRACE_CONTEXT).is_none());
    assert!(!context.span().span_context().is_valid());
}
