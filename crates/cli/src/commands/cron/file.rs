//! The file of definitions. Pure.

use std::fmt;

use postrider_queue::QueueName;
use postrider_queue::cron::{BadDefinition, CronName, Definition};
use postrider_queue::job::ENTRY_BYTES_MAX;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// All that is wrong, each with its line.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<(usize, String)>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(line, text)| write!(f, "\n  line {line}: {text}"))
    }
}

/// The definitions of a file, with their queues and names. `now` is in Unix ms.
///
/// # Errors
/// All of them.
pub(super) fn read(text: &str, now: u64) -> Result<Vec<(QueueName, CronName, Definition)>, Errors> {
    let (root, broken) = DeTable::parse_recoverable(text);
    let mut errors = Errors::default();
    for error in broken {
        let at = error.span().map_or(0, |span| span.start);
        errors.0.push((line(text, at), error.message().to_owned()));
    }
    let mut all = Vec::new();
    for (key, value) in root.into_inner() {
        match value.into_inner() {
            DeValue::Table(tables) if key.get_ref() == "cron" => {
                for (name, value) in tables {
                    all.extend(definition((text, now), &name, value, &mut errors));
                }
            }
            _ => errors.0.push((
                line(text, key.span().start),
                format!(
                    "`{}` is not known here; each definition is a table [cron.NAME]",
                    key.get_ref().escape_debug()
                ),
            )),
        }
    }
    errors.0.sort();
    if errors.0.is_empty() { Ok(all) } else { Err(errors) }
}

/// One definition; `None` if it is wrong.
fn definition(
    (text, now): (&str, u64),
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: Spanned<DeValue<'_>>,
    errors: &mut Errors,
) -> Option<(QueueName, CronName, Definition)> {
    let at = name.span().start;
    let label = name.get_ref().escape_debug().to_string();
    let mut report =
        |at: usize, message: String| errors.0.push((line(text, at), format!("cron.{label}{message}")));
    let DeValue::Table(table) = value.into_inner() else {
        report(at, ": it must be a table".to_owned());
        return None;
    };
    let cron_name = name.get_ref().parse::<CronName>().map_err(|error| report(at, format!(": {error}"))).ok();
    let mut members = match json(DeValue::Table(table.clone())) {
        Ok(Value::Object(members)) => members,
        Ok(_) => Map::new(),
        Err(error) => {
            report(at, format!(": {error}"));
            return None;
        }
    };
    let queue = match members.shift_remove("queue") {
        None => "default".parse().ok(),
        Some(queue) => {
            let parsed = queue.as_str().ok_or("it must be a text".to_owned());
            let parsed = parsed.and_then(|name| name.parse::<QueueName>().map_err(|error| error.to_string()));
            parsed
                .map_err(|error| report(place(&table, "queue").unwrap_or(at), format!(".queue: {error}")))
                .ok()
        }
    };
    let parsed = Definition::parse(&Value::Object(members).to_string(), ENTRY_BYTES_MAX);
    let parsed = parsed.and_then(|definition| match definition.timing.check(now) {
        Ok(()) => Ok(definition),
        Err(error) => {
            Err(vec![BadDefinition { member: "expression".to_owned(), message: error.to_string() }])
        }
    });
    let parsed = parsed.map_err(|wrong| {
        for error in wrong {
            let member = if error.member.is_empty() { String::new() } else { format!(".{}", error.member) };
            report(place(&table, &error.member).unwrap_or(at), format!("{member}: {}", error.message));
        }
    });
    Some((queue?, cron_name?, parsed.ok()?))
}

/// Where a member is, as `job.url`, or the table that lacks it.
fn place(table: &DeTable<'_>, member: &str) -> Option<usize> {
    let (first, rest) = member.split_once('.').map_or((member, None), |(first, rest)| (first, Some(rest)));
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    let inner = rest.and_then(|rest| place(value.get_ref().as_table()?, rest));
    inner.or(Some(key.span().start))
}

/// The same value as JSON.
fn json(value: DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(is) => Value::Bool(is),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(parsed.map_err(|_| format!("the number {number} is too large"))?)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            Value::Number(parsed.ok_or_else(|| format!("JSON has no number {number}"))?)
        }
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(all) => {
            Value::Array(all.into_iter().map(|one| json(one.into_inner())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let members = table
                .into_iter()
                .map(|(key, value)| Ok((key.into_inner().into_owned(), json(value.into_inner())?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

/// The line of a byte offset.
fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_396_101_000;

    #[test]
    fn a_date_that_does_not_exist_is_refused() {
        let text = "[cron.a]\nexpression = \"0 0 30 2 *\"\njob = { url = \"http://h/x\" }\n";
        let errors = read(text, NOW).unwrap_err().to_string();
        assert!(errors.contains("line 2: cron.a.expression: it has no tick"), "{errors}");
    }

    #[test]
    fn a_file_has_a_table_for_each_definition() {
        let all = read(
            r#"
[cron.report]
expression = "0 3 * * MON-FRI"
time_zone = "Europe/Berlin"
queue = "mail"
[cron.report.job]
url = "https://h/report"
timeout_ms = 5000
headers = { "x-a" = "b" }
body = { kind = "daily", rows = [1, 2.5, true] }

[cron."a.b"]
every = "5m"
job = { url = "http://h/x" }
"#,
            NOW,
        )
        .unwrap();
        let names: Vec<String> = all.iter().map(|(queue, name, _)| format!("{queue} {name}")).collect();
        assert_eq!(names, ["default a.b", "mail report"]);
        let body = all[1].2.job.iter().find(|(name, _)| name == "body").unwrap();
        assert_eq!(body.1, r#"{"kind":"daily","rows":[1,2.5,true]}"#);
    }

    #[test]
    fn all_errors_are_reported_with_their_lines() {
        let errors = read(
            r#"[cron.a]
every = "soon"
queue = "a b"
job = { url = "nowhere" }
[cron."b c"]
every = "1m"
[cron."b c".job]
url = "http://h/x"
timout_ms = 3
[other]
"#,
            NOW,
        )
        .unwrap_err()
        .to_string();
        let lines: Vec<&str> =
            errors.lines().skip(1).map(|line| line.split(": ").next().unwrap().trim()).collect();
        assert_eq!(lines, ["line 2", "line 3", "line 4", "line 5", "line 7", "line 10"], "{errors}");
        assert!(errors.contains("cron.a.every: ") && errors.contains("cron.a.job.url: "), "{errors}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_the_line() {
        let errors = read("[cron.a]\nevery = 5m\n", NOW).unwrap_err().to_string();
        assert!(errors.contains("line 2"), "{errors}");
    }
}
