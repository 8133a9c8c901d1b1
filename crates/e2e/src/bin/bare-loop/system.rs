//! `bare-loop-system REDIS_URL IN_FLIGHT JOBS [https]`: the bare loop with the system's allocator, as a lean build from source has it.

mod work;

fn main() -> Result<(), work::AnyError> {
    work::work()
}
