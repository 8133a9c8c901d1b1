//! Words and phrases that the glossary in `crates/README.md` and its rules have replaced.

use crate::sources::Source;

/// An old word, and what replaces it. Found wherever it is a whole word, or a whole part of a name.
const OLD_WORDS: [(&str, &str); 16] = [
    ("ticket", "job id"),
    ("tickets", "job ids"),
    ("lane", "shard"),
    ("lanes", "shards"),
    ("bury", "dead-letter"),
    ("buries", "dead-letters"),
    ("buried", "dead-lettered"),
    ("burial", "dead letter"),
    ("mender", "sweeper"),
    ("settler", "completer"),
    ("park", "hold, or schedule"),
    ("parks", "holds, or schedules"),
    ("parked", "held, or scheduled"),
    ("parking", "hold, or schedule"),
    ("seat", "shard of the fetcher"),
    ("seats", "shards of the fetcher"),
];

/// Phrases that a reader has to translate.
const PHRASES: [&str; 20] = [
    "anew",
    "as many as there is room for",
    "by turns",
    "for so long",
    "for who",
    "for whom",
    "it is looked",
    "meanwhile",
    "of its own accord",
    "put aside",
    "say who",
    "says who",
    "so many",
    "stand in",
    "stands in",
    "thereby",
    "told of",
    "whereof",
    "who waits",
    "whoever",
];

/// The old words and the phrases in a file, except in the lists above.
pub(super) fn old_words(source: &Source) -> Vec<String> {
    let mut failures = vec![];
    let lines = if source.path == "xtask/src/tidy/words.rs" { "" } else { &source.text };
    for (number, line) in (1..).zip(lines.lines()) {
        let line = line.to_lowercase();
        let mut fail = |rule: String| failures.push(format!("{}:{number}: {rule}", source.path));
        for (old, new) in OLD_WORDS.iter().filter(|(old, _)| has_word(&line, old)) {
            fail(format!("`{old}` is an old word; write {new}"));
        }
        for phrase in PHRASES.iter().filter(|phrase| has_word(&line, phrase)) {
            fail(format!("say it plainly, without “{phrase}”"));
        }
    }
    failures
}

/// Whether a lower-case line has a word or phrase between characters that are no letters.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(char::is_alphabetic)
            && !line[at + word.len()..].starts_with(char::is_alphabetic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_words_are_found_in_names_and_in_prose_but_not_within_words() {
        let found = |text: &str| old_words(&Source::of("crates/x/src/x.rs", text)).len();
        assert_eq!(found("let job_ticket = 1; // The ticket.\nfn ok() {}"), 1);
        assert_eq!(found("It is parked.\nIt stands in the log, and is told of."), 3);
        assert_eq!(found("planes, sparking, depending, so manyfold, renewed, a standing order"), 0);
    }
}
