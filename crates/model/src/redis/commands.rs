//! The table of commands.

use super::{Bytes, Db, Release, Result, groups, hashes, parse, sorted, streams, strings};

/// A command: its properties, and what it does with the arguments after its name.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// How many arguments it has at least, with its name.
    pub(super) arguments_min: usize,
    pub(super) is_write: bool,
    /// Whether Redis refuses it over `maxmemory`.
    is_deny_oom: bool,
    pub(super) run: fn(&mut Db, &[Bytes]) -> Result,
}

impl Command {
    /// Since Redis 7.0, the subcommands of `XGROUP` differ.
    pub(super) fn is_refused_when_full(&self, release: Release, arguments: &[Bytes]) -> bool {
        let is_whole = self.name != "XGROUP" || release == Release::Six;
        self.is_deny_oom && (is_whole || arguments.get(1).is_some_and(|name| parse::is(name, "CREATE")))
    }
}

const fn read(name: &'static str, arguments_min: usize, run: fn(&mut Db, &[Bytes]) -> Result) -> Command {
    Command { name, arguments_min, is_write: false, is_deny_oom: false, run }
}

/// A write that Redis allows over `maxmemory`.
const fn free(name: &'static str, arguments_min: usize, run: fn(&mut Db, &[Bytes]) -> Result) -> Command {
    Command { name, arguments_min, is_write: true, is_deny_oom: false, run }
}

/// A write that Redis refuses over `maxmemory`.
const fn grow(name: &'static str, arguments_min: usize, run: fn(&mut Db, &[Bytes]) -> Result) -> Command {
    Command { name, arguments_min, is_write: true, is_deny_oom: true, run }
}

#[rustfmt::skip]
pub(super) const COMMANDS: [Command; 40] = [
    read("TIME", 1, strings::time),
    read("GET", 2, strings::get),
    grow("SET", 3, strings::set),
    free("DEL", 2, strings::del),
    read("EXISTS", 2, strings::exists),
    read("TYPE", 2, strings::type_name),
    free("PEXPIRE", 3, strings::pexpire),
    read("PTTL", 2, strings::pttl),
    grow("SETRANGE", 4, strings::setrange),
    grow("BITFIELD", 2, strings::bitfield),
    grow("HSET", 4, hashes::hset),
    free("HDEL", 3, hashes::hdel),
    read("HGET", 3, hashes::hget),
    read("HMGET", 3, hashes::hmget),
    read("HGETALL", 2, hashes::hgetall),
    read("HKEYS", 2, hashes::hkeys),
    read("HEXISTS", 3, hashes::hexists),
    read("HLEN", 2, hashes::hlen),
    grow("HINCRBY", 4, hashes::hincrby),
    read("HSCAN", 3, hashes::hscan),
    grow("ZADD", 4, sorted::zadd),
    free("ZREM", 3, sorted::zrem),
    read("ZCARD", 2, sorted::zcard),
    read("ZSCORE", 3, sorted::zscore),
    read("ZRANGE", 4, sorted::zrange),
    read("ZRANGEBYLEX", 4, sorted::zrangebylex),
    read("ZRANGEBYSCORE", 4, sorted::zrangebyscore),
    read("ZREVRANGEBYSCORE", 4, sorted::zrevrangebyscore),
    grow("XADD", 5, streams::xadd),
    free("XDEL", 3, streams::xdel),
    read("XLEN", 2, streams::xlen),
    read("XRANGE", 4, streams::xrange),
    read("XREVRANGE", 4, streams::xrevrange),
    free("XTRIM", 4, streams::xtrim),
    read("XINFO", 3, groups::xinfo),
    grow("XGROUP", 4, groups::xgroup),
    free("XACK", 4, groups::xack),
    free("XREADGROUP", 7, groups::xreadgroup),
    read("XPENDING", 3, groups::xpending),
    free("XCLAIM", 6, groups::xclaim),
];
