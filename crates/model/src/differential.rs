//! Compares the model of Redis with a real server: random commands and scripts have the same replies and leave the same
//! state.
//!
//! A server reads its clock at some time between a command and its reply, and before 7.2 also while a script runs, so the model
//! follows every time that fits: it keeps all states that explain the replies so far. Of an error, the code is compared.

mod clock;
mod dump;
mod generate;
mod normal;

use std::collections::HashSet;

use e2e::redis::RedisServer;
use e2e::resp::{Connection, Reply};

use crate::calls::Call;
use crate::lua::Interpreter;
use crate::redis::{Bytes, Db, Release};
use generate::Generator;

/// How many steps follow one another on the same state.
const SEQUENCE_STEPS: usize = 120;
/// How often the whole state is compared.
const DUMP_STEPS: usize = 15;
/// How many states the model follows at most. With more, the steps so far are not compared.
const STATES_MAX: usize = 256;
/// How many sequences of steps may be dropped, for each hundred replies.
const DROPPED_MAX: usize = 10;

/// What a client does.
#[derive(Clone, Debug)]
enum Step {
    Command(Vec<Bytes>),
    Script(Call),
    /// Memory is full from now on, or no longer.
    SetFull(bool),
    /// Time passes, ms.
    Wait(u64),
}

/// A real server, and what the model knows of it.
struct Pair {
    server: RedisServer,
    real: Connection,
    interpreter: Interpreter,
    sources: Vec<(&'static str, String)>,
    /// All states that explain the replies so far.
    states: Vec<Db>,
    release: Release,
    /// The last steps, for the message of a failure.
    story: Vec<String>,
    /// Whether nobody knows at which time the server has done the last step.
    is_lost: bool,
}

/// Compares random steps until that number of replies is compared. Returns their number, and the name of the server.
///
/// # Errors
/// The steps that lead to a difference.
///
/// # Panics
/// If there is no Redis.
pub fn compare(seed: u64, replies: usize) -> Result<(usize, String), String> {
    let sources = postrider_queue::internals::script_sources();
    let server = RedisServer::start();
    let (name, release) = release(&server);
    let real = server.connect();
    let interpreter = Interpreter::new(&sources);
    let (states, story) = (vec![], vec![]);
    let mut pair = Pair { server, real, interpreter, sources, states, release, story, is_lost: true };
    let mut generator = Generator::new(seed);
    let (mut compared, mut dropped, mut step) = (0, 0, 0);
    while compared < replies {
        if pair.is_lost || step % SEQUENCE_STEPS == 0 {
            dropped += usize::from(pair.is_lost);
            if dropped > DROPPED_MAX * (1 + replies / 100) {
                return Err(format!("{compared} replies are the same; the machine is too busy for more"));
            }
            pair.reset();
            step = 0;
        }
        let (next, denied) = generator.next(&pair.states[0]);
        compared += pair.step(&next, denied)?;
        step += 1;
        if step % DUMP_STEPS == 0 {
            compared += pair.dump()?;
        }
    }
    Ok((compared, name))
}

/// The name of the server, and which commands it has.
fn release(server: &RedisServer) -> (String, Release) {
    let info = server.command(&["INFO", "server"]).text();
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let version = field("redis_version:").unwrap_or_default();
    let release = match version.split('.').collect::<Vec<_>>()[..] {
        _ if field("valkey_version:").is_some() => Release::Valkey,
        ["6", ..] => Release::Six,
        ["7", "0", ..] => Release::Seven,
        _ => Release::Later,
    };
    (field("valkey_version:").map_or(format!("Redis {version}"), |own| format!("Valkey {own}")), release)
}

impl Pair {
    fn reset(&mut self) {
        self.send(&[b"FLUSHALL".to_vec()]);
        self.is_lost = false;
        self.step(&Step::SetFull(false), None).ok();
        self.states = vec![Db { release: self.release, ..Db::default() }];
        self.story.clear();
    }

    fn send(&mut self, command: &[Bytes]) -> Reply {
        self.real.command(command).expect("the server answers")
    }

    /// Does one step on both. Returns how many replies were compared.
    fn step(&mut self, step: &Step, denied: Option<&'static str>) -> Result<usize, String> {
        self.story.push(format!(
            "{} {}",
            written(step),
            denied.map_or(String::new(), |name| format!("without {name}"))
        ));
        match step {
            Step::Wait(millis) => {
                std::thread::sleep(std::time::Duration::from_millis(*millis));
                Ok(0)
            }
            Step::SetFull(is_full) => {
                let most = if *is_full { "1" } else { "0" };
                self.send(&["CONFIG", "SET", "maxmemory", most].map(|word| word.as_bytes().to_vec()));
                self.states.iter_mut().for_each(|state| state.is_full = *is_full);
                Ok(0)
            }
            Step::Command(_) | Step::Script(_) => self.both(step, denied),
        }
    }

