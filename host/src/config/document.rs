//! YAML text as a tree that knows where everything stands.
//!
//! It decides what the text says: aliases are expanded, merge keys merged, and every node keeps the span
//! of the text that it came from, so that a problem can point at it. It refuses to know what a setting
//! means, and what type a scalar has before somebody asks.
//!
//! The text may be hostile. Its size, its depth and what aliases make of it are bounded, and a tree never
//! takes more than a small multiple of the largest text. Nesting is bounded in the tree, not only in the
//! text, so that a recursive walk over it cannot exhaust the stack.

use std::ops::Range;

use saphyr_parser::Parser;
use serde_json::Value as Json;

use super::build::{Builder, weight};
use super::report::Problem;
use super::scalar::Scalar;
use super::syntax;

/// The longest text that is read, in bytes.
pub const LARGEST_TEXT: usize = 1 << 20;

/// The deepest nesting, aliases expanded.
pub const DEEPEST: usize = 64;

/// The most that a document may hold, aliases expanded: keys and values, each once and once more for each
/// full 64 bytes of its text.
pub const HEAVIEST: usize = 100_000;

/// The longest key, in bytes; YAML sets the same limit, in characters, for a key without `?`.
pub const LONGEST_KEY: usize = 1_024;

/// A text that was read.
#[cfg_attr(test, derive(Debug))]
pub struct Document {
    /// The mapping that the text is.
    pub root: Node,
    /// What is wrong, but leaves a tree: duplicate keys (both are in the tree) and unknown tags.
    pub problems: Vec<Problem>,
}

/// A value and where it stands.
///
/// Spans are byte ranges on character boundaries of the text. What an alias stands for keeps the spans of
/// its definition.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub struct Node {
    /// From the first byte to the last, quotes, anchor and tag included, white space after it not.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// One of the three things that YAML knows.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub enum Value {
    /// Text, or what text means.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the text, merged entries last.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub struct Entry {
    /// The key; one that is no text (`1: x`) as it was written.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// What it names.
    pub value: Node,
}

impl Node {
    /// The entries of a mapping; nothing where this is none.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The value of a mapping's entry; `None` where this is no mapping or has no such entry.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The scalar; `None` where this is a list or a mapping.
    #[must_use]
    pub fn scalar(&self) -> Option<&Scalar> {
        if let Value::Scalar(scalar) = &self.value { Some(scalar) } else { None }
    }

    /// The value at a JSON pointer where one or several can stand: itself, or each item of a list, with its pointer.
    #[must_use]
    pub fn one_or_several(&self, at: &str) -> Vec<(String, &Self)> {
        match &self.value {
            Value::List(items) => {
                (0..).zip(items).map(|(n, item): (usize, _)| (format!("{at}/{n}"), item)).collect()
            }
            _ if self.is_null() => Vec::new(),
            _ => vec![(at.to_owned(), self)],
        }
    }

    /// Whether it means "nothing here".
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar(scalar) => scalar.to_json(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// What it counts towards [`HEAVIEST`], and how many levels of nesting it has.
    #[must_use]
    pub fn measure(&self) -> (usize, usize) {
        let parts: Vec<(usize, usize)> = match &self.value {
            Value::Scalar(scalar) => return (weight(&scalar.text), 0),
            Value::List(items) => items.iter().map(Node::measure).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.value.measure(), weight(&entry.key)))
                .map(|((weight, height), key)| (weight.saturating_add(key), height))
                .collect(),
        };
        let total = parts.iter().fold(1_usize, |total, (weight, _)| total.saturating_add(*weight));
        (total, parts.iter().map(|(_, height)| *height).max().unwrap_or_default().saturating_add(1))
    }
}

