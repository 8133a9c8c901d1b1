//! The `postrider` binary, which prints at its end how many allocations its own thread has made.
//!
//! That thread does all of the worker's work; what exports telemetry has its own threads, and is not counted. The
//! allocator is the machine's, with a counter before it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let counted = allocation_counter::measure(|| code = postrider::main());
    println!("{}", counted.count_total);
    code
}
