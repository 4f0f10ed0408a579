//! The `conjoin` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator's option that tells after how many milliseconds freed memory goes back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // A training step frees what the next one asks for again; giving it back in between costs 3 to 5 % of a
    // step, because the system clears every page anew.
    // SAFETY: the option exists in every version of the library that its crate can be built with.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
    conjoin::Toolkit::new().run(std::env::args_os())
}
