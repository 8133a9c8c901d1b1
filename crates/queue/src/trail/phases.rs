//! The phases of an attempt. Pure.

use std::time::Duration;

use serde_json::{Map, Value};

/// How long each phase of an attempt took. A phase that an attempt did not have is `None`; a phase that was
/// interrupted has the time until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Resolving the host's name.
    pub dns: Option<Duration>,
    /// Connecting to the destination or the proxy.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// Sending the request.
    pub request: Option<Duration>,
    /// From the end of the request to the head of the response.
    pub first_byte: Option<Duration>,
    /// From the head of the response to the end of its body.
    pub body: Option<Duration>,
}

impl Phases {
    /// The phases in their order, by their names in JSON.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Option<Duration>); 6] {
        [
            ("dns", self.dns),
            ("connect", self.connect),
            ("tls", self.tls),
            ("request", self.request),
            ("first_byte", self.first_byte),
            ("body", self.body),
        ]
    }

    /// The phases of two exchanges of one attempt: a request that is repeated at once.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let plus = |one: Option<Duration>, other: Option<Duration>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            dns: plus(self.dns, other.dns),
            connect: plus(self.connect, other.connect),
            tls: plus(self.tls, other.tls),
            request: plus(self.request, other.request),
            first_byte: plus(self.first_byte, other.first_byte),
            body: plus(self.body, other.body),
        }
    }

    /// Reads [`Phases::to_json`].
    pub(super) fn from_json(json: &Value) -> Self {
        let time = |name: &str| json[name].as_u64().map(Duration::from_micros);
        Self {
            dns: time("dns"),
            connect: time("connect"),
            tls: time("tls"),
            request: time("request"),
            first_byte: time("first_byte"),
            body: time("body"),
        }
    }

    /// An object with the microseconds of each phase; empty without any.
    pub(super) fn to_json(self) -> Map<String, Value> {
        let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX).into();
        self.named().into_iter().filter_map(|(name, took)| Some((name.to_owned(), micros(took?)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_of_a_repeated_request_are_added() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let first = Phases { request: millis(1), first_byte: millis(2), ..Phases::default() };
        let second = Phases { connect: millis(3), request: millis(4), ..Phases::default() };
        let both =
            Phases { connect: millis(3), request: millis(5), first_byte: millis(2), ..Phases::default() };
        assert_eq!(first.plus(second), both);
        let json = Value::Object(both.to_json()).to_string();
        assert_eq!(json, r#"{"connect":3000,"request":5000,"first_byte":2000}"#);
    }
}
