//! The `haggle` binary.

/// A node makes and drops many small things on many threads; the C library's allocator costs it a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    haggle::cli::main()
}
