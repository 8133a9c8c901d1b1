//! Tests that need the OTLP receiver or OpenTelemetry itself. They are modules of one program, as those of the worker.

mod allocations;
mod attempt_spans;
mod configured_in_code;
mod conformance;
mod instrumentation;
mod internals;
mod planted_secrets;
mod receiver_mistakes;
mod receiver_refusals;
mod receiver_trouble;
mod signing;
mod telemetry;
mod telemetry_harness;
mod telemetry_logs;
mod telemetry_variables;
