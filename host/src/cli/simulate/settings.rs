//! The dispatcher's configuration for a scenario, as the component accepts it.

use std::cell::RefCell;
use std::collections::HashMap;

use nuncio::brain::Brain;
use nuncio::config::document::{Node, Value};
use nuncio::config::report::{Problem, Report};
use nuncio::config::{Config, pointer};
use nuncio::contract::Diagnostic;
use serde_json::{Map, Value as Json, json};

use super::endpoint;
use super::read;
use super::scenario::Scenario;
use crate::cli::Failure;

/// The provider of every target: the one that brings no rules of a service with it.
const PROVIDER: &str = "webhook";

/// What every request carries.
const PAYLOAD: &str = r#"{"title": $title, "text": $message}"#;

/// The settings of a target that are the dispatcher's, and passed on as they stand.
const PASSED_ON: [&str; 3] = ["concurrency", "timeout", "retry"];

/// Reads a scenario, and makes a configuration for it.
///
/// # Errors
///
/// Everything that is wrong with it, also what the component says; or how the component failed.
pub(super) fn load(source: &str, text: &str, brain: &Brain) -> Result<(Scenario, Config), Failure> {
    let report = |problems| Report::new(source, text, problems, Vec::new());
    let (mut scenario, root, mut problems) =
        read::read(source, text).map_err(|problem| report(vec![problem]))?;
    let targets: &[Node] = match root.get("targets").map(|targets| &targets.value) {
        Some(Value::List(targets)) => targets,
        _ => &[],
    };
    let config = match configure(&root, targets, &scenario, brain)? {
        Ok(config) => Some(config),
        Err(theirs) => {
            let place = |Diagnostic { path, place, problem, hint }| Problem {
                span: pointer::locate(&root, text, &path, place),
                problem,
                hint,
            };
            let theirs = theirs.into_iter().map(place);
            // Where the scenario itself is wrong, what the component was given is not what it says.
            let is_theirs = |problem: &Problem| problem.span.is_some();
            let has_own = !problems.is_empty();
            problems.extend(theirs.filter(|problem| !has_own || is_theirs(problem)));
            None
        }
    };
    scenario.policy = policy(&root, targets);
    match config.filter(|_| problems.is_empty()) {
        Some(config) => Ok((scenario, config)),
        None => Err(report(problems).into()),
    }
}

/// A configuration for these targets, or what the component says.
fn configure(
    root: &Node,
    targets: &[Node],
    scenario: &Scenario,
    brain: &Brain,
) -> Result<Result<Config, Vec<Diagnostic>>, Failure> {
    let names: Vec<&str> = scenario.targets.iter().map(|plan| plan.name.as_str()).collect();
    let target = |(n, node): (usize, &Node)| {
        // Where names are wrong, that was said.
        let name = if names.len() == targets.len() { names.get(n) } else { None };
        let is_own =
            |name: &str| !name.is_empty() && names.iter().filter(|other| **other == name).count() == 1;
        let name = name
            .filter(|name| is_own(name))
            .map_or_else(|| format!("unnamed-{n}"), |name| (*name).to_owned());
        let mut settings = Map::new();
        settings.insert("name".to_owned(), name.into());
        settings.insert("provider".to_owned(), PROVIDER.into());
        settings.insert("url".to_owned(), endpoint::url(n).into());
        settings.insert("payload".to_owned(), PAYLOAD.into());
        settings.insert("allow_hosts".to_owned(), json!([endpoint::url(n)]));
        for key in PASSED_ON {
            let passed_on = node.get(key).filter(|node| !node.is_null());
            settings.extend(passed_on.map(|node| (key.to_owned(), node.to_json())));
        }
        Json::Object(settings)
    };
    // Nothing is forgotten, or refused for want of room.
    let queue = json!({
        "path": "memory", "max_messages": 100_000_000, "max_bytes": "1TiB", "keep": "3650d", "keep_dead": "3650d",
    });
    let mut config = json!({
        "queue": queue,
        "targets": targets.iter().enumerate().map(target).collect::<Vec<_>>(),
    });
    if let (Some(config), Some(retry)) = (config.as_object_mut(), root.get("retry")) {
        config.insert("retry".to_owned(), retry.to_json());
    }
    let said = RefCell::new(Vec::new());
    let hear = |diagnostics: &[Diagnostic]| *said.borrow_mut() = diagnostics.to_vec();
    let nothing = HashMap::<String, String>::new();
    let read = Config::load_with("the configuration", &config.to_string(), &nothing, brain, hear)?;
    Ok(read.map_err(|report| {
        let mut said = said.into_inner();
        if said.is_empty() {
            // It is the host that refuses it: a text asks for a variable, or there is too much of something.
            let general = |line: nuncio::config::report::Line| Diagnostic {
                path: String::new(),
                place: nuncio::contract::Place::Value,
                problem: line.problem,
                hint: line.hint,
            };
            said = report.lines().into_iter().map(general).collect();
        }
        said
    }))
}

/// The settings that are not as documented, for people.
fn policy(root: &Node, targets: &[Node]) -> Vec<(String, String)> {
    let mut policy = Vec::new();
    if let Some(retry) = root.get("retry") {
        flatten("retry", retry, &mut policy);
    }
    for target in targets {
        let name =
            target.get("name").and_then(Node::scalar).map(|name| name.text.as_str()).unwrap_or_default();
        for key in PASSED_ON {
            if let Some(setting) = target.get(key) {
                flatten(&format!("{name}: {key}"), setting, &mut policy);
            }
        }
    }
    policy.push(("all else".to_owned(), "as documented".to_owned()));
    policy
}

fn flatten(name: &str, node: &Node, into: &mut Vec<(String, String)>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                flatten(&format!("{name}.{}", entry.key), &entry.value, into);
            }
        }
        Value::Scalar(scalar) if scalar.is_null() => {}
        Value::Scalar(scalar) => into.push((name.to_owned(), scalar.text.clone())),
        Value::List(_) => into.push((name.to_owned(), node.to_json().to_string())),
    }
}
