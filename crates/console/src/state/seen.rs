//! What pages show of the whole server: read again each time while that is quick, and otherwise in the background, so that no
//! page waits for it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::problem::Problem;

/// A read that takes at most this long is repeated each time.
const QUICK: Duration = Duration::from_millis(30);
/// A slow read is repeated when the last one is older than this, and ten times older than it took.
const REFRESH_AFTER: Duration = Duration::from_secs(2);

/// A value that is read from Redis.
#[derive(Debug)]
pub(crate) struct Seen<T> {
    known: Mutex<Option<Known<T>>>,
    /// Held by the one who reads.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Known<T> {
    value: Arc<T>,
    at: Instant,
    took: Duration,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }
}

impl<T> Seen<T> {
    /// The known value if a new one would take long, and whether it is old enough to be read again.
    pub(crate) fn slow(&self) -> Option<(Arc<T>, bool)> {
        let known = self.known.lock().expect("nothing panics while it holds this lock");
        let known = known.as_ref().filter(|known| known.took > QUICK)?;
        Some((known.value.clone(), known.at.elapsed() > REFRESH_AFTER.max(known.took * 10)))
    }

    /// Reads the value, and remembers it.
    pub(crate) async fn read(
        &self,
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Arc<T>, Problem> {
        let _reading = self.reading.lock().await;
        let began = Instant::now();
        let value = Arc::new(read.await?);
        let known = Known { value: value.clone(), at: Instant::now(), took: began.elapsed() };
        *self.known.lock().expect("nothing panics while it holds this lock") = Some(known);
        Ok(value)
    }

    /// Forgets the value, since it has just been changed. The next reader waits for a new one.
    pub(crate) fn forget(&self) {
        *self.known.lock().expect("nothing panics while it holds this lock") = None;
    }

    /// Whether somebody reads it now.
    pub(crate) fn is_being_read(&self) -> bool {
        self.reading.try_lock().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_value_is_shown_while_it_is_read_again() {
        let seen = Seen::default();
        assert!(seen.slow().is_none());
        let slowly = |number: u32, took: Duration| async move {
            std::thread::sleep(took);
            Ok(number)
        };
        assert_eq!(*seen.read(slowly(1, Duration::ZERO)).await.unwrap(), 1);
        assert!(seen.slow().is_none(), "a quick one is read each time");
        seen.read(slowly(2, QUICK + Duration::from_millis(5))).await.unwrap();
        let (value, is_old) = seen.slow().unwrap();
        assert_eq!((*value, is_old), (2, false));
        let failed = seen.read(async { Err::<u32, _>(Problem::unavailable("no")) }).await;
        assert!(failed.is_err() && *seen.slow().unwrap().0 == 2, "a failure keeps what is known");
        seen.forget();
        assert!(seen.slow().is_none(), "a changed one is read again");
    }
}
