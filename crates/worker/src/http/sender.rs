//! Sends one HTTP request for a job: deadlines, egress policy, proxy, body cap. The only module that uses
//! hyper's client.

mod answer;
mod body;
mod connector;
mod deadline;
mod dial;
mod dialled;
mod error;
mod http1_hosts;
mod machine;
mod network;
mod own_addresses;
mod pool;
mod proxy;
mod request;
mod resolver;
mod self_signed;
mod server_name;
mod settings;
mod shared;
mod stream;
mod tls;
mod token_client;
mod tokens;
mod tunnel;
mod upload;
mod worker_fault;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use http::header::PROXY_AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use hyper_otel::{Attempt, ConnectionOptions, Connections, Options, ResponseFuture, Traced};
use postrider_queue::job::Job;
use postrider_queue::work::{Phases, Warnings};
use telemetry::Telemetry;

use crate::http::egress::Egress;
use crate::http::secrets::{ClientCredentials, Identity, Secret};
use crate::policy::{Answer, SendResult};
use answer::answer;
use connector::{Connector, place};
use deadline::{Deadline, DeadlineFuture};
use error::SendError;
use machine::Machine;
use pool::{Pool, PoolClient};
use request::{forward_context, request};
use resolver::Resolver;
use shared::Shared;
use stream::OpenCount;
use token_client::TokenClient;
use tokens::Tokens;
use upload::Progress;
use worker_fault::WorkerFault;

pub use proxy::{BadProxy, Exempt, Proxy};
pub use settings::{HttpConfig, KeptResults, TlsVersion};
pub use tls::TlsError;

/// How requests are sent.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// Deadline of an attempt if its job sets none. Default: 30 s.
    pub timeout: Duration,
    /// The addresses that may be reached.
    pub egress: Egress,
    /// The part of a response that is kept as a job's result.
    pub results: KeptResults,
    /// Deadlines of the parts of an attempt, limits, TLS and the proxy.
    pub http: HttpConfig,
    /// Client certificates, by the name of the secret that a job sets.
    pub identities: BTreeMap<String, Identity>,
    /// How access tokens are got, by the name of the secret that a job sets.
    pub tokens: BTreeMap<String, ClientCredentials>,
    /// How attempts are recorded, and which hosts receive trace context. The latter applies in every build.
    pub recording: Options,
    /// How connections are recorded.
    pub connections: ConnectionOptions,
}

/// What identifies an attempt to its destination.
#[derive(Debug, Default)]
pub(crate) struct Credentials<'a> {
    /// The secret that the job names.
    pub secret: Option<&'a Secret>,
    /// The access token of that secret, as the value of `Authorization`.
    pub token: Option<HeaderValue>,
}

/// The clients that all attempts share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    traced: Traced<()>,
    shared: Arc<Shared>,
}

impl Sender {
    /// Creates the clients.
    ///
    /// # Errors
    /// If there are no root certificates, or a certificate cannot be used.
    pub(crate) fn new(
        config: &SenderConfig,
        telemetry: &Telemetry,
        warnings: &Warnings,
    ) -> Result<Self, TlsError> {
        let (http, open, busy) = (&config.http, OpenCount::default(), OpenCount::default());
        let trusted = tls::trusted(http)?;
        let (resolver, machine) = (Resolver::new(http.dns_timeout, http.system_resolver), Machine::new());
        let connections = Connections::new(telemetry, config.connections);
        let pool = |identity, egress: &Egress| -> Result<Pool, TlsError> {
            let tls = tls::client(http, &trusted, identity)?;
            let (egress, resolver, machine) = (egress.clone(), resolver.clone(), machine.clone());
            let (open, connections) = (open.clone(), connections.clone());
            let connector =
                Connector::new(egress, http.clone(), tls, resolver, machine, open.clone(), connections);
            Ok(Pool::new(http, connector, open, busy.clone()))
        };
        let own_pool = |(name, own): (&String, _)| Ok((name.clone(), pool(Some(own), &config.egress)?));
        let identified = config.identities.iter().map(own_pool);
        let options = config.recording.clone().classify(error::error_type).describe(error::description);
        let traced = Traced::with_options((), telemetry, options);
        let tokens = TokenClient {
            traced: traced.clone(),
            pool: pool(None, &token_endpoints(&config.tokens))?,
            timeout: config.timeout,
        };
        let shared = Shared {
            timeout: config.timeout,
            http: http.clone(),
            results: config.results.clone(),
            propagation: config.recording.propagation.clone(),
            busy: busy.clone(),
            proxy_fails: AtomicBool::new(false),
            worker_fault: WorkerFault::new(),
            machine: machine.clone(),
            anonymous: pool(None, &config.egress)?,
            identified: identified.collect::<Result<_, TlsError>>()?,
            tokens: Tokens::new(&config.tokens, tokens, telemetry, warnings.clone()),
        };
        Ok(Self { traced, shared: Arc::new(shared) })
    }

