//! Faults that are planted in the scripts of flows: each must be found.

use crate::faults::Kind;
use crate::small::{Mutation, planted};

/// All of them.
#[rustfmt::skip]
pub(crate) const MUTATIONS: [Mutation; 14] = [
    planted("flow_acquire: ignores the others", "flow_acquire", ["others = others + made", ""], &[], 0),
    planted("flow_acquire: ignores its own attempts", "flow_acquire", ["most - others - making, 0)", "most - others, 0)"], &[], 0),
    planted("flow_acquire: counts no grant", "flow_acquire", ["(ARGV[4] == '1' and granted or 0)", "0"], &[], 0),
    planted("flow_acquire: counts dead workers for ever", "flow_acquire", ["math.abs(now - reported) > 15000 or", ""], &[Kind::Kill], 0),
    planted("flow_acquire: writes no count", "flow_acquire",
        ["redis.call('HSET', KEYS[1], 'w:' .. ARGV[1], whole(making) .. ' ' .. whole(now))", ""],
        &[], 0),
    planted("flow_acquire: takes no token", "flow_acquire",
        ["string.format('%.6f', left - granted), tokens_at", "string.format('%.6f', left), tokens_at"],
        &[], 1),
    planted("flow_acquire: an open breaker grants", "flow_acquire", ["if is_tried or is_known then", "if false then"], &[], 0),
    planted("flow_acquire: notes no trial", "flow_acquire", ["redis.call('HSET', KEYS[1], 'trial_until', whole(now + ARGV[8]))", ""], &[], 0),
    planted("flow_acquire: a trial is never over", "flow_acquire",
        ["local is_tried = is_ahead(flow.trial_until, ARGV[8])", "local is_tried = flow.trial_until"],
        &[Kind::Kill], 0),
    planted("flow_acquire: trusts any clock", "flow_acquire", ["return at and at > now and at <= now + most", "return at and at > now"], &[Kind::Clock], 0),
    planted("flow_release: keeps the trial", "flow_release", ["if ARGV[1] == '1' then", "if false then"], &[], 0),
    planted("flow_release: gives back two tokens", "flow_release", ["math.min(tokens + 1, ARGV[2])", "tokens + 2"], &[], 1),
    planted("flow_report: opens no breaker", "flow_report",
        ["redis.call('HSET', KEYS[1], 'open_until', whole(open_until), 'trips',", "redis.call('HSET', KEYS[1], 'trips',"],
        &[], 0),
    planted("flow_report: closes no breaker", "flow_report",
        ["redis.call('HDEL', KEYS[1], 'open_until', 'trial_until', 'trips', 'opened_at', 'opened_by', 'kinds', 'name', 'error')", ""],
        &[], 0),
];
