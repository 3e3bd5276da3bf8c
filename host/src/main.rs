//! `nuncio`, the command line.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod selection;
mod server;

/// What one thread makes another one frees, all the time: the system's allocator has them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
