//! `nuncio`, the command line.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod selection;
mod server;

/// What one thread makes another one frees, all the time: the system's allocator has them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For how long memory that nobody holds is kept, before the system has it back.
enum Keeping {
    /// Not at all: what it takes to get started is several times what a daemon needs.
    Nothing,
    /// For as long as mimalloc does: what flows through takes it again.
    Shortly,
}

impl Keeping {
    /// `mi_option_purge_delay` of mimalloc 2, in milliseconds; the bindings have no name for it.
    const OPTION: libmimalloc_sys::mi_option_t = 15;

    /// What it is where nobody sets it.
    const SHORTLY: std::ffi::c_long = 10;

    fn begin(self) {
        let milliseconds = match self {
            Self::Nothing => 0,
            Self::Shortly => Self::SHORTLY,
        };
        // SAFETY: an option can be set at every time and on every thread, and this one frees nothing that is in use.
        unsafe { libmimalloc_sys::mi_option_set(Self::OPTION, milliseconds) }
    }
}

fn main() -> ExitCode {
    Keeping::Nothing.begin();
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
    use super::Keeping;

    #[test]
    fn the_option_is_the_one_that_has_its_default() {
        // SAFETY: an option can be read at every time and on every thread.
        let options =
            unsafe { [14, Keeping::OPTION, 16].map(|option| libmimalloc_sys::mi_option_get(option)) };
        assert_eq!(options[1], Keeping::SHORTLY);
        assert!(options[0] != options[1] && options[2] != options[1], "{options:?}");
    }
}