impl Document {
    /// Reads a text. An empty one is an empty mapping.
    ///
    /// # Errors
    ///
    /// The first thing that leaves no tree: the text is no YAML, is no mapping, has a second document or a
    /// key that is no scalar, or breaks a bound.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > LARGEST_TEXT {
            return Err(Problem::general("the file is larger than 1 MiB", "is it the right file?"));
        }
        let mut builder = Builder::new(text);
        let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => builder.take(event, span)?,
                Err(error) => {
                    return Err(syntax::problem(text, builder.offset(error.marker()), error.info()));
                }
            }
        }
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Document {
        Document::parse(text).unwrap()
    }

    fn json(text: &str) -> Json {
        read(text).root.to_json()
    }

    fn refused(text: &str) -> (String, String) {
        let problem = Document::parse(text).unwrap_err();
        (problem.problem, text[problem.span.unwrap_or_default()].to_owned())
    }

    #[test]
    fn an_empty_file_is_an_empty_mapping() {
        for text in ["", "\n", "# nothing\n", "---\n", "---\n...\n", "~", "\u{feff}", "\u{feff}# x"] {
            assert_eq!(json(text), json!({}), "{text:?}");
        }
    }

    #[test]
    fn a_bom_and_crlf_change_neither_values_nor_spans() {
        let text = "\u{feff}ä: 'ö'\r\nlist:\r\n  - \"x\"\r\n  - \r\nmap: {k: v}\r\nlast: |\r\n  a\r\n  b\r\n";
        let root = read(text).root;
        assert_eq!(
            root.to_json(),
            json!({"ä": "ö", "list": ["x", null], "map": {"k": "v"}, "last": "a\nb\n"})
        );
        let at = |key: &str| &text[root.get(key).unwrap().span.clone()];
        assert_eq!((at("ä"), at("list"), at("map")), ("'ö'", "- \"x\"\r\n  -", "{k: v}"));
        assert_eq!(at("last"), "a\r\n  b");
        let key = &root.entries()[2].key_span;
        assert_eq!(&text[key.clone()], "map");
    }

    #[test]
    fn keys_that_are_no_text_are_taken_as_written() {
        assert_eq!(
            json("1: a\ntrue: b\n~: c\n0x10: d"),
            json!({"1": "a", "true": "b", "~": "c", "0x10": "d"})
        );
    }

    #[test]
    fn aliases_and_merge_keys_are_expanded() {
        let text = "
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 3}
one: *base
two:
  b: mine
  <<: [*base, *other]
