//! A part of a scenario's text that is being read, and what was wrong so far.

use nuncio::config::document::{Node, Value};
use nuncio::config::report::Problem;
use nuncio::config::scalar::Scalar;
use nuncio::config::spelling;

/// A value of the text. What is wrong with it is noted, and read as if nothing were said.
pub(super) struct Part<'n, 'p> {
    node: &'n Node,
    problems: &'p mut Vec<Problem>,
}

impl<'n, 'p> Part<'n, 'p> {
    pub(super) fn new(node: &'n Node, problems: &'p mut Vec<Problem>) -> Self {
        Self { node, problems }
    }

    /// Where this stands.
    pub(super) fn node(&self) -> &'n Node {
        self.node
    }

    /// Notes that something is wrong with this.
    pub(super) fn complain(&mut self, problem: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::at(self.node.span.clone(), problem, hint));
    }

    /// Notes that something is wrong with an entry of this mapping, or with the mapping where it has none.
    pub(super) fn complain_of(&mut self, key: &str, problem: impl Into<String>, hint: impl Into<String>) {
        let span = self.node.get(key).unwrap_or(self.node).span.clone();
        self.problems.push(Problem::at(span, problem, hint));
    }

    /// Whether this is a mapping; notes it where it is none, and every key that is not among these.
    pub(super) fn is_mapping(&mut self, keys: &[&str]) -> bool {
        if !matches!(self.node.value, Value::Map(_)) {
            self.complain("this must be a mapping", format!("known here: {}", keys.join(", ")));
            return false;
        }
        for entry in self.node.entries().iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let (problem, hint) = (format!("unknown key `{}`", entry.key), spelling::hint(&entry.key, keys));
            self.problems.push(Problem::at(entry.key_span.clone(), problem, hint));
        }
        true
    }

    /// An entry of this mapping that says something.
    fn entry(&self, key: &str) -> Option<&'n Node> {
        self.node.get(key).filter(|node| !node.is_null())
    }

    /// Whether this mapping says something under a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// What an entry means; `None` where there is none, or where `parse` makes nothing of it.
    pub(super) fn take<T>(
        &mut self,
        key: &str,
        hint: &str,
        parse: impl FnOnce(&Scalar) -> Option<T>,
    ) -> Option<T> {
        let node = self.entry(key)?;
        let value = node.scalar().and_then(parse);
        if value.is_none() {
            let problem = format!("this is no value for `{key}`");
            self.problems.push(Problem::at(node.span.clone(), problem, hint));
        }
        value
    }

    /// As [`Part::take`], where there must be an entry.
    pub(super) fn need<T>(
        &mut self,
        key: &str,
        hint: &str,
        parse: impl FnOnce(&Scalar) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.complain(format!("`{key}` is missing"), hint);
        }
        self.take(key, hint, parse)
    }

    /// Reads an entry that is more than a scalar, or may be.
    pub(super) fn inside<T>(&mut self, key: &str, read: impl FnOnce(Part<'n, '_>) -> T) -> Option<T> {
        let node = self.entry(key)?;
        Some(read(Part { node, problems: self.problems }))
    }

    /// Reads the items of an entry that is a list.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        hint: &str,
        mut read: impl FnMut(Part<'n, '_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = self.entry(key) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.complain_of(key, format!("`{key}` must be a list"), hint);
            return Vec::new();
        };
        items.iter().filter_map(|node| read(Part { node, problems: self.problems })).collect()
    }
}
