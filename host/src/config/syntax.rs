//! YAML's syntax errors in plain words.
//!
//! It decides what to tell somebody whose text the parser refused. Only the words depend on how the parser
//! phrases itself: an error that is not recognised is passed on as it is.

use super::position::Lines;
use super::report::Problem;

/// What the parser says about an error, the problem in plain words, and what to do.
const WORDS: [(&[&str], &str, &str); 10] = [
    (&["recursion limit"], "lists and mappings are nested too deeply here", "use fewer levels"),
    (&["tab"], "a tab stands where YAML needs spaces", "indent with spaces"),
    (
        &["mapping values are not allowed", "illegal placement of ':'", "mapping keys are not allowed"],
        "a `:` stands where no key can be",
        "put quotes around a value that contains `: `, line up the keys of one mapping, close every bracket",
    ),
    (
        &["quoted scalar, found unexpected", "indentation in quoted scalar"],
        "a quote is opened and not closed",
        "close the quote, or double a `'` that belongs to text in single quotes",
    ),
    (
        &["escape", "hexadecimal"],
        "this escape is not known in double quotes",
        "use single quotes, or write `\\\\` for a backslash",
    ),
    (
        &["trailing content after double-quoted"],
        "text follows a closing quote",
        "put the whole value inside of the quotes, and write `\\\"` for a quote in it",
    ),
    (
        &["unknown anchor", "anchor or alias"],
        "`*` or `&` starts an alias here, and it does not refer to anything",
        "put quotes around text that starts with `*` or `&`",
    ),
    (&["unexpected character"], "text cannot start with this character", "put quotes around it"),
    (
        &["flow", "bracket", ",[]{}"],
        "a bracket is not closed, or a comma is missing",
        "put quotes around text that contains `{`, `}`, `[`, `]` or `,`",
    ),
    (
        &[
            "simple key",
            "expected key",
            "'-'",
            "\"-\"",
            "<document start>",
            "invalid indentation",
            "block sequence entries",
        ],
        "this line does not fit to the one before it: the indentation is off, or a `:` is missing",
        "write `key: value` with a space after the colon, and start the entries of a mapping in one column",
    ),
];

/// The problem at an offset that the parser described with `info`.
#[must_use]
pub fn problem(text: &str, offset: usize, info: &str) -> Problem {
    let mut start = text.floor_char_boundary(offset);
    if info.contains("tab") {
        // The parser points at the text before the tab.
        start =
            text.get(start..).and_then(|rest| rest.find('\t')).map_or(start, |at| start.saturating_add(at));
    }
    let end = text.get(start..).and_then(|rest| rest.chars().next()).filter(|next| !next.is_control());
    let span = start..start.saturating_add(end.map_or(0, char::len_utf8));
    let line = text.get(Lines::of(text).range(start)).unwrap_or_default();
    let known = WORDS.iter().find(|(phrases, ..)| phrases.iter().any(|phrase| info.contains(phrase)));
    match known {
        Some((phrases, ..)) if phrases.contains(&"flow") && line.contains("${") => {
            let hint = "put quotes around it: \"${NAME}\"";
            Problem::at(span, "`${…}` needs quotes inside of `{…}` and `[…]`", hint)
        }
        Some((_, problem, hint)) => Problem::at(span, *problem, *hint),
        None => Problem::at(span, format!("this is not valid YAML: {info}"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    #[test]
    fn common_mistakes_get_plain_words() {
        for (text, line, words) in [
            ("a:\n\tb: 1\n", 2, "spaces"),
            ("a:\n  b: 1\n\tc: 2\n", 3, "spaces"),
            ("a: b: c\n", 1, "quotes around a value"),
            ("a: \"b\nc: d\n", 1, "close the quote"),
            ("a: \"\\d\"\n", 1, "single quotes"),
            ("a: \"b\" c\n", 1, "inside of the quotes"),
            ("a: *b\n", 1, "quotes around text that starts with `*`"),
            ("a: @b\n", 1, "quotes around it"),
            ("a: [b, c\nd: 1\n", 2, "close every bracket"),
            ("a: [b, c\n", 2, "`[`"),
            ("a: [${B}]\n", 1, "\"${NAME}\""),
            ("a: {b: ${C}}\n", 1, "\"${NAME}\""),
            ("a: 1\n b: 2\n", 2, "line up"),
            ("a:\n  b: 1\n c: 2\n", 3, "one column"),
            ("a: 1\nb\nc: 2\n", 3, "space after the colon"),
        ] {
            let problem = Document::parse(text).unwrap_err();
            let at = Lines::of(text).number(problem.span.clone().unwrap().start);
            assert!(problem.hint.contains(words), "{text:?}: {problem:?}");
            assert_eq!(at, line, "{text:?}: {problem:?}");
        }
    }
}