three: {<<: *other}
four: {\"<<\": 1}
";
        let read = json(text);
        assert_eq!(read["one"], json!({"a": 1, "b": 2}));
        assert_eq!(read["two"], json!({"b": "mine", "a": 1, "c": 3}));
        assert_eq!(read["three"], json!({"b": 3, "c": 3}));
        assert_eq!(read["four"], json!({"<<": 1}));
        assert!(super::Document::parse("a: {<<: 5}").unwrap().problems[0].problem.contains("merges"));
    }

    #[test]
    fn tags_say_whether_a_scalar_is_text() {
        assert_eq!(json("a: !!str 5\nb: !!int \"5\"\nc: ! 5"), json!({"a": "5", "b": 5, "c": "5"}));
        let document = read("a: !secret x\n");
        assert!(document.problems[0].problem.contains("tag"), "{document:?}");
    }

    #[test]
    fn a_duplicate_key_points_at_the_second_and_names_the_line_of_the_first() {
        let text = "x: 1\ny: 2\nx: 3\nx: 4\n";
        let document = read(text);
        let found: Vec<_> =
            document.problems.iter().map(|p| (p.span.clone().unwrap().start, &*p.problem)).collect();
        let problem = "`x` was already given on line 1";
        assert_eq!(found, [(10, problem), (15, problem)]);
    }

    #[test]
    fn what_leaves_no_tree_is_refused_where_it_stands() {
        for (text, problem, place) in [
            ("a: 1\n---\nb: 2\n", "second document", "---"),
            ("text", "must be a mapping", "text"),
            ("t: {{ name }}\n", "key cannot be", "{"),
            ("a: &x [1, *x]\n", "inside of what it refers to", "*x"),
            ("a: [b\n", "", ""),
        ] {
            let (found, at) = refused(text);
            assert!(found.contains(problem) && at.starts_with(place), "{text:?}: {found} at {at:?}");
        }
    }

    #[test]
    fn a_list_is_one_of_targets() {
        let root = Document::parse("- a\n- b\n").unwrap().root;
        assert_eq!(root.to_json(), serde_json::json!({ "targets": ["a", "b"] }));
    }

    #[test]
    fn billion_laughs_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        assert!(refused(&text).0.contains("values"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 1_000].join(", "));
        assert!(refused(&long).0.contains("values"));
    }

    #[test]
    fn depth_is_bounded_in_the_tree_and_not_only_in_the_text() {
        let deep = |levels: usize| format!("a: {}{}\n", "[".repeat(levels), "]".repeat(levels));
        assert!(Document::parse(&deep(DEEPEST - 1)).is_ok());
        assert!(refused(&deep(DEEPEST)).0.contains("deeper"));
        assert!(refused(&deep(100_000)).0.contains("too deep"));
        let mut chain = "a0: &a0 [[[[x]]]]\n".to_owned();
        for level in 1..40 {
            chain += &format!("a{level}: &a{level} [[[[*a{}]]]]\n", level - 1);
        }
        assert!(refused(&chain).0.contains("deeper"));
    }

    #[test]
    fn size_is_bounded() {
        assert!(Document::parse(&format!("a: {}", "x".repeat(LARGEST_TEXT - 3))).is_ok());
        assert!(refused(&"#".repeat(LARGEST_TEXT + 1)).0.contains("1 MiB"));
        assert!(refused(&format!("{}: 1", "k".repeat(2_000))).0.len() > 1);
    }

    #[test]
    fn a_missing_value_stands_at_its_key_or_dash() {
        let text = "a:\nb:\n- x\n-\n- y\nc: 1\n";
        let root = read(text).root;
        assert_eq!(root.get("a").unwrap().span, 0..1);
        let Value::List(items) = &root.get("b").unwrap().value else { panic!("no list") };
        assert_eq!(&text[items[1].span.clone()], "-");
        assert_eq!(&text[root.get("b").unwrap().span.clone()], "x\n-\n- y");
    }

    proptest! {
        #[test]
        fn every_span_is_exactly_the_text_of_its_node(
            bom in any::<bool>(),
            lines in prop::collection::vec(("[a-zäß😀]{0,6}", "[ -~ä😀]{0,12}", 0_usize..7, any::<bool>()), 1..12),
        ) {
            let quoted = |text: &str| Json::from(text).to_string();
            let mut text = if bom { "\u{feff}".to_owned() } else { String::new() };
            let mut expected = Vec::new();
            for (n, (key, value, form, crlf)) in lines.iter().enumerate() {
                let key = format!("{key}{n}");
                let single = format!("'{}'", value.replace('\'', "''"));
                let value = quoted(value);
                let (written, value) = match form {
                    0 => (format!("{key}: {value} # ä{value}"), value),
                    5 => (format!("{key}: {single} # ä{single}"), single),
                    6 => (format!("{key}: plain\"' # ä{single}"), "plain\"'".to_owned()),
                    1 => (format!("\n# 😀\n{key}  :   {value}"), value),
                    2 => (format!("{key}:\n\n  - {value} # ß\n"), value),
                    3 => (format!("{key}: {{ä: [1, {value} ]}}"), format!("{{ä: [1, {value} ]}}")),
                    _ => (format!("{key}: ä{n}#ä b  "), format!("ä{n}#ä b")),
                };
                text += &if *crlf { written.replace('\n', "\r\n") + "\r\n" } else { written + "\n" };
                expected.push((key, value));
            }
            let root = Document::parse(&text).unwrap().root;
            let found = root.entries().iter().map(|entry| {
                let node = if let Value::List(items) = &entry.value.value { &items[0] } else { &entry.value };
                (text[entry.key_span.clone()].to_owned(), text[node.span.clone()].to_owned())
            });
            prop_assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}
