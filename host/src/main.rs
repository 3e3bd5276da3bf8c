//! `nuncio`, the command line.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod selection;
mod server;

/// What one thread makes another one frees, all the time: the system's allocator has them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 2: for how many milliseconds memory that nobody holds is kept before the system has
/// it back. The bindings have no name for it.
const KEEPING: libmimalloc_sys::mi_option_t = 15;

/// Has memory that nobody holds kept for so many milliseconds from now on; returns for how many it was before.
fn keep_memory_for(milliseconds: std::ffi::c_long) -> std::ffi::c_long {
    // SAFETY: an option can be read and set at every time and on every thread, and this one frees nothing in use.
    unsafe {
        let before = libmimalloc_sys::mi_option_get(KEEPING);
        libmimalloc_sys::mi_option_set(KEEPING, milliseconds);
        before
    }
}

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::start_log(&arguments);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(arguments));
    // A read of standard input that never comes back must not hold up the end.
    runtime.shutdown_background();
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_has_ten_milliseconds() {
        // SAFETY: an option can be read at every time and on every thread.
        let other = [14, 16].map(|option| unsafe { libmimalloc_sys::mi_option_get(option) });
        let ours = keep_memory_for(0);
        assert_eq!((ours, keep_memory_for(ours)), (10, 0));
        assert!(!other.contains(&10), "{other:?}");
    }
}
