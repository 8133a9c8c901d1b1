//! `bare-loop REDIS_URL IN_FLIGHT JOBS [https]`: the bare loop with the allocator of released binaries and of builds with telemetry.

mod work;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), work::AnyError> {
    work::work()
}
