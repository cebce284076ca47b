//! The `haggle` binary.

fn main() -> std::process::ExitCode {
    haggle::cli::main()
}
