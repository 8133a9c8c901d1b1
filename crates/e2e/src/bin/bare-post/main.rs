//! `bare-post REDIS_URL ADDRESS`: the bare handler with the allocator of released binaries and of builds with telemetry.

mod handler;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    handler::serve()
}
