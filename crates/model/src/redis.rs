//! A small Redis: exactly the commands that the scripts and the worker use, with their errors. Its state is a value:
//! cheap to clone, comparable, and without a clock.
//!
//! It differs from a server in these points. In a script, time stands still unless the caller moves it. Trimming with `~` removes nothing, since a server removes only whole nodes of
//! 100 entries. `HSCAN` returns everything in one page. Hashes are in the order of their fields.

mod commands;
mod groups;
mod hashes;
mod parse;
mod sorted;
mod stream;
mod streams;
mod strings;

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;

use e2e::resp::Reply;

pub(crate) use sorted::SortedSet;
pub(crate) use stream::{Id, Stream};

/// A binary-safe text.
pub(crate) type Bytes = Vec<u8>;

type Result<T = Reply> = std::result::Result<T, String>;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Text(Bytes),
    Hash(BTreeMap<Bytes, Bytes>),
    Sorted(SortedSet),
    Stream(Stream),
}

impl Value {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Hash(_) => "hash",
            Self::Sorted(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }

    /// Redis deletes a collection that is empty, except a stream.
    fn is_nothing(&self) -> bool {
        match self {
            Self::Hash(hash) => hash.is_empty(),
            Self::Sorted(set) => set.is_empty(),
            Self::Text(_) | Self::Stream(_) => false,
        }
    }
}

/// A key: its value, and when it expires, Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) value: Arc<Value>,
    pub(crate) expires: Option<u64>,
}

/// The releases whose commands differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Release {
    /// Redis 6.2: `XCLAIM` also claims entries that were deleted while they were pending.
    Six,
    /// Redis 7.0: it forgets these. In both, a consumer exists from its first delivery on.
    Seven,
    /// Redis 7.2 and later: a consumer exists from its first call on.
    #[default]
    Later,
    /// Valkey: in a script, it looks at its memory before it looks at rights.
    Valkey,
}

/// The state of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Db {
    pub(crate) release: Release,
    pub(crate) keys: BTreeMap<Bytes, Entry>,
    /// The server's clock, Unix milliseconds.
    pub(crate) now: u64,
    /// Whether its memory is full.
    pub(crate) is_full: bool,
}

/// A kind of value that a command expects.
trait Kind: Default {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn value(self) -> Value;
}

macro_rules! kind {
    ($variant:ident $type:ty) => {
        impl Kind for $type {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(own) = value { Some(own) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(own) = value { Some(own) } else { None }
            }
            fn value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

kind!(Text Bytes);
kind!(Hash BTreeMap<Bytes, Bytes>);
kind!(Sorted SortedSet);
kind!(Stream Stream);

impl Db {
    /// Runs a command outside of a script. `denied` is a command that the caller has no right to.
    pub(crate) fn command(&mut self, arguments: &[Bytes], denied: Option<&str>) -> Reply {
        self.expire();
        self.run(arguments, denied, None)
    }

    /// Runs a command. `is_dirty` is whether its script has written: a script that has may write over `maxmemory`.
    pub(crate) fn run(
        &mut self,
        arguments: &[Bytes],
        denied: Option<&str>,
        is_dirty: Option<&mut bool>,
    ) -> Reply {
        let reply = self.try_run(arguments, denied, is_dirty);
        reply.unwrap_or_else(Reply::Error)
    }

    /// Removes the keys whose time is over. A script sees one time from its start to its end.
    pub(crate) fn expire(&mut self) {
        let now = self.now;
        if self.keys.values().any(|entry| entry.expires.is_some_and(|expires| expires < now)) {
            self.keys.retain(|_, entry| entry.expires.is_none_or(|expires| expires >= now));
        }
    }

    fn try_run(&mut self, arguments: &[Bytes], denied: Option<&str>, is_dirty: Option<&mut bool>) -> Result {
        let name = arguments.first().map(|name| String::from_utf8_lossy(name).to_lowercase());
        let name = name.ok_or("ERR no command")?;
        let command = commands::COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(&name));
        let Some(command) = command else { return Err(format!("ERR unknown command '{name}'")) };
        if arguments.len() < command.arguments_min {
            return Err(format!("ERR wrong number of arguments for '{name}' command"));
        }
        let is_denied = denied == Some(&name);
        let refusal = format!("User limited has no permissions to run the '{name}' command");
        let is_script = is_dirty.is_some();
        if is_denied && !is_script {
            return Err(format!("NOPERM {refusal}"));
        }
        let mut own = false;
        let is_dirty = is_dirty.unwrap_or(&mut own);
        let refused = || Err(format!("ERR ACL failure in script: {refusal}"));
        if is_denied && self.release != Release::Valkey {
            return refused();
        }
        if self.is_full && command.is_refused_when_full(self.release, arguments) && !*is_dirty {
            return Err("OOM command not allowed when used memory > 'maxmemory'.".to_owned());
        }
        if is_denied {
            return refused();
        }
        *is_dirty |= command.is_write;
        (command.run)(self, &arguments[1..])
    }

    /// The value of a key; `None` if there is none.
    fn get<K: Kind>(&self, key: &[u8]) -> Result<Option<&K>> {
        match self.keys.get(key) {
            Some(entry) => K::of(&entry.value).map(Some).ok_or_else(|| WRONG_TYPE.to_owned()),
            None => Ok(None),
        }
    }

    /// Changes the value of a key that exists; `None` if there is none. Deletes it if nothing is left.
    fn change<K: Kind, T>(&mut self, key: &[u8], change: impl FnOnce(&mut K) -> T) -> Result<Option<T>> {
        let Some(entry) = self.keys.get_mut(key) else { return Ok(None) };
        // Check first: making it unique copies it.
        K::of(&entry.value).ok_or(WRONG_TYPE)?;
        let value = Arc::make_mut(&mut entry.value);
        let changed = K::of_mut(value).map(change);
        if value.is_nothing() {
            self.keys.remove(key);
        }
        Ok(changed)
    }

    /// Changes the value of a key, which is created if it is missing.
    fn change_or_create<K: Kind, T>(&mut self, key: &[u8], change: impl FnOnce(&mut K) -> T) -> Result<T> {
        if let btree_map::Entry::Vacant(vacant) = self.keys.entry(key.to_vec()) {
            vacant.insert(Entry { value: Arc::new(K::default().value()), expires: None });
        }
        self.change(key, change).map(|changed| changed.expect("it exists"))
    }
}

/// A number as a reply.
fn integer(number: usize) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A text as a reply.
fn bulk(text: impl Into<Bytes>) -> Reply {
    Reply::Bulk(text.into())
}

/// `+OK`
fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}
