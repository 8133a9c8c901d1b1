//! Whether notices for operators arrive: nobody notices a notice that does not.

use postrider_console::view::plain;
use postrider_queue::Error;
use postrider_queue::admin::{DeadLetter, Inspector, ShardName};

use super::Finding;
use crate::config::Config;

/// The labels of notices.
const KINDS: [&str; 4] = ["flow_failed", "flow_recovered", "queue_late", "queue_in_time"];

/// Looks for a notice among the newest dead letters of the queue that a configuration gives notices.
pub(super) async fn examine(inspector: &Inspector, config: &Config) -> Result<Option<Finding>, Error> {
    let Some(notices) = &config.notices else { return Ok(None) };
    // Without `queue`, a worker takes its first queue, which the command line may name.
    let first = config.queues.first().map(|queue| queue.name.clone());
    let named = notices.queue.as_ref().and_then(|name| name.parse().ok()).or(first);
    let queue = named.unwrap_or_else(|| "default".parse().expect("a valid name"));
    let letters = inspector.dead_before(&ShardName { queue, number: 0 }, None).await?;
    let url = notices.to.iter().find(|(name, _)| name == "url").map(|(_, url)| String::from_utf8_lossy(url));
    let is_notice = |letter: &&DeadLetter| {
        letter.text("label").is_some_and(|label| KINDS.contains(&label.as_str()))
            && letter.text("url").as_deref() == url.as_deref()
    };
    Ok(letters.iter().find(is_notice).map(finding))
}

fn finding(letter: &DeadLetter) -> Finding {
    let text = |name: &str| plain(letter.text(name).unwrap_or_default().as_bytes(), 200);
    let seen = format!("the notice {} ({}) is dead: {}", letter.job_id, text("label"), text("_error"));
    let advice = format!(
        "others may not arrive either: correct [notice], or the receiver, then `postrider dead replay {}`",
        letter.job_id
    );
    Finding { queue: Some(letter.queue.to_string()), ..Finding::warn("notice", seen, advice) }
}
