//! What a span says of a Redis command.

use telemetry::Context;

/// Describes one command, batch or script call.
#[derive(Clone, Copy)]
#[must_use = "a description does nothing by itself"]
pub struct Command<'a> {
    pub(crate) name: &'static str,
    pub(crate) key: Option<&'a str>,
    pub(crate) batch: usize,
    pub(crate) script: Option<&'a str>,
    pub(crate) text: Option<&'a (dyn Fn() -> String + Sync)>,
    pub(crate) parent: Option<&'a Context>,
}

impl<'a> Command<'a> {
    /// A command by its name as it is sent (`XACK`). A pipeline is `PIPELINE XADD` where all its commands are
    /// of one kind, else `PIPELINE`; a transaction is `MULTI XADD` or `MULTI`.
    pub fn new(name: &'static str) -> Self {
        Self { name, key: None, batch: 1, script: None, text: None, parent: None }
    }

    /// The key it is about. It shows in `db.query.text`, behind the command and in front of a `?` for all
    /// the rest, so it must hold no secret. Default: no query text.
    pub fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// How many commands a pipeline or transaction holds. Default: 1, which is no batch.
    pub fn batch(mut self, commands: usize) -> Self {
        self.batch = commands;
        self
    }

    /// The SHA-1 of the script that is called, or the function's name.
    pub fn script(mut self, script: &'a str) -> Self {
        self.script = Some(script);
        self
    }

    /// The query text, with every literal replaced by `?`. Computed only when the span is recorded; cut at
    /// 1,000 bytes. Takes the place of [`key`](Self::key).
    pub fn text(mut self, text: &'a (dyn Fn() -> String + Sync)) -> Self {
        self.text = Some(text);
        self
    }

    /// The span that this one is a child of. Default: the current one.
    pub fn parent(mut self, parent: &'a Context) -> Self {
        self.parent = Some(parent);
        self
    }

    pub(crate) fn query(&self) -> Option<String> {
        const LONGEST: usize = 1000;
        let mut text = match (self.text, self.key) {
            (Some(text), _) => text(),
            (None, Some(key)) => format!("{} {key} ?", self.name),
            (None, None) => return None,
        };
        text.truncate(text.floor_char_boundary(LONGEST));
        Some(text)
    }
}

impl std::fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Command").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_text_is_the_command_and_its_key_without_a_literal() {
        assert_eq!(Command::new("XLEN").key("jobs").query().as_deref(), Some("XLEN jobs ?"));
        assert_eq!(Command::new("PING").query(), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = || "é".repeat(1000);
        assert_eq!(Command::new("GET").text(&long).query().map(|text| text.len()), Some(1000));
    }
}
