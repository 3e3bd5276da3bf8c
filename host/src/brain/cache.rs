//! Compiled code on disk, so that not every start compiles.
//!
//! Decides which folder is safe: code from it is run as it is, so that whoever can write there can do all that
//! this process can. What is in the folder is wasmtime's affair: an entry is found by the component, the
//! compiler, its settings and the machine, so that an old one is never taken for a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig, Config};

/// What the folder may hold, in bytes, before what was not used for longest goes: some ten components.
const MOST_BYTES: u64 = 128 << 20;

/// Where in the folder compiled code lies. Whatever else is in there wasmtime takes for spoiled code, and deletes.
const COMPILED: &str = "compiled";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or looked at.
    #[error("cannot use {} for compiled code: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others can write there.
    #[error("others than this user can change {}, from where code would be run; choose a folder in one of this user's own, or take their rights away", path.display())]
    Writable {
        /// The folder, or the one above it that others can change.
        path: PathBuf,
    },
    /// There is no cache to be had there.
    #[error("cannot keep compiled code: {0}")]
    Other(String),
}

/// An engine's configuration that keeps what it compiles in a folder, for [`super::Brain::with_engine`]: in one of its
/// own within it, `compiled`, so that nothing else there is touched. The folder is made, for this user alone, where it is
/// not there.
///
/// # Errors
///
/// Where the folder cannot be made, or others than this user and root can write to it or to one above it.
pub fn compiled_in(folder: &Path) -> Result<Config, CacheError> {
    let mut engine = Config::new();
    engine.cache(Some(cache_in(folder)?));
    Ok(engine)
}

fn cache_in(folder: &Path) -> Result<Cache, CacheError> {
    let other = |error: wasmtime::Error| CacheError::Other(format!("{error:#}"));
    let folder = own(&own(folder)?.join(COMPILED))?;
    let mut cache = CacheConfig::new();
    cache.with_directory(folder);
    cache.with_files_total_size_soft_limit(MOST_BYTES);
    // Read at every start and written once: what is read soonest is best, and nothing is compressed again.
    cache.with_baseline_compression_level(1);
    cache.with_optimized_compression_usage_counter_threshold(u64::MAX);
    Cache::new(cache).map_err(other)
}

/// The folder, with no links in its path, once it is there and this user's alone.
fn own(folder: &Path) -> Result<PathBuf, CacheError> {
    let cannot = |error| CacheError::Folder { path: folder.to_owned(), error };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(cannot)?;
    let folder = folder.canonicalize().map_err(cannot)?;
    #[cfg(unix)]
    for path in folder.ancestors() {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs::metadata(path).map_err(cannot)?;
        let user = rustix::process::geteuid().as_raw();
        // In a folder with the sticky bit, as /tmp, others cannot rename what is not theirs.
        let is_shared = found.mode() & 0o022 != 0 && (path == folder || found.mode() & 0o1000 == 0);
        let is_other = found.uid() != user && (path == folder || found.uid() != 0);
        if is_shared || is_other {
            return Err(CacheError::Writable { path: path.to_owned() });
        }
    }
    Ok(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::{Brain, EMBEDDED, Limits};
    use super::*;

    #[test]
    fn what_was_compiled_once_is_not_compiled_again() {
        let within = tempfile::tempdir().unwrap();
        let cache = cache_in(within.path()).unwrap();
        let mut engine = Config::new();
        engine.cache(Some(cache.clone()));
        let providers = || {
            let brain = Brain::with_engine(EMBEDDED, Limits::default(), engine.clone()).unwrap();
            brain.providers().unwrap().len()
        };
        assert_eq!(providers(), providers());
        assert_eq!((cache.cache_misses(), cache.cache_hits()), (1, 1));
    }

    #[test]
    fn what_else_is_in_the_folder_is_left_alone() {
        let within = tempfile::tempdir().unwrap();
        fs::write(within.path().join("nuncio.yml"), "").unwrap();
        let engine = compiled_in(within.path()).unwrap();
        Brain::with_engine(EMBEDDED, Limits::default(), engine).unwrap();
        let beside = fs::read_dir(within.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut beside: Vec<_> = beside.filter_map(|name| name.into_string().ok()).collect();
        beside.sort();
        assert_eq!(beside, [COMPILED, "nuncio.yml"]);
    }

    #[test]
    fn what_is_spoiled_is_compiled_again() {
        let within = tempfile::tempdir().unwrap();
        let brain = |cache: &Cache| {
            let mut engine = Config::new();
            engine.cache(Some(cache.clone()));
            Brain::with_engine(EMBEDDED, Limits::default(), engine).unwrap().providers().unwrap();
        };
        brain(&cache_in(within.path()).unwrap());
        for entry in entries(within.path()).unwrap() {
            fs::write(entry, "no code").unwrap();
        }
        let cache = cache_in(within.path()).unwrap();
        brain(&cache);
        assert_eq!((cache.cache_misses(), cache.cache_hits()), (1, 0));
    }

    fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { found.extend(entries(&path)?) } else { found.push(path) }
        }
        Ok(found)
    }

    #[test]
    fn a_folder_is_made_for_this_user_alone() {
        let within = tempfile::tempdir().unwrap();
        let folder = within.path().join("a/b");
        compiled_in(&folder).unwrap();
        for path in [within.path().join("a"), folder] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn where_others_can_write_no_code_is_taken_from() {
        let within = tempfile::tempdir().unwrap();
        let folder = within.path().join("folder");
        fs::create_dir(&folder).unwrap();
        for (path, mode) in [(&folder, 0o720), (&folder, 0o702), (&within.path().to_owned(), 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let error = compiled_in(&folder).map(drop).unwrap_err();
            let named = path.canonicalize().unwrap();
            assert!(matches!(&error, CacheError::Writable { path } if *path == named), "{error}");
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        compiled_in(&folder).unwrap();
    }

    #[test]
    fn what_is_no_folder_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = compiled_in(file.path()).map(drop).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot use ") && error.contains(&file.path().display().to_string()),
            "{error}"
        );
    }
}
