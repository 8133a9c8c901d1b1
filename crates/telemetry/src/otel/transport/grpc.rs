//! OTLP over gRPC.

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::Uri;
use http::uri::PathAndQuery;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::{Attempt, HttpClient, Kind, Refusal, client, with_causes};
use crate::{Compression, Signal};

#[derive(Debug)]
pub(super) struct Grpc {
    client: tonic::client::Grpc<HttpClient<tonic::body::Body>>,
    path: PathAndQuery,
    metadata: MetadataMap,
}

impl Grpc {
    pub(super) fn new(kind: Kind, signal: &Signal, uri: Uri) -> Result<Self, String> {
        let mut client = tonic::client::Grpc::with_origin(client(signal, &uri, true)?, uri);
        if signal.compression == Compression::Gzip {
            client = client
                .send_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Gzip);
        }
        let mut metadata = MetadataMap::new();
        metadata.insert("user-agent", MetadataValue::from_static(super::USER_AGENT));
        for (name, value) in &signal.headers.0 {
            if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse()) {
                metadata.insert(name, value);
            }
        }
        Ok(Self { client, path: PathAndQuery::from_static(kind.grpc_path()), metadata })
    }

    pub(super) async fn attempt(&self, message: Bytes) -> Attempt {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        match self.client.clone().unary(request, self.path.clone(), Raw).await {
            Ok(response) => Attempt::Taken(response.into_inner()),
            Err(status) => refused(&status),
        }
    }
}

/// §Failures of OTLP/gRPC. The receiver's own message is left out: it may repeat a header.
fn refused(status: &Status) -> Attempt {
    if let Some(cause) = status.source() {
        // Made here: the receiver was not reached, or the connection broke.
        return Attempt::Later(with_causes(cause), None);
    }
    let reason = format!("the receiver answered {:?}", status.code());
    let after: Option<Duration> = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::Unimplemented => Attempt::Never(Refusal::Unimplemented(reason)),
        Code::ResourceExhausted if after.is_none() => Attempt::Never(Refusal::Failed(reason)),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Attempt::Later(reason, after),
        _ => Attempt::Never(Refusal::Failed(reason)),
    }
}

/// Messages are encoded and decoded elsewhere.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
