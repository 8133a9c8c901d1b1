//! A console in the process of a worker.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use postrider_console::Console;
use telemetry::Telemetry;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::settings::Settings;

/// A console on its own thread, with its own connections: whatever its clients do, the worker's thread goes on.
#[derive(Debug)]
pub(in super::super) struct Beside {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Beside {
    /// Starts it at this address, with the settings of `postrider console` from their variables, and `trace_url` also from
    /// the worker's file.
    pub(in super::super) fn start(
        listen: SocketAddr,
        redis_url: &str,
        max_job_bytes: usize,
        config: Option<PathBuf>,
        telemetry: &Telemetry,
    ) -> Result<Self, Box<dyn Error>> {
        let settings = Settings::from_variables()?.with_file(config);
        let options = settings.options(listen, redis_url, max_job_bytes)?;
        let (stop, telemetry) = (CancellationToken::new(), telemetry.clone());
        let (own, (started, result)) = (stop.clone(), mpsc::channel::<Result<(), Failure>>());
        let thread = std::thread::Builder::new().name("console".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error.into()))),
            };
            runtime.block_on(async {
                match Console::start(options, &telemetry).await {
                    Ok(console) => {
                        let _ = started.send(Ok(()));
                        console.run(own).await;
                    }
                    Err(error) => drop(started.send(Err(error.into()))),
                }
            });
        })?;
        match result.recv() {
            Ok(started) => started.map_err(|error| error as Box<dyn Error>)?,
            Err(_) => return Err("the console has panicked".into()),
        }
        Ok(Self { stop, thread })
    }

    /// Ends it, and waits for its requests.
    pub(in super::super) fn stop(self) {
        self.stop.cancel();
        if self.thread.join().is_err() {
            warn!("the console has panicked");
        }
    }
}
