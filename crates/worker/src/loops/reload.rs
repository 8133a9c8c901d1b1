//! Replaces the settings that deliveries use, as a whole, when the configuration has changed.

use std::sync::Arc;

use postrider_queue::names;
use postrider_queue::work::Warnings;
use telemetry::Telemetry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::http::sender::TlsError;
use crate::shard::settings::Settings;

/// Takes new configurations, or what is wrong with them, until stopped. Running attempts end with the settings that they began
/// with.
pub(crate) async fn run<C: Send + 'static>(
    mut configs: mpsc::Receiver<Result<C, String>>,
    settings: watch::Sender<Arc<Settings>>,
    make: impl Fn(&C) -> Result<Settings, TlsError> + Clone + Send + 'static,
    telemetry: Telemetry,
    warnings: Warnings,
    stop: CancellationToken,
) {
    let reloads = "Times that a changed configuration was read, by whether it is used";
    let reloads = telemetry.counter(names::CONFIG_RELOADS, "{reload}", reloads);
    let [applied, refused] = ["applied", "refused"].map(|outcome| {
        let counter = reloads.bind(|attributes| attributes.set(names::CONFIG_OUTCOME, outcome));
        counter.add(0);
        counter
    });
    loop {
        let config = tokio::select! {
            config = configs.recv() => config,
            () = stop.cancelled() => return,
        };
        let made = match config {
            None => return,
            Some(Err(error)) => Err(error),
            Some(Ok(config)) => made(make.clone(), config).await,
        };
        match made {
            Ok(made) => {
                settings.send_replace(Arc::new(made));
                // Whatever else is wrong shows itself again.
                warnings.end_all();
                applied.add(1);
                info!("the configuration was read again and is used from now on");
            }
            Err(error) => {
                refused.add(1);
                let sentence = "its changed configuration is wrong, so it works with the old one; its log names the errors";
                warnings.set("config", sentence.to_owned());
                warn!(error, "the changed configuration is wrong, so nothing changes");
            }
        }
    }
}

/// Makes settings on another thread, since certificates are read.
async fn made<C: Send + 'static>(
    make: impl Fn(&C) -> Result<Settings, TlsError> + Send + 'static,
    config: C,
) -> Result<Settings, String> {
    match tokio::task::spawn_blocking(move || make(&config)).await {
        Ok(made) => made.map_err(|error| error.to_string()),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(error.to_string()),
    }
}
