//! A store in one SQLite file.
//!
//! It guarantees that what [`Store::commit`] returned for is on disk: the file is in WAL mode with
//! `synchronous=FULL`, so that every commit ends with an fsync (<https://sqlite.org/wal.html>). One process
//! writes at a time, held to that by a lock beside the file; any number may read, with `sqlite3` too.
//!
//! After an error nothing is known of the connection: SQLite may have rolled back, the disk may hold pages
//! that it never told of. So the connection is given up, and the next commit opens a new one and takes out
//! what no commit was acknowledged for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Done, Limits, Operation, Reader, Store, StoreError};

mod forget;
mod lock;
mod read;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod write;

pub use lock::{InUse, Owner};
pub use read::SqliteReader;

use lock::Lock;
use write::{Group, Tally};

/// Keeps records in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    /// Which file that was when it was opened.
    identity: Identity,
    lock: Lock,
    connection: Option<Connection>,
    /// As the last commit left it.
    tally: Tally,
    limits: Limits,
}

/// A queue's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to it. Stop that one, or use another file.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// It is a file, but no queue. Nothing of it was changed; use another file.
    #[error("{0} is no queue of Nuncio's; name another file, or move this one away")]
    NotAQueue(PathBuf),
    /// A newer Nuncio wrote it. Use that one.
    #[error("{path} was written by a newer Nuncio (version {version} of its schema, this one knows {known}); use that one", known = schema::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        version: i64,
    },
    /// It cannot be opened, read or written; see to its permissions and the disk.
    #[error("the queue {path} cannot be opened: {why}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl SqliteStore {
    /// Opens a queue's file, or makes one that only this user can read.
    ///
    /// # Errors
    ///
    /// Where another process writes to it, or it cannot be used.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        create(&path).map_err(|error| unusable(&path, &error))?;
        // Whatever leads to it, it is one file with one lock.
        let path = fs::canonicalize(&path).map_err(|error| unusable(&path, &error))?;
        let lock = Lock::take(&path)?;
        let identity = Identity::of(&path).map_err(|error| unusable(&path, &error))?;
        let connection = connect(&path)?;
        let tally = Tally::read(&connection).map_err(|error| unusable(&path, &error))?;
        let (connection, limits) = (Some(connection), Limits::default());
        Ok(Self { path, identity, lock, connection, tally, limits })
    }

    /// Whether others than its user can read the file.
    #[must_use]
    pub fn is_readable_by_others(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }

    /// Leaves word, for whoever finds the file in use, how this process can be asked to do something.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn announce(&mut self, owner: &Owner) -> io::Result<()> {
        self.lock.announce(owner)
    }

    fn reconnect(&mut self) -> Result<Connection, StoreError> {
        let connection = connect(&self.path).map_err(|error| StoreError::Broken(error.to_string()))?;
        // Records that were written, but whose commit did not come back: whoever handed them in was told so.
        write::remove_after(&connection, self.tally.last).map_err(|error| broken(&error))?;
        self.tally = Tally::read(&connection).map_err(|error| broken(&error))?;
        Ok(connection)
    }

    /// Refuses to write where nobody would find it: the file or its lock has been deleted or replaced.
    fn check_place(&self) -> Result<(), StoreError> {
        let is_there = Identity::of(&self.path).is_ok_and(|identity| identity == self.identity);
        if is_there && self.lock.is_held() {
            return Ok(());
        }
        let path = self.path.display();
        Err(StoreError::Broken(format!(
            "somebody deleted or replaced {path} or its lock; put it back, or start anew"
        )))
    }
}

/// Which file a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&fs::Metadata> for Identity {
    fn from(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError> {
        self.check_place()?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnect()?,
        };
        let (mut tally, mut limits) = (self.tally, self.limits);
        let mut commit = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut done = Vec::with_capacity(operations.len());
            let mut group = Group::of(&transaction);
            for operation in operations {
                done.push(write::apply(&mut group, operation, &mut tally, &mut limits)?);
            }
            drop(group);
            tally.write_over(&self.tally, &transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        let done = commit().map_err(|error: rusqlite::Error| broken(&error))?;
        (self.connection, self.tally, self.limits) = (Some(connection), tally, limits);
        Ok(done)
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(SqliteReader::new(self.path.clone()))
    }

    fn waits(&self) -> bool {
        true
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            // So that whoever copies the file has all of it; what fails is done at the next opening.
            let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
}

/// Makes the file and the folders that it lies in, where they are not there.
fn create(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // So that the name survives a loss of power, too.
        Ok(_) => File::open(folder.unwrap_or(Path::new(".")))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A connection that writes, to a file that is there.
fn connect(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        schema::set_up(&connection)?;
        Ok(connection)
    };
    let connection = open().map_err(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::NotAQueue(path.to_owned()),
        _ => unusable(path, &error),
    })?;
    match schema::migrate(&connection).map_err(|error| unusable(path, &error))? {
        schema::Found::Ours => Ok(connection),
        schema::Found::Foreign => Err(OpenError::NotAQueue(path.to_owned())),
        schema::Found::Newer(version) => Err(OpenError::Newer { path: path.to_owned(), version }),
    }
}

fn unusable(path: &Path, why: &dyn std::error::Error) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), why: why.to_string() }
}

/// What SQLite says of itself: of files and pages, never of what is in them.
fn broken(error: &rusqlite::Error) -> StoreError {
    StoreError::Broken(error.to_string())
}
