//! What was found wrong so far.
//!
//! It decides who is heard: the stages of reading a configuration run one after the other, and a place that
//! one has complained about is not complained about again by a later one, which saw only a stand-in. And it knows
//! which places keep a secret: one that stands anywhere else is a problem.

use std::collections::HashSet;
use std::ops::Range;

use super::document::{Node, Value};
use super::pointer;
use super::position::first_line;
use super::report::{Problem, Report};
use super::substitute::is_reference;

/// The problem with a secret in a place that does not keep it, and what to do.
pub const NOT_KEPT: (&str, &str) = (
    "a secret stands here, where it would not be kept",
    "use it in a setting that is kept secret; `nuncio providers NAME` says which are",
);

/// The problems of one configuration, and what a report on them must not show.
pub struct Findings<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    places: HashSet<String>,
    keeping: HashSet<String>,
    masked: Vec<Range<usize>>,
}

impl<'t> Findings<'t> {
    /// Nothing wrong yet with a text.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: Vec::new(),
            places: HashSet::new(),
            keeping: HashSet::new(),
            masked: Vec::new(),
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Notes a problem at a place (a JSON pointer); from now on it, and all inside it, is covered.
    pub fn add(&mut self, pointer: &str, problem: Problem) {
        self.cover(pointer);
        self.problems.push(problem);
    }

    /// Notes that the value at a place is wrong, and shows the first line of it.
    pub fn refuse(
        &mut self,
        node: &Node,
        pointer: &str,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let span = first_line(self.text, node.span.clone());
        self.add(pointer, Problem::at(span, problem, hint));
    }

    /// Notes problems that cover nothing.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
    }

    /// Lets no later stage complain about a place, or about anything inside it. The root covers itself only.
    pub fn cover(&mut self, pointer: &str) {
        self.places.insert(pointer.to_owned());
    }

    /// Whether a place is covered.
    #[must_use]
    pub fn covers(&self, pointer: &str) -> bool {
        let ends = pointer.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
        ends.filter_map(|end| pointer.get(..end)).chain([pointer]).any(|place| self.places.contains(place))
    }

    /// Notes that a place keeps what stands there as a secret.
    pub fn keep(&mut self, pointer: &str) {
        self.keeping.insert(pointer.to_owned());
    }

    /// Notes a problem for every secret in a node that no place keeps: whoever reads it there would tell it.
    pub fn refuse_secrets(&mut self, node: &Node, at: &mut String) {
        match &node.value {
            Value::Scalar(scalar) => {
                if scalar.secret && !self.keeping.contains(at.as_str()) && !self.covers(at) {
                    self.refuse(node, at, NOT_KEPT.0, NOT_KEPT.1);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let length = pointer::push(at, &index.to_string());
                    self.refuse_secrets(item, at);
                    at.truncate(length);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let length = pointer::push(at, &entry.key);
                    self.refuse_secrets(&entry.value, at);
                    at.truncate(length);
                }
            }
        }
    }

    /// Keeps a part of the text out of every report. One reference to a variable stays: it tells nothing.
    pub fn hide(&mut self, span: Range<usize>) {
        if !self.text.get(span.clone()).is_some_and(is_reference) {
            self.masked.push(span);
        }
    }

    /// The report, where there is anything to report.
    #[must_use]
    pub fn into_report(self, source: &str) -> Option<Report> {
        (!self.problems.is_empty()).then(|| Report::new(source, self.text, self.problems, self.masked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_covers_its_place_and_all_inside_it() {
        let mut findings = Findings::new("x");
        findings.add("/targets/1", Problem::general("p", ""));
        for (pointer, covered) in [
            ("/targets/1", true),
            ("/targets/1/url", true),
            ("/targets/10", false),
            ("/targets", false),
            ("", false),
        ] {
            assert_eq!(findings.covers(pointer), covered, "{pointer}");
        }
        findings.cover("");
        assert!(findings.covers("") && !findings.covers("/targets"));
    }

    #[test]
    fn nothing_wrong_is_no_report() {
        let mut findings = Findings::new("x");
        findings.hide(0..1);
        assert!(findings.into_report("f").is_none());
    }
}
