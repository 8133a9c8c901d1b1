//! The values of forms and queries.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::layout::Failure;
use crate::api::select::Conditions;
use crate::problem::Problem;

/// Names and values in their order. Empty values are those of a form that was left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.pairs().filter(|(own, _)| *own == name).map(|(_, value)| value.to_owned()).collect()
    }

    /// Those that have a value.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.trim()))
            .filter(|(_, value)| !value.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs().next().is_none()
    }

    /// The same with another value.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut pairs: Vec<_> =
            self.0.iter().filter(|(own, value)| own != name && !value.trim().is_empty()).cloned().collect();
        pairs.push((name.to_owned(), value.to_owned()));
        Self(pairs)
    }

    /// The values that a struct names; its defaults for those that are missing or wrong.
    pub(super) fn read<T: DeserializeOwned + Default>(&self) -> T {
        serde_urlencoded::to_string(self.pairs().collect::<Vec<_>>())
            .ok()
            .and_then(|text| serde_urlencoded::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// The conditions that select dead letters.
    pub(super) fn conditions(&self) -> Conditions {
        let text = |name: &str| Some(self.get(name)).filter(|value| !value.is_empty()).map(str::to_owned);
        Conditions {
            queue: text("queue"),
            reason: text("reason"),
            label: text("label"),
            host: text("host"),
            status: text("status"),
            url_contains: text("url_contains"),
            error: text("error"),
            since: text("since"),
            older_than: text("older_than"),
            limit: None,
            cursor: text("cursor"),
        }
    }
}

/// As the query of a path.
pub(super) fn query(fields: &Fields) -> String {
    serde_urlencoded::to_string(fields.pairs().collect::<Vec<_>>()).unwrap_or_default()
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| {
            Failure(Problem::new(http::StatusCode::BAD_REQUEST, format!("The form cannot be read: {error}.")))
        };
        let bytes = Bytes::from_request(request, state).await.map_err(|error| wrong(&error.body_text()))?;
        serde_urlencoded::from_bytes(&bytes).map_err(|error| wrong(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_count_as_missing() {
        let fields: Fields =
            serde_urlencoded::from_str("queue=&host=a.test&status=+&ids=1-0&ids=2-0").unwrap();
        let conditions = fields.conditions();
        assert_eq!(
            (conditions.queue, conditions.host.as_deref(), conditions.status),
            (None, Some("a.test"), None)
        );
        assert_eq!(fields.all("ids"), ["1-0", "2-0"]);
        assert!(!fields.is_empty() && Fields::default().with("queue", " ").is_empty());
        assert_eq!(query(&fields.with("host", "b & c")), "ids=1-0&ids=2-0&host=b+%26+c");
    }

    #[test]
    fn a_struct_reads_its_own_values() {
        #[derive(Debug, Default, Deserialize, PartialEq)]
        #[serde(default)]
        struct Own {
            all: bool,
            rate: Option<u32>,
        }
        let fields: Fields = serde_urlencoded::from_str("all=true&rate=7&other=x").unwrap();
        assert_eq!(fields.read::<Own>(), Own { all: true, rate: Some(7) });
        let wrong: Fields = serde_urlencoded::from_str("rate=x").unwrap();
        assert_eq!(wrong.read::<Own>(), Own::default());
    }
}
