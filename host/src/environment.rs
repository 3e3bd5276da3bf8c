//! The process environment.
//!
//! The one module that reads it: everything else is handed an [`Environment`], so that a test can say
//! what is set.
#![expect(clippy::disallowed_methods, reason = "this is the environment")]

use std::collections::HashMap;

/// Where variables come from.
pub trait Environment: Send + Sync {
    /// The value of a variable; `None` where it is not set or its value is not UTF-8.
    fn var(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// An environment that holds just these variables, for tests.
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
