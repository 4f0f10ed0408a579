//! The `conjoin` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    conjoin::Toolkit::new().run(std::env::args_os())
}
