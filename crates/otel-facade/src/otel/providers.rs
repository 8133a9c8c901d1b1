//! Builds what records and sends each signal, from the configuration. A signal that cannot be sent is not recorded, and a
//! warning gives the reason.

use std::sync::Arc;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanLimits};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Prometheus;
use super::exporter::{ExporterBuilder, Kind, LogSender, MetricSender, SpanSender, forced_compression};
use super::logs::LogQueue;
use super::queue::SpanQueue;
use super::receiver::Receiver;
use super::sampler::TakesOver;
use super::tally::Tally;
use crate::{Config, Exporter, Root, Signal, Temporality};

/// Parts that all signals share.
pub(super) struct Workshop<'a> {
    pub(super) config: &'a Config,
    pub(super) resource: Resource,
    pub(super) runtime: Handle,
    pub(super) closing: watch::Receiver<bool>,
    pub(super) warnings: Vec<String>,
}

/// The provider of a signal, and the count of its items; none where it sends nothing.
pub(super) struct Made<P> {
    pub(super) provider: P,
    pub(super) tally: Option<Arc<Tally>>,
}

impl Workshop<'_> {
    pub(super) fn traces(&mut self) -> Made<SdkTracerProvider> {
        let (config, limits) = (self.config, self.config.limits);
        let builder = SdkTracerProvider::builder().with_resource(self.resource.clone());
        let made = self
            .exporter(Kind::Traces, &config.traces, config.span_queue.capacity, |builder| builder.spans());
        let Some((exporter, receiver, tally)) = made else {
            return Made { provider: builder.with_sampler(Sampler::AlwaysOff).build(), tally: None };
        };
        let mut sender = SpanSender { exporter, receiver };
        sender.set_resource(&self.resource);
        let queue =
            SpanQueue::new(sender, limits.value_length, config.span_queue, tally.clone(), &self.runtime);
        let provider = builder
            .with_sampler(TakesOver(sampler(config.sampler)))
            .with_span_limits(SpanLimits {
                max_events_per_span: limits.events,
                max_attributes_per_span: limits.attributes,
                max_links_per_span: limits.links,
                max_attributes_per_event: limits.event_attributes,
                max_attributes_per_link: limits.link_attributes,
            })
            .with_span_processor(queue)
            .build();
        Made { provider, tally: Some(tally) }
    }

    pub(super) fn metrics(&mut self) -> (Made<SdkMeterProvider>, Option<Prometheus>) {
        let config = self.config;
        let mut builder = SdkMeterProvider::builder().with_resource(self.resource.clone());
        let mut tally = None;
        let temporality = temporality(config.temporality);
        let made = self.exporter(Kind::Metrics, &config.metrics, 0, |builder| builder.metrics(temporality));
        if let Some((exporter, receiver, counts)) = made {
            let sender = MetricSender { exporter, receiver };
            let reader = PeriodicReader::builder(sender).with_interval(config.metric_interval).build();
            builder = builder.with_reader(reader);
            tally = Some(counts);
        }
        let mut prometheus = None;
        if config.prometheus {
            match Prometheus::new() {
                Ok((registry, reader)) => {
                    builder = builder.with_reader(reader);
                    prometheus = Some(registry);
                }
                Err(reason) => self.warnings.push(format!("there are no metrics for Prometheus: {reason}")),
            }
        }
        (Made { provider: builder.build(), tally }, prometheus)
    }

    /// `None` where log lines go to standard error alone.
    pub(super) fn logs(&mut self) -> Option<Made<SdkLoggerProvider>> {
        let config = self.config;
        let capacity = config.log_queue.capacity;
        let (exporter, receiver, tally) =
            self.exporter(Kind::Logs, &config.logs, capacity, |builder| builder.logs())?;
        let sender = LogSender { exporter, receiver };
        let provider = SdkLoggerProvider::builder()
            .with_resource(self.resource.clone())
            .with_log_processor(LogQueue::new(sender, config.log_queue, tally.clone()))
            .build();
        Some(Made { provider, tally: Some(tally) })
    }

    fn exporter<E>(
        &mut self,
        kind: Kind,
        signal: &Signal,
        capacity: usize,
        build: impl FnOnce(&ExporterBuilder<'_>) -> Result<E, String>,
    ) -> Option<(E, Receiver, Arc<Tally>)> {
        if signal.exporter == Exporter::None {
            return None;
        }
        // The connection of a gRPC exporter is a task, spawned when it is built.
        let _within = self.runtime.enter();
        let made = ExporterBuilder::new(signal).and_then(|builder| Ok((build(&builder)?, builder)));
        match made {
            Ok((exporter, builder)) => {
                if let Some(variable) = forced_compression(kind, signal) {
                    let name = kind.name();
                    self.warnings.push(format!("{name} are compressed with gzip, as {variable} demands"));
                }
                let tally = Arc::new(Tally::new(kind, capacity));
                let receiver =
                    Receiver::new(kind, &builder, tally.clone(), &self.runtime, self.closing.clone());
                Some((exporter, receiver, tally))
            }
            Err(reason) => {
                self.warnings.push(format!("{} cannot be sent, and are not recorded: {reason}", kind.name()));
                None
            }
        }
    }
}

fn sampler(sampler: crate::Sampler) -> Sampler {
    let root = match sampler.root {
        Root::AlwaysOn => Sampler::AlwaysOn,
        Root::AlwaysOff => Sampler::AlwaysOff,
        Root::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
    };
    if sampler.parent_based { Sampler::ParentBased(Box::new(root)) } else { root }
}

fn temporality(temporality: Temporality) -> opentelemetry_sdk::metrics::Temporality {
    match temporality {
        Temporality::Cumulative => opentelemetry_sdk::metrics::Temporality::Cumulative,
        Temporality::Delta => opentelemetry_sdk::metrics::Temporality::Delta,
        Temporality::LowMemory => opentelemetry_sdk::metrics::Temporality::LowMemory,
    }
}
