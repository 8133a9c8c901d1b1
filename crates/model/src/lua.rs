//! Runs scripts as Redis does: Lua 5.1 with `redis`, `cjson` and `cmsgpack`.

mod json;
mod message_pack;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use e2e::resp::Reply;
use mlua::{Function, IntoLua, Lua, MultiValue, Table, Value, Variadic};

use crate::calls::Call;
use crate::redis::{Bytes, Db, Release};

pub(crate) use message_pack::texts;

/// Forbids what Redis forbids: globals of scripts.
const GLOBALS: &str = "
setmetatable(_G, {
  __newindex = function(_, name) error('script attempted to create global variable ' .. tostring(name)) end,
  __index = function(_, name) error('script attempted to access nonexistent global variable ' .. tostring(name)) end,
})";

/// An error reply, raised in Lua by `redis.call`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// The server that a running script calls.
#[derive(Default)]
struct Server {
    db: Db,
    denied: Option<&'static str>,
    /// Whether the script has written.
    is_dirty: bool,
    /// How many commands it has called.
    calls: usize,
    /// When the clock moves on, and to which time: before the command with this number.
    moves: Vec<(usize, u64)>,
    /// Whether it has called the command to which the caller has no right.
    lacks_right: bool,
}

impl Server {
    fn run(&mut self, arguments: &[Bytes]) -> Reply {
        self.calls += 1;
        for (call, now) in &self.moves {
            if *call == self.calls {
                self.db.now = *now;
            }
        }
        let is_denied = |name: &Bytes, denied: &str| name.eq_ignore_ascii_case(denied.as_bytes());
        self.lacks_right |=
            self.denied.is_some_and(|denied| arguments.first().is_some_and(|name| is_denied(name, denied)));
        self.db.run(arguments, self.denied, Some(&mut self.is_dirty))
    }
}

/// An interpreter with compiled scripts.
pub(crate) struct Interpreter {
    lua: Lua,
    scripts: HashMap<&'static str, Function>,
    server: Rc<RefCell<Server>>,
}

impl Interpreter {
    /// # Panics
    /// If a script is no Lua.
    pub(crate) fn new(sources: &[(&'static str, String)]) -> Self {
        let (lua, server) = (Lua::new(), Rc::new(RefCell::new(Server::default())));
        provide(&lua, &server).expect("the libraries are provided");
        let compile = |source: &str| lua.load(source).set_name("=script").into_function().expect("it is Lua");
        let scripts = sources.iter().map(|(name, source)| (*name, compile(source))).collect();
        Self { scripts, server, lua }
    }

    /// Runs a script. `denied` is a command that the caller has no right to.
    ///
    /// # Panics
    /// If there is no such script.
    pub(crate) fn call(&self, db: &mut Db, call: &Call, denied: Option<&'static str>) -> Reply {
        self.call_while(db, call, denied, &[]).0
    }

    /// Whether the last call has lacked the right to a command.
    pub(crate) fn lacks_right(&self) -> bool {
        self.server.borrow().lacks_right
    }

    /// Runs a script while the clock moves on: before commands with these numbers, to these times. Also returns how many
    /// commands it has called.
    pub(crate) fn call_while(
        &self,
        db: &mut Db,
        call: &Call,
        denied: Option<&'static str>,
        moves: &[(usize, u64)],
    ) -> (Reply, usize) {
        db.expire();
        let (moves, db_before) = (moves.to_vec(), std::mem::take(db));
        *self.server.borrow_mut() = Server { db: db_before, denied, moves, ..Server::default() };
        let name = call.script;
        let script = self.scripts.get(name).unwrap_or_else(|| panic!("there is no script {name}"));
        let result = self.run(script, &call.keys, &call.arguments);
        let mut server = self.server.borrow_mut();
        *db = std::mem::take(&mut server.db);
        let failed = |error| match text_of(&error) {
            text if db.release == Release::Six => format!("ERR Error running script: {text}"),
            text => text,
        };
        (result.unwrap_or_else(|error| Reply::Error(failed(error))), server.calls)
    }

    fn run(&self, script: &Function, keys: &[Bytes], arguments: &[Bytes]) -> mlua::Result<Reply> {
        let globals = self.lua.globals();
        for (name, texts) in [("KEYS", keys), ("ARGV", arguments)] {
            let texts: Vec<_> =
                texts.iter().map(|text| self.lua.create_string(text)).collect::<mlua::Result<_>>()?;
            globals.raw_set(name, self.lua.create_sequence_from(texts)?)?;
        }
        reply(script.call(())?)
    }
}

/// The text of an error reply: that of Redis, or of Lua.
fn text_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => text_of(cause),
        mlua::Error::ExternalError(error) => error.to_string(),
        other => format!("ERR {other}"),
    }
}

