//! One writer a file: the lock beside it, and who holds it.
//!
//! A lock of the operating system (`flock`), which ends with its process however that ends. What is written
//! in the file tells others how to ask the process that holds it; without the lock it means nothing.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Identity, OpenError};

/// What is read of a lock file: more than anything that we write there.
const LARGEST_WORD: u64 = 4 << 10;

/// The process that holds a queue.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its number.
    pub process: u32,
    /// Where it takes HTTP requests, as host and port; `None` where it takes none.
    pub address: Option<String>,
    /// The bearer token for requests that change the queue. Only the file's user can read it.
    pub token: Option<String>,
}

/// The queue is in use by another process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue {path} is in use by {by}; stop that, or name another file", path = path.display(), by = self.by())]
pub struct InUse {
    /// The queue's file.
    pub path: PathBuf,
    /// Who holds it, where that is known.
    pub owner: Option<Owner>,
}

/// The lock; given back when dropped.
pub(super) struct Lock {
    path: PathBuf,
    file: File,
    /// Which file that is.
    identity: Identity,
}

impl Lock {
    /// Takes the lock of a queue's file.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let beside = beside(path);
        let unusable = |error: &io::Error| OpenError::Unusable {
            path: path.to_owned(),
            why: format!("its lock {}: {error}", beside.display()),
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // A link would have us write somewhere else.
        options.custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(&beside).map_err(|error| unusable(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut word = String::new();
                let read = Read::by_ref(&mut file).take(LARGEST_WORD).read_to_string(&mut word);
                let owner = read.ok().and_then(|_| serde_json::from_str(&word).ok());
                return Err(InUse { path: path.to_owned(), owner }.into());
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&error)),
        }
        // It was here before, perhaps for all to read, and is to hold a token.
        let private = file.set_permissions(Permissions::from_mode(0o600));
        private.map_err(|error| unusable(&error))?;
        let identity = file.metadata().map(|metadata| Identity::from(&metadata));
        let identity = identity.map_err(|error| unusable(&error))?;
        let mut lock = Self { path: beside.clone(), file, identity };
        let owner = Owner { process: std::process::id(), ..Owner::default() };
        lock.announce(&owner).map_err(|error| unusable(&error))?;
        Ok(lock)
    }

    /// Whether the file that others would have to lock is still this one.
    pub(super) fn is_held(&self) -> bool {
        Identity::of(&self.path).is_ok_and(|there| there == self.identity)
    }

    /// Writes down who holds it.
    pub(super) fn announce(&mut self, owner: &Owner) -> io::Result<()> {
        let word = serde_json::to_string(owner)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(word.as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What is left there is nobody's; the lock itself ends with the file.
        let _ = self.file.set_len(0);
    }
}

impl InUse {
    fn by(&self) -> String {
        match &self.owner {
            Some(Owner { process, address: Some(address), .. }) => {
                format!("process {process}, which listens on http://{address}")
            }
            Some(Owner { process, .. }) => format!("process {process}"),
            None => "another process".to_owned(),
        }
    }
}

/// The token is for those who can read the file, not for logs.
impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner")
            .field("process", &self.process)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
