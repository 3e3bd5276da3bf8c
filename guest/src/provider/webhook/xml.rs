//! Text in XML 1.0, <https://www.w3.org/TR/xml/>.

/// Text that can stand between tags and in an attribute's quotes, and is read there as it was. What no document
/// of XML 1.0 can hold is left out: control characters but tab and line breaks, U+FFFE and U+FFFF.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A reader makes spaces of these in attributes, and another line break of the last everywhere.
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether an element can be called so; XML allows more.
pub(super) fn is_name(name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_begins_with_a_letter() {
        for name in ["a", "_", "Message", "a-1.b_c"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "-a", "a b", "a:b", "a>", "ä"] {
            assert!(!is_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_allowed_is_read_again_and_nothing_else_is_left(text in any::<String>()) {
            let escaped = escape(&text);
            let is_mark = |c: char| c < ' ' || "<>\"'\u{fffe}\u{ffff}".contains(c);
            prop_assert_eq!(escaped.find(is_mark), None);
            let references =
                [("lt", "<"), ("gt", ">"), ("quot", "\""), ("#39", "'"), ("#9", "\t"), ("#10", "\n"), ("#13", "\r"), ("amp", "&")];
            let read = references
                .iter()
                .fold(escaped, |text, (name, c)| text.replace(&format!("&{name};"), c));
            let is_allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
            prop_assert_eq!(read, text.chars().filter(is_allowed).collect::<String>());
        }
    }
}
