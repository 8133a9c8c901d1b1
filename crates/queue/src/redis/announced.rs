//! The addresses that the nodes of a cluster announce, for the error of a client that cannot reach them.

use std::collections::BTreeSet;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, Value};

/// How long the question may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Addresses that are named.
const NAMED_MAX: usize = 6;

/// What the nodes announce, by the one that `client` reaches; `None` if it does not tell, or is the only one.
pub(super) async fn by(client: Client, seed: &str) -> Option<String> {
    let ask = async {
        let connection = client.init().await.ok()?;
        let command = CustomCommand::new_static("CLUSTER", None, false);
        let slots: Option<Value> = client.custom(command, vec!["SLOTS"]).await.ok();
        let _ = client.quit().await;
        connection.abort();
        slots
    };
    let addresses = addresses(tokio::time::timeout(PATIENCE, ask).await.ok()??);
    let others: Vec<_> = addresses.into_iter().filter(|address| address != seed).take(NAMED_MAX).collect();
    (!others.is_empty()).then(|| {
        format!(
            "the cluster's nodes announce {}, which must be reachable from here: see cluster-announce-ip and \
             cluster-announce-port",
            others.join(", ")
        )
    })
}

/// The addresses in the reply of CLUSTER SLOTS: rows of first and last slot and the nodes, each with host and port.
fn addresses(slots: Value) -> BTreeSet<String> {
    let Value::Array(rows) = slots else { return BTreeSet::new() };
    let nodes = rows.into_iter().flat_map(|row| match row {
        Value::Array(row) => row.into_iter().skip(2).collect(),
        _ => vec![],
    });
    let address = |node: Value| {
        let Value::Array(parts) = node else { return None };
        Some(format!("{}:{}", parts.first()?.as_str()?, parts.get(1)?.as_u64()?))
    };
    nodes.filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_announced_address_is_read_once() {
        let node = |host: &str, port: i64| Value::Array(vec![host.into(), port.into(), "id".into()]);
        let row =
            |nodes: Vec<Value>| Value::Array([vec![Value::Integer(0), Value::Integer(9)], nodes].concat());
        let slots = vec![
            row(vec![node("10.0.0.1", 7000), node("10.0.0.2", 7001)]),
            row(vec![node("10.0.0.1", 7000)]),
        ];
        let found: Vec<_> = addresses(Value::Array(slots)).into_iter().collect();
        assert_eq!(found, ["10.0.0.1:7000", "10.0.0.2:7001"]);
        assert!(addresses(Value::Null).is_empty());
    }
}
