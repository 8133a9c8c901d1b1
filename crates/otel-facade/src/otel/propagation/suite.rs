//! Tests the propagator against the table of the W3C's test suite.

#[path = "suite/cases.rs"]
mod cases;

use std::collections::BTreeSet;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags};

use super::*;
use cases::{Case, PARENT, TRACE, Trace};

/// Received headers: in their order, names in any case, some of them twice.
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

/// What goes out under the span of this id: `traceparent` and `tracestate`.
fn pass(case: &Case, span_id: u64) -> (String, Option<String>) {
    let remote = extract(&Headers(case.headers.clone()), Propagators::ALL).unwrap_or_default();
    let parent = remote.span().span_context().clone();
    // As the SDK makes a child: ids, flags and state of the parent, or new ones.
    let trace_id = if parent.is_valid() { parent.trace_id() } else { 0xabc_u128.into() };
    let flags = if parent.is_valid() { parent.trace_flags() } else { TraceFlags::SAMPLED };
    let state = parent.trace_state().clone();
    let child = SpanContext::new(trace_id, SpanId::from(span_id), flags, false, state);
    let mut out = Headers::default();
    inject(&remote.with_remote_span_context(child), &mut out, Propagators::ALL);
    (out.get(TRACEPARENT).expect("it is always written").to_owned(), out.get(TRACESTATE).map(str::to_owned))
}

#[test]
fn every_case_of_the_suite_goes_out_as_it_must() {
    for case in cases::all() {
        for span_id in 1..=case.requests as u64 {
            let trace = match case.trace {
                Trace::Continues(flags) => format!("00-{TRACE}-{span_id:016x}-{flags:02x}"),
                Trace::StartsNew => format!("00-{:032x}-{span_id:016x}-01", 0xabc),
            };
            assert_eq!(pass(&case, span_id), (trace, case.tracestate.clone()), "{}: {case:?}", case.name);
        }
    }
    let numbers: BTreeSet<usize> = cases::all().iter().map(|case| case.number).collect();
    assert_eq!(numbers, (1..=cases::COUNT).collect());
}

#[test]
fn a_span_that_nobody_records_goes_out_under_another_id_and_with_the_flags_that_came() {
    for flags in [0, 2] {
        let parent = format!("00-{TRACE}-{PARENT}-0{flags}");
        let state = (TRACESTATE.to_owned(), "a=1".to_owned());
        let headers = Headers(vec![(TRACEPARENT.to_owned(), parent), state.clone()]);
        let context = extract(&headers, Propagators::ALL).expect("it is good");
        let mut out = Headers::default();
        inject_as(&context, 0xdef_u64.into(), &mut out, Propagators::ALL);
        let own = (TRACEPARENT.to_owned(), format!("00-{TRACE}-{:016x}-0{flags}", 0xdef));
        assert_eq!(out.0, [own, state]);
    }
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
