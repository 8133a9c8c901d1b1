//! Faults that are planted in the scripts of periodic jobs: each must be found.

use crate::faults::Kind;
use crate::small::{Mutation, planted};

/// All of them.
#[rustfmt::skip]
pub(crate) const MUTATIONS: [Mutation; 15] = [
    planted("cron_tick: makes any tick", "cron_tick", ["(own[2] or '') ~= ARGV[3] or (own[3] or '') ~= ARGV[4]", "false"], &[], 0),
    planted("cron_tick: ignores a change", "cron_tick", ["redis.sha1hex(own[1]) ~= ARGV[2] or", ""], &[Kind::ByHand], 0),
    planted("cron_tick: keeps the tick", "cron_tick", ["'n:' .. name, ARGV[5], 'j:'", "'j:'"], &[], 0),
    planted("cron_tick: makes no job", "cron_tick", ["redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, last))", "'1-0'"], &[], 0),
    planted("cron_tick: counts no missed tick", "cron_tick", ["sum(own[6], ARGV[6])", "sum(own[6], 0)"], &[], 2),
    planted("cron_tick: forgets its job", "cron_tick", ["#reply > 1 and reply[#reply] or ARGV[4]", "''"], &[], 3),
    planted("cron_due: finds nothing", "cron_due", ["'LIMIT', 0, ARGV[2])", "'LIMIT', 0, 0)"], &[], 0),
    planted("cron_due: finds no lost tick", "cron_due", ["if ARGV[3] == '1' then", "if false then"], &[Kind::Key], 0),
    planted("cron_due: forgets when to look", "cron_due",
        ["redis.call('ZADD', KEYS[2], whole(now + ARGV[1]), name)", "redis.call('ZREM', KEYS[2], name)"],
        &[], 0),
    planted("cron_pause: is not remembered", "cron_pause", ["redis.call('HSET', KEYS[1], 'p:' .. name, whole(clock()))", ""], &[Kind::ByHand], 0),
    planted("cron_pause: looks at what is paused", "cron_pause",
        ["redis.call('ZREM', KEYS[2], name)\n  redis.call('HDEL', KEYS[1], 'n:'", "redis.call('HDEL', KEYS[1], 'n:'"],
        &[Kind::ByHand], 0),
    planted("cron_pause: resumes without a look", "cron_pause", ["redis.call('ZADD', KEYS[2], ARGV[2], name)", ""], &[Kind::ByHand], 0),
    planted("cron_apply: overwrites a change", "cron_apply", ["changed = changed +", "changed = 0 *"], &[Kind::ByHand], 0),
    planted("cron_apply: ends a pause", "cron_apply", ["next ~= '' and redis.call('HEXISTS', KEYS[1], 'p:' .. name) == 0", "next ~= ''"], &[Kind::ByHand], 0),
    planted("cron_apply: sets no look", "cron_apply", ["redis.call('ZADD', KEYS[2], next, name)", ""], &[], 0),
];
