//! The client that owns a fred client.

use std::future::Future;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, TransactionInterface};
use fred::types::{FromValue, Value};
use otel_facade::{Attributes, Context, ErrorType, Span, SpanKind, Telemetry, semconv};

use crate::call::{Call, texts};
use crate::command::Command;
use crate::error_type::{description, failure};
use crate::options::Options;
use crate::series::Series;
use crate::server::Server;

/// A fred client that records every command. Cheap to clone.
#[derive(Clone)]
pub struct TracedClient {
    client: Client,
    shared: Arc<Shared>,
}

struct Shared {
    telemetry: Telemetry,
    options: Options,
    series: Series,
    server: Server,
}

impl TracedClient {
    /// Takes over a client. Server and database of the spans are those of its configuration.
    pub fn new(client: Client, telemetry: &Telemetry) -> Self {
        Self::with_options(client, telemetry, Options::default())
    }

    /// Takes over a client.
    pub fn with_options(client: Client, telemetry: &Telemetry, options: Options) -> Self {
        let telemetry = telemetry.scoped(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let (server, series) = (Server::of(&client), Series::new(&telemetry));
        Self { client, shared: Arc::new(Shared { telemetry, options, series, server }) }
    }

    /// Sends one command.
    ///
    /// # Errors
    /// Those of the client and the server; the span and the metric name them too.
    pub async fn send<T: FromValue>(&self, call: Call) -> Result<T, Error> {
        let text = |shown| call.text(shown);
        let send = |client: Client| {
            let parts = call.parts();
            async move {
                let (command, arguments) = parts?;
                client.custom(command, arguments).await
            }
        };
        self.run(call.describe(&text), send).await
    }

    /// Sends several commands at once, and waits for all replies.
    ///
    /// # Errors
    /// Those of the client, and the first of the server's.
    pub async fn pipeline<T: FromValue>(&self, calls: Vec<Call>) -> Result<T, Error> {
        let names: Vec<&'static str> = calls.iter().map(Call::name).collect();
        let text = |shown| texts(&calls, shown);
        let send = |client: Client| {
            let parts: Result<Vec<_>, Error> = calls.iter().map(Call::parts).collect();
            async move {
                let pipeline = client.pipeline();
                for (command, arguments) in parts? {
                    let _: Value = pipeline.custom(command, arguments).await?;
                }
                pipeline.all().await
            }
        };
        self.run(Command::pipeline(&names).text_by(&text), send).await
    }

    /// Runs several commands as one (`MULTI`, `EXEC`). `None` if a watched key has changed, which is no error. To watch
    /// keys, use a separate client, since `WATCH` applies to a connection.
    ///
    /// # Errors
    /// Those of the client, and the first of the server's.
    pub async fn transaction<T: FromValue>(&self, calls: Vec<Call>) -> Result<Option<T>, Error> {
        let names: Vec<&'static str> = calls.iter().map(Call::name).collect();
        let text = |shown| texts(&calls, shown);
        let send = |client: Client| {
            let parts: Result<Vec<_>, Error> = calls.iter().map(Call::parts).collect();
            async move {
                let transaction = client.multi();
                for (command, arguments) in parts? {
                    let _: Value = transaction.custom(command, arguments).await?;
                }
                match transaction.exec(true).await? {
                    Value::Null => Ok(None),
                    answers => answers.convert().map(Some),
                }
            }
        };
        self.run(Command::transaction(&names).text_by(&text), send).await
    }

    /// Runs one command, pipeline, transaction or script call under a span. The closure is lent a clone of the
    /// client, which is a reference count: a future that borrowed it could not be named here.
    ///
    /// # Errors
    /// Those of the call, unchanged; the span and the metric name them too.
    pub async fn run<T, F>(&self, command: Command<'_>, call: impl FnOnce(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        // Boxed: fred's futures are of several KB, which every caller's future would contain and every task copy.
        let call = Box::pin(call(self.client.clone()));
        let Some(recording) = self.shared.begin(&command) else { return call.await };
        let result = call.await;
        recording.end(result.as_ref().err());
        result
    }

    /// Runs a call and decides on its span afterwards: a read that waited and returned nothing makes none.
    ///
    /// # Errors
    /// Those of the call are in the first part of the result, unchanged.
    pub async fn defer<'a, T, F>(
        &'a self,
        command: Command<'a>,
        call: impl FnOnce(Client) -> F,
    ) -> (Result<T, Error>, Pending<'a>)
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (at, began) = (SystemTime::now(), Instant::now());
        let result = Box::pin(call(self.client.clone())).await;
        (result, Pending { shared: &self.shared, command, at, began })
    }
}

