//! Decodes the fields of an entry into a job, or into the reason why it is not a job.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Uri};

use super::callbacks::Callbacks;
use super::entry::Delivery;
use super::fields::{Known, ProducerContext, is_label};
use super::line::{ORDER_BYTES_MAX, is_order_key};
use super::numbers::{max_attempts, result_ttl, timeout, unix_millis, wait, whole};
use super::reason::Reason;
use super::url::Destination;
use super::{Job, Malformed, headers};

/// The version of the wire format that this worker knows.
const VERSION: u64 = 1;
/// A script cannot carry an entry with more fields.
const FIELDS_MAX: usize = 256;

impl Job {
    /// Reads a job.
    ///
    /// # Errors
    /// [`Malformed`] names the wrong field and what to write instead.
    pub fn decode(delivery: &Delivery) -> Result<Self, Malformed> {
        let fields = &delivery.fields;
        let count = fields.iter().filter(|(name, _)| name.first() != Some(&b'_')).count();
        if count > FIELDS_MAX || fields.len() > 2 * FIELDS_MAX {
            let count = fields.len();
            return Err(Malformed::new(format!("{count} fields are too many; at most {FIELDS_MAX}")));
        }
        if delivery.is_too_large() {
            let (bytes, most) = (delivery.bytes(), delivery.bytes_max);
            return Err(Malformed::new(format!("{bytes} bytes are too many; at most {most}")));
        }
        let known = Known::pick(fields)?;
        version(&known)?;
        let mut headers = headers::parse(known.headers.as_ref())?;
        let context = ProducerContext {
            traceparent: known.traceparent.clone(),
            tracestate: known.tracestate.clone(),
            baggage: known.baggage.clone(),
        };
        let context = context.completed_by(&mut headers);
        let job_id = known.trail.job_id.clone().unwrap_or_else(|| delivery.lease.entry.text());
        Ok(Self {
            label: label(&known)?.unwrap_or_else(|| job_id.clone()),
            id: job_id,
            uri: url(&known, &mut headers)?,
            method: method(&known)?,
            headers,
            timeout: timeout(&known)?,
            max_attempts: max_attempts(&known)?,
            retry: known.retry.clone(),
            flow: flow(&known)?,
            order: order(&known)?,
            secret: known.secret.clone(),
            wait: wait(&known)?,
            expires_at: unix_millis("expires_at", &known.expires_at)?,
            result_ttl: result_ttl(&known)?,
            callbacks: Callbacks::of(&known)?,
            body: known.body.unwrap_or_default(),
            context,
            unknown: known.unknown,
            trail: known.trail,
        })
    }
}

fn version(known: &Known) -> Result<(), Malformed> {
    match whole("v", &known.v)? {
        Some(v) if v > VERSION => Err(Malformed {
            reason: Reason::Version,
            error: format!(
                "format version {v} is newer than this worker's {VERSION}; replay it with a newer worker"
            ),
        }),
        Some(0) => Err(Malformed::new("field `v` must be at least 1")),
        _ => Ok(()),
    }
}

/// User information in the URL sets the header `authorization`, unless the job has its own.
fn url(known: &Known, headers: &mut HeaderMap) -> Result<Uri, Malformed> {
    let field = known.url.as_ref().ok_or_else(|| Malformed::new("field `url` is missing"))?;
    let Destination { uri, authorization } = Destination::parse(field)?;
    if let Some(authorization) = authorization {
        headers.entry(AUTHORIZATION).or_insert(authorization);
    }
    Ok(uri)
}

/// Methods that may be in small letters.
const USUAL: [&str; 9] = ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY"];

