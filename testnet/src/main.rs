//! The node under test: the same program as `haggle`, built where the scenarios can find it.

fn main() -> std::process::ExitCode {
    haggle::cli::main()
}
