//! The W3C's test suite for Trace Context, through a queue: the input is a producer's job, and the output is the
//! request at the destination.

#[path = "../../../../otel-facade/src/otel/propagation/suite/cases.rs"]
mod cases;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use e2e::sink::SinkRequest;
use serde_json::{Value, json};

use super::{DEADLINE, GRPC, ObservedWorker};
use cases::{Case, PARENT, TRACE, Trace};

/// How a producer passes on its own headers.
#[derive(Clone, Copy, Debug)]
enum By {
    /// By fields of those names, in lower case; several headers of a name joined, as RFC 9110, §5.3, has it.
    Fields,
    /// In the field `headers`, unchanged.
    Headers,
}

fn fields(case: &Case, by: By, url: String) -> Vec<(String, String)> {
    let mut values: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in &case.headers {
        let name = match by {
            By::Fields => name.to_lowercase(),
            By::Headers => name.clone(),
        };
        values.entry(name).or_default().push(value);
    }
    let mut fields = vec![("url".to_owned(), url)];
    match by {
        By::Fields => fields.extend(values.into_iter().map(|(name, values)| (name, values.join(",")))),
        By::Headers => {
            let headers: BTreeMap<String, Value> =
                values.into_iter().map(|(name, values)| (name, json!(values))).collect();
            fields.push(("headers".to_owned(), json!(headers).to_string()));
        }
    }
    fields
}

/// What is wrong with a request; the span ids of all others are in `ids`.
fn fault(case: &Case, request: &SinkRequest, ids: &mut HashSet<String>) -> Option<String> {
    let sent = |name: &str| -> Vec<&str> {
        let own = request.headers.iter().filter(|(own, _)| own == name);
        own.map(|(_, value)| value.as_str()).collect()
    };
    let [traceparent] = sent("traceparent")[..] else {
        return Some(format!("traceparent: {:?}", sent("traceparent")));
    };
    let parts: Vec<&str> = traceparent.split('-').collect();
    let ["00", trace_id, span_id, flags] = parts[..] else { return Some(traceparent.to_owned()) };
    let is_right = match case.trace {
        Trace::Continues(expected) => trace_id == TRACE && flags == format!("{expected:02x}"),
        Trace::StartsNew => trace_id != TRACE && trace_id.len() == 32 && flags == "01",
    };
    let is_own = span_id.len() == 16 && span_id != PARENT && ids.insert(span_id.to_owned());
    let state = sent("tracestate");
    let is_state = state == case.tracestate.as_deref().as_slice();
    (!(is_right && is_own && is_state)).then(|| format!("{traceparent} {state:?}"))
}

#[test]
fn every_case_of_the_w3c_suite_goes_through_the_queue_as_it_must() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let all = cases::all();
    let numbers: BTreeSet<usize> = all.iter().map(|case| case.number).collect();
    assert_eq!(numbers, (1..=cases::COUNT).collect());
    let mut wanted = vec![];
    for by in [By::Fields, By::Headers] {
        for (index, case) in all.iter().enumerate() {
            let path = format!("/{by:?}/{index}");
            for _ in 0..case.requests {
                observed.queue().enqueue(&fields(case, by, observed.world.sink.url(&path)));
            }
            wanted.push((path, case));
        }
    }
    let count = wanted.iter().map(|(_, case)| case.requests).sum();
    let mut requests: BTreeMap<String, Vec<SinkRequest>> = BTreeMap::new();
    for request in observed.world.sink.wait_for(count, DEADLINE) {
        requests.entry(request.path.clone()).or_default().push(request);
    }
    let (mut faults, mut ids) = (vec![], HashSet::new());
    for (path, case) in wanted {
        let sent = requests.remove(&path).unwrap_or_default();
        assert_eq!(sent.len(), case.requests, "{path} {case:?}");
        let found = sent.iter().filter_map(|request| fault(case, request, &mut ids));
        let line =
            |fault| format!("case {}, {}, {path}: {fault}: {:?}", case.number, case.name, case.headers);
        faults.extend(found.map(line));
    }
    assert_eq!(faults, [""; 0]);
}
