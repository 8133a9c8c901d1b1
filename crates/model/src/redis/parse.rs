//! Parses the arguments of commands.

use super::Result;

/// A whole number.
pub(super) fn integer(argument: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(argument).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| "ERR value is not an integer or out of range".to_owned())
}

/// A number that is not negative.
pub(super) fn natural(argument: &[u8]) -> Result<u64> {
    u64::try_from(integer(argument)?).map_err(|_| "ERR value is out of range, must be positive".to_owned())
}

/// A score.
pub(super) fn score(argument: &[u8]) -> Result<f64> {
    let text = std::str::from_utf8(argument).ok();
    let number = text.and_then(|text| text.parse::<f64>().ok()).filter(|number| !number.is_nan());
    number.ok_or_else(|| "ERR value is not a valid float".to_owned())
}

/// Whether an argument is this word.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// The argument at an index.
pub(super) fn at(arguments: &[Vec<u8>], index: usize) -> Result<&[u8]> {
    arguments.get(index).map(Vec::as_slice).ok_or_else(syntax)
}

/// A syntax error.
pub(super) fn syntax() -> String {
    "ERR syntax error".to_owned()
}
