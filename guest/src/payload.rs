//! The bodies of requests: JSON objects and forms, with secrets in the places of values.
//!
//! One code for every provider, where a `struct` of each would be compiled anew. A member without a value is
//! left out. A secret can be a member only where it is one of the outermost; text never becomes a secret.

use serde_json::{Map, Value};

use crate::octets;
use crate::provider::webhook::form;
use crate::request::{Escape, Request, Segment};
use crate::settings::Secret;

/// How long most bodies are, roughly, in bytes: room for it is made at once.
const USUAL: usize = 256;

/// A JSON object.
#[derive(Debug, Default)]
pub(crate) struct Object(Written);

/// A form, `application/x-www-form-urlencoded`.
#[derive(Debug, Default)]
pub(crate) struct Form(Written);

/// What is written of a body.
#[derive(Debug)]
struct Written {
    /// What is before the text at its end.
    before: Vec<Segment>,
    text: String,
}

impl Default for Written {
    fn default() -> Self {
        Self { before: Vec::new(), text: String::with_capacity(USUAL) }
    }
}

impl Written {
    fn is_empty(&self) -> bool {
        self.before.is_empty() && self.text.is_empty()
    }

    fn write(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn insert(&mut self, segment: Segment) {
        let text = std::mem::replace(&mut self.text, String::with_capacity(USUAL));
        if !text.is_empty() {
            self.before.push(Segment::Text(text));
        }
        self.before.push(segment);
    }

    fn into_segments(self) -> Vec<Segment> {
        let Self { before: mut segments, text } = self;
        if !text.is_empty() {
            segments.push(Segment::Text(text));
        }
        segments
    }
}

/// A value as JSON; an object without members, an empty list and an empty text are one too.
pub(crate) fn object<const N: usize>(mut members: [(&str, Value); N]) -> Value {
    taken(&mut members)
}

/// One code for every number of members.
fn taken(members: &mut [(&str, Value)]) -> Value {
    let members = members.iter_mut().filter(|(_, value)| !value.is_null());
    Value::Object(members.map(|(name, value)| ((*name).to_owned(), value.take())).collect::<Map<_, _>>())
}

/// What is made of each text; one code for every provider.
pub(crate) fn each<T>(texts: Vec<String>, make: &dyn Fn(String) -> T) -> Vec<T> {
    texts.into_iter().map(make).collect()
}

/// What is made of each text and its number, from 0 on.
pub(crate) fn each_numbered<T>(texts: Vec<String>, make: &dyn Fn((usize, String)) -> T) -> Vec<T> {
    texts.into_iter().enumerate().map(make).collect()
}

impl Object {
    /// With one more member, unless it is null.
    pub(crate) fn with(self, name: &str, value: impl Into<Value>) -> Self {
        self.with_value(name, &value.into())
    }

    /// One code for values of every type.
    fn with_value(mut self, name: &str, value: &Value) -> Self {
        match value {
            Value::Null => {}
            Value::String(text) => self.member(name, text),
            value => {
                self.name(name);
                self.0.write(&value.to_string());
            }
        }
        self
    }

    /// With one more member where there is text for it.
    pub(crate) fn with_text(mut self, name: &str, text: &str) -> Self {
        if !text.is_empty() {
            self.member(name, text);
        }
        self
    }

    /// With a secret for one more member.
    pub(crate) fn with_secret(self, name: &str, secret: &Secret) -> Self {
        self.with_segment(name, secret.segment(Escape::Json))
    }

    /// With what the host writes, such as a signature, for the text of one more member.
    pub(crate) fn with_segment(mut self, name: &str, segment: Segment) -> Self {
        self.name(name);
        self.0.write("\"");
        self.0.insert(segment);
        self.0.write("\"");
        self
    }

    /// The body of a request.
    pub(crate) fn into_body(mut self) -> Vec<Segment> {
        self.0.write(if self.0.is_empty() { "{}" } else { "}" });
        self.0.into_segments()
    }

    /// The request with this for its body.
    pub(crate) fn into(self, request: Request) -> Request {
        let mut request = request.header("content-type", vec!["application/json".into()]);
        request.body = self.into_body();
        request
    }