impl Shared {
    fn records(&self) -> bool {
        self.telemetry.is_on() && !otel_facade::is_suppressed()
    }

    fn begin<'a>(&'a self, command: &Command<'a>) -> Option<Recording<'a>> {
        if !self.records() {
            return None;
        }
        let span = self.span(command, None);
        Some(Recording { shared: self, command: *command, span, began: Instant::now() })
    }

    fn span(&self, command: &Command<'_>, began: Option<(SystemTime, &Context)>) -> Span {
        if !self.options.spans {
            return Span::none();
        }
        let builder = match command.procedure.filter(|_| command.is_named) {
            None => self.telemetry.span(SpanKind::Client, command.name),
            Some(name) => self.telemetry.span(SpanKind::Client, format!("{} {name}", command.name)),
        };
        let builder = match (began, command.parent) {
            (Some((at, parent)), _) => builder.began(at).parent(parent),
            (None, Some(parent)) => builder.parent(parent),
            (None, None) => builder,
        };
        let span = builder.start(|attributes| self.describe(command, attributes));
        if span.is_recording() {
            self.options.hooks.start(&span, command);
        }
        span
    }

    fn describe(&self, command: &Command<'_>, attributes: &mut Attributes) {
        attributes.set(semconv::DB_SYSTEM_NAME, "redis");
        attributes.set(semconv::DB_OPERATION_NAME, command.name);
        self.server.describe(attributes);
        self.server.describe_peer(attributes);
        if let Some(size) = command.batch_size() {
            attributes.set(semconv::DB_OPERATION_BATCH_SIZE, size);
        }
        if let Some(procedure) = command.procedure {
            attributes.set(semconv::DB_STORED_PROCEDURE_NAME, procedure.to_owned());
        }
        if let Some(text) = command.query(self.options.query_text) {
            attributes.set(semconv::DB_QUERY_TEXT, text);
        }
    }
}

/// A command under way. If it is dropped, it was cancelled: its span ends, and it is not measured.
struct Recording<'a> {
    shared: &'a Shared,
    command: Command<'a>,
    span: Span,
    began: Instant,
}

impl Recording<'_> {
    fn end(self, error: Option<&Error>) {
        let failure = error.and_then(failure);
        if self.span.is_recording() {
            if let Some(failure) = &failure {
                self.span.fail_with(failure, || error.map_or("".into(), |error| description(error, failure)));
                if let ErrorType::Custom { .. } = failure {
                    self.span.set(semconv::DB_RESPONSE_STATUS_CODE, failure);
                }
            }
            self.shared.options.hooks.end(&self.span, &self.command, error);
        }
        if !self.command.is_blocking {
            let seconds = self.began.elapsed().as_secs_f64();
            self.shared.series.record(self.command.name, failure, &self.shared.server, seconds);
        }
    }
}

impl std::fmt::Debug for TracedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracedClient").field("server", &self.shared.server.address).finish_non_exhaustive()
    }
}

/// A call that has been made and has no span yet.
#[must_use = "`record`, `measure` or `discard` it"]
pub struct Pending<'a> {
    shared: &'a Shared,
    command: Command<'a>,
    at: SystemTime,
    began: Instant,
}

impl Pending<'_> {
    /// When the call began.
    pub fn began(&self) -> SystemTime {
        self.at
    }

    /// Records the call as [`TracedClient::run`] would have, as a child of the given span.
    pub fn record(self, parent: &Context, error: Option<&Error>) {
        if self.shared.records() {
            let span = self.shared.span(&self.command, Some((self.at, parent)));
            let Self { shared, command, began, .. } = self;
            Recording { shared, command, span, began }.end(error);
        }
    }

    /// Measures the call without a span.
    pub fn measure(self, error: Option<&Error>) {
        if self.shared.records() {
            let Self { shared, command, began, .. } = self;
            Recording { shared, command, span: Span::none(), began }.end(error);
        }
    }

    /// Records nothing.
    pub fn discard(self) {}
}

impl std::fmt::Debug for Pending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("began", &self.at).finish_non_exhaustive()
    }
}
