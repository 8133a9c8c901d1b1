//! The producer's side: putting jobs in, and reading what became of them.

use fred::clients::Client;
use fred::interfaces::{KeysInterface, StreamsInterface};
use redis_telemetry::Command;
use serde::Deserialize;
use telemetry::{Carrier, SpanKind, semconv};

use super::{Error, Queue};
use crate::entry::{EntryId, Fields};

/// A job that was put in.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The entry's id, which is the job's ticket.
    pub entry: EntryId,
    /// The trace that the job belongs to, where one is recorded.
    pub trace_id: Option<String>,
}

/// What became of a job that asked for its result to be kept.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredResult {
    /// `done` or `dead`.
    pub outcome: String,
    /// The status code of the last answer.
    pub status: Option<u16>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why it is dead.
    pub reason: Option<String>,
    /// The same in one sentence.
    pub error: Option<String>,
    /// The trace of the delivery.
    pub trace_id: Option<String>,
}

impl Queue {
    /// Puts a job in, under a span whose context goes with it.
    ///
    /// # Errors
    /// fred's. After a timeout or a broken connection the job may be in nevertheless.
    pub async fn publish(&self, mut fields: Fields) -> Result<Publication, Error> {
        let span = self.0.telemetry.span(SpanKind::Producer, self.0.names.publish).start(|attributes| {
            attributes.set(semconv::MESSAGING_SYSTEM, "redis");
            attributes.set(semconv::MESSAGING_OPERATION_NAME, "publish");
            attributes.set(semconv::MESSAGING_OPERATION_TYPE, "send");
            attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.0.names.queue);
        });
        let context = span.context();
        context.inject(&mut Outgoing(&mut fields));
        let key = self.0.keys.jobs.clone();
        let command = Command::new("XADD").parent(&context);
        let add = |client: Client| async move {
            client.xadd::<String, _, _, _, _>(key, false, None::<()>, "*", fields).await
        };
        let added = self
            .0
            .redis
            .run(command, add)
            .await
            .inspect_err(|error| span.fail(&redis_telemetry::error_type(error)))?;
        let entry = EntryId::parse(added.as_bytes()).ok_or_else(super::reply::unexpected)?;
        span.set(semconv::MESSAGING_MESSAGE_ID, added);
        Ok(Publication { entry, trace_id: context.trace_id() })
    }

    /// The result under a ticket; `None` while there is none.
    ///
    /// # Errors
    /// fred's.
    pub async fn result(&self, ticket: &str) -> Result<Option<StoredResult>, Error> {
        let key = self.0.keys.result(ticket.as_bytes());
        let get = |client: Client| async move { client.get::<Option<String>, _>(key).await };
        let (found, pending) = self.0.redis.defer(Command::new("GET"), get).await;
        // Asked again and again while a job runs: only the answer is worth a span.
        pending.discard();
        let parse = |text: String| serde_json::from_str(&text).map_err(|_| super::reply::unexpected());
        found?.map(parse).transpose()
    }
}

/// The fields of a job that is about to be put in.
struct Outgoing<'a>(&'a mut Fields);

impl Carrier for Outgoing<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(own, _)| own.as_ref() == name.as_bytes());
        field.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.0.retain(|(own, _)| own.as_ref() != name.as_bytes());
        self.0.push((name.into(), value.into()));
    }
}
