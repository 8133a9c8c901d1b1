//! Words and phrases that the glossary in `crates/README.md` and its rules have replaced.

use super::Source;

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

/// Old names of types; as words they are plain English.
const OLD_TYPES: [&str; 3] = ["Became", "Ending", "Meaning"];

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

/// Where old words are legitimate: the list itself.
const EXEMPT: [&str; 1] = ["xtask/src/tidy/words.rs"];

pub(super) fn old_words(source: &Source) -> Vec<String> {
    if EXEMPT.contains(&source.path.as_str()) {
        return vec![];
    }
    let mut failures = vec![];
    for (number, line) in (1..).zip(source.text.lines()) {
        for old in OLD_TYPES.iter().filter(|old| source.path.ends_with(".rs") && has_word(line, old)) {
            failures.push(
                source.failure(number, &format!("`{old}` is an old name; name the outcome, result or class")),
            );
        }
        let line = line.to_lowercase();
        for (old, new) in OLD_WORDS.iter().filter(|(old, _)| has_word(&line, old)) {
            failures.push(source.failure(number, &format!("`{old}` is an old word; write {new}")));
        }
        for phrase in PHRASES.iter().filter(|phrase| has_word(&line, phrase)) {
            failures.push(source.failure(number, &format!("say it plainly, without “{phrase}”")));
        }
    }
    failures
}

/// Crates for other programs.
const NEUTRAL: [&str; 3] = ["crates/otel-facade/", "crates/fred-otel/", "crates/hyper-otel/"];

/// Crates for other programs do not name this product.
pub(super) fn neutral_crates(source: &Source) -> Vec<String> {
    if !NEUTRAL.iter().any(|folder| source.path.starts_with(folder)) {
        return vec![];
    }
    let named = source.lines(|line| line.to_lowercase().contains("postrider"));
    let rule = "the crate is for other programs: the caller supplies names of this product";
    named.into_iter().map(|line| source.failure(line, rule)).collect()
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

    fn found(text: &str) -> usize {
        old_words(&Source { path: "crates/x/src/x.rs".to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn old_words_are_found_in_names_and_in_prose() {
        assert_eq!(found("let job_ticket = 1; // The ticket.\nfn ok() {}"), 1);
        assert_eq!(found("It is parked.\nIt stands in the log, and is told of."), 3);
    }

    #[test]
    fn only_crates_for_other_programs_may_not_name_the_product() {
        let found = |path: &str| {
            neutral_crates(&Source { path: path.to_owned(), text: "//! x\n\"POSTRIDER_X\"\n".to_owned() })
                .len()
        };
        let paths =
            ["crates/hyper-otel/src/x.rs", "crates/otel-facade/README.md", "crates/queue/src/names.rs"];
        assert_eq!(paths.map(found), [1, 1, 0]);
    }

    #[test]
    fn parts_of_other_words_are_not_old_words() {
        assert_eq!(found("planes, sparking, depending, so manyfold, renewed, a standing order"), 0);
    }
}
