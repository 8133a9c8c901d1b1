//! The table `[notice]`: jobs for operators.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::QueueName;
use postrider_queue::job::{Destination, Fields, Job, meant};
use postrider_worker::settings::{NoticeSettings, RetryPolicies, Secrets};

use super::table::Table;

/// `None` if the table cannot be used: then it has reported why. `secrets` and `policies` are those of the same file.
pub(super) fn read(
    table: &mut Table<'_, '_>,
    secrets: &Secrets,
    policies: &RetryPolicies,
) -> Option<NoticeSettings> {
    let mut to = Fields::new();
    let mut text = |table: &mut Table<'_, '_>, name: &'static str| {
        let (at, text) = table.string(name)?;
        to.push((Bytes::from_static(name.as_bytes()), Bytes::from(text.clone())));
        Some((at, text))
    };
    let url = text(table, "url");
    text(table, "method");
    text(table, "flow");
    if let Some((at, name)) = text(table, "retry") {
        check_retry(table, at, &name, policies);
    }
    if let Some((at, name)) = text(table, "secret") {
        check_secret(table, at, &name, secrets, url.map(|(_, url)| url));
    }
    let queue = table.text::<QueueName>("queue").map(|queue| queue.to_string());
    let mut time = |key: &str, standard: u64| {
        let time = table.duration(key).unwrap_or(Duration::from_secs(standard));
        if time < Duration::from_secs(1) {
            table.problem(format!("`{key}` must be at least 1s"));
        }
        time
    };
    let (flow_failed_after, oldest_ready) = (time("flow_failed_after", 3600), time("oldest_ready", 900));
    if let Err(malformed) = Job::check(&to, usize::MAX) {
        let error = malformed.error.strip_prefix("field ").unwrap_or(&malformed.error).to_owned();
        table.problem(error);
        return None;
    }
    Some(NoticeSettings { to, queue, flow_failed_after, oldest_ready })
}

/// A notice with a policy that does not exist would be dead at once.
fn check_retry(table: &mut Table<'_, '_>, at: usize, name: &str, policies: &RetryPolicies) {
    if policies.get(Some(name.as_bytes())).is_none() {
        table.problem_at(at, missing("retry", name, policies.named.keys().map(String::as_str)));
    }
}

/// A notice is never sent without its secret, nor to a host that may not get it: nobody would notice anything.
fn check_secret(table: &mut Table<'_, '_>, at: usize, name: &str, secrets: &Secrets, url: Option<String>) {
    if name.starts_with("whsec_") || name.starts_with("whsk_") {
        let problem =
            "`secret` holds a key, which is not repeated here; write the name of a table [secrets.NAME]";
        return table.problem_at(at, problem);
    }
    let Some(secret) = secrets.get(name.as_bytes()) else {
        return table.problem_at(at, missing("secret", name, secrets.names()));
    };
    // A secret with errors may lack its hosts.
    let url = url.filter(|_| !table.has_problems()).and_then(|url| Destination::parse(&url.into()).ok());
    if let Some(Err(not_for)) = url.map(|url| secret.check(&url.uri)) {
        table.problem_at(at, format!("`secret`: `{name}` {not_for}"));
    }
}

fn missing<'a>(key: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let table = if key == "secret" { "secrets" } else { key };
    let hint = meant(name, known).map_or(String::new(), |meant| format!(" (did you mean `{meant}`?)"));
    format!("`{key}`: there is no table [{table}.{name}] in this file{hint}; add it, or correct the name")
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const SECRETS: &str = "[secrets.ops]\nbearer = { env = \"PATH\" }\nhosts = [\"ops.test\"]\n\
                           [retry.gentle]\nwaits = [\"5s\"]\n";

    fn read(notice: &str) -> Result<(), Vec<String>> {
        let read = Config::parse(&format!("{SECRETS}[notice]\n{notice}\n"));
        let listed = |(line, text): (usize, String)| format!("{line}: {text}");
        read.map(drop).map_err(|problems| problems.found.into_iter().map(listed).collect())
    }

    #[test]
    fn a_notice_names_a_secret_and_a_policy_of_the_file() {
        let own = "url = \"https://ops.test/hook\"\nsecret = \"ops\"\nretry = \"gentle\"";
        assert_eq!(read(own), Ok(()));
        assert_eq!(read("url = \"https://ops.test/hook\"\nretry = \"default\""), Ok(()));
        for (wrong, problem) in [
            (
                "url = \"https://ops.test/hook\"\nsecret = \"opps\"",
                "8: `secret`: there is no table [secrets.opps] in this file (did you mean `ops`?); add it, or correct \
                 the name",
            ),
            (
                "url = \"https://ops.test/hook\"\nsecret = \"whsec_AAAA\"",
                "8: `secret` holds a key, which is not repeated here; write the name of a table [secrets.NAME]",
            ),
            (
                "url = \"https://ops.test/hook\"\nretry = \"harsh\"",
                "8: `retry`: there is no table [retry.harsh] in this file; add it, or correct the name",
            ),
            (
                "secret = \"ops\"\nurl = \"https://other.test/hook\"",
                "7: `secret`: `ops` is not for this host: no entry of its `hosts` in the configuration covers it",
            ),
            (
                "secret = \"ops\"\nurl = \"http://ops.test/hook\"",
                "7: `secret`: `ops` is sent over https only, unless its `allow_http` is true in the configuration",
            ),
        ] {
            assert_eq!(read(wrong), Err(vec![problem.to_owned()]), "{wrong}");
        }
    }

    #[test]
    fn all_errors_of_a_notice_are_reported_at_once() {
        let found = read("url = \"nowhere\"\nsecret = \"a\"\nretry = 5\noldest_ready = \"0s\"").unwrap_err();
        assert_eq!(found.len(), 4, "{found:?}");
    }
}
