//! `application/x-www-form-urlencoded`, <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>.

use std::fmt::Write;

use serde_json::Value;

/// A name or value, encoded: everything but letters, digits and `*-._` as `%XX`, a space as `+`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'*' | b'-' | b'.' | b'_' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            // Writing to a String does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The members of a JSON object as a form, those that are null left out; or the name of one that is a list
/// or a mapping.
pub(super) fn of_json(object: &Value) -> Result<String, String> {
    let mut form = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => continue,
            Value::Bool(is) => is.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Object(_) => return Err(name.clone()),
        };
        form.push(format!("{}={}", encode(name), encode(&value)));
    }
    Ok(form.join("&"))
}

/// The names and values of a form, decoded. A name without `=` has an empty value.
pub(crate) fn pairs(form: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    form.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// A `%` without two hexadecimal digits stays; bytes that are not UTF-8 become U+FFFD.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_form_is_encoded() {
        assert_eq!(encode("a b&c=d%e+f#g"), "a+b%26c%3Dd%25e%2Bf%23g");
        assert_eq!(encode("❌\r\n~*-._"), "%E2%9D%8C%0D%0A%7E*-._");
    }

    #[test]
    fn what_people_write_by_hand_is_decoded() {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        assert_eq!(
            pairs("a=1&&b=x+y%20z&c&d=100%&e=%zz%C3%A4"),
            [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "100%"), ("e", "%zzä")].map(pair)
        );
    }

    #[test]
    fn an_object_is_a_form_where_its_members_are_text() {
        let object = json!({ "a b": "x&y", "n": 1.5, "yes": true, "none": null, "empty": "" });
        assert_eq!(of_json(&object).unwrap(), "a+b=x%26y&n=1.5&yes=true&empty=");
        assert_eq!(of_json(&json!({ "a": 1, "list": [1] })).unwrap_err(), "list");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(name in ".+", value in any::<String>()) {
            let form = format!("{}={}&x={}", encode(&name), encode(&value), encode(&name));
            prop_assert_eq!(pairs(&form), [(name.clone(), value), ("x".to_owned(), name)]);
        }

        #[test]
        fn no_form_panics(form in any::<String>()) {
            let _ = pairs(&form);
        }
    }
}
