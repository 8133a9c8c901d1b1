//! Reads the whole state by commands.

use crate::differential::generate::KEYS;
use crate::redis::{Bytes, Db};

/// The commands that read every key that there may be.
pub(super) fn commands(db: &Db) -> Vec<Vec<Bytes>> {
    let known = KEYS.iter().map(|name| crate::calls::Shard(0).key(name));
    let mut keys: Vec<Bytes> = db.keys.keys().cloned().chain(known).collect();
    keys.sort();
    keys.dedup();
    keys.iter().flat_map(|key| commands_of(db, key)).collect()
}

fn commands_of(db: &Db, key: &Bytes) -> Vec<Vec<Bytes>> {
    let with = |words: &[&str], more: &[&str]| {
        let own = words.iter().map(|word| word.as_bytes().to_vec());
        own.chain([key.clone()])
            .chain(more.iter().map(|word| word.as_bytes().to_vec()))
            .collect::<Vec<Bytes>>()
    };
    let mut commands = vec![with(&["TYPE"], &[]), with(&["PTTL"], &[])];
    let kind = db.keys.get(key).map(|entry| entry.value.type_name());
    match kind {
        Some("string") => commands.push(with(&["GET"], &[])),
        Some("hash") => commands.push(with(&["HGETALL"], &[])),
        Some("zset") => commands.push(with(&["ZRANGE"], &["0", "-1", "WITHSCORES"])),
        Some("stream") => {
            commands.push(with(&["XRANGE"], &["-", "+"]));
            commands.push(with(&["XINFO", "STREAM"], &[]));
            commands.push(with(&["XINFO", "GROUPS"], &[]));
            commands.push(with(&["XPENDING"], &["postrider", "-", "+", "1000"]));
        }
        _ => {}
    }
    commands
}
