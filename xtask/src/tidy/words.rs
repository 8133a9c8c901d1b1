//! Words and phrases that the glossary in `crates/README.md` and its rules have replaced.

use crate::sources::Source;

/// Old words, and what replaces them. Found wherever one is a whole word, or a whole part of a name.
const OLD_WORDS: [(&str, &str); 14] = [
    ("ticket tickets", "job id"),
    ("lane lanes", "shard"),
    ("bury buries buried burying burial burials", "dead-letter, or dead letter"),
    ("mender menders", "sweeper"),
    ("settler settlers", "completer"),
    ("park parks parked parking", "hold, or schedule"),
    ("seat seats", "shard of the fetcher"),
    ("reporter reporters", "depth sampler"),
    ("told tells", "report, return, log, show or distinguish"),
    ("become_of became_of", "the name of what is meant"),
    ("dead_job dead_jobs", "dead letter"),
    ("sign_of_life signs_of_life", "heartbeat"),
    ("held_back hold_back holds_back holding_back", "hold"),
    ("put_aside puts_aside putting_aside put_down puts_down", "hold, schedule or settle"),
];

/// Phrases that a reader has to translate.
const PHRASES: &str = "anew as_many_as_there_is_room_for but_for by_turns fares for_so_long for_who for_whom it_is_looked \
                       looked_after meanwhile of_its_own of_their_own say_who says_who so_many stand_for stand_in \
                       stands_for stands_in stood_in the_ones_whose thereby to_whom was_had were_had whereof who_waits \
                       whoever whom";

/// What only people and specifications say, in a document.
const SAYS: &str = "said says";

/// The old words and the phrases in a file and its path, except in the lists above.
pub(super) fn old_words(source: &Source) -> Vec<String> {
    let mut failures = vec![];
    let text = if source.path == "xtask/src/tidy/words.rs" { "" } else { &source.text };
    let is_code = [".rs", ".lua"].iter().any(|ending| source.path.ends_with(ending));
    let phrases = [PHRASES, if is_code { SAYS } else { "" }];
    // The path is line 0.
    for (number, line) in std::iter::once(source.path.as_str()).chain(text.lines()).enumerate() {
        let line = line.to_lowercase().replace(' ', "_");
        let mut fail = |rule: String| failures.push(format!("{}:{number}: {rule}", source.path));
        for (words, new) in OLD_WORDS {
            for old in words.split(' ').filter(|old| has_word(&line, old)) {
                fail(format!("`{}` is an old word; write {new}", old.replace('_', " ")));
            }
        }
        for phrase in phrases.iter().flat_map(|list| list.split_whitespace()) {
            if has_word(&line, phrase) {
                fail(format!("use plain English, without “{}”", phrase.replace('_', " ")));
            }
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

    fn found(path: &str, text: &str) -> usize {
        old_words(&Source::of(path, text)).len()
    }

    #[test]
    fn old_words_are_found_in_names_and_in_prose_but_not_within_words() {
        let found = |text: &str| found("crates/x/src/x.rs", text);
        assert_eq!(found("let job_ticket = 1; // The ticket.\nfn ok() {}"), 1);
        assert_eq!(found("It is parked.\nIt stands in the log, and who waits is told."), 4);
        assert_eq!(found("fn held_back() {} // Held back, but for x."), 2);
        assert_eq!(
            found("planes, sparking, depending, so manyfold, renewed, a standing order, stand-ins"),
            0
        );
    }

    #[test]
    fn every_file_is_read_and_so_is_its_name() {
        assert_eq!(found("docker/grafana/x.json", "\"description\": \"Parked jobs\""), 1);
        assert_eq!(found("crates/x/src/flow_reporter.rs", "//! Fine."), 1);
        assert_eq!((found("x.lua", "-- It says so"), found("x.md", "as the RFC says")), (1, 0));
    }
}
