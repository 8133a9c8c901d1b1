//! Makes another server the master, or moves a slot of a cluster: for `postrider certify`.

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::{Config, ServerConfig};
use fred::types::{CustomCommand, Value};

use super::{Inspector, array, text};
use crate::redis::{Error, Keys, QueueName, config, connect_one};

/// Keys that one call moves.
const MOVED_KEYS: &str = "100";
/// How long a call that moves keys may take, ms.
const MOVE_TIMEOUT: &str = "5000";

/// A line of CLUSTER NODES.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NodeLine {
    id: String,
    host: String,
    port: u16,
    is_master: bool,
    slots: Vec<(u16, u16)>,
}

impl NodeLine {
    /// A node that is connected.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, address, flags, _, _, _, _, link, slots @ ..] = words.as_slice() else { return None };
        let is_well = !flags.contains("fail") && !flags.contains("noaddr") && *link == "connected";
        let (host, port) = address.split('@').next()?.rsplit_once(':')?;
        let range = |text: &&str| {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            Some((from.parse().ok()?, to.parse().ok()?))
        };
        is_well.then_some(Self {
            id: (*id).to_owned(),
            host: host.to_owned(),
            port: port.parse().ok()?,
            is_master: flags.contains("master"),
            slots: slots.iter().filter_map(range).collect(),
        })
    }

    fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|(from, to)| (*from..=*to).contains(&slot))
    }
}

impl Inspector {
    /// Makes another server the master: a replica of a cluster, or the one that Sentinel chooses. In a cluster without replicas,
    /// moves the slot of this queue to another node. `choice` selects among several. Returns what was done.
    ///
    /// # Errors
    /// Why it was not done, in words.
    pub async fn fail_over(&self, url: &str, queue: &QueueName, choice: usize) -> Result<String, String> {
        let mut own = config(url).map_err(|error| error.to_string())?;
        // A Sentinel has no databases, and a node of a cluster has one.
        own.database = None;
        let words = |error: Error| error.details().to_owned();
        match own.server.clone() {
            ServerConfig::Sentinel { hosts, service_name } => {
                let mut refused = "there is no Sentinel".to_owned();
                for host in hosts {
                    let asked =
                        ask(&own, (&host.host, host.port), "SENTINEL", &["FAILOVER", &service_name]).await;
                    match asked {
                        Ok(_) => return Ok("failover by Sentinel".to_owned()),
                        Err(error) => refused = words(error),
                    }
                }
                Err(refused)
            }
            ServerConfig::Clustered { .. } => {
                let nodes = self.command("CLUSTER", None, vec!["NODES".into()]).await.map_err(words)?;
                let nodes = text(&nodes).map_err(words)?;
                let nodes: Vec<NodeLine> = nodes.lines().filter_map(NodeLine::parse).collect();
                let replicas: Vec<&NodeLine> = nodes.iter().filter(|node| !node.is_master).collect();
                if replicas.is_empty() {
                    return move_slot(&own, &nodes, queue, choice).await.map_err(words);
                }
                let replica = replicas[choice % replicas.len()];
                let asked = ask(&own, (&replica.host, replica.port), "CLUSTER", &["FAILOVER"]).await;
                asked.map(|_| "failover to a replica".to_owned()).map_err(words)
            }
            _ => Err("a single server has no other to fail over to".to_owned()),
        }
    }

    /// Closes the connections of these clients, as the server names their addresses. Returns how many there were.
    ///
    /// # Errors
    /// fred's, also if this user may not call CLIENT.
    pub async fn kill_clients(&self, addresses: &[String]) -> Result<u64, Error> {
        let kill = |client: Client| async move {
            let mut killed = 0;
            for address in addresses {
                let args: Vec<Value> = vec!["KILL".into(), "ADDR".into(), address.as_str().into()];
                let command = CustomCommand::new_static("CLIENT", None, false);
                killed += client.custom::<u64, Value>(command, args).await?;
            }
            Ok(killed)
        };
        let killed = self.redis.on_each_node(fred_otel::Command::new("CLIENT"), kill).await?;
        Ok(killed.into_iter().sum())
    }

