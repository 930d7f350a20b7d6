//! The command `portcullis`: everything is in the library.

fn main() -> std::process::ExitCode {
    portcullis::cli::main()
}
