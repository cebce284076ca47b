//! The `haggle` binary.

/// A node makes and drops many small things on many threads; the C library's allocator costs it a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Huge pages would round the many small things up by half: a node shall be small. Where the system does not let a program
    // choose, it is only larger.
    #[cfg(target_os = "linux")]
    let _chosen = nix::sys::prctl::set_thp_disable(true);
    haggle::cli::main()
}
