//! Any configuration file is read, or each problem has a line of the file.

use postrider::internals::Config;

/// The text of a file.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    let Err(problems) = Config::parse(text) else { return };
    let text = problems.to_string();
    assert!(text.starts_with("\n  line "), "{text:?}");
    let numbers = text.split("\n  line ").skip(1).map(|line| line.split(':').next().unwrap_or_default());
    for number in numbers {
        // A problem may repeat a part of the file, and that may look like one.
        let Ok(number) = number.parse::<usize>() else { continue };
        assert!((1..=lines).contains(&number), "{number} of {lines} lines: {text}");
    }
}
