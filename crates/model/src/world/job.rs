//! The jobs, and the fields that a worker reads and writes.

use std::sync::LazyLock;

use postrider_queue::Fields;
use postrider_queue::job::{Delivery, EntryId, FlowId, Job, Lease, of_fields};
use postrider_queue::work::fields;

use super::{ATTEMPTS_MAX, JOBS, TICK_MS};
use crate::calls::MARK;
use crate::redis::{Bytes, Id};

/// What a producer wants of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    /// It waits for a tick first.
    Delayed,
    /// Its flow may hold it.
    Limited,
    /// Its flow may hold it, and it expires after two ticks.
    Expiring,
    /// It asks for a result.
    Result,
}

/// How long a result is kept, ms.
pub(crate) const RESULT_MS: u64 = 3_600_000;

/// The flow of limited jobs.
pub(crate) static FLOW_ID: LazyLock<String> = LazyLock::new(|| FlowId::of("mine").to_string());

/// What a job is recognized by, wherever it is.
pub(crate) fn url(job: usize) -> String {
    format!("http://h.example/job{job}")
}

/// The job of an entry.
pub(crate) fn number_of(bytes: &[u8]) -> Option<usize> {
    (0..JOBS).find(|job| {
        let url = url(*job);
        bytes.windows(url.len()).any(|part| part == url.as_bytes())
    })
}

/// The fields that a producer sends at a time.
pub(crate) fn fields_of(job: usize, shape: Shape, now: u64) -> Vec<Bytes> {
    let most = ATTEMPTS_MAX.to_string();
    let url = url(job);
    let mut fields = vec!["url", &url, "max_attempts", &most];
    let [delay, expires, kept] = [TICK_MS, now + 2 * TICK_MS, RESULT_MS].map(|number| number.to_string());
    match shape {
        Shape::Plain => {}
        Shape::Delayed => fields.extend(["delay_ms", &delay]),
        Shape::Limited => fields.extend(["flow", "mine"]),
        Shape::Expiring => fields.extend(["flow", "mine", "expires_at", &expires]),
        Shape::Result => fields.extend(["result_ttl_ms", &kept]),
    }
    fields.into_iter().map(|part| part.as_bytes().to_vec()).collect()
}

/// When a waiting job expires, by its packed fields.
pub(crate) fn expires_of(packed: &[u8]) -> Option<u64> {
    let name = b"expires_at";
    let at = packed.windows(name.len()).position(|part| part == name)? + name.len();
    // After the length of a short text.
    let digits: String =
        packed[at + 1..].iter().map_while(|byte| byte.is_ascii_digit().then_some(*byte as char)).collect();
    digits.parse().ok()
}

/// The flow of a waiting job, as a sweep finds it.
pub(crate) fn flow_of(flow: &[u8], url: &[u8]) -> Option<String> {
    let named = [("flow", flow), ("url", url)].into_iter().filter(|(_, value)| !value.is_empty());
    let fields: Fields = named.map(|(name, value)| (name.into(), value.to_vec().into())).collect();
    of_fields(&fields).map(|(flow, _)| flow.to_string())
}

/// A delivery, as a worker sees it: without the fields that begin with `_` unless a script wrote the entry.
pub(crate) fn delivery(id: Id, count: u64, flat: &[Bytes]) -> Delivery {
    let all: Fields =
        flat.chunks_exact(2).map(|pair| (pair[0].clone().into(), pair[1].clone().into())).collect();
    let job_id = fields::value(&all, "_job_id").or_else(|| fields::value(&all, "_replay_of"));
    let mark = job_id.map(|job_id| {
        let text = [MARK.as_bytes(), &job_id].concat();
        sha1_smol::Sha1::from(text).digest().to_string()
    });
    let is_ours =
        mark.is_some() && fields::value(&all, "_mark").is_some_and(|own| Some(own) == mark.map(Into::into));
    let kept = all.into_iter().filter(|(name, _)| !name.starts_with(b"_") || is_ours && name != "_mark");
    let lease = Lease { entry: EntryId { millis: id.0, sequence: id.1 }, delivery: count, epoch: 0 };
    Delivery::new(lease, kept.collect())
}

/// The fields of a job that is retried, or dead.
pub(crate) fn after_attempt(delivery: &Delivery, job: &Job, attempts: u32) -> Fields {
    let mut written = fields::own_fields(&delivery.fields);
    fields::push(&mut written, "_attempt", attempts.to_string());
    if let Some(job_id) = &job.trail.replay_of {
        fields::push(&mut written, "_replay_of", job_id.clone());
    }
    written
}

/// Names and values, alternating.
pub(crate) fn flat(fields: &Fields) -> Vec<Bytes> {
    fields.iter().flat_map(|(name, value)| [name.to_vec(), value.to_vec()]).collect()
}

/// How many attempts the fields of a dead letter count.
pub(crate) fn attempts(fields: &[Vec<u8>]) -> u64 {
    let own = fields.chunks_exact(2).find(|pair| pair[0] == b"_attempt");
    own.and_then(|pair| String::from_utf8_lossy(&pair[1]).parse().ok()).unwrap_or(0)
}
