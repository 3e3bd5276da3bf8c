//! Reading a configuration with a brain.

use std::cell::RefCell;

use crate::brain::{Brain, BrainError, Fault};
use crate::builder::StartError;
use crate::config::report::Report;
use crate::config::{Component, Config};
use crate::contract::{Diagnostic, UrlProblem};
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
        let from_url = |url: &str, dialect| {
            let read = brain.for_urls().and_then(|brain| Ok(brain.from_url(url, dialect)?));
            read.unwrap_or_else(|error| {
                let (part, problem) = ("whole".to_owned(), format!("cannot be read: {error}"));
                Err(UrlProblem { part, problem, hint: String::new() })
            })
        };
        let component = Component {
            providers: &providers,
            embedded: embedded.as_deref(),
            open: &open,
            from_url: &from_url,
        };
        let config = Self::read(source, text, environment, &component);
        match broken.into_inner() {
            Some(fault) => Err(fault.into()),
            None => Ok(config),
        }
    }
}
