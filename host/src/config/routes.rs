//! Where a target's requests may go and how, as far as the configuration says so.
//!
//! It decides what `allow_hosts` means. These settings are the host's: the component is not told of them.

use url::Origin;

use super::document::{Node, Value};
use super::findings::Findings;
use super::origin::origin;
use super::pointer;
use super::position::first_line;
use super::report::Problem;
use crate::egress::route::Route;

/// The settings of a target that are read here.
pub const KEYS: [&str; 1] = ["allow_hosts"];

/// Reads one of these settings of a target that stands at a JSON pointer. What is wrong is noted.
pub fn read(key: &str, value: &Node, at: &str, route: &mut Route, findings: &mut Findings<'_>) {
    let mut at = at.to_owned();
    pointer::push(&mut at, key);
    if key == "allow_hosts" && !value.is_null() && !findings.covers(&at) {
        allow_hosts(value, &at, route, findings);
    }
}

/// One origin or a list: `https://host:port`, or `host` alone, which is https.
fn allow_hosts(value: &Node, at: &str, route: &mut Route, findings: &mut Findings<'_>) {
    let several = match &value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    for (index, item) in several.iter().enumerate() {
        let mut at = at.to_owned();
        if !std::ptr::eq(item, value) {
            pointer::push(&mut at, &index.to_string());
        }
        if findings.covers(&at) {
            continue;
        }
        let found = match item.scalar().filter(|_| !item.is_null()) {
            Some(scalar) => allowed(&scalar.text),
            None => Err(("this is no host", "write a host, such as https://push.example:8443")),
        };
        match found {
            Ok(origin) => route.name(origin),
            Err((problem, hint)) => {
                let span = first_line(findings.text(), item.span.clone());
                findings.add(&at, Problem::at(span, problem, hint));
            }
        }
    }
}

fn allowed(text: &str) -> Result<Origin, (&'static str, &'static str)> {
    if text.contains("://") { origin(text) } else { origin(&format!("https://{text}")) }
}
