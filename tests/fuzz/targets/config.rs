//! A configuration file: through the YAML reader, the substitution, the handling of secrets and the brain,
//! native. Nothing may panic, and every position must be one of the text.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use nuncio::config::{Component, Config};
use nuncio::contract::{Diagnostic, Place, Provider, UrlProblem, UrlTarget};
use nuncio_guest::{config, diagnostic, provider, target};

fuzz_target!(|text: &str| {
    let entry = |entry: &provider::Entry| Provider {
        name: entry.name.to_owned(),
        summary: entry.summary.to_owned(),
        settings_schema: target::schema_of(entry).to_string(),
        example: entry.example.to_owned(),
        origins: Vec::new(),
        auth: String::new(),
        dialect: String::new(),
        limits: Vec::new(),
        overflow: String::new(),
        apprise_form: String::new(),
        shoutrrr_form: String::new(),
    };
    let providers: Vec<Provider> = provider::ALL.iter().map(entry).collect();
    let found = |found: diagnostic::Diagnostic| Diagnostic {
        path: found.path,
        place: if found.place == diagnostic::Place::Key { Place::Key } else { Place::Value },
        problem: found.problem,
        hint: found.hint,
    };
    let check = |json: &str| match config::Config::read(json) {
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.into_iter().map(found).collect()),
    };
    let from_url = |url: &str, _: Option<nuncio::contract::UrlDialect>| match provider::from_url(url, None) {
        Ok(targets) => Ok(targets
            .into_iter()
            .map(|target| UrlTarget {
                settings: serde_json::Value::Object(target.settings).to_string(),
                left_out: target.left_out,
            })
            .collect()),
        Err(problem) => Err(UrlProblem { part: problem.part, problem: problem.problem, hint: problem.hint }),
    };
    let environment = HashMap::from([("SET".to_owned(), "https://example.org/canary".to_owned())]);
    let component = Component { providers: &providers, embedded: None, open: &check, from_url: &from_url };
    if let Err(report) = Config::read("fuzz.yml", text, &environment, &component) {
        assert!(!report.lines().is_empty());
        let _ = report.to_string();
        for problem in report.problems() {
            assert!(problem.span.clone().is_none_or(|span| text.get(span).is_some()));
        }
    }
});
