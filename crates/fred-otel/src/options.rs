//! How commands are recorded.

use crate::hooks::Hooks;
use crate::text::QueryText;

/// How commands are recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Whether commands are spans. Default: yes. They are always measured.
    pub spans: bool,
    /// Whether spans have `db.query.text`. Default: no.
    pub query_text: QueryText,
    /// Functions that see each recorded command. Default: none.
    pub hooks: Hooks,
}

impl Default for Options {
    fn default() -> Self {
        Self { spans: true, query_text: QueryText::default(), hooks: Hooks::default() }
    }
}

impl Options {
    /// Sets [`spans`](Self::spans).
    #[must_use]
    pub fn spans(mut self, spans: bool) -> Self {
        self.spans = spans;
        self
    }

    /// Sets [`query_text`](Self::query_text).
    #[must_use]
    pub fn query_text(mut self, query_text: QueryText) -> Self {
        self.query_text = query_text;
        self
    }

    /// Sets [`hooks`](Self::hooks).
    #[must_use]
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }
}