/// Makes the libraries.
fn provide(lua: &Lua, server: &Rc<RefCell<Server>>) -> mlua::Result<()> {
    let redis = lua.create_table()?;
    for (name, is_protected) in [("call", false), ("pcall", true)] {
        let server = server.clone();
        let call = lua.create_function(move |lua, arguments: Variadic<Value>| {
            let arguments: Vec<Bytes> = arguments.iter().map(argument).collect::<mlua::Result<_>>()?;
            let reply = server.borrow_mut().run(&arguments);
            match reply {
                Reply::Error(error) if !is_protected => Err(mlua::Error::external(Raised(error))),
                reply => value(lua, reply),
            }
        })?;
        redis.set(name, call)?;
    }
    for (name, field) in [("error_reply", "err"), ("status_reply", "ok")] {
        let make = lua.create_function(move |lua, text: mlua::LuaString| {
            let table = lua.create_table()?;
            table.set(field, text)?;
            Ok(table)
        })?;
        redis.set(name, make)?;
    }
    let sha1 = |_: &Lua, text: mlua::LuaString| {
        Ok(sha1_smol::Sha1::from(text.as_bytes().as_ref() as &[u8]).digest().to_string())
    };
    redis.set("sha1hex", lua.create_function(sha1)?)?;
    let globals = lua.globals();
    globals.set("redis", redis)?;
    globals.set("cjson", json::library(lua)?)?;
    globals.set("cmsgpack", message_pack::library(lua)?)?;
    globals.raw_set("KEYS", lua.create_table()?)?;
    globals.raw_set("ARGV", lua.create_table()?)?;
    lua.load(GLOBALS).exec()
}

/// An argument of a command. Redis writes a number as `%.17g`.
fn argument(value: &Value) -> mlua::Result<Bytes> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Integer(number) => Ok(number.to_string().into_bytes()),
        #[allow(clippy::cast_possible_truncation)]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e17 => {
            Ok((*number as i64).to_string().into_bytes())
        }
        Value::Number(number) => {
            Err(mlua::Error::external(Raised(format!("ERR the model does not send {number}"))))
        }
        _ => {
            let text = "ERR Lua redis lib command arguments must be strings or integers";
            Err(mlua::Error::external(Raised(text.to_owned())))
        }
    }
}

/// A reply in Lua.
fn value(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    let named = |name: &str, text: String| {
        let table = lua.create_table()?;
        table.raw_set(name, text)?;
        Ok(Value::Table(table))
    };
    match reply {
        Reply::Simple(text) => named("ok", text),
        Reply::Error(text) => named("err", text),
        #[allow(clippy::cast_precision_loss)]
        Reply::Integer(number) => (number as f64).into_lua(lua),
        Reply::Bulk(bytes) => lua.create_string(bytes)?.into_lua(lua),
        Reply::Nil => Ok(Value::Boolean(false)),
        Reply::Array(replies) => {
            let values: Vec<_> =
                replies.into_iter().map(|reply| value(lua, reply)).collect::<mlua::Result<_>>()?;
            lua.create_sequence_from(values)?.into_lua(lua)
        }
    }
}

/// The reply of a script.
fn reply(value: Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => Reply::Integer(number),
        #[allow(clippy::cast_possible_truncation)]
        Value::Number(number) => Reply::Integer(number as i64),
        Value::Boolean(true) => Reply::Integer(1),
        Value::Table(table) => table_reply(&table)?,
        _ => Reply::Nil,
    })
}

fn table_reply(table: &Table) -> mlua::Result<Reply> {
    if let Value::String(text) = table.raw_get("err")? {
        return Ok(Reply::Error(text.to_string_lossy().to_string()));
    }
    if let Value::String(text) = table.raw_get("ok")? {
        return Ok(Reply::Simple(text.to_string_lossy().to_string()));
    }
    let mut replies = vec![];
    loop {
        match table.raw_get(replies.len() + 1)? {
            Value::Nil => return Ok(Reply::Array(replies)),
            value => replies.push(reply(value)?),
        }
    }
}

/// A function of a library, with one argument.
fn function(
    lua: &Lua,
    call: impl Fn(&Lua, Value) -> mlua::Result<MultiValue> + 'static,
) -> mlua::Result<Function> {
    lua.create_function(move |lua, value: Value| call(lua, value))
}

/// An error of a library.
fn wrong(text: &str) -> mlua::Error {
    mlua::Error::RuntimeError(text.to_owned())
}
