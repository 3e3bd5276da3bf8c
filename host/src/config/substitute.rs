//! `${NAME}` and `${secret:NAME}` in values.
//!
//! It decides what a variable's value becomes: text, put in after the YAML was read, so that no value can
//! add a key or break a quote. In unquoted text the result is then typed like any other text. Keys are never
//! substituted. `$${` is a literal `${`, and a `$` before anything else is itself.
//!
//! A value with a secret in it is one: it is marked, and only the places that keep secrets take it.
//!
//! No problem ever quotes a variable's value or the text around a reference: either may be a secret.

use std::ops::Range;

use super::document::{Node, Value};
use super::findings::{Findings, NOT_KEPT};
use super::pointer;
use super::position::first_line;
use super::report::Problem;
use super::vault::Vault;

/// The longest that a value may become, in bytes.
pub const LONGEST_VALUE: usize = 64 << 10;

/// The most that all values that hold a reference may become together, in bytes.
pub const LONGEST_TOTAL: usize = 8 << 20;

/// How to write a reference, for hints.
const FORM: &str = "write ${NAME}, ${NAME:-default} or ${secret:NAME}; a literal `${` is written `$${`";

/// What a reference to a secret begins with.
const SECRET: &str = "secret:";

/// The substitution of one configuration.
pub struct Substitution<'a, 'e> {
    vault: &'a mut Vault<'e>,
    text: &'a str,
    total: usize,
}

/// What a value becomes.
struct Substituted {
    text: String,
    secret: bool,
}

