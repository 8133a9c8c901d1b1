//! Configurations that point to something else than a receiver, and their remedies.

use std::fmt;

/// What the configuration gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Mistake {
    SpeaksHttp,
    SpeaksGrpc,
    SpeaksTls,
    SpeaksNoTls,
    NotOtlp,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpeaksHttp => {
                "the receiver speaks HTTP, not gRPC; \
                 set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf or use its gRPC port, usually 4317"
            }
            Self::SpeaksGrpc => {
                "the receiver speaks gRPC, not HTTP; \
                 set OTEL_EXPORTER_OTLP_PROTOCOL=grpc or use its HTTP port, usually 4318"
            }
            Self::SpeaksTls => "the receiver speaks TLS; use https:// in OTEL_EXPORTER_OTLP_ENDPOINT",
            Self::SpeaksNoTls => {
                "the receiver does not speak TLS; \
                 use http:// in OTEL_EXPORTER_OTLP_ENDPOINT or a port with TLS"
            }
            Self::NotOtlp => {
                "it answers with success, but not with an OTLP response, so everything counts as lost; \
                 is OTEL_EXPORTER_OTLP_ENDPOINT the address of an OTLP receiver?"
            }
        })
    }
}
