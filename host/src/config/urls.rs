//! Targets that are given as notification URLs of Apprise or shoutrrr.
//!
//! It decides where such a URL can stand: as an item of `targets`, or as the `url` of one that names no provider.
//! What a URL means is the component's to say; here each becomes the targets that it stands for, in its place, with
//! its settings where they would have been written by hand. Any part of such a URL can be a secret, so that no
//! report shows it, and the instance that reads it is dropped.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::document::{Entry, Node, Value};
use super::findings::Findings;
use super::position::Lines;
use super::scalar::Scalar;
use crate::contract::{UrlDialect, UrlProblem, UrlTarget};

/// Reads a URL.
pub type ReadUrl<'a> = dyn Fn(&str, Option<UrlDialect>) -> Result<Vec<UrlTarget>, UrlProblem> + 'a;

/// What a URL stands at, and what stands beside it.
struct Given<'n> {
    url: &'n Node,
    dialect: Option<&'n Node>,
    others: Vec<&'n Entry>,
}

/// Puts the targets that URLs stand for in their places. Returns what of the URLs has no place, a line each.
pub fn expand(list: &mut Node, at: &str, read: &ReadUrl<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let Value::List(items) = &mut list.value else { return notes };
    let name = |node: &Node| Some(node.get("name")?.scalar()?.text.clone());
    let mut names: HashSet<String> = items.iter().filter_map(name).collect();
    let mut expanded = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        let Some(given) = Given::of(&item) else {
            expanded.push(item);
            continue;
        };
        let at = format!("{at}/{}", expanded.len());
        let line = Lines::of(findings.text()).number(given.url.span.start);
        match given.read(&at, read, findings) {
            Some(targets) => {
                for (n, UrlTarget { settings, left_out }) in targets.into_iter().enumerate() {
                    let left_out = left_out.into_iter().map(|what| format!("line {line}: {what}"));
                    notes.extend(left_out.filter(|note| !notes.contains(note)).collect::<Vec<_>>());
                    expanded.push(given.target(n, &settings, &mut names));
                }
            }
            None => expanded.push(Node { span: item.span.clone(), value: Value::Map(Vec::new()) }),
        }
    }
    *items = expanded;
    notes
}

impl<'n> Given<'n> {
    /// The URL that an item is, or has for a `url` beside no provider; `None` where it is no such item.
    fn of(item: &'n Node) -> Option<Self> {
        if item.scalar().is_some_and(|scalar| scalar.text.contains("://")) {
            return Some(Self { url: item, dialect: None, others: Vec::new() });
        }
        let url = item.get("url").filter(|_| item.get("provider").is_none_or(Node::is_null))?;
        let text = &url.scalar()?.text;
        // Whoever writes the URL of a server has forgotten the provider.
        let is_of_service =
            text.contains("://") && !text.starts_with("https://") && !text.starts_with("http://");
        let is_own = |entry: &&Entry| matches!(entry.key.as_str(), "url" | "dialect" | "provider");
        is_of_service.then(|| Self {
            url,
            dialect: item.get("dialect"),
            others: item.entries().iter().filter(|entry| !is_own(entry)).collect(),
        })
    }

    fn read(&self, at: &str, read: &ReadUrl<'_>, findings: &mut Findings<'_>) -> Option<Vec<UrlTarget>> {
        let url = self.url.scalar()?;
        findings.hide(self.url.span.clone());
        if url.secret {
            let hint =
                "only some parts of it would be kept; write the provider and its settings in its place";
            findings.refuse(self.url, at, "`${secret:…}` cannot be a part of a notification URL", hint);
            return None;
        }
        let dialect = match self.dialect.and_then(Node::scalar).map(|scalar| scalar.text.as_str()) {
            None => None,
            Some(name) => {
                let known = UrlDialect::parse(name);
                if known.is_none() {
                    let hint = format!("write {}", UrlDialect::ALL.map(UrlDialect::name).join(" or "));
                    findings.refuse(self.dialect?, at, "this is no dialect of notification URLs", hint);
                    return None;
                }
                known
            }
        };
        match read(&url.text, dialect) {
            Ok(targets) => Some(targets),
            Err(UrlProblem { part, problem, hint }) => {
                findings.refuse(self.url, at, format!("in this URL the {part} {problem}"), hint);
                None
            }
        }
    }

    /// The target of a number, from 0 on, by its settings, which those beside the URL go over.
    fn target(&self, n: usize, settings: &str, names: &mut HashSet<String>) -> Node {
        let settings: Json = serde_json::from_str(settings).unwrap_or_default();
        let own = self.others.iter().find(|entry| entry.key == "name").and_then(|entry| entry.value.scalar());
        let provider = settings.get("provider").and_then(Json::as_str).unwrap_or_default();
        let name = match own.map(|name| name.text.as_str()) {
            // It is among the names already, as those of all others are.
            Some(name) if n == 0 => name.to_owned(),
            own => free(own.unwrap_or(provider), names),
        };
        let text = |text: &str| Node {
            span: self.url.span.clone(),
            value: Value::Scalar(Scalar { text: text.to_owned(), plain: false, secret: false }),
        };
        let entry = |key: &str, value: Node| {
            let key_span = self.url.span.clone();
            Entry { key: key.to_owned(), key_span, value }
        };
        let mut entries = vec![entry("name", text(&name))];
        let is_beside = |key: &str| self.others.iter().any(|other| other.key == key);
        for (key, value) in settings.as_object().into_iter().flatten().filter(|(key, _)| !is_beside(key)) {
            entries.push(entry(key, self.node(value)));
        }
        entries.extend(self.others.iter().filter(|other| other.key != "name").map(|other| (*other).clone()));
        Node { span: self.url.span.clone(), value: Value::Map(entries) }
    }

    /// JSON as a node in the URL's place.
    fn node(&self, json: &Json) -> Node {
        let scalar = |text: String, plain| Value::Scalar(Scalar { text, plain, secret: false });
        let value = match json {
            Json::Array(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            Json::Object(members) => {
                let entry = |(key, value): (&String, &Json)| {
                    let key_span = self.url.span.clone();
                    Entry { key: key.clone(), key_span, value: self.node(value) }
                };
                Value::Map(members.iter().map(entry).collect())
            }
            Json::String(text) => scalar(text.clone(), false),
            other => scalar(other.to_string(), true),
        };
        Node { span: self.url.span.clone(), value }
    }
}

/// The name, or with the first number that makes it one of its own.
fn free(base: &str, names: &mut HashSet<String>) -> String {
    let numbered = (2_u32..).map(|n| format!("{base}-{n}"));
    let mut all = std::iter::once(base.to_owned()).chain(numbered);
    let name = all.find(|name| !names.contains(name)).unwrap_or_default();
    names.insert(name.clone());
    name
}