    /// The address of this connection as the server sees it.
    ///
    /// # Errors
    /// fred's, also if the server has no CLIENT INFO.
    pub async fn own_address(&self) -> Result<String, Error> {
        let info = text(&self.command("CLIENT", None, vec!["INFO".into()]).await?)?;
        let address = info.split(' ').find_map(|word| word.strip_prefix("addr="));
        Ok(address.unwrap_or_default().to_owned())
    }
}

/// Sends one command to one server, with the user and the TLS of this configuration.
async fn ask(
    own: &Config,
    (host, port): (&str, u16),
    name: &'static str,
    args: &[&str],
) -> Result<Value, Error> {
    let server = ServerConfig::new_centralized(host, port);
    let client = connect_one(Config { server, ..own.clone() }).await?;
    let reply = client.custom(CustomCommand::new_static(name, None, false), args.to_vec()).await;
    let _ = client.quit().await;
    reply
}

/// Moves the slot of a queue to another node, with its keys.
async fn move_slot(
    own: &Config,
    nodes: &[NodeLine],
    queue: &QueueName,
    choice: usize,
) -> Result<String, Error> {
    let slot = Keys::new(queue, 0).jobs.cluster_hash();
    let masters: Vec<&NodeLine> = nodes.iter().filter(|node| node.is_master).collect();
    let others: Vec<&&NodeLine> = masters.iter().filter(|node| !node.has(slot)).collect();
    let from = masters.iter().find(|node| node.has(slot));
    let (Some(from), Some(to)) = (from, others.get(choice % others.len().max(1))) else {
        return Err(Error::new(fred::error::ErrorKind::Cluster, "no other node can have the slot"));
    };
    let number = slot.to_string();
    let at = |node: &NodeLine| (node.host.clone(), node.port);
    let call = |node: &NodeLine, args: Vec<String>| {
        let (host, port) = at(node);
        async move {
            let words: Vec<&str> = args.iter().map(String::as_str).collect();
            ask(own, (&host, port), "CLUSTER", &words).await
        }
    };
    let set = |words: [&str; 2]| ["SETSLOT", &number, words[0], words[1]].map(str::to_owned).to_vec();
    call(to, set(["IMPORTING", &from.id])).await?;
    call(from, set(["MIGRATING", &to.id])).await?;
    loop {
        let page = ["GETKEYSINSLOT", &number, MOVED_KEYS].map(str::to_owned).to_vec();
        let keys: Vec<String> = array(call(from, page).await?)?.iter().map(text).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            break;
        }
        let port = to.port.to_string();
        let mut args = vec![to.host.as_str(), &port, "", "0", MOVE_TIMEOUT];
        match (&own.username, &own.password) {
            (Some(user), Some(password)) => args.extend(["AUTH2", user, password]),
            (None, Some(password)) => args.extend(["AUTH", password]),
            _ => {}
        }
        args.push("KEYS");
        args.extend(keys.iter().map(String::as_str));
        ask(own, (&from.host, from.port), "MIGRATE", &args).await?;
    }
    // The new owner first: it is to know before another one redirects to it.
    call(to, set(["NODE", &to.id])).await?;
    for node in masters.iter().filter(|node| node.id != to.id) {
        call(node, set(["NODE", &to.id])).await?;
    }
    Ok("move of a slot".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_that_are_connected_are_chosen() {
        let master = "07c3 127.0.0.1:7001@17001,host myself,master - 0 14 1 connected 0-5460 5500 [77->-9a]";
        let node = NodeLine::parse(master).unwrap();
        assert_eq!((node.host.as_str(), node.port, node.is_master), ("127.0.0.1", 7001, true));
        assert!(node.has(0) && node.has(5460) && node.has(5500) && !node.has(5461));
        let replica = "17c3 ::1:7004@17004 slave 07c3 0 14 1 connected";
        assert!(!NodeLine::parse(replica).unwrap().is_master);
        assert_eq!(NodeLine::parse("07c3 127.0.0.1:7001@17001 master,fail - 0 14 1 connected 0-5460"), None);
        assert_eq!(NodeLine::parse("07c3 127.0.0.1:7001@17001 master - 0 14 1 disconnected"), None);
    }
}
