//! What all connections share of this machine.

use super::network::Network;
use super::own_addresses::OwnAddresses;

/// This machine. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Its addresses.
    pub(super) own: OwnAddresses,
    /// Its network.
    pub(super) network: Network,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { own: OwnAddresses::new(), network: Network::new() }
    }
}
