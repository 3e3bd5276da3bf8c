//! What a process finds around it: variables, and the files in which its secrets lie.
//!
//! The one module that reads them: everything else is handed an [`Environment`], so that a test can say
//! what is set.
#![expect(clippy::disallowed_methods, reason = "this is the environment")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Where variables and secrets come from.
pub trait Environment: Send + Sync {
    /// The value of a variable; `None` where it is not set or its value is not UTF-8.
    fn var(&self, name: &str) -> Option<String>;

    /// What is in a file of at most so many bytes; `None` where it is larger.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    fn read(&self, path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() <= most))
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// An environment that holds just these variables, and the files of this machine, for tests.
impl Environment for HashMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_not_set_has_no_value() {
        assert_eq!(ProcessEnvironment.var("NUNCIO_SURELY_NOT_SET"), None);
        assert!(ProcessEnvironment.var("PATH").is_some());
    }

    #[test]
    fn a_map_is_an_environment() {
        let map = HashMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(map.var("A").as_deref(), Some("1"));
        assert_eq!(map.var("B"), None);
    }
}
