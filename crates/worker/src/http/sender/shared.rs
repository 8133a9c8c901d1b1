//! What all attempts of a sender share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Uri;
use hyper_otel::Propagation;
use postrider_queue::names::WORKER_FAULT;
use telemetry::ErrorType;
use tracing::{info, warn};

use super::body::AttemptBounds;
use super::connector::{place, proxy_of};
use super::error::{self, SendError};
use super::machine::Machine;
use super::pool::Pool;
use super::proxy::Proxy;
use super::settings::{HttpConfig, KeptResults};
use super::stream::OpenCount;
use super::tokens::Tokens;
use super::worker_fault::WorkerFault;
use crate::policy::{Answer, SendResult};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) timeout: Duration,
    pub(super) http: HttpConfig,
    pub(super) results: KeptResults,
    pub(super) propagation: Propagation,
    pub(super) busy: OpenCount,
    /// Whether the last request through the proxy failed because of the proxy.
    pub(super) proxy_fails: AtomicBool,
    pub(super) worker_fault: WorkerFault,
    pub(super) machine: Machine,
    pub(super) anonymous: Pool,
    /// By secret. A connection presents one client certificate, so each certificate has its own pool.
    pub(super) identified: BTreeMap<String, Pool>,
    pub(super) tokens: Tokens,
}

impl Shared {
    pub(super) fn bounds(&self, at: Instant) -> AttemptBounds {
        let http = &self.http;
        AttemptBounds {
            at,
            headers: http.headers_timeout,
            body: http.body_timeout,
            body_cap: http.max_response_body,
        }
    }

    /// The result of an attempt, by what its last request came to.
    pub(super) fn concluded(&self, uri: &Uri, result: Result<Answer, SendError>) -> SendResult {
        self.watch_proxy(uri, &result);
        let result = match result {
            Ok(answer) => {
                // By a connection that was made before.
                self.machine.network.reached();
                SendResult::Answer(answer)
            }
            Err(error) => SendResult::Failed {
                error: error::error_type(&error),
                text: error::sentence(&error, &place(uri)),
            },
        };
        match &result {
            SendResult::Failed { error, text } if *error == WORKER_FAULT => self.worker_fault.failed(text),
            _ => self.worker_fault.passed(),
        }
        result
    }

    /// The proxy that the request itself asks. Only for `http`: in a tunnel the destination would see its header, so
    /// there CONNECT carries it.
    pub(super) fn asked(&self, uri: &Uri) -> Option<&Proxy> {
        proxy_of(&self.http, uri).filter(|_| uri.scheme_str() == Some("http"))
    }

    /// Logs once when the proxy fails, and once when it recovers. Its jobs only wait.
    pub(super) fn watch_proxy(&self, uri: &Uri, result: &Result<Answer, SendError>) {
        if proxy_of(&self.http, uri).is_none() {
            return;
        }
        match result {
            Ok(_) if self.proxy_fails.swap(false, Ordering::Relaxed) => {
                info!("the proxy has recovered")
            }
            Err(error)
                if error::error_type(error) == ErrorType::Proxy
                    && !self.proxy_fails.swap(true, Ordering::Relaxed) =>
            {
                let error = error::sentence(error, &place(uri));
                warn!(error, "the proxy fails: its jobs wait, without using up an attempt");
            }
            _ => {}
        }
    }
}
