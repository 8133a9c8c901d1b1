//! The token of one secret: when it is used, renewed and asked for. Its only clock is the caller's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;

use crate::http::secrets::{ClientCredentials, Granted};

/// The pause after a failure; each further one in a row doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Its longest.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A token that a destination rejects is replaced only if it is older: a new one would be rejected, too.
const REJECTED_AGE_MIN: Duration = Duration::from_secs(1);
/// A token is renewed when this part of its life is left, at most [`RENEWED_BEFORE_MAX`].
const RENEWED_AT_PART: u32 = 5;
/// How long before its end a token is renewed, at most.
const RENEWED_BEFORE_MAX: Duration = Duration::from_secs(300);
/// A token counts as expired when this part of its life is left, at most [`UNUSED_MAX`]: a request takes time.
const UNUSED_PART: u32 = 20;
/// How long before its end a token is no longer used, at most.
const UNUSED_MAX: Duration = Duration::from_secs(10);

/// The token of one secret.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) credentials: ClientCredentials,
    state: Mutex<State>,
    /// Held by the job that asks the token endpoint.
    pub(super) asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Token {
    /// Its `Debug` does not show it.
    authorization: HeaderValue,
    granted: Instant,
    renewed: Instant,
    ends: Instant,
}

#[derive(Clone, Debug)]
struct Failure {
    error: Arc<str>,
    pause: Duration,
    until: Instant,
}

/// What a job finds.
pub(super) enum Found {
    Valid(HeaderValue),
    /// Still valid, and to be renewed.
    Aging(HeaderValue),
    Failed(Arc<str>),
    Nothing,
}

impl Source {
    pub(super) fn new(credentials: ClientCredentials) -> Self {
        Self { credentials, state: Mutex::default(), asking: tokio::sync::Mutex::new(()) }
    }

    /// Whether the last request has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state().failure.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, now: Instant) -> Found {
        let state = self.state();
        let failure = state.failure.as_ref().filter(|failure| now < failure.until);
        match (state.token.as_ref().filter(|token| now < token.ends), failure) {
            (Some(token), None) if now >= token.renewed => Found::Aging(token.authorization.clone()),
            (Some(token), _) => Found::Valid(token.authorization.clone()),
            (None, Some(failure)) => Found::Failed(Arc::clone(&failure.error)),
            (None, None) => Found::Nothing,
        }
    }

    pub(super) fn learn(
        &self,
        asked: Result<Granted, String>,
        now: Instant,
    ) -> Result<HeaderValue, Arc<str>> {
        let mut state = self.state();
        match asked {
            Ok(Granted { authorization, life }) => {
                let renewed = now + life - (life / RENEWED_AT_PART).min(RENEWED_BEFORE_MAX);
                let ends = now + life - (life / UNUSED_PART).min(UNUSED_MAX);
                let token = Token { authorization: authorization.clone(), granted: now, renewed, ends };
                *state = State { token: Some(token), failure: None };
                Ok(authorization)
            }
            Err(error) => {
                let pause = state.failure.as_ref().map_or(PAUSE_MIN, |before| before.pause * 2);
                let (error, pause): (Arc<str>, _) = (error.into(), pause.min(PAUSE_MAX));
                state.failure = Some(Failure { error: Arc::clone(&error), pause, until: now + pause });
                Err(error)
            }
        }
    }

    /// Forgets a token that was rejected, unless it is too new. Whether another one may exist.
    pub(super) fn reject(&self, rejected: &HeaderValue, now: Instant) -> bool {
        let mut state = self.state();
        let Some(token) = &state.token else { return true };
        if token.authorization != *rejected {
            return true;
        }
        let is_old = now.duration_since(token.granted) >= REJECTED_AGE_MIN;
        if is_old {
            state.token = None;
        }
        is_old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::secrets::{ClientAuthentication, sensitive};

    fn source() -> Source {
        Source::new(ClientCredentials {
            token_url: "https://login.example.org/token".parse().unwrap(),
            client_id: "me".to_owned(),
            client_secret: "hunter2".to_owned(),
            scopes: vec![],
            audience: None,
            authentication: ClientAuthentication::Basic,
        })
    }

    fn granted(token: &str, seconds: u64) -> Result<Granted, String> {
        Ok(Granted {
            authorization: sensitive(token.as_bytes()).unwrap(),
            life: Duration::from_secs(seconds),
        })
    }

    fn found(source: &Source, now: Instant) -> String {
        match source.find(now) {
            Found::Valid(token) => format!("valid {}", token.to_str().unwrap()),
            Found::Aging(token) => format!("aging {}", token.to_str().unwrap()),
            Found::Failed(error) => format!("failed {error}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_token_is_renewed_before_its_end_and_not_used_until_the_last_moment() {
        let (source, start) = (source(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(found(&source, start), "nothing");
        source.learn(granted("a", 100), start).unwrap();
        for (seconds, expected) in
            [(0, "valid a"), (79, "valid a"), (80, "aging a"), (94, "aging a"), (95, "nothing")]
        {
            assert_eq!(found(&source, after(seconds)), expected, "after {seconds} s");
        }
        source.learn(granted("b", 100_000), start).unwrap();
        assert_eq!(found(&source, after(99_699)), "valid b", "five minutes are enough");
        assert_eq!(found(&source, after(99_700)), "aging b");
    }

    #[test]
    fn a_failure_pauses_requests_longer_each_time_and_spares_a_valid_token() {
        let (source, start) = (source(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (at, pause) in [(0, 1), (10, 2), (20, 4), (30, 8), (40, 16), (60, 32), (100, 60), (200, 60)] {
            source.learn(Err("no".to_owned()), after(at)).unwrap_err();
            let ends = after(at + pause);
            assert_eq!(found(&source, ends - Duration::from_millis(1)), "failed no", "{at}");
            assert_eq!(found(&source, ends), "nothing", "{at}");
        }
        source.learn(granted("a", 100), after(300)).unwrap();
        source.learn(Err("no".to_owned()), after(380)).unwrap_err();
        assert_eq!(found(&source, after(380)), "valid a", "it is not renewed now");
        assert_eq!(found(&source, after(381)), "aging a", "the success has ended the row of failures");
    }

    #[test]
    fn a_rejected_token_is_replaced_once() {
        let (source, start) = (source(), Instant::now());
        let [old, other] = ["a", "b"].map(|text| sensitive(text.as_bytes()).unwrap());
        source.learn(granted("a", 3600), start).unwrap();
        assert!(source.reject(&other, start), "another job has replaced that one");
        assert!(!source.reject(&old, start + Duration::from_millis(999)), "it is new");
        assert_eq!(found(&source, start), "valid a");
        assert!(source.reject(&old, start + Duration::from_secs(1)));
        assert_eq!(found(&source, start), "nothing");
        assert!(source.reject(&old, start), "another job asks for one");
        assert!(!format!("{source:?}").contains("hunter2"));
    }
}
