//! The progress bar of a run, on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use postrider_certify::Progress;
use tokio::sync::watch;

/// How often it is drawn.
const INTERVAL: Duration = Duration::from_millis(500);

/// Shows how far a run is, until it ends.
pub(super) async fn show(mut progress: watch::Receiver<Progress>, time: Duration) {
    let bar = ProgressBar::new(time.as_secs()).with_style(style("{wide_bar} {percent}%  {msg}"));
    loop {
        let now = *progress.borrow_and_update();
        bar.set_position(now.elapsed.as_secs());
        bar.set_message(match now.left {
            Some(left) => format!("{left} jobs left"),
            None => format!("{} jobs, {} successes, {} kills", now.enqueued, now.succeeded, now.kills),
        });
        tokio::time::sleep(INTERVAL).await;
        if progress.changed().await.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is right")
}