    fn both(&mut self, step: &Step, denied: Option<&'static str>) -> Result<usize, String> {
        let command = match step {
            Step::Script(call) => self.eval(call),
            Step::Command(command) => command.clone(),
            _ => return Ok(0),
        };
        let mut limited = denied.map(|denied| self.without(denied));
        let connection = limited.as_mut().unwrap_or(&mut self.real);
        let time = [b"TIME".to_vec()];
        let replies = connection.pipeline(&[&time, &command, &time]).expect("the server answers");
        let (from, to) = (millis(&replies[0]), millis(&replies[2]));
        if to - from > clock::SPAN_MS {
            self.is_lost = true;
            return Ok(0);
        }
        let wanted = normal::reply(step, replies[1].clone());
        let (mut kept, mut seen, mut others) = (vec![], HashSet::new(), vec![]);
        for state in std::mem::take(&mut self.states) {
            for (reply, after) in self.explained(step, &state, from, to, denied) {
                if normal::reply(step, reply.clone()) != wanted {
                    others.push(reply);
                } else if seen.insert(after.clone()) {
                    kept.push(after);
                }
            }
        }
        if kept.is_empty() {
            let story = self.story.join("\n");
            return Err(format!("{story}\nthe server: {wanted:?}\nthe model:  {:?}", others.first()));
        }
        self.is_lost = kept.len() > STATES_MAX;
        self.states = kept;
        Ok(1)
    }

    /// What the model replies if the server has done a step between these times, and the state after it.
    fn explained(
        &self,
        step: &Step,
        state: &Db,
        from: u64,
        to: u64,
        denied: Option<&'static str>,
    ) -> Vec<(Reply, Db)> {
        let at = |now| Db { now, ..state.clone() };
        let ended = |(reply, after): (Reply, Db)| (reply, Db { now: to, ..after });
        let call = match step {
            Step::Script(call) => call,
            Step::Command(command) => {
                let run = |now| {
                    let mut after = at(now);
                    ended((after.command(command, denied), after))
                };
                return (from..=to).map(run).collect();
            }
            _ => return vec![],
        };
        let run = |moves: &clock::Moves| {
            let mut after = at(moves.from);
            let (reply, calls) = self.interpreter.call_while(&mut after, call, denied, &moves.later);
            (ended((reply, after)), calls)
        };
        let still: Vec<_> = (from..=to).map(|now| run(&clock::Moves::none(now))).collect();
        let calls = still.iter().map(|(_, calls)| *calls).max().unwrap_or(0);
        let moving = clock::moves(from, to, if self.release >= Release::Later { 0 } else { calls });
        still.into_iter().chain(moving.iter().map(run)).map(|(explained, _)| explained).collect()
    }

    /// A connection of a user without the right to one command.
    fn without(&mut self, denied: &str) -> Connection {
        let right = format!("-{}", denied.to_lowercase());
        let words = ["ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "+@all", &right];
        self.send(&words.map(|word| word.as_bytes().to_vec()));
        let mut limited = self.server.connect();
        limited.command(&["AUTH", "limited", "pw"]).expect("the server answers");
        limited
    }

    fn eval(&self, call: &Call) -> Vec<Bytes> {
        let source = self.sources.iter().find(|(name, _)| *name == call.script);
        let source = source.expect("there is such a script").1.clone().into_bytes();
        let own = [b"EVAL".to_vec(), source, call.keys.len().to_string().into_bytes()];
        own.into_iter().chain(call.keys.clone()).chain(call.arguments.clone()).collect()
    }

    /// Compares the whole state.
    fn dump(&mut self) -> Result<usize, String> {
        let commands = dump::commands(&self.states[0]);
        let length = self.story.len();
        let mut compared = 0;
        for command in &commands {
            if !self.is_lost {
                compared += self.step(&Step::Command(command.clone()), None)?;
                self.story.truncate(length);
            }
        }
        Ok(compared)
    }
}

/// A time, Unix ms.
fn millis(time: &Reply) -> u64 {
    let part = |index: usize| time.array()[index].text().parse::<u64>().expect("a time is a number");
    part(0) * 1000 + part(1) / 1000
}

fn written(step: &Step) -> String {
    let text = |words: &[Bytes]| {
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
    };
    match step {
        Step::Command(words) => text(words),
        Step::Script(call) => format!("{} {} , {}", call.script, text(&call.keys), text(&call.arguments)),
        other => format!("{other:?}"),
    }
}
