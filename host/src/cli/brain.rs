//! Which brain runs, and within which limits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use nuncio::brain::{self, Brain, LARGEST_COMPONENT, Limits, cache};
use nuncio::environment::{Environment, ProcessEnvironment};

use super::Failure;

/// The least memory with which the embedded component starts, with room for large notifications: 4 MiB; and all
/// that a component with 32-bit addresses can have.
const LEAST_MEMORY: u64 = 4 << 20;
const MOST_MEMORY: u64 = 4 << 30;

/// Calls are broken off in steps of 10 ms; nobody wants to wait for longer than a minute.
const SHORTEST_DEADLINE: Duration = Duration::from_millis(10);
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);

/// How many calls' time reading a configuration may take: 5 s where a call has one.
const OPEN_TAKES: u32 = 5;

#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct BrainArguments {
    /// Run this build of the brain in place of the embedded one
    #[arg(long, global = true, value_name = "FILE")]
    component: Option<PathBuf>,

    /// How much memory the brain may have for each call under way [default: 64MiB]
    #[arg(long, global = true, value_name = "SIZE", value_parser = read_memory)]
    component_memory: Option<usize>,

    /// How long a call into the brain may take; reading the configuration, 5 times that [default: 1s]
    #[arg(long, global = true, value_name = "TIME", value_parser = read_deadline)]
    component_deadline: Option<Duration>,

    /// Keep the brain's compiled code here, for sooner starts, or `none` [default: $CACHE_DIRECTORY,
    /// $XDG_CACHE_HOME/nuncio or ~/.cache/nuncio]
    #[arg(long, global = true, value_name = "FOLDER")]
    component_cache: Option<PathBuf>,
}

/// The component that was asked for, not yet compiled.
pub(super) struct Component {
    /// Where it is not the embedded one.
    bytes: Option<Vec<u8>>,
    pub(super) limits: Limits,
    /// Where its code is to be kept, if that was said.
    cache: Option<PathBuf>,
}

impl BrainArguments {
    pub(super) fn read(&self) -> Result<Component, Failure> {
        let read = |path: &PathBuf| super::read_file(path, LARGEST_COMPONENT as u64);
        let bytes = self.component.as_ref().map(read).transpose()?;
        let mut limits = Limits::default();
        limits.memory = self.component_memory.unwrap_or(limits.memory);
        if let Some(deadline) = self.component_deadline {
            (limits.call, limits.open) = (deadline, deadline.saturating_mul(OPEN_TAKES));
        }
        Ok(Component { bytes, limits, cache: self.component_cache.clone() })
    }
}

/// Where the service manager says, as systemd does (`CacheDirectory=`, systemd.exec(5)); else where the XDG Base
/// Directory Specification says. A path that is not absolute is ignored, as that demands.
fn default_cache(environment: &dyn Environment) -> Option<PathBuf> {
    let folder = |name| environment.var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_service = environment.var("CACHE_DIRECTORY");
    let of_service = of_service.as_deref().and_then(|folders| folders.split(':').next()).map(PathBuf::from);
    let of_user = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    of_service.filter(|path| path.is_absolute()).or_else(|| Some(of_user()?.join("nuncio")))
}

impl Component {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or(brain::EMBEDDED)
    }

    /// Compiles it.
    pub(super) fn load(&self) -> Result<Brain, Failure> {
        Ok(Brain::with_engine(self.bytes(), self.limits, self.engine()?)?)
    }

    /// Compiles the embedded one, whichever was asked for.
    pub(super) fn load_embedded(&self) -> Result<Brain, Failure> {
        Ok(Brain::with_engine(brain::EMBEDDED, Limits::default(), self.engine()?)?)
    }

    /// An engine that keeps what it compiles. Nobody needs the folder that is only the default; where that cannot be
    /// used, every start compiles.
    fn engine(&self) -> Result<wasmtime::Config, Failure> {
        match &self.cache {
            Some(none) if none == Path::new("none") => Ok(wasmtime::Config::new()),
            Some(folder) => cache::compiled_in(folder).map_err(|error| {
                Failure::Usage(format!(
                    "--component-cache: {error}\n  help: `--component-cache none` keeps none"
                ))
            }),
            None => {
                let engine = default_cache(&ProcessEnvironment).map(|folder| cache::compiled_in(&folder));
                Ok(engine
                    .transpose()
                    .unwrap_or_else(|error| {
                        tracing::info!(%error, "the brain is compiled anew");
                        None
                    })
                    .unwrap_or_default())
            }
        }
    }
}

fn read_memory(text: &str) -> Result<usize, String> {
    let size = text.parse::<ByteSize>().ok().map(|size| size.as_u64());
    let size = size.filter(|size| (LEAST_MEMORY..=MOST_MEMORY).contains(size));
    let size = size.and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| "write a size from 4MiB to 4GiB, such as 64MiB".to_owned())
}

fn read_deadline(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok();
    let time = time.filter(|time| (SHORTEST_DEADLINE..=LONGEST_DEADLINE).contains(time));
    time.ok_or_else(|| "write a time from 10ms to 1m, such as 250ms".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn memory_and_deadline_are_read_or_refused_with_what_to_write() {
        for (text, size) in [("4MiB", 4 << 20), ("64MiB", 64 << 20), ("4GiB", 4 << 30), ("10MB", 10_000_000)]
        {
            assert_eq!(read_memory(text), Ok(size), "{text}");
        }
        for text in ["", "much", "0", "-1", "4095KiB", "4194303", "5GiB"] {
            assert!(read_memory(text).unwrap_err().contains("4MiB to 4GiB"), "{text}");
        }
        for (text, milliseconds) in [("10ms", 10), ("1s", 1_000), ("1m", 60_000)] {
            assert_eq!(read_deadline(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "fast", "250", "9ms", "61s", "-1s"] {
            assert!(read_deadline(text).unwrap_err().contains("10ms to 1m"), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_is_as_the_library_has_it() {
        let arguments = |deadline| BrainArguments {
            component: None,
            component_memory: None,
            component_deadline: deadline,
            component_cache: Some("none".into()),
        };
        let limits = |deadline| arguments(deadline).read().ok().unwrap().limits;
        assert_eq!(limits(None), Limits::default());
        assert_eq!(limits(Some(Limits::default().call)), Limits::default());
        assert_eq!(limits(Some(Duration::from_secs(1))).open, Duration::from_secs(5));
    }

    #[test]
    fn compiled_code_is_kept_where_the_environment_says() {
        for (variables, folder) in [
            (vec![], None),
            (vec![("HOME", "relative")], None),
            (vec![("HOME", "/home/a")], Some("/home/a/.cache/nuncio")),
            (vec![("HOME", "/home/a"), ("XDG_CACHE_HOME", "cache")], Some("/home/a/.cache/nuncio")),
            (vec![("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")], Some("/c/nuncio")),
            (
                vec![("XDG_CACHE_HOME", "/c"), ("CACHE_DIRECTORY", "/var/cache/n:/var/cache/m")],
                Some("/var/cache/n"),
            ),
        ] {
            let environment: HashMap<_, _> =
                variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(default_cache(&environment), folder.map(PathBuf::from), "{environment:?}");
        }
    }
}
