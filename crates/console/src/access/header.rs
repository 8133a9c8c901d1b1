//! A proxy that has authenticated the caller, and names it in a header.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::{Caller, Peer, Scope};

/// The header in which a proxy names the caller, believed only from its networks.
#[derive(Clone, Debug)]
pub struct TrustedHeader {
    name: HeaderName,
    from: Vec<IpNet>,
    scopes: Arc<[Scope]>,
}

impl TrustedHeader {
    /// Every caller that the proxy names gets these scopes.
    pub fn new(name: HeaderName, from: Vec<IpNet>, scopes: Vec<Scope>) -> Self {
        Self { name, from, scopes: scopes.into() }
    }

    pub(super) fn caller(&self, headers: &HeaderMap, peer: Option<Peer>) -> Option<Caller> {
        let address = peer?.0.ip().to_canonical();
        if !self.trusts(address) {
            return None;
        }
        let mut values = headers.get_all(&self.name).iter();
        // Two values: one is the proxy's, and the other perhaps the caller's own.
        let name = values.next().filter(|_| values.next().is_none())?.to_str().ok()?.trim();
        (!name.is_empty()).then(|| Caller::new(name, self.scopes.clone()))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_proxy_names_callers() {
        let name = HeaderName::from_static("x-user");
        let header = TrustedHeader::new(name.clone(), vec!["10.0.0.0/8".parse().unwrap()], vec![Scope::Read]);
        let caller = |peer: &str, values: &[&'static str]| {
            let headers: HeaderMap =
                values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect();
            header.caller(&headers, Some(Peer(peer.parse().unwrap())))
        };
        let found = caller("10.1.2.3:4", &["ann"]).unwrap();
        assert!(&*found.name == "ann" && found.may(Scope::Read) && !found.may(Scope::Operate));
        assert!(caller("[::ffff:10.1.2.3]:4", &["ann"]).is_some());
        assert!(caller("11.1.2.3:4", &["ann"]).is_none() && caller("10.1.2.3:4", &[]).is_none());
        assert!(caller("10.1.2.3:4", &["ann", "root"]).is_none() && caller("10.1.2.3:4", &[" "]).is_none());
    }
}
