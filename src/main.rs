//! The command `portcullis`: everything is in the library.

/// Sessions allocate in many small steps, and glibc's allocator spent a tenth of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    portcullis::cli::main()
}
