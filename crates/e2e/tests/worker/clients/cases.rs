//! Reads the cases that all clients share: `clients/conformance`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::queue::Fields;
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON object whose values are still texts, so that no number or blank in a body changes.
type Object = BTreeMap<String, Box<RawValue>>;

/// A job, and what its client and the worker make of it.
pub(super) struct Case {
    pub(super) name: String,
    /// The job as JSON.
    pub(super) job: String,
    pub(super) expected: Expected,
    /// Whether the worker has something else to do with it than its client: `accepts` or `none`.
    pub(super) worker: Option<String>,
    only: Option<Vec<String>>,
}

pub(super) enum Expected {
    /// The fields, ordered by their names, and the request that the worker sends, if it is known.
    Entry { fields: Fields, request: Option<Value> },
    /// A part of the error, and the field that it names.
    Refused { error: String, field: Option<String> },
}

impl Case {
    /// Whether it is for the client in this language.
    pub(super) fn is_for(&self, language: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|own| own == language))
    }

    /// The fields of an entry that a producer without a client would write.
    pub(super) fn unchecked(&self) -> Fields {
        let job: Object = serde_json::from_str(&self.job).expect("a job is an object");
        let fields = job.iter().filter(|(name, _)| *name != "key");
        fields.map(|(name, value)| (name.clone(), bytes(value.get()))).collect()
    }
}

/// The folder of the clients.
pub(super) fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients")
}

/// The jobs.
pub(super) fn jobs() -> Vec<Case> {
    let cases: Vec<Object> = serde_json::from_str(&read("jobs")).expect("cases are objects");
    cases.iter().map(case).collect()
}

/// Cases of another kind.
pub(super) fn others(name: &str) -> Vec<Value> {
    serde_json::from_str(&read(name)).expect("cases are a list")
}

fn read(name: &str) -> String {
    let file = clients().join("conformance").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    expanded(&text)
}

fn case(object: &Object) -> Case {
    let value = |name: &str| -> Option<Value> {
        object.get(name).map(|value| serde_json::from_str(value.get()).expect("JSON"))
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let expected = match (value("entry"), value("refused")) {
        (Some(Value::Object(entry)), None) => {
            let mut fields: Fields = entry.iter().map(|(name, value)| (name.clone(), sent(value))).collect();
            fields.sort();
            Expected::Entry { fields, request: value("request") }
        }
        (None, Some(refused)) => Expected::Refused {
            error: text(&refused["error"]).expect("a text"),
            field: text(&refused["field"]),
        },
        _ => panic!("either `entry` or `refused`: {:?}", object["name"]),
    };
    let only = value("only").map(|only| only.as_array().expect("a list").iter().filter_map(text).collect());
    Case {
        name: value("name").as_ref().and_then(text).expect("a name"),
        job: object["job"].get().to_owned(),
        expected,
        worker: value("worker").as_ref().and_then(text),
        only,
    }
}

/// The bytes of a field of an entry.
fn sent(value: &Value) -> Vec<u8> {
    match (value, &value["base64"]) {
        (Value::String(text), _) => text.clone().into_bytes(),
        (_, Value::String(base64)) => STANDARD.decode(base64).expect("Base64"),
        _ => panic!("neither a text nor bytes: {value}"),
    }
}

/// The bytes of a member of a job.
fn bytes(json: &str) -> Vec<u8> {
    match json.starts_with('"') {
        true => serde_json::from_str::<String>(json).expect("a text").into_bytes(),
        false => json.as_bytes().to_vec(),
    }
}

/// Writes `xxxxx` for `<x*5>`.
fn expanded(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        whole.push_str(before);
        let repeated = after.split_once('>').and_then(|(inner, after)| {
            let (character, times) = inner.split_once('*')?;
            Some((character.repeat(times.parse().ok()?), after))
        });
        match repeated {
            Some((characters, after)) => {
                whole.push_str(&characters);
                rest = after;
            }
            None => {
                whole.push('<');
                rest = after;
            }
        }
    }
    whole + rest
}
