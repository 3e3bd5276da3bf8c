//! `nuncio component`: the brain, for other hosts.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Component, Failure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write the component to a file; `-` is standard output
    Export {
        /// The file
        file: PathBuf,
    },
}

pub(super) fn run(arguments: &Arguments, component: &Component) -> Result<ExitCode, Failure> {
    use std::io::Write;

    let Command::Export { file } = &arguments.command;
    let bytes = component.bytes();
    let (name, written) = if file.as_os_str() == "-" {
        ("standard output".to_owned(), std::io::stdout().write_all(bytes))
    } else {
        (file.display().to_string(), std::fs::write(file, bytes))
    };
    match written {
        // A reader that went away has what it wanted.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Failure::Other(format!("cannot write {name}: {error}")));
        }
        _ => {}
    }
    eprintln!("wrote {} bytes to {name}", bytes.len());
    Ok(ExitCode::SUCCESS)
}
