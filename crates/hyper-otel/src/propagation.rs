//! The hosts that receive the context of a trace.

use std::str::FromStr;

use http::Uri;

use crate::host_pattern::{BadHostPattern, HostPattern};

/// The hosts that receive context. `OTEL_PROPAGATORS` decides which headers there are, this decides who gets them.
///
/// The ids of a trace reveal little to strangers; baggage may contain anything. So by default all hosts receive traces
/// and none receives baggage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Propagation {
    /// The hosts that get `traceparent` and `tracestate`. Default: all.
    pub traces: Recipients,
    /// The hosts that get `baggage`. Default: none.
    pub baggage: Vec<HostPattern>,
}

/// A set of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recipients {
    /// Every host.
    #[default]
    All,
    /// These, and none where the list is empty.
    Only(Vec<HostPattern>),
}

impl Propagation {
    /// Sets [`traces`](Self::traces).
    #[must_use]
    pub fn traces(mut self, traces: Recipients) -> Self {
        self.traces = traces;
        self
    }

    /// Sets [`baggage`](Self::baggage).
    #[must_use]
    pub fn baggage(mut self, baggage: Vec<HostPattern>) -> Self {
        self.baggage = baggage;
        self
    }

    /// Whether a URL's host gets `traceparent` and `tracestate`.
    pub fn traces_to(&self, uri: &Uri) -> bool {
        match &self.traces {
            Recipients::All => true,
            Recipients::Only(hosts) => covered(hosts, uri),
        }
    }

    /// Whether a URL's host gets `baggage`.
    pub fn baggage_to(&self, uri: &Uri) -> bool {
        covered(&self.baggage, uri)
    }
}

impl FromStr for Recipients {
    type Err = BadHostPattern;

    /// `all`, `none`, or hosts separated by commas.
    fn from_str(text: &str) -> Result<Self, BadHostPattern> {
        match text.trim() {
            "all" => Ok(Self::All),
            "none" => Ok(Self::Only(vec![])),
            hosts => {
                hosts.split(',').map(|host| host.trim().parse()).collect::<Result<_, _>>().map(Self::Only)
            }
        }
    }
}

fn covered(hosts: &[HostPattern], uri: &Uri) -> bool {
    if hosts.is_empty() {
        return false;
    }
    let (host, port) = (uri.host().unwrap_or_default(), crate::url::port(uri));
    hosts.iter().any(|own| own.covers(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_a_word_or_hosts() {
        assert_eq!("all".parse(), Ok(Recipients::All));
        assert_eq!("none".parse(), Ok(Recipients::Only(vec![])));
        let two = Recipients::Only(vec!["a.test".parse().unwrap(), "*:80".parse().unwrap()]);
        assert_eq!("a.test, *:80".parse(), Ok(two));
        assert!("".parse::<Recipients>().is_err() && "a,,b".parse::<Recipients>().is_err());
    }

    #[test]
    fn by_default_all_get_traces_and_nobody_gets_baggage() {
        let (policy, uri) = (Propagation::default(), Uri::from_static("http://a.test/"));
        assert!(policy.traces_to(&uri) && !policy.baggage_to(&uri));
        let nobody = Propagation { traces: Recipients::Only(vec![]), baggage: vec!["*".parse().unwrap()] };
        assert!(!nobody.traces_to(&uri) && nobody.baggage_to(&uri));
    }
}
