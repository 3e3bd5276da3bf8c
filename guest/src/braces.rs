//! Text for services that take a pair of braces for something to fill in.
//!
//! Refuses to know the services' languages: what begins with `{{`, `{%` or `{#` is broken, as in Jinja and those
//! that look like it. Where that has no escape, a zero-width space does it, which is not documented to help and
//! changes nothing that is seen.

use crate::markup::dialect::BREAK;

/// The text with another writing of each brace that would begin something to fill in.
pub(crate) fn replaced(text: &str, brace: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('{', Some('{' | '%' | '#')) => replaced.push_str(brace),
            _ => replaced.push(c),
        }
    }
    replaced
}

/// The text with a zero-width space behind each such brace.
pub(crate) fn broken(text: &str) -> String {
    replaced(text, &String::from_iter(['{', BREAK]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_begin_nothing() {
        for (text, written) in [
            ("", ""),
            ("{a} } {", "{a} } {"),
            ("{{a}}", "[{a}}"),
            ("{{{a}}}", "[[{a}}}"),
            ("{%a%}{#b#}", "[%a%}[#b#}"),
        ] {
            assert_eq!(replaced(text, "["), written);
            assert_eq!(broken(text), written.replace('[', "{\u{200b}"));
        }
    }
}
