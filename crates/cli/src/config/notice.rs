//! The table `[notice]`: jobs for operators.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::QueueName;
use postrider_queue::job::{Fields, Job};
use postrider_worker::settings::NoticeSettings;

use super::table::Table;

/// `None` if the table cannot be used: then it has reported why.
pub(super) fn read(table: &mut Table<'_, '_>) -> Option<NoticeSettings> {
    let mut to = Fields::new();
    for name in ["url", "method", "secret", "flow", "retry"] {
        let text = table.text::<String>(name);
        to.extend(text.map(|text| (Bytes::from_static(name.as_bytes()), Bytes::from(text))));
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
