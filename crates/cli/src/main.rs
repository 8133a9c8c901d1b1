//! The `postrider` binary.

// glibc's allocator takes a seventh more processor time for a job, and much more for spans, which one thread makes and another
// one frees; musl's is slower still.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    postrider::main()
}
