//! What one YAML scalar means.
//!
//! A scalar stays the text that was written until somebody asks for its value, so that a substituted
//! variable is typed like any other text, and a secret made of digits keeps its leading zeros. Only
//! unquoted text has a type: that of YAML 1.2's core schema (section 10.3.2).

use serde_json::{Number, Value};

/// A scalar as written, with quotes and escapes resolved.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Scalar {
    /// The text.
    pub text: String,
    /// Whether it stood there without quotes, so that it may be more than text.
    pub plain: bool,
    /// Whether a secret is in it. Then it has no value for anybody but the host.
    pub secret: bool,
}

impl Scalar {
    /// Whether it means "nothing here": unquoted and empty, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain && !self.secret && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Its value; null where it is a secret.
    ///
    /// A whole number outside of `i64` stays text: so many digits are somebody's id, and a float would
    /// lose some. `.inf` and `.nan` stay text, because JSON has no such number.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let text = || Value::String(self.text.clone());
        if self.secret {
            return Value::Null;
        }
        if !self.plain {
            return text();
        }
        match self.text.as_str() {
            _ if self.is_null() => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            plain if is_whole(plain) => integer(plain).map_or_else(text, Value::from),
            plain if is_float(plain) => {
                plain.parse().ok().and_then(Number::from_f64).map_or_else(text, Value::Number)
            }
            _ => text(),
        }
    }
}

/// `[-+]? [0-9]+`, `0o [0-7]+` or `0x [0-9a-fA-F]+`.
fn is_whole(text: &str) -> bool {
    let all = |digits: &str, is: fn(&u8) -> bool| !digits.is_empty() && digits.as_bytes().iter().all(is);
    if let Some(octal) = text.strip_prefix("0o") {
        return all(octal, |byte| (b'0'..=b'7').contains(byte));
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return all(hexadecimal, u8::is_ascii_hexdigit);
    }
    all(text.strip_prefix(['-', '+']).unwrap_or(text), u8::is_ascii_digit)
}

fn integer(whole: &str) -> Option<i64> {
    if let Some(octal) = whole.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).ok();
    }
    if let Some(hexadecimal) = whole.strip_prefix("0x") {
        return i64::from_str_radix(hexadecimal, 16).ok();
    }
    whole.parse().ok()
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let has_mantissa = !(whole.is_empty() && fraction.is_empty());
    has_mantissa && digits(whole) && digits(fraction) && !exponent.is_empty() && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(text: &str) -> Value {
        Scalar { text: text.to_owned(), plain: true, secret: false }.to_json()
    }

    #[test]
    fn plain_text_is_typed_by_the_core_schema() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("true", json!(true)),
            ("FALSE", json!(false)),
            ("-17", json!(-17)),
            ("+5", json!(5)),
            ("007", json!(7)),
            ("0o17", json!(15)),
            ("0xFf", json!(255)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("1e3", json!(1000.0)),
            ("-1.5E-1", json!(-0.15)),
        ] {
            assert_eq!(plain(text), value, "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_text() {
        for text in
            ["yes", "no", "on", "1s", "1_000", "0b1", "0x", "-", "+", ".", "1e", "e5", ".inf", ".nan", "nULL"]
        {
            assert_eq!(plain(text), json!(text), "{text:?}");
        }
        assert_eq!(Scalar { text: "5".into(), plain: false, secret: false }.to_json(), json!("5"));
        assert_eq!(Scalar { text: "5".into(), plain: true, secret: true }.to_json(), json!(null));
    }

    #[test]
    fn a_number_that_does_not_fit_stays_text() {
        for text in ["9223372036854775808", "-9223372036854775809", "0xFFFFFFFFFFFFFFFFFF", "1e999"] {
            assert_eq!(plain(text), json!(text), "{text:?}");
        }
        assert_eq!(plain("9223372036854775807"), json!(i64::MAX));
    }
}
