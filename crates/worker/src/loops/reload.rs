//! Replaces the settings that deliveries use, as a whole, when the configuration has changed.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::http::sender::TlsError;
use crate::shard::settings::Settings;

/// Takes new configurations until stopped. Running attempts end with the settings that they began with.
pub(crate) async fn run<C>(
    mut configs: mpsc::Receiver<C>,
    settings: watch::Sender<Arc<Settings>>,
    make: impl Fn(&C) -> Result<Settings, TlsError>,
    stop: CancellationToken,
) {
    loop {
        let config = tokio::select! {
            config = configs.recv() => config,
            () = stop.cancelled() => return,
        };
        let Some(config) = config else { return };
        match make(&config) {
            Ok(made) => drop(settings.send_replace(Arc::new(made))),
            Err(error) => warn!(%error, "the changed configuration cannot be used, so nothing changes"),
        }
    }
}
