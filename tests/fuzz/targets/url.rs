//! A notification URL, in each dialect. Nothing may panic, what is wrong is a part, and what is right opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nuncio_guest::provider;
use nuncio_guest::service_url::UrlDialect;

fuzz_target!(|text: &str| {
    for dialect in [None, Some(UrlDialect::Apprise), Some(UrlDialect::Shoutrrr)] {
        match provider::from_url(text, dialect) {
            Ok(targets) => {
                assert!(!targets.is_empty());
                assert!(targets.iter().all(|target| target.settings["provider"].is_string()));
            }
            Err(problem) => assert!(!problem.part.is_empty() && !problem.problem.is_empty()),
        }
    }
});
