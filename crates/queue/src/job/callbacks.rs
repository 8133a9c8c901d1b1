//! The fields `on_success` and `on_failure`: what to call when a job has ended. Pure.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::fields::Known;
use super::{Fields, Job, Malformed, quoted};

/// The maximum size of each of the two fields, in bytes.
const CALLBACK_FIELD_BYTES_MAX: usize = 16 * 1024;

/// The members of a callback that is a JSON object: fields of the callback's job, with the same meaning.
const CALLBACK_MEMBERS: [&str; 6] = ["url", "method", "headers", "secret", "flow", "retry"];

/// What to call when a job has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callbacks {
    /// The fields of the job that is enqueued when this one succeeds: `url`, and others.
    pub on_success: Option<Fields>,
    /// Those of the job that is enqueued when this one is dead-lettered.
    pub on_failure: Option<Fields>,
}

impl Callbacks {
    /// `None` if the job has none.
    pub(super) fn of(known: &Known) -> Result<Option<Box<Self>>, Malformed> {
        if known.on_success.is_none() && known.on_failure.is_none() {
            return Ok(None);
        }
        let on_success = known.on_success.as_ref().map(|field| target("on_success", field)).transpose()?;
        let on_failure = known.on_failure.as_ref().map(|field| target("on_failure", field)).transpose()?;
        // A callback has no callback, whatever its fields are.
        let is_one = known.trail.callback_of.is_some();
        Ok((!is_one).then(|| Box::new(Self { on_success, on_failure })))
    }

    /// The fields of the callback of a job that is dead-lettered and was not decoded.
    pub(crate) fn on_failure_of(fields: &Fields) -> Option<Fields> {
        let value = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let own = value("on_failure").filter(|_| value("_callback_of").is_none())?;
        target("on_failure", own).ok()
    }
}

/// The fields that a URL, or a JSON object, gives to the callback's job.
fn target(name: &str, field: &Bytes) -> Result<Fields, Malformed> {
    if field.len() > CALLBACK_FIELD_BYTES_MAX {
        let bytes = field.len();
        return Err(Malformed::new(format!(
            "field `{name}` has {bytes} bytes; at most {CALLBACK_FIELD_BYTES_MAX}"
        )));
    }
    let fields = match field.first() {
        Some(b'{') => members(name, field)?,
        _ => vec![(Bytes::from_static(b"url"), field.clone())],
    };
    Job::check(&fields, usize::MAX).map_err(|malformed| {
        let error = malformed.error.strip_prefix("field ").unwrap_or(&malformed.error).to_owned();
        Malformed::new(format!("field `{name}`: {error}"))
    })?;
    Ok(fields)
}

fn members(name: &str, field: &[u8]) -> Result<Fields, Malformed> {
    let wrong = |what: String| Malformed::new(format!("field `{name}`: {what}"));
    // The error of the parser may repeat a value, which may be secret.
    let object: Map<String, Value> = serde_json::from_slice(field)
        .map_err(|error| wrong(format!("it is not a JSON object (column {})", error.column())))?;
    let member = |(member, value): (String, Value)| {
        let Some(known) = CALLBACK_MEMBERS.into_iter().find(|known| *known == member) else {
            let (member, known) = (quoted(&member), CALLBACK_MEMBERS.join(", "));
            return Err(wrong(format!("{member} is not known here; known are {known}")));
        };
        let text = match (known, value) {
            (_, Value::String(text)) => text,
            ("headers", value @ Value::Object(_)) => value.to_string(),
            ("headers", _) => return Err(wrong("`headers` must be an object".to_owned())),
            _ => return Err(wrong(format!("`{known}` must be a text"))),
        };
        Ok((Bytes::from_static(known.as_bytes()), text.into()))
    };
    object.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Delivery, EntryId, Lease};

    fn decode(pairs: &[(&'static str, &str)]) -> Result<Option<Box<Callbacks>>, String> {
        let entry = EntryId { millis: 1_795_396_101_000, sequence: 3 };
        let lease = Lease { entry, delivery: 1, epoch: 0 };
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let mut fields: Fields = vec![("url".into(), "http://h/x".into())];
        fields.extend(pairs.iter().map(|(name, value)| ((*name).into(), bytes(value))));
        let job = Job::decode(&Delivery::new(lease, fields));
        job.map(|job| job.callbacks).map_err(|malformed| malformed.error)
    }

    fn texts(fields: &Fields) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn a_callback_is_a_url_or_an_object() {
        assert_eq!(decode(&[]), Ok(None));
        let full = r#"{"url":"https://h/dead","method":"PUT","headers":{"x-a":["1","2"]},"secret":"hooks","flow":"f","retry":"slow"}"#;
        let callbacks = decode(&[("on_success", "https://h/done"), ("on_failure", full)]).unwrap().unwrap();
        assert_eq!(texts(&callbacks.on_success.unwrap()), [("url", "https://h/done")]);
        let mut failure = callbacks.on_failure.unwrap();
        failure.sort();
        let headers = ("headers", r#"{"x-a":["1","2"]}"#);
        let others = [("method", "PUT"), ("retry", "slow"), ("secret", "hooks"), ("url", "https://h/dead")];
        assert_eq!(texts(&failure), [&[("flow", "f"), headers][..], &others].concat());
    }

    #[test]
    fn an_invalid_callback_makes_the_job_malformed_and_repeats_no_secret() {
        for (wrong, error) in [
            ("", "`url` must be absolute"),
            ("h/done", "`url` must be absolute"),
            ("ftp://h/", "neither http nor https"),
            ("{}", "`url` is missing"),
            ("{", "not a JSON object"),
            (r#"{"url":["hunter2"]}"#, "`url` must be a text"),
            (r#"{"url":"http://h/","headers":"hunter2"}"#, "`headers` is not JSON"),
            (r#"{"url":"http://h/","headers":{"host":"hunter2"}}"#, "`host` is set by the worker"),
            (r#"{"url":"http://h/","method":"a b"}"#, "`method` is not an HTTP method"),
            (r#"{"url":"http://h/","on_failure":"http://h/"}"#, "\"on_failure\" is not known here"),
            (r#"{"url":"http://h/","flow":""}"#, "`flow` must be 1 to 256 bytes"),
        ] {
            let refused = decode(&[("on_success", wrong)]).unwrap_err();
            assert!(
                refused.starts_with("field `on_success`") && refused.contains(error),
                "{wrong}: {refused}"
            );
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let long = format!("http://h/{}", "x".repeat(CALLBACK_FIELD_BYTES_MAX));
        assert!(decode(&[("on_failure", &long)]).unwrap_err().contains("at most 16384"));
        assert!(decode(&[("on_failure", &long[..CALLBACK_FIELD_BYTES_MAX])]).is_ok());
    }

    #[test]
    fn a_callback_has_no_callback() {
        let fields = [("on_success", "http://h/"), ("_job_id", "7-0-callback"), ("_callback_of", "7-0")];
        assert_eq!(decode(&fields), Ok(None));
    }
}
