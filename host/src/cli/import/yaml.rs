//! YAML that is read back exactly: texts in double quotes, as JSON writes them (YAML 1.2, chapter 1.3, takes all of
//! JSON), and `${` so that it begins no variable.

use serde_json::{Map, Value};

/// A list of mappings, indented by two.
pub(super) fn list(items: &[Map<String, Value>]) -> String {
    let mut text = String::new();
    for item in items {
        for (n, (key, value)) in item.iter().enumerate() {
            text += if n == 0 { "  - " } else { "    " };
            text += &format!("{}: {}\n", scalar(&Value::from(key.as_str())), scalar(value));
        }
    }
    text
}

/// A value on one line. A word that cannot be anything else has no quotes.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        Value::String(text) => Value::from(text.replace("${", "$${")).to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(scalar).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}: {}", scalar(&key.as_str().into()), scalar(value))
            };
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Letters, `_` and `-`, but none of the words that mean something else to any version of YAML.
fn is_word(text: &str) -> bool {
    const OTHERS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '-';
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_letter)
        && !OTHERS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use nuncio::config::document::Document;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn back(value: &Value) -> Value {
        let item = Map::from_iter([("x".to_owned(), value.clone())]);
        let text = format!("targets:\n{}", list(&[item]));
        let Ok(document) = Document::parse(&text) else { panic!("no YAML: {text}") };
        document.root.to_json()["targets"][0]["x"].clone()
    }

    #[test]
    fn odd_texts_are_read_back() {
        for text in
            ["", " a ", "yes", "1e3", "0x1", "#a", "a: b", "\"q\\", "é😀", "- x", "~", "{", "a\tb", "null"]
        {
            assert_eq!(back(&json!(text)), json!(text), "{text:?}");
        }
        // The host's substitution makes one `$` of two before a brace.
        assert_eq!(back(&json!("${X}")), json!("$${X}"));
        let nested = json!({ "a": ["b", 1, true], "c d": { "e": null } });
        assert_eq!(back(&nested), nested);
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in "[^\\p{Cc}$\u{feff}\u{fffe}\u{ffff}\u{85}\u{2028}\u{2029}]{0,40}") {
            prop_assert_eq!(back(&json!(text)), json!(text));
        }
    }
}
