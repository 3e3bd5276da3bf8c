//! The setting `alerts_to`: who is told when deliveries to a target die.

use super::document::{Node, Value};
use super::findings::Findings;
use super::position::first_line;
use super::report::Problem;
use super::spelling;
use super::targets::Targets;

/// Reads one name or a list of names, each a target's. What is wrong is noted.
#[must_use]
pub fn read(list: &Node, targets: &Targets<'_, '_>, findings: &mut Findings<'_>) -> Vec<String> {
    let several = match &list.value {
        Value::List(items) => items.as_slice(),
        _ if list.is_null() => return Vec::new(),
        _ => std::slice::from_ref(list),
    };
    let mut names = Vec::new();
    for (index, item) in several.iter().enumerate() {
        let at = match &list.value {
            Value::List(_) => format!("/alerts_to/{index}"),
            _ => "/alerts_to".to_owned(),
        };
        if findings.covers(&at) {
            continue;
        }
        let span = first_line(findings.text(), item.span.clone());
        match item.scalar().filter(|_| !item.is_null()).map(|scalar| scalar.text.as_str()) {
            Some(name) if targets.has(name) => names.push(name.to_owned()),
            Some(name) => {
                let known: Vec<&str> = targets.names().collect();
                let problem = format!("no target is called `{name}`");
                findings.add(&at, Problem::at(span, problem, spelling::hint(name, &known)));
            }
            None => {
                let hint = "write the name of a target";
                findings.add(&at, Problem::at(span, "this is no name of a target", hint));
            }
        }
    }
    names
}
