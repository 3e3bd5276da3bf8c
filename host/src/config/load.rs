//! Reading a configuration with a brain.

use std::cell::RefCell;

use crate::brain::{Brain, BrainError};
use crate::builder::StartError;
use crate::config::Config;
use crate::environment::Environment;

impl Config {
    /// Reads a configuration, completely or not at all; `source` is what problems in it are reported
    /// under, usually the file's name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, or how the guest broke off.
    pub fn load(
        source: &str,
        text: &str,
        environment: &dyn Environment,
        brain: &Brain,
    ) -> Result<Self, StartError> {
        let providers = brain.providers().map_err(BrainError::from)?;
        let broken = RefCell::new(None);
        let check = |json: &str| {
            brain.check(json).unwrap_or_else(|fault| {
                broken.replace(Some(fault));
                Ok(())
            })
        };
        let config = Self::read(source, text, environment, &providers, &check)?;
        match broken.into_inner() {
            Some(fault) => Err(BrainError::from(fault).into()),
            None => Ok(config),
        }
    }
}
