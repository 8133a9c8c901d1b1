//! OTLP over gRPC.

use std::sync::Arc;

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
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::flatten;
use crate::store::{PARTIAL_MESSAGE, Protocol, Signal, Store, Verdict};

/// The largest export that is taken, well over what the SDK makes of its default batch.
const MESSAGE_LIMIT: usize = 64 << 20;

pub(crate) async fn serve(listener: TcpListener, store: Arc<Store>) -> Result<(), tonic::transport::Error> {
    let traces = TraceServiceServer::new(Service(Arc::clone(&store)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_LIMIT);
    let metrics = MetricsServiceServer::new(Service(store))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_LIMIT);
    let router = Server::builder().add_service(traces).add_service(metrics);
    router.serve_with_incoming(TcpIncoming::from(listener)).await
}

struct Service(Arc<Store>);

impl Service {
    /// How many items were rejected of those that were taken.
    async fn take(&self, signal: Signal, items: Vec<Value>) -> Result<u64, Status> {
        match self.0.take(Protocol::Grpc, signal, items).await {
            Verdict::Taken { rejected } => Ok(rejected),
            Verdict::Unavailable => Err(Status::unavailable("the test said so")),
            Verdict::Unimplemented => Err(Status::unimplemented("the test said so")),
        }
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let rejected = self.take(Signal::Traces, flatten::spans(request.into_inner())).await?;
        let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected.cast_signed(),
            error_message: PARTIAL_MESSAGE.to_owned(),
        });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let rejected = self.take(Signal::Metrics, flatten::metrics(request.into_inner())).await?;
        let partial_success = (rejected > 0).then(|| ExportMetricsPartialSuccess {
            rejected_data_points: rejected.cast_signed(),
            error_message: PARTIAL_MESSAGE.to_owned(),
        });
        Ok(Response::new(ExportMetricsServiceResponse { partial_success }))
    }
}
