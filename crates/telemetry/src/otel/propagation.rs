//! W3C Trace Context, strictly: the SDK's own propagator accepts headers of wrong length and writes an empty
//! `tracestate`.
//!
//! <https://www.w3.org/TR/trace-context-2/>, §3.2 `traceparent` and §3.3 `tracestate`.

use opentelemetry::trace::{SpanContext, TraceState};

use crate::Carrier;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// The flags known to level 2: sampled and random.
const KNOWN_FLAGS: u8 = 0b11;
/// §3.3.1.1: a list has at most 32 members.
const MOST_MEMBERS: usize = 32;

pub(super) fn extract(carrier: &dyn Carrier) -> Option<SpanContext> {
    let (trace_id, span_id, flags) = parse(carrier.get(TRACEPARENT)?)?;
    // A bad tracestate is dropped and the traceparent kept (§4.3).
    let state = carrier.get(TRACESTATE).and_then(parse_state).unwrap_or_default();
    Some(super::remote(trace_id, span_id, flags, state))
}

pub(super) fn inject(span: &SpanContext, carrier: &mut dyn Carrier) {
    carrier.set(TRACEPARENT, traceparent(span));
    let state = span.trace_state().header();
    if !state.is_empty() {
        carrier.set(TRACESTATE, state);
    }
}

pub(super) fn traceparent(span: &SpanContext) -> String {
    let flags = span.trace_flags().to_u8() & KNOWN_FLAGS;
    format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id())
}

/// `version-traceid-parentid-flags`. A version above 00 may have more behind another dash; ff is invalid.
fn parse(header: &str) -> Option<(u128, u64, u8)> {
    let header = header.trim_matches([' ', '\t']);
    if !header.is_ascii() || header.len() < 55 {
        return None;
    }
    let (known, rest) = header.split_at(55);
    let version = hex(&known[..2])?;
    let ends_well = if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
    let dashed = [2, 35, 52].iter().all(|at| known.as_bytes()[*at] == b'-');
    if version == 0xff || !ends_well || !dashed {
        return None;
    }
    let trace_id = hex(&known[3..35])?;
    let span_id = hex(&known[36..52])?;
    let flags = hex(&known[53..55])?;
    if trace_id == 0 || span_id == 0 {
        return None;
    }
    Some((trace_id, u64::try_from(span_id).ok()?, u8::try_from(flags).ok()? & KNOWN_FLAGS))
}

/// Lower-case hex digits and nothing else: `from_str_radix` alone would take `+` and capitals.
fn hex(digits: &str) -> Option<u128> {
    let all = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if all { u128::from_str_radix(digits, 16).ok() } else { None }
}

fn parse_state(header: &str) -> Option<TraceState> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in header.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let twice = members.iter().any(|(known, _)| *known == key);
        if twice || !valid_key(key) || !valid_value(value) || members.len() == MOST_MEMBERS {
            return None;
        }
        members.push((key, value));
    }
    TraceState::from_key_value(members).ok()
}

/// §3.3.1.3.1: `simple-key` or `tenant@system`.
fn valid_key(key: &str) -> bool {
    let part = |text: &str, longest: usize, digit_first: bool| {
        let first = text.bytes().next();
        (1..=longest).contains(&text.len())
            && first.is_some_and(|byte| byte.is_ascii_lowercase() || digit_first && byte.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte))
    };
    match key.split_once('@') {
        None => part(key, 256, true),
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
    }
}

/// §3.3.1.3.2: up to 256 printable ASCII characters without `,` and `=`, not ending in a space.
fn valid_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value.bytes().all(|byte| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_good_header_comes_back_as_it_was() {
        let (trace_id, span_id, flags) = parse(GOOD).unwrap();
        let span = crate::otel::remote(trace_id, span_id, flags, TraceState::default());
        assert_eq!(traceparent(&span), GOOD);
    }

    #[test]
    fn the_random_flag_is_kept_and_unknown_flags_are_not() {
        assert_eq!(parse(&GOOD.replace("-01", "-03")).unwrap().2, 3);
        assert_eq!(parse(&GOOD.replace("-01", "-ff")).unwrap().2, 3);
    }

    #[test]
    fn wrong_headers_are_none() {
        let wrong = [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}0"),
            &format!("{GOOD}-00"),
            &GOOD.replace("00-", "ff-"),
            &GOOD.replace("0af7", "0AF7"),
            &GOOD.replace("0af7", "+af7"),
            &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &GOOD.replace("-01", "_01"),
            &GOOD.replace("-01", "-0g"),
        ];
        for header in wrong {
            assert!(parse(header).is_none(), "{header}");
        }
    }

    #[test]
    fn a_later_version_may_have_more_behind_a_dash() {
        assert!(parse(&format!("{}-what", GOOD.replace("00-", "cc-"))).is_some());
        assert!(parse(&format!("{}.what", GOOD.replace("00-", "cc-"))).is_none());
    }

    #[test]
    fn tracestate_is_kept_in_order_or_dropped_whole() {
        assert_eq!(parse_state("b=2, a@x=1,,").unwrap().header(), "b=2,a@x=1");
        for wrong in ["a=1,a=2", "A=1", "a", "a=", "@x=1", "a@1=1", "a@@x=1", "a=1=2"] {
            assert!(parse_state(wrong).is_none(), "{wrong}");
        }
        let many = |n: usize| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
        assert!(parse_state(&many(32)).is_some());
        assert!(parse_state(&many(33)).is_none());
    }
}
