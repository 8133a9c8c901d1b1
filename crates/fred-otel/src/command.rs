//! The description of a Redis command.

use otel_facade::{Context, intern};

use crate::text::QueryText;

/// Describes one command, batch or script call.
#[derive(Clone, Copy)]
#[must_use = "a description does nothing by itself"]
pub struct Command<'a> {
    pub(crate) name: &'static str,
    pub(crate) key: Option<&'a str>,
    pub(crate) batch: Option<usize>,
    pub(crate) procedure: Option<&'a str>,
    /// Whether the procedure has a name, which is in the span's name, too.
    pub(crate) is_named: bool,
    pub(crate) is_blocking: bool,
    pub(crate) text: Option<Text<'a>>,
    pub(crate) parent: Option<&'a Context>,
}

#[derive(Clone, Copy)]
pub(crate) enum Text<'a> {
    Given(&'a (dyn Fn() -> String + Sync)),
    Shown(&'a (dyn Fn(QueryText) -> String + Sync)),
}

impl<'a> Command<'a> {
    /// A command by its name as it is sent (`XACK`).
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            key: None,
            batch: None,
            procedure: None,
            is_named: false,
            is_blocking: false,
            text: None,
            parent: None,
        }
    }

    /// A pipeline of these commands: `PIPELINE GET` where all are one, else `PIPELINE`. One alone is no batch and has
    /// its own name.
    pub fn pipeline(names: &[&'static str]) -> Self {
        Self::new(batch_name("PIPELINE", names)).batch(names.len())
    }

    /// A transaction of these commands: `MULTI SET` where all are one, else `MULTI`.
    pub fn transaction(names: &[&'static str]) -> Self {
        Self::new(batch_name("MULTI", names)).batch(names.len())
    }

    /// The key it is about, for `db.query.text` where keys are shown there. Default: no query text.
    pub fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// The number of commands in a pipeline or transaction. Default: it is none.
    pub fn batch(mut self, commands: usize) -> Self {
        self.batch = Some(commands);
        self
    }

    /// The SHA-1 of the script that is called. It is not in the span's name; see [`script_name`](Self::script_name).
    pub fn script(mut self, sha1: &'a str) -> Self {
        self.procedure = Some(sha1);
        self
    }

    /// The caller's name for the script: `EVALSHA pay`. Takes the place of the SHA-1.
    pub fn script_name(self, name: &'a str) -> Self {
        self.function(name)
    }

    /// The name of the function that is called: `FCALL pay`.
    pub fn function(mut self, name: &'a str) -> Self {
        self.procedure = Some(name);
        self.is_named = true;
        self
    }

    /// It waits for something, as `BLPOP` does: its duration is a waiting time and is not measured.
    pub fn blocking(mut self) -> Self {
        self.is_blocking = true;
        self
    }

    /// The query text, with every literal replaced by `?`. Computed only when the span is recorded and query texts are
    /// on. Takes the place of [`key`](Self::key).
    pub fn text(mut self, text: &'a (dyn Fn() -> String + Sync)) -> Self {
        self.text = Some(Text::Given(text));
        self
    }

    pub(crate) fn text_by(mut self, text: &'a (dyn Fn(QueryText) -> String + Sync)) -> Self {
        self.text = Some(Text::Shown(text));
        self
    }

    /// The span that this one is a child of. Default: the current one.
    pub fn parent(mut self, parent: &'a Context) -> Self {
        self.parent = Some(parent);
        self
    }

    /// The value of `db.operation.name`.
    pub fn operation(&self) -> &'static str {
        self.name
    }

    /// The number of commands of a batch.
    pub fn batch_size(&self) -> Option<usize> {
        self.batch.filter(|size| *size != 1)
    }

    pub(crate) fn query(&self, shown: QueryText) -> Option<String> {
        const QUERY_TEXT_BYTES_MAX: usize = 1000;
        let mut text = match (shown, self.text, self.key) {
            (QueryText::Off, _, _) | (_, None, None) => return None,
            (_, Some(Text::Given(text)), _) => text(),
            (_, Some(Text::Shown(text)), _) => text(shown),
            (QueryText::Sanitized, None, Some(_)) => format!("{} ?", self.name),
            (QueryText::Keys, None, Some(key)) => format!("{} {key} ?", self.name),
        };
        text.truncate(text.floor_char_boundary(QUERY_TEXT_BYTES_MAX));
        Some(text)
    }
}

impl std::fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Command").field(&self.name).finish()
    }
}

/// `PIPELINE GET` where all commands are one, else `PIPELINE`; a single command keeps its own name.
fn batch_name(kind: &'static str, commands: &[&'static str]) -> &'static str {
    match commands {
        [] => kind,
        [only] => only,
        [first, rest @ ..] if rest.iter().all(|command| command == first) => {
            intern(format!("{kind} {first}")).unwrap_or(kind)
        }
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_text_is_there_on_request_and_has_no_literal() {
        let command = Command::new("XLEN").key("letters");
        let texts = [QueryText::Off, QueryText::Sanitized, QueryText::Keys].map(|shown| command.query(shown));
        assert_eq!(texts, [None, Some("XLEN ?".to_owned()), Some("XLEN letters ?".to_owned())]);
        assert_eq!(Command::new("PING").query(QueryText::Keys), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = || "é".repeat(1000);
        let text = Command::new("GET").text(&long).query(QueryText::Sanitized);
        assert_eq!(text.map(|text| text.len()), Some(1000));
    }

    #[test]
    fn one_command_is_no_batch_and_none_is() {
        let described = |names: &[&'static str]| {
            let command = Command::pipeline(names);
            (command.operation(), command.batch_size())
        };
        assert_eq!(described(&["GET", "GET"]), ("PIPELINE GET", Some(2)));
        assert_eq!(described(&["GET", "SET"]), ("PIPELINE", Some(2)));
        assert_eq!(described(&["GET"]), ("GET", None));
        assert_eq!(described(&[]), ("PIPELINE", Some(0)));
        assert_eq!(Command::transaction(&["SET", "SET"]).operation(), "MULTI SET");
    }

    #[test]
    fn a_name_is_made_once() {
        let name = batch_name("MULTI", &["SET", "SET"]);
        assert_eq!(name, "MULTI SET");
        assert!(std::ptr::eq(name, batch_name("MULTI", &["SET", "SET", "SET"])));
    }
}