/// A piece of a value.
enum Piece<'v> {
    Literal(&'v str),
    Reference { name: &'v str, default: Option<&'v str> },
    Secret { name: &'v str },
    Bad { problem: &'static str },
}

impl<'a, 'e> Substitution<'a, 'e> {
    /// A substitution from an environment and its secrets into the tree of a text.
    #[must_use]
    pub fn new(vault: &'a mut Vault<'e>, text: &'a str) -> Self {
        Self { vault, text, total: 0 }
    }

    /// Where secrets are looked up.
    pub fn vault(&mut self) -> &mut Vault<'e> {
        self.vault
    }

    /// Substitutes in every scalar of a node. Where that fails, a problem is noted at the scalar's place, and
    /// the scalar stays what it was. So it is for secrets where `keeps` says that no place in the node keeps one.
    pub fn run(&mut self, node: &mut Node, keeps: bool, pointer: &mut String, findings: &mut Findings<'_>) {
        let span = node.span.clone();
        match &mut node.value {
            Value::Scalar(scalar) => {
                if scalar.text.contains("${") {
                    match self.value(&scalar.text, keeps, &span) {
                        Ok(Some(Substituted { text, secret })) => {
                            (scalar.text, scalar.secret) = (text, secret);
                        }
                        // Its secret is wrong where it is given, which was said.
                        Ok(None) => findings.cover(pointer),
                        Err(problems) => {
                            problems.into_iter().for_each(|problem| findings.add(pointer, problem));
                        }
                    }
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let length = pointer::push(pointer, &index.to_string());
                    self.run(item, keeps, pointer, findings);
                    pointer.truncate(length);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let length = pointer::push(pointer, &entry.key);
                    self.run(&mut entry.value, keeps, pointer, findings);
                    pointer.truncate(length);
                }
            }
        }
    }

    /// What a text becomes; `None` where a secret in it is wrong elsewhere.
    fn value(
        &mut self,
        text: &str,
        keeps: bool,
        span: &Range<usize>,
    ) -> Result<Option<Substituted>, Vec<Problem>> {
        let mut value = String::new();
        let (mut secret, mut is_whole) = (false, true);
        let mut problems = Vec::new();
        let whole = || first_line(self.text, span.clone());
        let too_long =
            || Problem::at(whole(), "this value becomes longer than 64 KiB", "use a shorter value");
        if text.len() > LONGEST_VALUE {
            return Err(vec![too_long()]);
        }
        for piece in pieces(text) {
            match piece {
                Piece::Literal(literal) => value.push_str(literal),
                Piece::Bad { problem } => problems.push(Problem::at(whole(), problem, FORM)),
                Piece::Reference { name, default } => {
                    let found = self.vault.environment().var(name);
                    // As the shell's `:-`: a default also stands in for an empty value.
                    match (found.filter(|found| default.is_none() || !found.is_empty()), default) {
                        (Some(found), _) => value.push_str(&found),
                        (None, Some(default)) => value.push_str(default),
                        (None, None) => {
                            let problem = format!("the environment variable `{name}` is not set");
                            let hint = format!("export {name}=…, or write ${{{name}:-default}}");
                            problems.push(Problem::at(
                                self.find("", name, span).unwrap_or_else(whole),
                                problem,
                                hint,
                            ));
                        }
                    }
                }
                Piece::Secret { .. } if !keeps => {
                    problems.push(Problem::at(whole(), NOT_KEPT.0, NOT_KEPT.1));
                }
                Piece::Secret { name } => {
                    secret = true;
                    match self.vault.look_up(name) {
                        Ok(Some(found)) => value.push_str(&found),
                        Ok(None) => is_whole = false,
                        Err((problem, hint)) => {
                            let at = self.find(SECRET, name, span).unwrap_or_else(whole);
                            problems.push(Problem::at(at, problem, hint));
                        }
                    }
                }
            }
            if value.len() > LONGEST_VALUE {
                problems.push(too_long());
                break;
            }
        }
        self.total = self.total.saturating_add(value.len());
        if self.total > LONGEST_TOTAL {
            let problem = "all values with variables become longer than 8 MiB together";
            problems.push(Problem::at(whole(), problem, "use shorter values"));
        }
        match problems.is_empty() {
            true => Ok(is_whole.then_some(Substituted { text: value, secret })),
            false => Err(problems),
        }
    }

    /// Where the text refers to a name without a default, within a span.
    fn find(&self, kind: &str, name: &str, span: &Range<usize>) -> Option<Range<usize>> {
        let reference = format!("${{{kind}{name}}}");
        let start = span.start.checked_add(self.text.get(span.clone())?.find(&reference)?)?;
        Some(start..start.checked_add(reference.len())?)
    }
}

/// Whether written text is one reference without a default and nothing more, so that it holds no secret.
#[must_use]
pub fn is_reference(written: &str) -> bool {
    let inside = written.trim_matches(['"', '\'']).strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| match inside.strip_prefix(SECRET) {
        Some(name) => !name.contains(['$', '{', '}']),
        None => is_name(inside),
    })
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("$${") {
            rest = after;
            return Some(Piece::Literal("${"));
        }
        let Some(inside) = rest.strip_prefix("${") else {
            let next = rest.find("${").unwrap_or(rest.len());
            let before = rest.get(..next).unwrap_or(rest);
            let literal = if next < rest.len() { before.strip_suffix('$').unwrap_or(before) } else { before };
            rest = rest.strip_prefix(literal).unwrap_or_default();
            return Some(Piece::Literal(literal));
        };
        let (reference, after) = inside.split_once('}').map_or((None, ""), |(to, after)| (Some(to), after));
        rest = after;
        Some(reference.map_or(Piece::Bad { problem: "a `${` is not closed" }, Piece::of))
    })
}

