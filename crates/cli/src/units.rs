//! Durations, sizes and rates as people write them, on the command line and in the configuration file. Pure.

use std::time::Duration;

/// A longer duration is a mistake, and would overflow a clock.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

/// A duration: `500ms`, `30s`, `10m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write 500ms, 30s, 10m or 1h"))?;
    if duration > DURATION_MAX { Err("it must be at most 3650 days".to_owned()) } else { Ok(duration) }
}

/// A duration above zero.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < Duration::from_millis(1) { Err("it must be at least 1ms".to_owned()) } else { Ok(duration) }
}

/// A size in bytes: `65536`, `64KiB`, `64MiB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || "write a whole number of bytes, or with a unit: 65536, 64KiB, 64MiB, 1GiB".to_owned();
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: usize = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// The maximum size of a job: 64 KiB to 64 MiB. Beyond, neither Redis' scripts nor the worker are made for it.
pub(crate) fn job_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ 0x1_0000..=0x400_0000 => Ok(bytes),
        _ => Err("it must be 64KiB to 64MiB".to_owned()),
    }
}

/// A rate as a number for each second: `100/s`, `5/m`, `1000/h`.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let wrong = || "write a whole number for each second, minute or hour: 100/s, 5/m, 1000/h".to_owned();
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    match count.trim().parse::<u32>() {
        Ok(count @ 1..=1_000_000) => Ok(f64::from(count) / seconds),
        Ok(_) => Err("the number of a rate must be 1 to 1000000".to_owned()),
        Err(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_for_each_second() {
        assert_eq!((rate("50/s"), rate("90/m"), rate(" 3600 / h")), (Ok(50.0), Ok(1.5), Ok(1.0)));
        for wrong in ["50", "x/s", "0/s", "-1/s", "1/x", "nan/s", "9e9/s", "1000001/s", "1.5/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_is_in_bytes_or_has_a_binary_unit() {
        assert_eq!((size("65536"), size("64KiB"), size("2 GiB")), (Ok(65_536), Ok(65_536), Ok(2 << 30)));
        for wrong in ["", "MiB", "1.5MiB", "-1", "64MB", "64m", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!((job_size("64KiB"), job_size("64MiB")), (Ok(64 << 10), Ok(64 << 20)));
        assert!(job_size("65535").is_err() && job_size("65MiB").is_err());
    }

    #[test]
    fn a_duration_has_a_unit_and_a_bound() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("5").is_err() && duration("3651d").is_err());
        assert!(some_time("0s").is_err() && some_time("1ms").is_ok());
    }
}
