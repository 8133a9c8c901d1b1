//! Compares the model of Redis with a real server: random commands and scripts have the same replies and leave the same
//! state.
//!
//! A server reads its clock at some time between a command and its reply, so the model follows every time that fits: it
//! keeps all states that explain the replies so far. Of an error, the code is compared.

mod dump;
mod generate;
mod normal;

use std::collections::HashSet;

use e2e::redis::RedisServer;
use e2e::resp::{Connection, Reply};

use crate::calls::Call;
use crate::lua::Interpreter;
use crate::redis::{Bytes, Db};
use generate::Generator;

/// How many steps follow one another on the same state.
const SEQUENCE_STEPS: usize = 120;
/// How often the whole state is compared.
const DUMP_STEPS: usize = 15;

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
    /// The last steps, for the message of a failure.
    story: Vec<String>,
}

/// Compares `steps` random steps, and returns how many commands and scripts were compared.
///
/// # Errors
/// The steps that lead to a difference.
///
/// # Panics
/// If there is no Redis.
pub fn compare(seed: u64, steps: usize) -> Result<usize, String> {
    let sources = postrider_queue::internals::script_sources();
    let server = RedisServer::start();
    let real = server.connect();
    let interpreter = Interpreter::new(&sources);
    let mut pair = Pair { server, real, interpreter, sources, states: vec![Db::default()], story: vec![] };
    let mut generator = Generator::new(seed);
    let mut compared = 0;
    for step in 0..steps {
        if step % SEQUENCE_STEPS == 0 {
            pair.reset();
        }
        let (next, denied) = generator.next(&pair.states[0]);
        compared += pair.step(&next, denied)?;
        if step % DUMP_STEPS == DUMP_STEPS - 1 {
            compared += pair.dump()?;
        }
    }
    Ok(compared)
}

impl Pair {
    fn reset(&mut self) {
        self.send(&[b"FLUSHALL".to_vec()]);
        self.step(&Step::SetFull(false), None).ok();
        self.states = vec![Db::default()];
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
            Step::Command(_) | Step::Script(_) => self.both(step, denied).map(|()| 1),
        }
    }

    fn both(&mut self, step: &Step, denied: Option<&'static str>) -> Result<(), String> {
        let command = match step {
            Step::Script(call) => self.eval(call),
            Step::Command(command) => command.clone(),
            _ => return Ok(()),
        };
        let mut limited = denied.map(|denied| self.without(denied));
        let connection = limited.as_mut().unwrap_or(&mut self.real);
        let time = [b"TIME".to_vec()];
        let replies = connection.pipeline(&[&time, &command, &time]).expect("the server answers");
        let (from, to) = (millis(&replies[0]), millis(&replies[2]));
        let wanted = normal::reply(step, replies[1].clone());
        let mut kept = HashSet::new();
        let mut others = vec![];
        for state in std::mem::take(&mut self.states) {
            for now in from..=to {
                let mut state = Db { now, ..state.clone() };
                let reply = match step {
                    Step::Script(call) => {
                        self.interpreter.call(&mut state, call.script, &call.keys, &call.arguments, denied)
                    }
                    _ => state.command(&command, denied),
                };
                let reply = normal::reply(step, reply);
                if reply == wanted {
                    kept.insert(state);
                } else {
                    others.push(reply);
                }
            }
        }
        if kept.is_empty() {
            let story = self.story.join("\n");
            return Err(format!("{story}\nthe server: {wanted:?}\nthe model:  {:?}", others.first()));
        }
        self.states = kept.into_iter().collect();
        Ok(())
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
        for command in &commands {
            self.step(&Step::Command(command.clone()), None)?;
            self.story.truncate(length);
        }
        Ok(commands.len())
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