impl<'v> Piece<'v> {
    /// What stands between `${` and `}`.
    fn of(reference: &'v str) -> Self {
        if let Some(name) = reference.strip_prefix(SECRET) {
            return Self::Secret { name };
        }
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if name.is_empty() {
            return Self::Bad { problem: "`${}` names no variable" };
        }
        if !is_name(name) {
            return Self::Bad { problem: "between `${` and `}` stands no variable's name" };
        }
        if default.is_some_and(|default| default.contains("${")) {
            return Self::Bad { problem: "a default cannot refer to another variable" };
        }
        Self::Reference { name, default }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::{Value as Json, json};

    use super::super::document::Document;
    use super::*;

    fn environment() -> HashMap<String, String> {
        let long = "x".repeat(LONGEST_VALUE);
        let pairs = [("A", "1"), ("EMPTY", ""), ("EVIL", "x\"\nkey: {[canary"), ("LONG", &long)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn read(text: &str) -> (Json, Findings<'_>) {
        let mut root = Document::parse(text).unwrap().root;
        let mut findings = Findings::new(text);
        let environment = environment();
        let mut vault = Vault::new("f", &environment);
        Substitution::new(&mut vault, text).run(&mut root, true, &mut String::new(), &mut findings);
        (root.to_json(), findings)
    }

    fn value(written: &str) -> Json {
        let text = format!("v: {written}");
        let (json, findings) = read(&text);
        assert!(findings.into_report("f").is_none(), "{written}");
        json["v"].clone()
    }

    fn problem(written: &str) -> (String, String, String) {
        let text = format!("v: {written}");
        let (json, findings) = read(&text);
        assert!(findings.covers("/v") && json["v"].is_string(), "{written}");
        let problem = findings.into_report("f").unwrap().problems()[0].clone();
        (problem.problem, problem.hint, text[problem.span.unwrap()].to_owned())
    }

    #[test]
    fn unquoted_text_is_typed_after_substitution_and_quoted_text_stays_text() {
        assert_eq!(value("${A}"), json!(1));
        assert_eq!(value("${A}${A}"), json!(11));
        assert_eq!(value("\"${A}\""), json!("1"));
        assert_eq!(value("x${A}y"), json!("x1y"));
        assert_eq!(value("${EMPTY}"), json!(null));
        assert_eq!(value("'${EMPTY}'"), json!(""));
    }

    #[test]
    fn a_default_stands_in_for_what_is_unset_or_empty() {
        assert_eq!(value("${B:-x}"), json!("x"));
        assert_eq!(value("${EMPTY:-x:-y}"), json!("x:-y"));
        assert_eq!(value("${A:-x}"), json!(1));
        assert_eq!(value("'${B:-}'"), json!(""));
    }

    #[test]
    fn a_dollar_that_starts_no_reference_is_itself() {
        for text in ["$title: $message", "$", "5$", "$$", "$$title", "a$ {A}", "$}"] {
            assert_eq!(value(&format!("'{text}'")), json!(text));
        }
        assert_eq!(value("'$${A}'"), json!("${A}"));
        assert_eq!(value("'$$${A} ${A}'"), json!("$${A} 1"));
    }

    #[test]
    fn a_value_cannot_add_yaml() {
        assert_eq!(value("\"${EVIL}\""), json!("x\"\nkey: {[canary"));
        assert_eq!(value("${EVIL}"), json!("x\"\nkey: {[canary"));
    }

    #[test]
    fn keys_are_left_alone() {
        assert_eq!(read("${A}: ${A}").0, json!({"${A}": 1}));
    }

    #[test]
    fn a_missing_variable_is_named_where_it_stands() {
        let (problem, hint, at) = problem("\"a ${A} ${MISSING}\"");
        assert_eq!(problem, "the environment variable `MISSING` is not set");
        assert_eq!(hint, "export MISSING=…, or write ${MISSING:-default}");
        assert_eq!(at, "${MISSING}");
    }

    #[test]
    fn a_malformed_reference_is_a_problem_that_quotes_nothing() {
        for (written, words) in [
            ("'${}'", "names no variable"),
            ("'${:-x}'", "names no variable"),
            ("'${secret word}'", "no variable's name"),
            ("'${1A}'", "no variable's name"),
            ("'${A-secret}'", "no variable's name"),
            ("'secret${A'", "not closed"),
            ("'${B:-${A}}'", "a default cannot"),
            ("'${LONG}x'", "64 KiB"),
        ] {
            let (problem, hint, _) = problem(written);
            assert!(problem.contains(words) && !hint.is_empty(), "{written}: {problem}");
            assert!(!problem.contains("secret") && !problem.contains("xxx"), "{problem}");
        }
    }

    #[test]
    fn all_values_together_are_bounded() {
        let text = format!("v: [{}]", vec!["\"${LONG}\""; 200].join(", "));
        let (_, findings) = read(&text);
        assert!(findings.covers("/v/199") && !findings.covers("/v/0"));
    }

    #[test]
    fn a_reference_alone_is_known_as_such() {
        for (written, is) in
            [("${A}", true), ("\"${A_1}\"", true), ("${A:-x}", false), ("x${A}", false), ("${A}${B}", false)]
        {
            assert_eq!(is_reference(written), is, "{written}");
        }
    }
}
