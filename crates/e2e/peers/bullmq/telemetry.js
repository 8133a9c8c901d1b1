// Spans and metrics: BullMQ's own instrumentation and that of undici, exported by OpenTelemetry's SDK for Node, which reads its
// environment variables.

import { UndiciInstrumentation } from "@opentelemetry/instrumentation-undici";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { BullMQOtel } from "bullmq-otel";

export async function start() {
  const sdk = new NodeSDK({ instrumentations: [new UndiciInstrumentation()] });
  sdk.start();
  return { ofBullMQ: new BullMQOtel({ tracerName: "peer", enableMetrics: true }), stop: () => sdk.shutdown() };
}
