//! The field `headers`: a JSON object, name to string or to list of strings.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Malformed, quoted};

/// Headers of the connection or of the message's framing, which the client sets (RFC 9110 §7.6.1, RFC 9112
/// §6). `host` comes from the URL.
const RESERVED: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "http2-settings",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// The maximum number of values: more than any server accepts.
const HEADER_VALUES_MAX: usize = 256;
/// The maximum size of the field, in bytes of JSON. Servers accept headers of 8 to 64 KiB.
pub(super) const FIELD_BYTES_MAX: usize = 64 * 1024;

/// Whether only the client may set this header.
pub fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str())
}

pub(super) fn parse(field: Option<&Bytes>) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::new();
    let Some(field) = field else { return Ok(headers) };
    if field.iter().all(u8::is_ascii_whitespace) {
        return Err(Malformed::new("field `headers` is empty; leave it out, or write a JSON object, as {}"));
    }
    // Before it is parsed: a value takes many times the memory of its text.
    if field.len() > FIELD_BYTES_MAX {
        let bytes = field.len();
        return Err(Malformed::new(format!("field `headers` has {bytes} bytes; at most {FIELD_BYTES_MAX}")));
    }
    let object: Value = serde_json::from_slice(field)
        .map_err(|error| Malformed::new(format!("field `headers` is not JSON: {error}")))?;
    let Value::Object(object) = object else {
        return Err(Malformed::new("field `headers` must be a JSON object of name to text"));
    };
    for (name, value) in object {
        let key = HeaderName::try_from(&name).map_err(|_| {
            Malformed::new(format!("field `headers`: {} is not a header name", quoted(&name)))
        })?;
        if is_reserved(&key) {
            return Err(Malformed::new(format!(
                "field `headers`: `{key}` is set by the worker, leave it out"
            )));
        }
        match value {
            Value::String(value) => push(&mut headers, key, &value)?,
            Value::Array(values) => {
                for value in values {
                    let Value::String(value) = value else { return Err(not_text(&key)) };
                    push(&mut headers, key.clone(), &value)?;
                }
            }
            _ => return Err(not_text(&key)),
        }
    }
    Ok(headers)
}

fn push(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), Malformed> {
    // The value may be secret: the error contains only the name.
    let value = HeaderValue::from_str(value).map_err(|_| {
        let name = quoted(name.as_str());
        Malformed::new(format!("field `headers`: the value of {name} has a character that headers cannot"))
    })?;
    if headers.len() >= HEADER_VALUES_MAX {
        return Err(Malformed::new(format!("field `headers` has more than {HEADER_VALUES_MAX} values")));
    }
    headers.append(name, value);
    Ok(())
}

fn not_text(name: &HeaderName) -> Malformed {
    let name = quoted(name.as_str());
    Malformed::new(format!("field `headers`: the value of {name} must be text or a list of texts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &'static str) -> Result<HeaderMap, String> {
        parse(Some(&Bytes::from_static(json.as_bytes()))).map_err(|malformed| malformed.error)
    }

    #[test]
    fn a_name_may_have_one_value_or_several() {
        let headers = check(r#"{"X-One":"1","x-two":["a","b"]}"#).unwrap();
        assert_eq!(headers["x-one"], "1");
        assert_eq!(headers.get_all("x-two").iter().count(), 2);
        assert!(parse(None).unwrap().is_empty());
    }

    #[test]
    fn headers_have_a_size() {
        let parse = |length| parse(Some(&format!(r#"{{"x":"{}"}}"#, "y".repeat(length)).into()));
        assert!(parse(FIELD_BYTES_MAX - 8).is_ok());
        assert!(parse(FIELD_BYTES_MAX - 7).unwrap_err().error.contains("at most 65536"));
    }

    #[test]
    fn an_invalid_header_is_refused_by_name_and_never_by_value() {
        for wrong in [
            "",
            " ",
            "[]",
            "{",
            r#"{"a":1}"#,
            r#"{"a":[1]}"#,
            r#"{"a b":"x"}"#,
            r#"{"Content-Length":"3"}"#,
            r#"{"x":"secret\r\nhost: evil"}"#,
        ] {
            let error = check(wrong).unwrap_err();
            assert!(error.starts_with("field `headers`"), "{wrong}: {error}");
            assert_eq!(wrong.trim().is_empty(), error.contains("is empty; leave it out"), "{wrong}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