    /// The access token that a job needs, as the value of `Authorization`. It may wait for the token endpoint.
    ///
    /// # Errors
    /// Why there is none, in one sentence without secrets.
    pub(crate) async fn token(&self, job: &Job) -> Result<Option<HeaderValue>, String> {
        match secret_name(job) {
            Some(name) => self.shared.tokens.get(name).await,
            None => Ok(None),
        }
    }

    /// Makes one attempt with what identifies it. The attempt ends with
    /// the response's body, at the latest at the job's deadline. It begins at `began`; `now` is the same time in Unix
    /// milliseconds. Also returns how long each phase took.
    pub(crate) async fn send(
        &self,
        job: &Job,
        attempt: &Attempt,
        credentials: &Credentials<'_>,
        (began, now): (Instant, u64),
    ) -> (SendResult, Phases) {
        let deadline = began + job.timeout.unwrap_or(self.shared.timeout);
        let pool = secret_name(job).and_then(|name| self.shared.identified.get(name));
        let pool = pool.unwrap_or(&self.shared.anonymous);
        // Before this request counts as busy, since it does not use a connection yet.
        let client = pool.client(&job.uri);
        let _busy = self.shared.busy.open();
        let (mut result, mut phases) =
            self.exchange(client, job, attempt, credentials, (began, deadline, now)).await;
        for number in 1..=2 {
            let Err(error) = &result else { break };
            if error::needs_http1(error) {
                pool.only_http1(&job.uri);
            } else if number == 2 || !error::may_repeat(error) {
                break;
            }
            let again = attempt.clone().resend_count(attempt.resend_count + number);
            // Boxed: it is rare, and the task of each job would be larger by it.
            let second = self.exchange(
                pool.fresh(&job.uri),
                job,
                &again,
                credentials,
                (Instant::now(), deadline, now),
            );
            let (second, took) = Box::pin(second).await;
            (result, phases) = (second, phases.plus(took));
        }
        if let Some(credentials) = self.after_rejection(job, &result, credentials).await {
            let again = attempt.clone().resend_count(attempt.resend_count + 1);
            let (began, client) = (Instant::now(), pool.client(&job.uri));
            let second = self.exchange(client, job, &again, &credentials, (began, deadline, now));
            let (second, took) = Box::pin(second).await;
            (result, phases) = (second, phases.plus(took));
        }
        (self.shared.concluded(&job.uri, result), phases)
    }

    /// What identifies the second request of an attempt, if the destination has rejected the access token of the first
    /// and there is another one.
    async fn after_rejection<'a>(
        &self,
        job: &Job,
        result: &Result<Answer, SendError>,
        credentials: &Credentials<'a>,
    ) -> Option<Credentials<'a>> {
        let rejected =
            credentials.token.as_ref().filter(|_| matches!(result, Ok(answer) if answer.status == 401));
        let token = self.shared.tokens.instead_of(secret_name(job)?, rejected?).await?;
        Some(Credentials { secret: credentials.secret, token: Some(token) })
    }

    async fn exchange(
        &self,
        client: Arc<PoolClient>,
        job: &Job,
        attempt: &Attempt,
        credentials: &Credentials<'_>,
        (began, deadline, now): (Instant, Instant, u64),
    ) -> (Result<Answer, SendError>, Phases) {
        let progress = Arc::new(Progress::new(began));
        let (http, bounds) = (&self.shared.http, self.shared.bounds(deadline));
        let is_reported = job.result_ttl.is_some() || job.callbacks.is_some();
        let keep = is_reported.then_some(&self.shared.results);
        let client = Deadline::new(client, bounds, Arc::clone(&progress));
        // The response is taken apart at once: else the attempt's future would hold it twice.
        let (head, body) = match self.begin(client, job, attempt, credentials, now).await {
            Ok(response) => response.into_parts(),
            Err(error) => return (Err(error), progress.phases(Instant::now())),
        };
        let is_refused = head.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        let result = if is_refused && self.shared.asked(&job.uri).is_some() {
            Err(SendError::ProxyRefused)
        } else {
            Ok(answer(&head, pin!(body), keep, http.max_response_body, now).await)
        };
        (result, progress.phases(Instant::now()))
    }

    /// Sends the request. In its own function: else the attempt's future would hold the request and the client
    /// until it ends.
    fn begin(
        &self,
        client: Deadline,
        job: &Job,
        attempt: &Attempt,
        credentials: &Credentials<'_>,
        now: u64,
    ) -> ResponseFuture<DeadlineFuture> {
        let mut request = request(job, credentials, now);
        forward_context(job, &self.shared.propagation, request.headers_mut());
        let proxy = self.shared.asked(&job.uri);
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        self.traced.map(|()| client).attempt(request, attempt)
    }
}

fn secret_name(job: &Job) -> Option<&str> {
    job.secret.as_deref().and_then(|name| std::str::from_utf8(name).ok())
}

/// Operators choose token endpoints and producers do not, so these may be reached, whatever the policy for jobs is.
fn token_endpoints(tokens: &BTreeMap<String, ClientCredentials>) -> Egress {
    let rule = |own: &ClientCredentials| place(&own.token_url).parse().ok();
    Egress { allow: tokens.values().filter_map(rule).collect(), ..Egress::default() }
}

#[cfg(test)]
mod tests;
