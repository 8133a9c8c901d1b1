//! Definitions of periodic jobs.

use postrider_queue::admin::Cron;
use postrider_queue::cron::BadDefinition;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::mask::fields_json;
use super::text::{plain, time};

/// A definition of periodic jobs, and its state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CronView {
    /// The queue.
    pub queue: String,
    /// Its name.
    pub name: String,
    /// When its ticks are: `0 3 * * * in Europe/Berlin`, or `every 5m`.
    pub when: String,
    /// The definition: `expression` and `time_zone`, or `every`; `catch_up`, `overlap` and `jitter`; and the fields of its `job`
    /// with masked secrets.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// The next tick, RFC 3339; null if it is paused.
    pub next: Option<String>,
    /// The same in Unix milliseconds.
    pub next_at: Option<u64>,
    /// Since when it is paused, RFC 3339.
    pub paused_since: Option<String>,
    /// The id of the last job that a tick has made.
    pub last_job: Option<String>,
    /// How many ticks have made a job.
    pub made: u64,
    /// How many have made none, since no worker claimed them in time.
    pub missed: u64,
    /// How many have made none, since the last job had not ended.
    pub skipped: u64,
    /// What is wrong with the definition, if anything is: it then makes no jobs.
    pub error: Option<String>,
}

impl CronView {
    /// As in a list.
    pub fn new(cron: &Cron, reveal: bool) -> Self {
        let mut definition: Value = serde_json::from_str(&cron.text).unwrap_or_default();
        let error = cron.definition.as_ref().err().map(|errors| {
            let texts = errors.iter().map(BadDefinition::line);
            plain(texts.collect::<Vec<_>>().join("; ").as_bytes(), 1_000)
        });
        let when = when(&definition);
        if let Some(job) = definition.get_mut("job") {
            // What is no job may have a secret anywhere.
            *job = cron.definition.as_ref().map_or(Value::Null, |known| fields_json(&known.job, reveal));
        }
        Self {
            queue: cron.queue.to_string(),
            name: plain(cron.name.as_bytes(), 64),
            when,
            definition,
            next: cron.next.map(time),
            next_at: cron.next,
            paused_since: cron.paused_since.map(time),
            last_job: cron.last_job.clone(),
            made: cron.made,
            missed: cron.missed,
            skipped: cron.skipped,
            error,
        }
    }
}

fn when(definition: &Value) -> String {
    let text =
        |name: &str| definition.get(name).and_then(Value::as_str).map(|text| plain(text.as_bytes(), 128));
    match (text("expression"), text("every"), text("time_zone")) {
        (Some(expression), _, Some(zone)) => format!("{expression} in {zone}"),
        (Some(expression), _, None) => expression,
        (None, Some(every), _) => format!("every {every}"),
        (None, None, _) => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use postrider_queue::cron::Definition;

    use super::*;

    fn view(text: &str, reveal: bool) -> CronView {
        let cron = Cron {
            queue: "mail".parse().unwrap(),
            name: "nightly".to_owned(),
            definition: Definition::parse(text, 1 << 20),
            text: text.to_owned(),
            next: Some(1_795_396_101_000),
            last_job: None,
            paused_since: None,
            made: 1,
            missed: 2,
            skipped: 3,
        };
        CronView::new(&cron, reveal)
    }

    #[test]
    fn secrets_of_a_job_are_masked_and_those_of_a_wrong_definition_never_shown() {
        let text = r#"{"every":"5m","job":{"url":"http://h/x","headers":{"authorization":"hunter2"}}}"#;
        let shown = serde_json::to_string(&view(text, false)).unwrap();
        assert!(shown.contains("every 5m") && !shown.contains("hunter2"), "{shown}");
        assert!(serde_json::to_string(&view(text, true)).unwrap().contains("hunter2"));
        let wrong = r#"{"every":"soon","job":{"url":"http://h/x","headers":{"authorization":"hunter2"}}}"#;
        let shown = view(wrong, true);
        assert!(
            shown.error.is_some_and(|error| error.contains("every: ")) && shown.definition["job"].is_null()
        );
    }

    #[test]
    fn an_expression_is_shown_with_its_time_zone() {
        let text = r#"{"expression":"0 3 * * *","time_zone":"Europe/Berlin","job":{"url":"http://h/x"}}"#;
        assert_eq!(view(text, false).when, "0 3 * * * in Europe/Berlin");
    }
}
