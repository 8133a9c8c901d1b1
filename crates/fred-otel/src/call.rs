//! A command with its arguments.

use fred::error::Error;
use fred::types::{ClusterHash, CustomCommand, Value};

use crate::command::Command;
use crate::text::QueryText;

/// One command to be sent: by [`TracedClient::send`](crate::TracedClient::send) alone, or with others in a
/// [`pipeline`](crate::TracedClient::pipeline) or a [`transaction`](crate::TracedClient::transaction).
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    name: &'static str,
    arguments: Vec<Value>,
    /// The positions of the keys among the arguments.
    keys: Vec<usize>,
    /// The position of the function's name or the script's SHA-1.
    procedure: Option<usize>,
    /// The caller's name for the script.
    script_name: Option<&'static str>,
    blocking: bool,
    wrong: Option<Error>,
}

impl Call {
    /// A command by its name as it is sent: `XLEN`. A word that follows it, as in `CLIENT INFO`, is an argument.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            arguments: vec![],
            keys: vec![],
            procedure: None,
            script_name: None,
            blocking: false,
            wrong: None,
        }
    }

    /// A function of the server's (`FCALL`); its keys are given at once.
    pub fn function<'a>(name: &str, keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self::procedure("FCALL", name, keys)
    }

    /// A script that the server has, by its SHA-1 (`EVALSHA`); its keys are given at once.
    pub fn script<'a>(sha1: &str, keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self::procedure("EVALSHA", sha1, keys)
    }

    /// What the caller calls the script: the span is `EVALSHA pay`, and has this name instead of the SHA-1.
    pub fn script_name(mut self, name: &'static str) -> Self {
        self.script_name = Some(name);
        self
    }

    fn procedure<'a>(command: &'static str, name: &str, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys: Vec<&str> = keys.into_iter().collect();
        let mut call = Self::new(command).arg(name).arg(keys.len());
        call.procedure = Some(0);
        keys.into_iter().fold(call, Self::key)
    }

    /// The next argument, which is a key: it selects the node of a cluster, and is shown in `db.query.text` with
    /// [`QueryText::Keys`].
    pub fn key(mut self, key: &str) -> Self {
        self.keys.push(self.arguments.len());
        self.arg(key)
    }

    /// The next argument. It is never shown.
    pub fn arg<V>(mut self, value: V) -> Self
    where
        V: TryInto<Value>,
        V::Error: Into<Error>,
    {
        match value.try_into() {
            Ok(value) => self.arguments.push(value),
            Err(error) => self.wrong = self.wrong.or(Some(error.into())),
        }
        self
    }

    /// The command waits for something, as `BLPOP` does: it holds its connection while it waits, and its duration is not
    /// measured.
    pub fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn describe<'a>(&'a self, text: &'a (dyn Fn(QueryText) -> String + Sync)) -> Command<'a> {
        let mut command = Command::new(self.name).text_by(text);
        if let Some(name) = self.script_name {
            command = command.script_name(name);
        } else if let Some(name) = self.procedure.and_then(|at| given(&self.arguments[at])) {
            command = if self.name == "FCALL" { command.function(name) } else { command.script(name) };
        }
        if self.blocking { command.blocking() } else { command }
    }

    /// The command with `?` for hidden arguments.
    pub(crate) fn text(&self, shown: QueryText) -> String {
        let mut text = self.name.to_owned();
        for (at, argument) in self.arguments.iter().enumerate() {
            text.push(' ');
            let is_shown =
                self.procedure == Some(at) || (shown == QueryText::Keys && self.keys.contains(&at));
            match given(argument).filter(|_| is_shown) {
                Some(shown) => text.push_str(shown),
                None => text.push('?'),
            }
        }
        text
    }

    pub(crate) fn parts(&self) -> Result<(CustomCommand, Vec<Value>), Error> {
        if let Some(error) = &self.wrong {
            return Err(error.clone());
        }
        let slot = self.keys.first().map_or(ClusterHash::Random, |at| ClusterHash::Offset(*at));
        Ok((CustomCommand::new_static(self.name, slot, self.blocking), self.arguments.clone()))
    }
}

/// The text of an argument that is one.
fn given(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The texts of several commands: each, or the one text that all of them have.
pub(crate) fn texts(calls: &[Call], shown: QueryText) -> String {
    let texts: Vec<String> = calls.iter().map(|call| call.text(shown)).collect();
    match texts.split_first() {
        Some((first, rest)) if rest.iter().all(|text| text == first) => first.clone(),
        _ => texts.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_is_shown_and_a_key_only_where_it_may() {
        let set = Call::new("SET").key("user:7").arg("hunter2").arg(1_i64);
        assert_eq!(set.text(QueryText::Sanitized), "SET ? ? ?");
        assert_eq!(set.text(QueryText::Keys), "SET user:7 ? ?");
        let function = Call::function("pay", ["a", "b"]).arg("hunter2");
        assert_eq!(function.text(QueryText::Sanitized), "FCALL pay ? ? ? ?");
        assert_eq!(function.text(QueryText::Keys), "FCALL pay ? a b ?");
    }

    #[test]
    fn texts_that_are_alike_are_shown_once() {
        let get = |key| Call::new("GET").key(key);
        assert_eq!(texts(&[get("a"), get("b")], QueryText::Sanitized), "GET ?");
        assert_eq!(texts(&[get("a"), get("b")], QueryText::Keys), "GET a; GET b");
        assert_eq!(texts(&[], QueryText::Sanitized), "");
    }

    #[test]
    fn a_command_goes_where_its_first_key_is_and_a_wrong_argument_keeps_it_from_going() {
        let (command, arguments) = Call::new("BLPOP").key("a").arg(1).blocking().parts().unwrap();
        assert_eq!((command.cluster_hash, command.blocking), (ClusterHash::Offset(0), true));
        assert_eq!(arguments.len(), 2);
        assert_eq!(Call::new("PING").parts().unwrap().0.cluster_hash, ClusterHash::Random);
        assert!(Call::new("SET").key("a").arg(u64::MAX).parts().is_err());
    }
}
