//! A server on a thread and a runtime of its own, so that tests of any flavour can use it.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Runs until it is dropped; then all tasks of its runtime end with it.
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When no thread can be started.
    pub fn start(name: &str, server: impl Future<Output = ()> + Send + 'static) -> Background {
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs no more than a few file descriptors");
            runtime.block_on(async {
                tokio::select! {
                    () = server => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        Background { stop: Some(stop), thread: Some(thread.expect("a thread can be started")) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a server of the harness panicked");
        }
    }
}
