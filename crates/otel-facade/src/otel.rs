//! The backend on OpenTelemetry. Switched off, a handle is `None` and the first line returns.

mod context;
mod exporter;
mod instrument;
mod log_attributes;
mod log_record;
mod logs;
mod observable;
mod prometheus;
mod propagation;
mod providers;
mod queue;
mod receiver;
mod resource;
mod running;
mod sampler;
mod self_observation;
mod span;
mod suppression;
mod tally;

use std::sync::Arc;

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue, global};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::{Carrier, Config, Propagators, Value, semconv};

pub(crate) use self::context::Context;
pub(crate) use self::prometheus::Prometheus;
pub(crate) use instrument::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Gauge, Histogram, Timer, UpDownCounter,
};
pub(crate) use observable::Observer;
pub(crate) use running::Running;
pub(crate) use span::{Entered, Links, Span};
pub(crate) use suppression::{Suppressed, is_suppressed, suppress, suppressed};

pub(crate) const COMPILED: bool = true;

/// Targets of log lines with their own level.
pub(crate) const SDK_TARGETS: [&str; 4] =
    ["opentelemetry", "opentelemetry_sdk", "opentelemetry-otlp", "opentelemetry-prometheus"];

#[derive(Clone, Debug)]
pub(crate) struct Telemetry(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    tracer: Tracer,
    meter: Meter,
    settings: Settings,
}

/// Settings that all scopes share.
#[derive(Clone, Debug)]
struct Settings {
    /// `None` for those of the process.
    providers: Option<(SdkTracerProvider, SdkMeterProvider)>,
    prometheus: Option<Prometheus>,
    /// Whether a parent's decision against recording holds, so that the sampler need not be asked.
    follows_parent: bool,
    /// Whether the sampler does not record every root.
    chooses: bool,
    propagators: Propagators,
}

/// The SDK's own tracer saves a box and a virtual call a span over the process-wide one.
enum Tracer {
    Sdk(SdkTracer),
    Global(global::BoxedTracer),
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sdk(_) => "Sdk",
            Self::Global(_) => "Global",
        })
    }
}

impl Telemetry {
    pub(crate) fn disabled() -> Self {
        Self(None)
    }

    pub(crate) fn global() -> Self {
        let settings = Settings {
            providers: None,
            prometheus: None,
            follows_parent: true,
            // The sampler may need attributes.
            chooses: false,
            propagators: Propagators::ALL,
        };
        Self(Some(Arc::new(Recorder::new(settings, scope(NAME, VERSION)))))
    }

    fn sdk(
        config: &Config,
        traces: &SdkTracerProvider,
        metrics: &SdkMeterProvider,
        prometheus: Option<Prometheus>,
    ) -> Self {
        let settings = Settings {
            providers: Some((traces.clone(), metrics.clone())),
            prometheus,
            follows_parent: config.sampler.parent_based,
            chooses: config.sampler.root != crate::Root::AlwaysOn,
            propagators: config.propagators,
        };
        Self(Some(Arc::new(Recorder::new(settings, scope_of(config)))))
    }

    pub(crate) fn scoped(&self, name: &'static str, version: &'static str) -> Self {
        let scoped = |recorder: &Arc<Recorder>| {
            Arc::new(Recorder::new(recorder.settings.clone(), scope(name, version)))
        };
        Self(self.0.as_ref().map(scoped))
    }

    pub(crate) fn prometheus(&self) -> Option<Prometheus> {
        self.0.as_ref()?.settings.prometheus.clone()
    }

    pub(crate) fn extract(&self, carrier: &dyn Carrier) -> Context {
        self.0
            .as_ref()
            .map_or_else(Context::none, |recorder| Context::extract(carrier, recorder.settings.propagators))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl Recorder {
    fn new(settings: Settings, scope: InstrumentationScope) -> Self {
        let (tracer, meter) = match &settings.providers {
            Some((traces, metrics)) => {
                (Tracer::Sdk(traces.tracer_with_scope(scope.clone())), metrics.meter_with_scope(scope))
            }
            None => {
                let tracer = global::tracer_with_scope(scope.clone());
                (Tracer::Global(tracer), global::meter_with_scope(scope))
            }
        };
        Self { tracer, meter, settings }
    }
}

/// The scope without a program or an instrumentation crate.
const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn scope(name: &'static str, version: &'static str) -> InstrumentationScope {
    InstrumentationScope::builder(name).with_version(version).with_schema_url(semconv::SCHEMA_URL).build()
}

/// The program's own scope.
fn scope_of(config: &Config) -> InstrumentationScope {
    config.program.map_or_else(|| scope(NAME, VERSION), |program| scope(program.name, program.version))
}

#[derive(Debug)]
pub(crate) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// Room for the attributes of our spans in one allocation.
    const CAPACITY: usize = 12;

    pub(crate) fn set(&mut self, key: &'static str, value: Value) {
        self.0.push(KeyValue::new(key, value));
    }

    fn collect(describe: impl FnOnce(&mut crate::Attributes)) -> Vec<KeyValue> {
        let mut attributes = crate::Attributes(Self(Vec::with_capacity(Self::CAPACITY)));
        describe(&mut attributes);
        attributes.0.0
    }
}

impl From<Value> for opentelemetry::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(value),
            Value::I64(value) => Self::I64(value),
            Value::F64(value) => Self::F64(value),
            Value::Static(value) => Self::String(value.into()),
            Value::String(value) => Self::String(value.into()),
            Value::Shared(value) => Self::String(value.into()),
            Value::Strings(values) => {
                let values: Vec<opentelemetry::StringValue> = values.into_iter().map(Into::into).collect();
                Self::Array(values.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

    use crate::{Context, ErrorType, SpanKind};

    #[derive(Debug, Default, Clone)]
    struct Kept(std::sync::Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn global_records_with_the_providers_that_the_process_has_set() {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        opentelemetry::global::set_tracer_provider(provider);
        let telemetry = crate::Telemetry::global();
        let outer = telemetry.span(SpanKind::Producer, "outer").parent(&Context::none()).start(|_| ());
        let inner = telemetry
            .scoped("a-library", "1.2.3")
            .span(SpanKind::Client, "inner")
            .parent(&outer.context())
            .link(&outer.context())
            .start(|attributes| attributes.set("a.b", 1_i64));
        inner.fail(&ErrorType::Timeout);
        drop(inner);
        outer.fail_with(&ErrorType::Other, || "the bucket was empty".into());
        drop(outer);
        let spans = kept.0.lock().unwrap();
        let [inner, outer] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(inner.parent_span_id, outer.span_context.span_id());
        assert_eq!(inner.links.links[0].span_context, outer.span_context);
        assert_eq!(inner.span_kind, opentelemetry::trace::SpanKind::Client);
        assert_eq!(inner.status, opentelemetry::trace::Status::error("a deadline passed"));
        assert_eq!(outer.status, opentelemetry::trace::Status::error("the bucket was empty"));
        let scopes = [outer, inner].map(|span| span.instrumentation_scope.clone());
        assert_eq!(scopes.map(|scope| scope.name().to_owned()), [super::NAME, "a-library"]);
        let attributes: Vec<_> =
            inner.attributes.iter().map(|pair| (pair.key.as_str(), pair.value.to_string())).collect();
        assert_eq!(attributes, [("a.b", "1".to_owned()), ("error.type", "timeout".to_owned())]);
    }
}
