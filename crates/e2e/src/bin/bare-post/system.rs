//! `bare-post-system REDIS_URL ADDRESS`: the bare handler with the system's allocator, as a lean build from source has it.

mod handler;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    handler::serve()
}
