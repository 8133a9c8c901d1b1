//! Which node of a cluster owns which hash slot, as the nodes report it.

use std::net::IpAddr;

use fred::error::Error;
use fred::types::Value;
use fred::types::config::Server;

const SLOTS: usize = 16_384;

/// The owners of all slots.
#[derive(Debug)]
pub(super) struct Slots {
    nodes: Vec<Server>,
    /// For each slot the index of its node.
    owners: Vec<Option<u16>>,
}

impl Slots {
    /// Parses the reply of CLUSTER SLOTS: rows of first and last slot and their nodes, the owner first. `None` if it is
    /// another reply, or names no owner.
    pub(super) fn parse(reply: Value, asked: &Server) -> Option<Self> {
        let Value::Array(rows) = reply else { return None };
        let mut slots = Self { nodes: vec![], owners: vec![None; SLOTS] };
        for row in rows {
            let Value::Array(row) = row else { return None };
            let number = |index: usize| row.get(index).and_then(Value::as_u64).map(|slot| slot as usize);
            let Value::Array(node) = row.get(2)? else { return None };
            let port = u16::try_from(node.get(1)?.as_u64()?).ok()?;
            let index = slots.index(Server::new(host(node, asked), port));
            let (first, last) = (number(0)?, number(1)?);
            if first > last {
                return None;
            }
            slots.owners.get_mut(first..=last)?.fill(Some(index));
        }
        (!slots.nodes.is_empty()).then_some(slots)
    }

    /// All nodes that own slots.
    pub(super) fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Server> {
        let index = self.owners.get(usize::from(slot)).copied().flatten()?;
        self.nodes.get(usize::from(index))
    }

    pub(super) fn set(&mut self, slot: u16, owner: Server) {
        let index = self.index(owner);
        if let Some(old) = self.owners.get_mut(usize::from(slot)) {
            *old = Some(index);
        }
    }

    fn index(&mut self, node: Server) -> u16 {
        let index = self.nodes.iter().position(|known| *known == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        index as u16
    }
}

/// The host of a node: its name rather than its address, since certificates contain names. A node that does not know its
/// own address is reached as the node that was asked.
fn host(node: &[Value], asked: &Server) -> String {
    let announced = node.first().and_then(Value::as_str).unwrap_or_default();
    let name = match node.get(3) {
        Some(Value::Array(more)) => more.chunks(2).find_map(|pair| match pair {
            [name, value] if name.as_str().as_deref() == Some("hostname") => value.as_str(),
            _ => None,
        }),
        _ => None,
    };
    let name = name.filter(|name| !name.is_empty());
    match name {
        Some(name) if !is_name(&announced) => name.into_owned(),
        _ if ["", "?"].contains(&&*announced) => asked.host.to_string(),
        _ => announced.into_owned(),
    }
}

fn is_name(host: &str) -> bool {
    !["", "?"].contains(&host) && host.parse::<IpAddr>().is_err()
}

/// An error reply that names another node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// The slot has this owner.
    Moved(Server),
    /// The slot is being moved to this node, and the keys of this command are there.
    Ask(Server),
}

impl Redirection {
    /// By the error reply of a node.
    pub(super) fn of(error: &Error, from: &Server) -> Option<Self> {
        let (kind, rest) = error.details().split_once(' ')?;
        let (_slot, address) = rest.split_once(' ')?;
        let (host, port) = address.trim().rsplit_once(':')?;
        let host = if ["", "?"].contains(&host) { from.host.to_string() } else { host.to_owned() };
        let server = Server::new(host, port.parse().ok()?);
        match kind {
            "MOVED" => Some(Self::Moved(server)),
            "ASK" => Some(Self::Ask(server)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use fred::error::ErrorKind;

    use super::*;

    fn node(host: &str, port: i64) -> Value {
        Value::Array(vec![host.into(), port.into(), "id".into()])
    }

    fn row(from: i64, to: i64, nodes: Vec<Value>) -> Value {
        Value::Array([vec![from.into(), to.into()], nodes].concat())
    }

    #[test]
    fn each_slot_has_the_first_node_of_its_row() {
        let rows = vec![
            row(0, 9, vec![node("10.0.0.1", 7000), node("10.0.0.2", 7001)]),
            row(10, 10, vec![node("10.0.0.3", 7000)]),
            row(12, 16_383, vec![node("10.0.0.1", 7000)]),
        ];
        let mut slots = Slots::parse(Value::Array(rows), &Server::new("seed", 1)).unwrap();
        let owner = |slots: &Slots, slot| slots.owner(slot).map(|server| server.to_string());
        assert_eq!(owner(&slots, 9).as_deref(), Some("10.0.0.1:7000"));
        assert_eq!(owner(&slots, 10).as_deref(), Some("10.0.0.3:7000"));
        assert_eq!(owner(&slots, 11), None);
        assert_eq!(slots.nodes().len(), 2);
        slots.set(11, Server::new("10.0.0.4", 7000));
        assert_eq!(owner(&slots, 11).as_deref(), Some("10.0.0.4:7000"));
    }

    #[test]
    fn a_reply_without_an_owner_is_none() {
        let parse = |rows| Slots::parse(Value::Array(rows), &Server::new("seed", 1));
        assert!(parse(vec![]).is_none());
        assert!(parse(vec![row(0, 16_384, vec![node("h", 1)])]).is_none(), "there is no such slot");
        assert!(parse(vec![row(9, 8, vec![node("h", 1)])]).is_none());
        assert!(parse(vec![row(0, 9, vec![])]).is_none());
    }

    #[test]
    fn a_node_is_reached_by_its_name_and_without_one_as_the_node_that_was_asked() {
        let host = |announced: Value, more: Vec<Value>| {
            host(&[announced, 1.into(), "id".into(), Value::Array(more)], &Server::new("seed", 1))
        };
        let name = || vec![Value::from("hostname"), Value::from("a.test")];
        assert_eq!(host("10.0.0.1".into(), vec![]), "10.0.0.1");
        assert_eq!(host("10.0.0.1".into(), name()), "a.test");
        assert_eq!(host("b.test".into(), name()), "b.test");
        assert_eq!(host("".into(), vec![]), "seed");
        assert_eq!(host(Value::Null, vec![]), "seed");
        assert_eq!(host("?".into(), name()), "a.test");
    }

    #[test]
    fn a_redirection_names_its_node() {
        let of = |text: &'static str| {
            Redirection::of(&Error::new(ErrorKind::Unknown, text), &Server::new("seed", 1))
        };
        assert_eq!(of("MOVED 3999 127.0.0.1:6381"), Some(Redirection::Moved(Server::new("127.0.0.1", 6381))));
        assert_eq!(of("ASK 3999 ::1:6381"), Some(Redirection::Ask(Server::new("::1", 6381))));
        assert_eq!(of("MOVED 3999 :6381"), Some(Redirection::Moved(Server::new("seed", 6381))));
        assert_eq!(of("NOGROUP No such key 'a:1'"), None);
        assert_eq!(of("ERR"), None);
    }
}
