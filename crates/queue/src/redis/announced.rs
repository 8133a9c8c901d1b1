//! The addresses that the nodes of a cluster announce, for the error of a client that cannot reach them.

use fred::types::config::Server;

/// Addresses that are named.
const NAMED_MAX: usize = 6;

/// The reason, and what the nodes announce beside the addresses of the URL: it is these that a client cannot reach, most
/// often, and not the one of the URL.
pub(super) fn with(reason: &str, nodes: &[Server], seeds: &[Server]) -> String {
    let others = nodes.iter().filter(|node| !seeds.contains(node)).take(NAMED_MAX);
    let others: Vec<String> = others.map(ToString::to_string).collect();
    if others.is_empty() {
        return reason.to_owned();
    }
    format!(
        "{reason}; the cluster's nodes announce {}, which must be reachable from here: see cluster-announce-ip and \
         cluster-announce-port",
        others.join(", ")
    )
}
