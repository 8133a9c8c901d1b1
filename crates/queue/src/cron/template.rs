//! The job of a tick. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::definition::{CronName, Definition, Overlap};
use super::tick_headers::{HEADERS, headers, value};
use crate::job::{Fields, RESULT_TTL_MILLIS_MAX, number};

impl Definition {
    /// The fields of the job of a tick, Unix ms.
    pub fn job_at(&self, name: &CronName, tick: u64) -> Fields {
        job(self, name, tick)
    }
}

/// The fields of the job of a tick. Its headers name the definition and the nominal time; its label is the name of the
/// definition, unless the template has one.
fn job(definition: &Definition, name: &CronName, tick: u64) -> Fields {
    let mut fields = definition.job.clone();
    let mut all = headers(&fields);
    let at = Timestamp::from_millisecond(tick as i64).unwrap_or_default();
    for (header, value) in HEADERS.into_iter().zip([name.to_string(), at.to_string()]) {
        all.insert(header.to_owned(), value.into());
    }
    set(&mut fields, "headers", Value::Object(all).to_string());
    if value(&fields, "label").is_none() {
        set(&mut fields, "label", name.to_string());
    }
    let late = jitter(definition.jitter, name, tick);
    if late > 0 {
        let own = value(&fields, "delay_ms").and_then(|text| number(text)).unwrap_or(0);
        set(&mut fields, "delay_ms", own.saturating_add(late).to_string());
    }
    if keeps_own_result(definition) {
        // Only by its result, a later tick knows that it has ended.
        set(&mut fields, "result_ttl_ms", RESULT_TTL_MILLIS_MAX.to_string());
    }
    fields
}

/// Whether the result of a job is only kept for the next tick.
pub(super) fn keeps_own_result(definition: &Definition) -> bool {
    definition.overlap == Overlap::Skip && value(&definition.job, "result_ttl_ms").is_none()
}

/// How much later than the tick its job is ready, ms: the same for each tick, in every worker.
fn jitter(most: Duration, name: &CronName, tick: u64) -> u64 {
    let most = most.as_millis() as u64;
    if most == 0 {
        return 0;
    }
    let digest = sha1_smol::Sha1::from(format!("{name} {tick}")).digest().bytes();
    let seed = digest[..8].try_into().map_or(0, u64::from_le_bytes);
    fastrand::Rng::with_seed(seed).u64(..=most)
}

fn set(fields: &mut Fields, name: &'static str, value: String) {
    match fields.iter_mut().find(|(own, _)| own.as_ref() == name.as_bytes()) {
        Some((_, own)) => *own = value.into(),
        None => fields.push((name.into(), value.into())),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::job::ENTRY_BYTES_MAX;

    fn fields(json: &str, tick: u64) -> Vec<(String, String)> {
        let definition = Definition::parse(json, ENTRY_BYTES_MAX).unwrap();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let name = "nightly".parse().unwrap();
        job(&definition, &name, tick).iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn named<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
        fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_job_has_the_name_and_the_nominal_time_of_its_tick() {
        let job =
            fields(r#"{"every":"1h","job":{"url":"http://h/x","headers":{"a":"b"}}}"#, 1_700_000_400_000);
        let expected = r#"{"a":"b","postrider-cron":"nightly","postrider-tick":"2023-11-14T22:20:00Z"}"#;
        assert_eq!(named(&job, "headers"), Some(expected));
        assert_eq!((named(&job, "label"), named(&job, "delay_ms")), (Some("nightly"), None));
        assert_eq!(named(&job, "result_ttl_ms"), None);
    }

    #[test]
    fn a_template_keeps_its_own_label_and_result() {
        let own = r#""url":"http://h/x","label":"report","result_ttl_ms":60000"#;
        let job = fields(&format!(r#"{{"every":"1h","overlap":"skip","job":{{{own}}}}}"#), 0);
        assert_eq!((named(&job, "label"), named(&job, "result_ttl_ms")), (Some("report"), Some("60000")));
        let job = fields(r#"{"every":"1h","overlap":"skip","job":{"url":"http://h/x"}}"#, 0);
        assert_eq!(named(&job, "result_ttl_ms"), Some("604800000"));
    }

    #[test]
    fn jitter_is_added_to_the_delay_and_differs_from_tick_to_tick() {
        let delay = |tick: u64| {
            let job =
                fields(r#"{"every":"1h","jitter":"10s","job":{"url":"http://h/x","delay_ms":500}}"#, tick);
            named(&job, "delay_ms").unwrap().parse::<u64>().unwrap()
        };
        let delays: Vec<u64> = (0..50).map(|hour| delay(hour * 3_600_000)).collect();
        assert!(delays.iter().all(|delay| (500..=10_500).contains(delay)), "{delays:?}");
        assert!(delays.iter().max() > delays.iter().min().map(|least| least + 3000).as_ref(), "{delays:?}");
        assert_eq!(delay(7_200_000), delays[2]);
    }
}
