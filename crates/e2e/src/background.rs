//! A server on its own thread and runtime, so that both blocking and async tests can use it.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Runs until it is dropped. Its runtime's tasks end with it.
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If no thread can be started.
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