    fn member(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text(text);
    }

    fn name(&mut self, name: &str) {
        let start = if self.0.is_empty() { "{" } else { "," };
        self.0.write(start);
        self.text(name);
        self.0.write(":");
    }

    fn text(&mut self, text: &str) {
        self.0.write("\"");
        push_inside(text, &mut self.0.text);
        self.0.write("\"");
    }
}

impl Form {
    /// With one more pair.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.0.write(&form::encode(value));
        self
    }

    /// With one more pair where there is text for it.
    pub(crate) fn with_text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(name, text) }
    }

    /// With a secret for the value of one more pair.
    pub(crate) fn with_secret(mut self, name: &str, secret: &Secret) -> Self {
        self.name(name);
        self.0.insert(secret.segment(Escape::Percent));
        self
    }

    /// The request with this for its body.
    pub(crate) fn into(self, request: Request) -> Request {
        let mut request = request.header("content-type", vec!["application/x-www-form-urlencoded".into()]);
        request.body = self.0.into_segments();
        request
    }

    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.write("&");
        }
        self.0.write(&form::encode(name));
        self.0.write("=");
    }
}

/// Adds a text as what is between the quotation marks of a JSON string
/// (<https://www.rfc-editor.org/rfc/rfc8259#section-7>).
pub(crate) fn push_inside(text: &str, out: &mut String) {
    let is_escaped =
        |word| octets::has_below(word, b' ') || octets::has(word, b'"') || octets::has(word, b'\\');
    if !octets::any(text.as_bytes(), b' ', is_escaped) {
        return out.push_str(text);
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let (plain, after) = rest.split_at(at);
        out.push_str(plain);
        let mut after = after.chars();
        let escaped = after.next().unwrap_or_default();
        rest = after.as_str();
        match escaped {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '"' | '\\' => out.extend(['\\', escaped]),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            other => {
                let digit = |of: u32| char::from_digit(of & 15, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.extend([digit(u32::from(other) >> 4), digit(other.into())]);
            }
        }
    }
    out.push_str(rest);
}

/// How many bytes a text takes in JSON, with its quotation marks
/// (<https://www.rfc-editor.org/rfc/rfc8259#section-7>): as `serde_json` writes it, without writing it.
pub(crate) fn json_length(text: &str) -> usize {
    let length = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0x00..0x20 => 6,
        _ => 1_usize,
    };
    text.bytes().map(length).sum::<usize>().saturating_add(2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret() -> Secret {
        crate::settings::declare::Setting::read(&json!({ "$secret": "s" })).unwrap()
    }

    #[test]
    fn an_object_has_what_has_a_value_and_secrets_are_segments() {
        assert_eq!(Object::default().into_body(), ["{}".into()]);
        let object = Object::default().with("a\"", "b\n").with("none", Value::Null).with_text("empty", "");
        let body = object.with_secret("key", &secret()).with("n", json!({ "x": [1] })).into_body();
        let key = Segment::Secret { name: "s".into(), escape: Escape::Json };
        assert_eq!(body, [r#"{"a\"":"b\n","key":""#.into(), key, r#"","n":{"x":[1]}}"#.into()]);
    }

    #[test]
    fn a_form_is_encoded_and_so_are_secrets() {
        let form = Form::default().with("a b", "c&d=é").with_text("empty", "").with_secret("key", &secret());
        let request = form.with("e", "").into(Request::post(vec![]));
        let key = Segment::Secret { name: "s".into(), escape: Escape::Percent };
        assert_eq!(request.body, ["a+b=c%26d%3D%C3%A9&key=".into(), key, "&e=".into()]);
        assert_eq!(request.head.headers()[0].0, "content-type");
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_in_json_as_others_write_it_and_as_long_as_it_is_counted(text in "(\\PC|\\p{Cc}|[\"\\\\/])*") {
            let (mut written, json) = (String::from("\""), Value::from(text.clone()).to_string());
            push_inside(&text, &mut written);
            proptest::prop_assert_eq!(written + "\"", json.as_str());
            proptest::prop_assert_eq!(json_length(&text), json.len());
        }
    }
}
