//! The pace of a sweep: each page is followed by a pause.

use std::time::Duration;

use tokio::time::Instant;

/// After a page the sweep waits for this many times as long as the page took, so that it uses at most a tenth of Redis' time,
/// also while it finds orphans.
const PAUSE_SHARE: u32 = 9;
/// The longest pause: a slow answer is rather due to the network or to other clients.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Waits for a page, and then for a time in which Redis does something else.
pub(super) async fn paced<T>(page: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let read = page.await;
    tokio::time::sleep((began.elapsed() * PAUSE_SHARE).min(PAUSE_MAX)).await;
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sweep_takes_a_tenth_of_the_time() {
        let page = |millis| paced(tokio::time::sleep(Duration::from_millis(millis)));
        for (took, all) in [(0, 0), (5, 50), (100, 350)] {
            let began = Instant::now();
            page(took).await;
            assert_eq!(began.elapsed(), Duration::from_millis(all), "a page of {took} ms");
        }
    }
}
