//! Reading a configuration with a brain.

use std::cell::RefCell;

use crate::brain::{Brain, BrainError, Fault};
use crate::builder::StartError;
use crate::config::report::Report;
use crate::config::{Component, Config};
use crate::contract::Diagnostic;
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
        Ok(Self::load_with(source, text, environment, brain, |_| ())??)
    }

    /// As [`Config::load`]; `hear` is told what the component says is wrong.
    ///
    /// # Errors
    ///
    /// The outer error is how the guest broke off, the inner everything that is wrong.
    pub fn load_with(
        source: &str,
        text: &str,
        environment: &dyn Environment,
        brain: &Brain,
        hear: impl Fn(&[Diagnostic]),
    ) -> Result<Result<Self, Report>, BrainError> {
        let (providers, embedded) = (brain.providers()?, brain.embedded_providers()?);
        let broken: RefCell<Option<Fault>> = RefCell::new(None);
        let open = |json: &str| {
            let checked = brain.check(json).unwrap_or_else(|fault| {
                broken.replace(Some(fault));
                Ok(())
            });
            checked.inspect_err(|diagnostics| hear(diagnostics))
        };
        let component = Component { providers: &providers, embedded: embedded.as_deref(), open: &open };
        let config = Self::read(source, text, environment, &component);
        match broken.into_inner() {
            Some(fault) => Err(fault.into()),
            None => Ok(config),
        }
    }
}
