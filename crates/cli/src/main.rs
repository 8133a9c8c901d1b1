//! The `postrider` binary.

telemetry::use_exporters_allocator!();

fn main() -> std::process::ExitCode {
    postrider::main()
}