fn method(known: &Known) -> Result<Method, Malformed> {
    match known.method.as_deref() {
        None => Ok(Method::POST),
        Some(text) if text.eq_ignore_ascii_case(b"CONNECT") => {
            Err(Malformed::new("field `method`: CONNECT is for proxies"))
        }
        Some(text) => {
            // RFC 9110 §9.1: methods are case-sensitive, so no server would know `get`.
            let meant = USUAL.iter().find(|usual| usual.as_bytes().eq_ignore_ascii_case(text));
            Method::from_bytes(meant.map_or(text, |usual| usual.as_bytes()))
                .map_err(|_| Malformed::new("field `method` is not an HTTP method, as GET or POST"))
        }
    }
}

fn label(known: &Known) -> Result<Option<Bytes>, Malformed> {
    match &known.label {
        Some(label) if !is_label(label) => {
            Err(Malformed::new("field `label` must be 1 to 128 printable ASCII characters without a blank"))
        }
        label => Ok(label.clone()),
    }
}

fn flow(known: &Known) -> Result<Option<Bytes>, Malformed> {
    match &known.flow {
        Some(flow) if !(1..=256).contains(&flow.len()) => {
            Err(Malformed::new("field `flow` must be 1 to 256 bytes"))
        }
        flow => Ok(flow.clone()),
    }
}

