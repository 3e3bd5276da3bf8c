//! The setting `alerts_to`: who is told when deliveries to a target die.

use super::document::Node;
use super::findings::Findings;
use super::spelling;
use super::targets::Targets;

/// Reads one name or a list of names, each a target's. What is wrong is noted.
#[must_use]
pub fn read(list: &Node, targets: &Targets<'_, '_>, findings: &mut Findings<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (at, item) in list.one_or_several("/alerts_to") {
        if findings.covers(&at) {
            continue;
        }
        match item.scalar().filter(|_| !item.is_null()).map(|scalar| scalar.text.as_str()) {
            Some(name) if targets.has(name) => names.push(name.to_owned()),
            Some(name) => {
                let known: Vec<&str> = targets.names().collect();
                let problem = format!("no target is called `{name}`");
                findings.refuse(item, &at, problem, spelling::hint(name, &known));
            }
            None => {
                findings.refuse(item, &at, "this is no name of a target", "write the name of a target");
            }
        }
    }
    names
}
