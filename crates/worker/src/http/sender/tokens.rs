//! Access tokens: each is requested once for all jobs of a worker, and again before it expires. They are kept
//! only here.

mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use postrider_queue::names;
use postrider_queue::work::Warnings;
use telemetry::{BoundCounter, Telemetry};
use tokio::time::{timeout, timeout_at};
use tracing::{debug, info, warn};

use super::token_client::TokenClient;
use crate::http::secrets::{ClientCredentials, Granted};
use source::{Found, Source};

/// For how long a token endpoint may take. One job waits for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For how long the other jobs wait for the one that asks. They occupy slots.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The tokens of all secrets that have them, by the names of the secrets.
#[derive(Debug)]
pub(super) struct Tokens {
    sources: BTreeMap<String, Source>,
    client: TokenClient,
    granted: BoundCounter,
    failed: BoundCounter,
    warnings: Warnings,
}

impl Tokens {
    pub(super) fn new(
        credentials: &BTreeMap<String, ClientCredentials>,
        client: TokenClient,
        telemetry: &Telemetry,
        warnings: Warnings,
    ) -> Self {
        let source = |(name, own): (&String, &ClientCredentials)| (name.clone(), Source::new(own.clone()));
        let description = "Requests for access tokens";
        let requests = telemetry.counter(names::TOKEN_REQUESTS, "{request}", description);
        let counter = |outcome| requests.bind(|attributes| attributes.set(names::TOKEN_OUTCOME, outcome));
        let (granted, failed) = (counter("granted"), counter("failed"));
        Self { sources: credentials.iter().map(source).collect(), client, granted, failed, warnings }
    }

    /// The value of `Authorization` for a secret; `None` if the secret has no tokens.
    ///
    /// # Errors
    /// Why there is none, in one sentence without secrets.
    pub(super) async fn get(&self, secret: &str) -> Result<Option<HeaderValue>, String> {
        let Some(source) = self.sources.get(secret) else { return Ok(None) };
        // Boxed: it is rare, and the task of each job would be larger by it.
        let token = Box::pin(self.of(secret, source)).await;
        token.map(Some).map_err(|error| format!("no access token for the secret `{secret}`: {error}"))
    }

    /// Another token in place of one that the destination has rejected, if there may be one.
    pub(super) async fn instead_of(&self, secret: &str, rejected: &HeaderValue) -> Option<HeaderValue> {
        let source = self.sources.get(secret)?;
        if !source.reject(rejected, Instant::now()) {
            return None;
        }
        Box::pin(self.of(secret, source)).await.ok()
    }

    async fn of(&self, secret: &str, source: &Source) -> Result<HeaderValue, Arc<str>> {
        let waits_until = tokio::time::Instant::now() + WAIT_MAX;
        let (old, _asking) = match source.find(Instant::now()) {
            Found::Valid(token) => return Ok(token),
            Found::Failed(error) => return Err(error),
            Found::Aging(token) => match source.asking.try_lock() {
                Ok(asking) => (Some(token), asking),
                Err(_) => return Ok(token),
            },
            Found::Nothing => match timeout_at(waits_until, source.asking.lock()).await {
                Ok(asking) => (None, asking),
                Err(_) => return Err("another job waits for the answer of the token endpoint".into()),
            },
        };
        // Another job may have asked in the meantime.
        match source.find(Instant::now()) {
            Found::Valid(token) => return Ok(token),
            Found::Failed(error) => return old.ok_or(error),
            Found::Aging(_) | Found::Nothing => {}
        }
        let asked = self.ask(source).await;
        self.count(secret, source, &asked);
        source.learn(asked, Instant::now()).or_else(|error| old.ok_or(error))
    }

    async fn ask(&self, source: &Source) -> Result<Granted, String> {
        let asked = timeout(REQUEST_TIMEOUT, self.client.ask(&source.credentials)).await;
        asked.unwrap_or_else(|_| Err(format!("the token endpoint did not answer within {REQUEST_TIMEOUT:?}")))
    }

    /// Counts each, and logs when failures begin and end.
    fn count(&self, secret: &str, source: &Source, asked: &Result<Granted, String>) {
        let has_failed = source.has_failed();
        match asked {
            Ok(_) => {
                self.granted.add(1);
                if has_failed {
                    self.warnings.end(&format!("token {secret}"));
                    info!(secret, "the token endpoint has recovered");
                }
            }
            Err(error) => {
                self.failed.add(1);
                let message = "no access token: jobs with this secret wait, without using up an attempt";
                if has_failed {
                    debug!(secret, error, "{message}");
                } else {
                    let sentence = format!("it gets no access token for the secret `{secret}`: {error}");
                    self.warnings.set(&format!("token {secret}"), sentence);
                    warn!(secret, error, "{message}");
                }
            }
        }
    }
}