fn order(known: &Known) -> Result<Option<Bytes>, Malformed> {
    match &known.order {
        Some(key) if !is_order_key(key) => {
            Err(Malformed::new(format!("field `order` must be 1 to {ORDER_BYTES_MAX} bytes")))
        }
        key => Ok(key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ENTRY_BYTES_MAX;
    use super::*;
    use crate::job::{EntryId, Fields, Lease};

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect()
    }

    const URL: (&str, &str) = ("url", "http://h/x");

    fn decode(pairs: &[(&str, &str)]) -> Result<Job, Malformed> {
        let entry = EntryId { millis: 1_795_396_101_000, sequence: 3 };
        let lease = Lease { entry, delivery: 1, epoch: 0 };
        Job::decode(&Delivery::new(lease, fields(pairs)))
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        let mut all = vec![URL];
        all.retain(|(name, _)| !pairs.iter().any(|(own, _)| own == name));
        all.extend(pairs);
        decode(&all).map(|_| ()).expect_err("it must be refused").error
    }

    #[test]
    fn a_url_is_enough() {
        let job = decode(&[URL]).unwrap();
        assert_eq!(job.method, Method::POST);
        assert_eq!(job.id, "1795396101000-3");
        assert_eq!(job.label, job.id);
        assert!(job.body.is_empty());
        assert_eq!(job.wait, None);
    }

    #[test]
    fn unknown_fields_are_ignored_and_known_ones_are_given_once() {
        assert_eq!(
            decode(&[URL, ("colour", "red"), ("colour", "blue")]).unwrap().unknown,
            ["colour", "colour"]
        );
        assert!(refused(&[("body", "a"), ("body", "b")]).contains("twice"));
    }

    #[test]
    fn an_entry_has_a_size() {
        assert!(decode(&[URL, ("body", &"x".repeat(ENTRY_BYTES_MAX - 100))]).is_ok());
        assert!(refused(&[("body", &"x".repeat(ENTRY_BYTES_MAX))]).contains("too many"));
    }

    #[test]
    fn a_usual_method_may_be_in_small_letters() {
        for method in ["GET", "PATCH", "QUERY", "PURGE", "M-SEARCH", "purge"] {
            assert_eq!(decode(&[URL, ("method", method)]).unwrap().method, method);
        }
        for (method, sent) in [("get", "GET"), ("Post", "POST"), ("query", "QUERY")] {
            assert_eq!(decode(&[URL, ("method", method)]).unwrap().method, sent);
        }
        for (wrong, reason) in [
            ("CONNECT", "for proxies"),
            ("connect", "for proxies"),
            ("NO SPACE", "is not an HTTP method"),
            ("GET\r\nx: y", "is not an HTTP method"),
            ("", "is not an HTTP method"),
        ] {
            assert!(refused(&[("method", wrong)]).contains(reason), "{wrong:?}");
        }
    }

    #[test]
    fn a_label_is_printable_and_the_job_id_stays_plain() {
        for label in ["order:4711", "a/b#c", "~!", &"x".repeat(128)] {
            assert_eq!(decode(&[URL, ("label", label)]).unwrap().label, label);
        }
        for wrong in ["", "a b", "é", "a\n", "\u{7f}", &"x".repeat(129)] {
            assert!(refused(&[("label", wrong)]).contains("printable ASCII"), "{wrong:?}");
        }
        assert_eq!(decode(&[URL, ("_job_id", "a:b")]).unwrap().id, "1795396101000-3");
    }

    #[test]
    fn a_user_in_the_url_is_sent_unless_the_job_has_its_own() {
        let url = ("url", "http://u:hunter2@h/");
        let job = decode(&[url]).unwrap();
        assert_eq!(job.uri, "http://h/");
        assert_eq!(job.headers["authorization"], "Basic dTpodW50ZXIy");
        let own = decode(&[url, ("headers", r#"{"Authorization":"Bearer x"}"#)]).unwrap();
        assert_eq!(own.headers["authorization"], "Bearer x");
        assert!(!refused(&[("url", "http://u:hunter2@h:x/")]).contains("hunter2"));
    }

    #[test]
    fn a_newer_format_has_its_own_reason() {
        assert_eq!(decode(&[URL, ("v", "2")]).unwrap_err().reason, Reason::Version);
        assert!(decode(&[URL, ("v", "1")]).is_ok());
    }

    #[test]
    fn a_context_in_the_headers_counts_where_no_field_has_one() {
        let text = |value: Option<Bytes>| value.map(|value| String::from_utf8(value.to_vec()).unwrap());
        let context = |pairs: &[(&str, &str)]| {
            let job = decode(&[&[URL], pairs].concat()).unwrap();
            let left: Vec<String> = job.headers.keys().map(ToString::to_string).collect();
            let ProducerContext { traceparent, tracestate, baggage } = job.context;
            ([traceparent, tracestate, baggage].map(text), left)
        };
        let some =
            |values: [&str; 3]| values.map(|value| Some(value.to_owned()).filter(|value| value != "-"));
        let headers = r#"{"TraceParent":"p","tracestate":["a=1","b=2"],"Baggage":"c=3","x":"y"}"#;
        assert_eq!(context(&[("headers", headers)]), (some(["p", "a=1,b=2", "c=3"]), vec!["x".to_owned()]));
        let field = [("headers", headers), ("traceparent", "f")];
        assert_eq!(context(&field).0, some(["f", "-", "c=3"]), "another span's state is not sent with it");
        let all = [&field[..], &[("tracestate", "d=4"), ("baggage", "e=5")]].concat();
        assert_eq!(context(&all), (some(["f", "d=4", "e=5"]), vec!["x".to_owned()]));
        assert_eq!(context(&[("headers", r#"{"x":"y"}"#), ("tracestate", "d=4")]).0, some(["-", "d=4", "-"]));
        assert_eq!(context(&[("headers", r#"{"traceparent":["p","q"]}"#)]).0, some(["p,q", "-", "-"]));
    }

    #[test]
    fn the_workers_fields_are_read_and_invalid_ones_are_ignored() {
        let job = decode(&[URL, ("_job_id", "7-1"), ("_attempt", "2"), ("_enqueued_at", "5")]).unwrap();
        assert_eq!((job.id.as_ref(), job.trail.attempts, job.trail.at), (&b"7-1"[..], 2, Some(5)));
        let job = decode(&[URL, ("_job_id", "a b"), ("_attempt", "-2"), ("_enqueued_at", "x")]).unwrap();
        assert_eq!((job.id.as_ref(), job.trail.attempts), (&b"1795396101000-3"[..], 0));
        assert_eq!(job.trail.at, None);
    }
}
