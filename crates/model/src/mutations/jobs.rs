//! Faults that are planted in the scripts of jobs and in the worker's decisions.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::faults::Kind;
use crate::scripts::Sources;
use crate::search::{Explored, Search};
use crate::world::{JOBS, Rules, Shape, Slip};

/// A depth that no search reaches.
const DEPTH_MAX: usize = 40;
/// How many states a search explores before another one is tried.
const FEW: usize = 200;
const MANY: usize = 3_000;
/// The seed of the walks.
const SEED: u64 = 7;

/// A change of a script: its name, what is replaced, and by what.
type Change = (&'static str, &'static str, &'static str);

/// A planted fault of the world of jobs.
pub(crate) struct Mutation {
    pub(super) name: &'static str,
    changes: &'static [Change],
    slip: Option<Slip>,
    /// The faults under which it shows.
    faults: &'static [Kind],
    shape: Shape,
}

const fn script(name: &'static str, changes: &'static [Change], faults: &'static [Kind]) -> Mutation {
    Mutation { name, changes, slip: None, faults, shape: Shape::Plain }
}

const fn decision(name: &'static str, slip: Slip, faults: &'static [Kind]) -> Mutation {
    Mutation { name, changes: &[], slip: Some(slip), faults, shape: Shape::Plain }
}

const fn of_shape(
    name: &'static str,
    changes: &'static [Change],
    faults: &'static [Kind],
    shape: Shape,
) -> Mutation {
    Mutation { name, changes, slip: None, faults, shape }
}

const fn of_a_flow(name: &'static str, changes: &'static [Change], faults: &'static [Kind]) -> Mutation {
    Mutation { name, changes, slip: None, faults, shape: Shape::Limited }
}

const FENCE: &str = "if row[2] ~= consumer or row[4] ~= tonumber(count) then";

/// Those of the world of jobs.
#[rustfmt::skip]
pub(super) const ALL: [Mutation; 67] = [
    script("postpone: no fence", &[("postpone", FENCE, "if false then")], &[Kind::Pause]),
    script("dead_letter: no fence", &[("dead_letter", FENCE, "if false then")], &[Kind::Pause]),
    script("hand_back: no fence", &[("hand_back", FENCE, "if false then")], &[Kind::Pause, Kind::Stop]),
    script("complete: acknowledges before a right is missing",
        &[("complete", "redis.call('XDEL', stream, '0-0')", "")], &[Kind::Rights]),
    script("complete: writes no record",
        &[("complete", "return refused and refused.err or write_log(log, count)", "return nil")], &[]),
    script("complete: leaves the entry", &[("complete", "redis.call('XDEL', stream, ...)", "")], &[]),
    script("postpone: leaves the entry", &[("postpone", "leave_stream(stream, group, id)\nif", "if")], &[]),
    script("dead_letter: leaves the entry",
        &[("dead_letter", "local refusal = settled(2, KEYS[5], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[3])", "local refusal")], &[]),
    script("postpone: removes before it writes",
        &[("postpone", "probe_stream(stream, group)\n-- Add", "leave_stream(stream, group, id)\n-- Add")], &[Kind::Rights]),
    script("postpone: no due time", &[("postpone", "redis.call('ZADD', KEYS[3], whole(due), job_id)", "")], &[]),
    script("postpone: no job", &[("postpone", "redis.call('HSET', KEYS[2], job_id, cmsgpack.pack(fields))", "")], &[]),
    script("postpone: no mark", &[("postpone", "fields[#fields + 1] = '_mark'\n", "fields[#fields + 1] = 'mark'\n")], &[]),
    script("postpone: no job id", &[("postpone", "fields[#fields + 1] = '_job_id'\n", "fields[#fields + 1] = 'x'\n")], &[]),
    of_a_flow("postpone: the flow is not listed", &[("postpone", "redis.call('ZADD', KEYS[4], 'LT', whole(due), flow)", "")], &[]),
    of_a_flow("postpone: the flow does not have the job",
        &[("postpone", "redis.call('ZADD', KEYS[3], whole(ARGV[10] * 5e12 + math.min(at, 5e12 - 1)), job_id)", "")], &[]),
    script("dead_letter: no dead letter", &[("dead_letter", "add_dead(2, 5, fields, clock(), callback)", "")], &[]),
    script("hand_back: no new entry", &[("hand_back", "redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))", "")], &[Kind::Stop]),
    script("hand_back: leaves the entry", &[("hand_back", "leave_stream(KEYS[1], ARGV[1], ARGV[3])", "")], &[Kind::Stop]),
    script("promote: leaves the waiting job", &[("promote", "leave_waiting(KEYS[2], KEYS[3], job_id)\n    moved", "moved")], &[]),
    script("promote: removes before it writes", &[("promote",
        "redis.call('XADD', KEYS[1], '*', unpack(fields))\n    leave_waiting(KEYS[2], KEYS[3], job_id)",
        "leave_waiting(KEYS[2], KEYS[3], job_id)\n    redis.call('XADD', KEYS[1], '*', unpack(fields))")], &[Kind::Rights]),
    script("promote: moves nothing", &[("promote", "'LIMIT', 0, ARGV[1])", "'LIMIT', 0, 0)")], &[]),
    of_a_flow("promote: returns no flow", &[("promote", "wake[#wake + 1] = held[i]", "")], &[]),
    of_a_flow("admit: leaves the waiting job", &[("admit", "leave_waiting(KEYS[2], KEYS[3], job_id)\n      moved", "moved")], &[]),
    of_a_flow("admit: forgets the flow", &[("admit", "if left == 0 then", "if true then")], &[]),
    of_a_flow("admit: moves nothing", &[("admit", "'LIMIT', 0, limit), ARGV[3])", "'LIMIT', 0, 0), ARGV[3])")], &[]),
    script("extend: renews nothing",
        &[("extend", "redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(mine))", "")], &[]),
    script("extend: hides a loss", &[("extend", "letters[#letters + 1] = 'l'", "letters[#letters + 1] = 'o'")], &[Kind::Pause]),
    script("reclaim: takes what is not idle", &[("reclaim", "'IDLE', whole(shortest)", "'IDLE', '0'"),
        ("reclaim", "if idle >= (leases[holder] or tonumber(ARGV[3])) then", "if true then")], &[Kind::Kill]),
    script("reclaim: trusts any clock", &[("reclaim", "if math.abs(now - ARGV[7]) > tonumber(ARGV[8]) then", "if false then")],
        &[Kind::Clock, Kind::Kill]),
    script("reclaim: takes nothing", &[("reclaim", "for _, row in ipairs(page) do\n    local id, holder", "for _, row in ipairs({}) do\n    local id, holder")],
        &[Kind::Kill]),
    script("claim_lost: claims nothing", &[("claim_lost", "'FORCE', 'JUSTID')", "'JUSTID')")], &[Kind::Acknowledge]),
    script("requeue: makes nothing due", &[("requeue", "redis.call('ZADD', KEYS[2], now, job_id)", "")], &[Kind::Key]),
    of_a_flow("requeue: lists no flow", &[("requeue",
        "redis.call('ZADD', KEYS[3], 'NX', now, string.match(set, '[^:]+$'))", "0")], &[Kind::Key]),
    script("enqueue: keeps no job id", &[("enqueue", "redis.call('SET', KEYS[3], job_id, 'PX', ARGV[1])", "")], &[Kind::Reply]),
    script("enqueue: ignores the key", &[("enqueue", "elseif known ~= '' then", "elseif false then")], &[Kind::Reply]),
    script("cancel_ready: leaves the entry", &[("cancel_ready", "settled(3, KEYS[6], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[2])", "")],
        &[Kind::ByHand]),
    script("cancel_waiting: leaves the job", &[("cancel_waiting", "settled(3, KEYS[7], log, 1, leave_waiting, KEYS[1], KEYS[2], ARGV[1])", "")],
        &[Kind::ByHand]),
    script("run_now: leaves the waiting job", &[("run_now", "leave_waiting(KEYS[2], KEYS[3], ARGV[1])\nif", "if")], &[Kind::ByHand]),
    script("replay: leaves the dead letter", &[("replay", "redis.call('XDEL', KEYS[2], ARGV[1])\nreturn id", "return id")], &[Kind::ByHand]),
    decision("worker: no heartbeat", Slip::Heartbeat, &[]),
    decision("worker: sends under an old lease", Slip::Confirmation, &[Kind::Pause]),
    decision("worker: counts no attempt", Slip::AttemptCount, &[]),
    decision("worker: takes over after a jump of the clock", Slip::SteadyClock, &[Kind::Clock]),
    decision("worker: takes over nothing", Slip::Takeover, &[Kind::Kill]),
    decision("worker: promotes nothing", Slip::Promotion, &[]),
    decision("worker: sweeps nothing", Slip::Sweep, &[Kind::Key]),
    decision("worker: looks for no lost entry", Slip::SearchForLost, &[Kind::Acknowledge]),
    decision("worker: does not create the group again", Slip::Join, &[Kind::Group]),
    script("pause: sets nothing", &[("pause", "redis.call('HSET', KEYS[1], unpack(more))", "")], &[Kind::Control]),
    script("pause: forgets when it began", &[("pause", "before and since > 0 and since or now", "now")], &[Kind::Control]),
    script("pause: never ends", &[("pause", "ends = now + ARGV[2]", "ends = 0")], &[Kind::Control]),
    script("resume: ends nothing", &[("resume", "redis.call('HDEL', KEYS[1], unpack(ARGV))", "")], &[Kind::Control]),
    script("control: returns what has ended", &[("control", "ends > 0 and ends <= now", "false")], &[Kind::Control]),
    script("control: leaves what has ended", &[("control", "if #ended > 0 then", "if false then")], &[Kind::Control]),
    script("control: removes what lasts", &[("control", "if ends then", "if ends == 0 then"),
        ("control", "elseif ends == false and", "elseif")], &[Kind::Control]),
    of_shape("complete_with_result: no fence", &[("complete_with_result", FENCE, "if false then")], &[Kind::Pause], Shape::Result),
    of_shape("complete_with_result: no result",
        &[("complete_with_result", "redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5])", "")], &[], Shape::Result),
    of_shape("complete_with_result: leaves the entry", &[("complete_with_result",
        "local refusal = settled(0, KEYS[3], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[3])", "local refusal")], &[], Shape::Result),
    of_shape("complete_with_result: the result last", &[
        ("complete_with_result", "redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5])\n", ""),
        ("complete_with_result", "return refusal and {", "redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5])\nreturn refusal and {")],
        &[Kind::Rights], Shape::Result),
    of_shape("dead_letter: no result", &[("dead_letter", "if ttl ~= '0' then", "if false then")], &[], Shape::Result),
    of_shape("postpone: writes a result", &[("postpone", "leave_stream(stream, group, id)\nif",
        "redis.call('SET', string.gsub(KEYS[1], 'jobs$', 'result:') .. ARGV[5], '{}')\nleave_stream(stream, group, id)\nif")],
        &[], Shape::Result),
    of_shape("cancel_ready: no result", &[("cancel_ready", "if ttl ~= '0' then", "if false then")], &[Kind::ByHand], Shape::Result),
    of_shape("cancel_waiting: no result", &[("cancel_waiting", "if ttl ~= '0' then", "if false then")], &[Kind::ByHand], Shape::Result),
    of_shape("postpone: the expiry is not listed",
        &[("postpone", "redis.call('ZADD', KEYS[5], ARGV[11], flow .. job_id)", "")], &[], Shape::Expiring),
    of_shape("promote: returns no expired job", &[("promote", "expired = redis.call('ZRANGEBYSCORE', KEYS[6]", "redis.call('ZRANGEBYSCORE', KEYS[6]")],
        &[], Shape::Expiring),
    of_shape("admit: moves no expired job", &[("admit", "moved = moved + move({ARGV[i]}, 'old')", "")], &[], Shape::Expiring),
    Mutation { name: "worker: sends what has expired", changes: &[], slip: Some(Slip::Expiry), faults: &[], shape: Shape::Expiring },
];

impl Mutation {
    /// Looks for the fault: first in the first steps of two jobs, then in everything that can happen to one, then by random walks.
    pub(super) fn find(&self, time: Duration) -> Explored {
        let rules = Rules {
            sources: Arc::new(Sources::new(self.changes)),
            slip: self.slip,
            ticks_max: 8,
            jobs: JOBS,
            calm: Rc::default(),
        };
        let search = Search {
            rules,
            faults: self.faults.to_vec(),
            each: 1,
            shapes: [self.shape; 2],
            depth: DEPTH_MAX,
            time,
            states_max: usize::MAX,
        };
        let orders = |jobs, states_max| {
            let rules = Rules { jobs, ..search.rules.clone() };
            Search { rules, states_max, ..search.clone() }.run()
        };
        // More faults in one walk: most come at a time at which they change nothing.
        let walks = |each, states_max| Search { each, states_max, ..search.clone() }.walk(SEED);
        let tries: [&dyn Fn() -> Explored; 5] = [
            &|| orders(JOBS, FEW),
            &|| orders(1, MANY),
            &|| walks(3, 4 * MANY),
            &|| orders(1, 6 * MANY),
            &|| walks(1, usize::MAX),
        ];
        let mut all = Explored { states: 0, depth: 0, took: Duration::ZERO, found: None };
        for explore in tries {
            let Explored { states, depth, took, found } = explore();
            all = Explored { states: all.states + states, depth, took: all.took + took, found };
            if all.found.is_some() {
                break;
            }
        }
        all
    }
}
