//! Text with placeholders, split into what stays and what is filled in.

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The title.
    Title,
    /// The body as text.
    Message,
    /// The body as JSON.
    Fields,
    /// The colour.
    Color,
    /// The level.
    Level,
    /// Apprise's word for the level.
    Type,
    /// The id.
    Id,
    /// The tags as JSON.
    Tags,
    /// The link.
    Link,
    /// The key of the alert that is opened or closed.
    Key,
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What stays.
    Literal(String),
    /// What is filled in.
    Placeholder {
        /// With what.
        name: Name,
        /// Whether it stands inside a JSON string, if this is JSON.
        in_string: bool,
    },
}

/// What stands behind the `$`.
pub(super) const NAMES: [(&str, Name); 10] = [
    ("title", Name::Title),
    ("message", Name::Message),
    ("fields", Name::Fields),
    ("color", Name::Color),
    ("level", Name::Level),
    ("type", Name::Type),
    ("id", Name::Id),
    ("tags", Name::Tags),
    ("link", Name::Link),
    ("key", Name::Key),
];

/// Whether a place in JSON is inside a string.
#[derive(Default)]
struct Quotes {
    is_open: bool,
    is_escaped: bool,
}

/// The parts of a template, and each `$name` outside of JSON strings that is no placeholder, without the `$`.
///
/// A name ends before the first character that is no ASCII letter, digit or `_`.
pub(super) fn split(text: &str) -> (Vec<Part>, Vec<&str>) {
    let (mut parts, mut unknown) = (Vec::new(), Vec::new());
    let (mut literal, mut quotes) = (String::new(), Quotes::default());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        quotes.pass(before);
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = after.split_at(after.find(|c| !is_of_name(c)).unwrap_or(after.len()));
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, name)) => {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
                parts.push(Part::Placeholder { name: *name, in_string: quotes.is_open });
            }
            None => {
                literal.push('$');
                literal.push_str(name);
                if !quotes.is_open {
                    unknown.push(name);
                }
            }
        }
        quotes.is_escaped = false;
        rest = after;
    }
    literal.push_str(rest);
    parts.push(Part::Literal(literal));
    (parts, unknown)
}

impl Quotes {
    fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            self.is_open ^= byte == b'"' && !self.is_escaped;
            self.is_escaped = byte == b'\\' && self.is_open && !self.is_escaped;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The template with its placeholders in brackets, inside strings in angle brackets.
    fn marked(text: &str) -> String {
        let mark = |part| match part {
            Part::Literal(text) => text,
            Part::Placeholder { name, in_string: true } => format!("<{name:?}>"),
            Part::Placeholder { name, in_string: false } => format!("[{name:?}]"),
        };
        split(text).0.into_iter().map(mark).collect()
    }

    #[test]
    fn a_name_ends_before_what_is_no_letter_digit_or_underscore() {
        assert_eq!(marked("$title-$message.$fields$color"), "[Title]-[Message].[Fields][Color]");
        assert_eq!(marked("$level$type$id$tags$link$key"), "[Level][Type][Id][Tags][Link][Key]");
        assert_eq!(marked("$titleä $$title"), "[Title]ä $[Title]");
        for literal in ["$titles", "$title_", "$title2", "$Title", "$", "$ title", "${title}", "$$", "a$"] {
            assert_eq!(marked(literal), literal);
        }
        assert_eq!(split("$tilte \"$x\" $y_1").1, ["tilte", "y_1"]);
    }

    #[test]
    fn a_string_ends_at_a_quote_that_is_not_escaped() {
        assert_eq!(marked(r#"{"a":"$title","b":$title}"#), r#"{"a":"<Title>","b":[Title]}"#);
        assert_eq!(marked(r#""\"$title" $title"#), r#""\"<Title>" [Title]"#);
        assert_eq!(marked(r#""\\" $title"#), r#""\\" [Title]"#);
        assert_eq!(marked(r#""\\\"$x\" $title" $title"#), r#""\\\"$x\" <Title>" [Title]"#);
    }

    proptest! {
        #[test]
        fn without_placeholders_everything_stays(text in r#"([^$]|\$[^tmfclik])*"#) {
            prop_assert_eq!(marked(&text), text);
        }
    }
}
