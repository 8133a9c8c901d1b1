//! Asks token endpoints.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_otel::{Attempt, Traced};

use super::answer::answer;
use super::body::AttemptBounds;
use super::connector::place;
use super::deadline::Deadline;
use super::error;
use super::pool::Pool;
use super::settings::KeptResults;
use super::upload::Progress;
use crate::http::secrets::{ClientCredentials, Granted, read_reply};

/// Bytes of a reply. A token is a header, and no server takes a header of this size.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// Sends requests for access tokens. A token belongs to no job, so each request begins a trace.
#[derive(Debug)]
pub(super) struct TokenClient {
    pub(super) traced: Traced<()>,
    /// Reaches only token endpoints.
    pub(super) pool: Pool,
    pub(super) timeout: Duration,
}

impl TokenClient {
    /// Asks once, or twice if the server has closed a kept connection.
    ///
    /// # Errors
    /// Why there is no token, in one sentence without secrets.
    pub(super) async fn ask(&self, credentials: &ClientCredentials) -> Result<Granted, String> {
        let place = place(&credentials.token_url);
        let mut answered = self.exchange(credentials, false).await;
        if answered.as_ref().is_err_and(error::may_repeat) {
            answered = self.exchange(credentials, true).await;
        }
        let (status, body) = answered.map_err(|error| error::sentence(&error, &place))?;
        read_reply(status, &body).map_err(|error| format!("{place}: {error}"))
    }

    async fn exchange(
        &self,
        credentials: &ClientCredentials,
        is_fresh: bool,
    ) -> Result<(u16, bytes::Bytes), error::SendError> {
        let uri = &credentials.token_url;
        let client = if is_fresh { self.pool.fresh(uri) } else { self.pool.client(uri) };
        let now = Instant::now();
        let bounds = AttemptBounds {
            at: now + self.timeout,
            headers: None,
            body: self.timeout,
            body_cap: REPLY_BYTES_MAX,
        };
        let client = Deadline::new(client, bounds, Arc::new(Progress::new(now)));
        let mut traced = self.traced.map(|()| client);
        let response = traced.attempt(credentials.request(), &Attempt::default()).await?;
        let (head, body) = response.into_parts();
        let keep = KeptResults { headers: vec![], max_body: REPLY_BYTES_MAX };
        let answer = answer(&head, pin!(body), Some(&keep), REPLY_BYTES_MAX, 0).await;
        Ok((answer.status, answer.kept.map(|kept| kept.body).unwrap_or_default()))
    }
}
