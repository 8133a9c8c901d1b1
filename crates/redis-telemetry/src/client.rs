//! The client that owns a fred client.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::config::ServerConfig;
use telemetry::{Attributes, Context, ErrorType, Histogram, Span, SpanKind, Telemetry, Timer, semconv};

use crate::{Command, error_type};

/// Redis' default port, which the conventions leave out.
const DEFAULT_PORT: u16 = 6379;

/// A fred client that can only be used through a span. Cheap to clone.
#[derive(Clone)]
pub struct TracedClient {
    client: Client,
    telemetry: Telemetry,
    duration: Histogram,
    server: Server,
}

/// The first server of the configuration: the node that answered is not known to the caller of fred.
#[derive(Clone)]
struct Server {
    address: Arc<str>,
    port: u16,
    database: Arc<str>,
}

impl TracedClient {
    /// Takes over a client. Server and database of the spans are those of its configuration.
    pub fn new(client: Client, telemetry: &Telemetry) -> Self {
        let duration = telemetry.histogram(
            semconv::DB_CLIENT_OPERATION_DURATION,
            "s",
            "Duration of database client operations",
            semconv::DATABASE_SECONDS,
        );
        let server = Server::of(&client);
        Self { client, telemetry: telemetry.clone(), duration, server }
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
        let timer = self.time(command.name);
        let builder = self.telemetry.span(SpanKind::Client, command.name);
        let builder = match command.parent {
            Some(parent) => builder.parent(parent),
            None => builder,
        };
        let span = builder.start(|attributes| self.describe(&command, attributes));
        // Boxed: fred's futures are of several KB, which every caller's future would carry and every task copy.
        let result = Box::pin(call(self.client.clone())).await;
        finish(&span, timer, result.as_ref().err());
        result
    }

    /// Runs a call whose span is decided on afterwards: a read that waited and brought nothing makes none.
    ///
    /// # Errors
    /// Those of the call stand in the first part of the answer, unchanged.
    pub async fn defer<'a, T, F>(
        &'a self,
        command: Command<'a>,
        call: impl FnOnce(Client) -> F,
    ) -> (Result<T, Error>, Pending<'a>)
    where
        F: Future<Output = Result<T, Error>>,
    {
        let began = SystemTime::now();
        let timer = self.time(command.name);
        let result = Box::pin(call(self.client.clone())).await;
        (result, Pending { client: self, command, began, timer })
    }

    fn time(&self, name: &'static str) -> Timer {
        self.duration.time(|attributes| {
            attributes.set(semconv::DB_SYSTEM_NAME, "redis");
            attributes.set(semconv::DB_OPERATION_NAME, name);
            self.server.describe(attributes);
        })
    }

    fn describe(&self, command: &Command<'_>, attributes: &mut Attributes) {
        attributes.set(semconv::DB_SYSTEM_NAME, "redis");
        attributes.set(semconv::DB_OPERATION_NAME, command.name);
        attributes.set(semconv::DB_NAMESPACE, self.server.database.clone());
        self.server.describe(attributes);
        if command.batch > 1 {
            attributes.set(semconv::DB_OPERATION_BATCH_SIZE, command.batch);
        }
        if let Some(script) = command.script {
            attributes.set(semconv::DB_STORED_PROCEDURE_NAME, script.to_owned());
        }
        if let Some(text) = command.query() {
            attributes.set(semconv::DB_QUERY_TEXT, text);
        }
    }
}

impl std::fmt::Debug for TracedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracedClient").field("server", &self.server.address).finish_non_exhaustive()
    }
}

/// A call that has been made and has no span yet.
#[must_use = "either `record` it or `discard` it"]
pub struct Pending<'a> {
    client: &'a TracedClient,
    command: Command<'a>,
    began: SystemTime,
    timer: Timer,
}

impl Pending<'_> {
    /// When the call began.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Records the call as [`TracedClient::run`] would have, as a child of the given span.
    pub fn record(self, parent: &Context, error: Option<&Error>) {
        let builder = self.client.telemetry.span(SpanKind::Client, self.command.name);
        let span = builder
            .began(self.began)
            .parent(parent)
            .start(|attributes| self.client.describe(&self.command, attributes));
        finish(&span, self.timer, error);
    }

    /// Leaves no trace of the call.
    pub fn discard(self) {}
}

fn finish(span: &Span, mut timer: Timer, error: Option<&Error>) {
    if let Some(error) = error.map(error_type) {
        span.fail(&error);
        timer.set(semconv::ERROR_TYPE, &error);
        if let ErrorType::Redis(prefix) = error {
            span.set(semconv::DB_RESPONSE_STATUS_CODE, prefix);
        }
    }
    timer.stop();
}

impl std::fmt::Debug for Pending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("began", &self.began).finish_non_exhaustive()
    }
}

impl Server {
    fn of(client: &Client) -> Self {
        let config = client.client_config();
        let (address, port) = match &config.server {
            ServerConfig::Unix { path } => (path.to_string_lossy().into_owned(), 0),
            server => server
                .hosts()
                .first()
                .map_or_else(|| (String::new(), DEFAULT_PORT), |host| (host.host.to_string(), host.port)),
        };
        let database = config.database.unwrap_or(0).to_string();
        Self { address: address.into(), port, database: database.into() }
    }

    fn describe(&self, attributes: &mut Attributes) {
        attributes.set(semconv::SERVER_ADDRESS, self.address.clone());
        if self.port != DEFAULT_PORT && self.port != 0 {
            attributes.set(semconv::SERVER_PORT, self.port);
        }
    }
}
