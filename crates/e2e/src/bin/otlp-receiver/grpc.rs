//! OTLP over gRPC.

use std::convert::Infallible;
use std::sync::Arc;

use http::Request as HttpRequest;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::store::{PARTIAL_MESSAGE, Protocol, Signal, Store, Verdict};
use crate::{flatten, serve};

/// The largest export that is accepted, in bytes: the default of gRPC, of the Collector and of Jaeger.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    store: Arc<Store>,
) -> std::io::Result<()> {
    let traces = TraceServiceServer::new(Service(Arc::clone(&store)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let metrics = MetricsServiceServer::new(Service(Arc::clone(&store)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let logs = LogsServiceServer::new(Service(Arc::clone(&store)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let routes = Routes::new(traces).add_service(metrics).add_service(logs).prepare();
    let routes = TowerToHyperService::new(routes);
    let service = move |request: HttpRequest<Incoming>| {
        store.keep(Protocol::Grpc, request.uri().path(), request.headers());
        let answer = routes.call(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    };
    serve::serve(listener, tls, service).await
}

struct Service(Arc<Store>);

impl Service {
    /// How many items were rejected of those that were taken.
    async fn take(
        &self,
        signal: Signal,
        count: usize,
        items: impl FnOnce() -> Vec<Value>,
    ) -> Result<i64, Status> {
        match self.0.take(Protocol::Grpc, signal, count, items).await {
            Verdict::Taken { rejected } => Ok(rejected.cast_signed()),
            Verdict::Unavailable => Err(Status::unavailable("set by the test")),
            Verdict::Later(wait) => {
                let details = ErrorDetails::with_retry_info(Some(wait));
                Err(Status::with_error_details(Code::ResourceExhausted, "set by the test", details))
            }
            Verdict::Page => Err(Status::internal("a page is for HTTP")),
            Verdict::Unimplemented => Err(Status::unimplemented("set by the test")),
        }
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let count = flatten::count_spans(&request);
        let rejected_spans = self.take(Signal::Traces, count, || flatten::spans(request)).await?;
        let partial_success = (rejected_spans > 0)
            .then(|| ExportTracePartialSuccess { rejected_spans, error_message: PARTIAL_MESSAGE.to_owned() });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let request = request.into_inner();
        let count = flatten::count_metrics(&request);
        let rejected_data_points = self.take(Signal::Metrics, count, || flatten::metrics(request)).await?;
        let partial_success = (rejected_data_points > 0).then(|| ExportMetricsPartialSuccess {
            rejected_data_points,
            error_message: PARTIAL_MESSAGE.to_owned(),
        });
        Ok(Response::new(ExportMetricsServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let request = request.into_inner();
        let count = flatten::count_logs(&request);
        let rejected_log_records = self.take(Signal::Logs, count, || flatten::logs(request)).await?;
        let partial_success = (rejected_log_records > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records,
            error_message: PARTIAL_MESSAGE.to_owned(),
        });
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}
