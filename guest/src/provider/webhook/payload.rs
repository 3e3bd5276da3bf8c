//! A payload: a template, and how what is filled in is written there.
//!
//! What is filled in is never looked at again: a title with `$message` in it is that title.

use std::borrow::Cow;

use serde_json::Value;

use super::form;
use super::template::{NAMES, Name, Part, split};
use super::xml;
use crate::color::Color;
use crate::diagnostic::nearest;
use crate::notification::{Body, Format, Level, Notification};
use crate::payload::push_inside;
use crate::template::Template;

/// What the payload is, before its placeholders are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// JSON. Outside a string a placeholder is a value, inside it is text.
    Json,
    /// A form, already encoded. A placeholder is one name or value, or part of it.
    Form,
    /// JSON whose members become a form.
    JsonForm,
    /// Text.
    Text,
    /// XML. A placeholder is text, or in the quotes of an attribute.
    Xml,
}

/// A payload that was read.
#[derive(Debug)]
pub(super) struct Payload {
    syntax: Syntax,
    is_color_number: bool,
    parts: Vec<Part>,
    /// In place of the parts, where the text is one.
    template: Option<Template>,
}

impl Payload {
    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to do.
    pub(super) fn read(text: &str, syntax: Syntax, is_color_number: bool) -> Result<Self, (String, String)> {
        let (syntax, text) = match syntax {
            Syntax::Form if text.trim_start().starts_with('{') => (Syntax::JsonForm, text),
            Syntax::Form => (Syntax::Form, text.trim()),
            other => (other, text),
        };
        let (parts, unknown) = split(text);
        if Template::is_meant(text) {
            return Self::of_template(text, syntax, is_color_number, &parts);
        }
        let payload = Self { syntax, is_color_number, parts, template: None };
        if matches!(syntax, Syntax::Json | Syntax::JsonForm) {
            payload.check(text, &unknown)?;
        }
        Ok(payload)
    }

    fn of_template(
        text: &str,
        syntax: Syntax,
        is_color_number: bool,
        parts: &[Part],
    ) -> Result<Self, (String, String)> {
        if parts.iter().any(|part| matches!(part, Part::Placeholder { .. })) {
            let problem = "both a template's `{{ … }}` and placeholders such as `$title` are in it";
            return Err((problem.to_owned(), "write `{{ title }}` in the place of `$title`".to_owned()));
        }
        let template = Template::read(text)?;
        let payload = Self { syntax, is_color_number, parts: Vec::new(), template: Some(template) };
        let sample = crate::template::sample(Body::Text("a \"b\"\\\n".to_owned()));
        let hint = "write values as `{{ title | tojson }}`, without quotes around them";
        let written =
            payload.write(&sample, Format::Markdown).map_err(|problem| (problem, hint.to_owned()))?;
        if syntax == Syntax::Json
            && let Err(error) = serde_json::from_str::<Value>(&written)
        {
            return Err((format!("what it writes is no JSON: {error}"), hint.to_owned()));
        }
        Ok(payload)
    }

    /// The payload of a notification.
    ///
    /// # Errors
    ///
    /// What goes wrong in a template with this notification; else none that [`Payload::read`] lets pass.
    pub(super) fn write(&self, notification: &Notification, format: Format) -> Result<String, String> {
        let mut written = match &self.template {
            Some(template) => template.write(notification, format).map_err(|problem| problem.to_string())?,
            None => String::with_capacity(self.expected(notification)),
        };
        for part in &self.parts {
            match part {
                Part::Literal(text) => written.push_str(text),
                Part::Placeholder { name, in_string } => {
                    self.fill_in(*name, *in_string, notification, format, &mut written);
                }
            }
        }
        if self.syntax != Syntax::JsonForm {
            return Ok(written);
        }
        let members = serde_json::from_str(&written).map_err(|error| format!("no JSON: {error}"))?;
        form::of_json(&members).map_err(|member| format!("`{member}` is no form field"))
    }

    /// About how long what is written will be, in bytes.
    fn expected(&self, notification: &Notification) -> usize {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.len(),
            Part::Placeholder { name: Name::Title, .. } => notification.title.len(),
            Part::Placeholder { name: Name::Id, .. } => notification.id.len(),
            Part::Placeholder { name: Name::Message, .. } => match &notification.body {
                Body::Text(text) => text.len(),
                Body::Items(_) | Body::Fields(_) => 0,
            },
            Part::Placeholder { .. } => 0,
        };
        // The quotes, and what is escaped.
        self.parts.iter().map(part).fold(16, usize::saturating_add)
    }

    fn fill_in(
        &self,
        name: Name,
        in_string: bool,
        notification: &Notification,
        format: Format,
        out: &mut String,
    ) {
        let color = || notification.shown_color();
        let text: Option<Cow<'_, str>> = match name {
            Name::Title => Some(notification.title.as_str().into()),
            Name::Message => Some(notification.message(format)),
            Name::Fields => Some(notification.body.to_json().to_string().into()),
            Name::Color if self.is_color_number => Some(Color::rgb(color()).to_string().into()),
            Name::Color => Some(color().to_string().into()),
            Name::Level => Some(notification.level.name().into()),
            Name::Type => Some(word(notification.level).into()),
            Name::Id => Some(notification.id.as_str().into()),
            Name::Tags => Some(Value::from(notification.tags.clone()).to_string().into()),
            Name::Link => notification.link.as_deref().map(Cow::from),
            Name::Key => notification.resolves.as_deref().or(notification.key.as_deref()).map(Cow::from),
        };
        let is_json_value =
            matches!(name, Name::Fields | Name::Tags) || (name == Name::Color && self.is_color_number);
        let is_json = matches!(self.syntax, Syntax::Json | Syntax::JsonForm);
        if is_json && !in_string && text.is_none() {
            return out.push_str("null");
        }
        let text = text.unwrap_or_default();
        match self.syntax {
            Syntax::Json | Syntax::JsonForm if in_string => push_inside(&text, out),
            Syntax::Json | Syntax::JsonForm if is_json_value => out.push_str(&text),
            Syntax::Json | Syntax::JsonForm => {
                out.push('"');
                push_inside(&text, out);
                out.push('"');
            }
            Syntax::Form => out.push_str(&form::encode(&text)),
            Syntax::Text => out.push_str(&text),
            Syntax::Xml => out.push_str(&xml::escape(&text)),
        }
    }

    /// Fills in samples as long as the placeholders, so that an error in them is where it is in the payload.
    /// No two of them, and nothing beside one of them, make one JSON value together, as two numbers would:
    /// what is JSON with these is JSON with every value.
    fn check(&self, text: &str, unknown: &[&str]) -> Result<(), (String, String)> {
        let mut sample = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => sample.push_str(text),
                Part::Placeholder { name, in_string } => sample.push_str(match (name, in_string) {
                    (Name::Title, true) => "xxxxxx",
                    (Name::Message, true) => "xxxxxxxx",
                    (Name::Fields, true) => "xxxxxxx",
                    (Name::Color | Name::Level, true) => "xxxxxx",
                    (Name::Type | Name::Tags | Name::Link, true) => "xxxxx",
                    (Name::Key, true) => "xxxx",
                    (Name::Id, true) => "xxx",
                    (Name::Title, false) => r#"""    "#,
                    (Name::Message, false) => r#"""      "#,
                    (Name::Fields, false) => "[{}]   ",
                    (Name::Color, false) if self.is_color_number => "true  ",
                    (Name::Color | Name::Level, false) => r#"""    "#,
                    (Name::Type, false) => r#"""   "#,
                    (Name::Id, false) => r#""" "#,
                    (Name::Tags, false) => "[{}] ",
                    // Text or null: no name of a member.
                    (Name::Link, false) => "true ",
                    (Name::Key, false) => "true",
                }),
            }
        }
        let value: Value = serde_json::from_str(&sample).map_err(|error| {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            let before = line.get(..line.floor_char_boundary(error.column())).unwrap_or_default();
            let (line, column) = (error.line(), before.chars().count());
            (format!("the payload is no JSON at line {line}, column {column}: {said}"), hint(unknown))
        })?;
        match form::of_json(&value) {
            Err(member) if self.syntax == Syntax::JsonForm => {
                let problem = format!("`{member}` is a list or a mapping, and a form has only text");
                Err((problem, format!("put quotes around it: \"{member}\": \"…\"")))
            }
            _ => Ok(()),
        }
    }
}

/// Apprise's word for a level; it has `success` too, which no level is.
fn word(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug | Level::Info => "info",
        Level::Warn => "warning",
        Level::Error | Level::Fatal => "failure",
    }
}

fn hint(unknown: &[&str]) -> String {
    let near = |name: &&str| {
        let near = nearest(name, &NAMES.map(|(known, _)| known))?;
        Some(format!("`${name}` is no placeholder; did you mean `${near}`?"))
    };
    let rule = "a placeholder is a value of its own, as in {\"text\": $message}, or text inside quotes, as in \
                {\"text\": \"Alert: $title\"}; for anything but JSON, set `mime_type`";
    unknown.iter().find_map(near).unwrap_or_else(|| rule.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{fields, items, notification};

    fn written(text: &str, syntax: Syntax, notification: &Notification) -> String {
        let payload = Payload::read(text, syntax, false).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        payload.write(notification, Format::Markdown).unwrap()
    }

    fn refused(text: &str, syntax: Syntax) -> (String, String) {
        Payload::read(text, syntax, true).expect_err(text)
    }

    #[test]
    fn a_placeholder_outside_a_string_is_a_json_value() {
        let down = notification(Level::Info, "a \"b\"", fields(&[("n", "v")]));
        assert_eq!(
            written(r#"{"t":$title,"m":$message,"f":$fields,"c":$color}"#, Syntax::Json, &down),
            r#####"{"t":"a \"b\"","m":"#### n\nv\n","f":[{"name":"n","value":"v"}],"c":"#0000ff"}"#####
        );
        let number = Payload::read("[$color]", Syntax::Json, true).unwrap();
        assert_eq!(number.write(&down, Format::Plain).unwrap(), "[255]");
    }

    // GoDoxy defect 1.7.6: placeholders brought their own quotes, so that no text could stand around them.
    #[test]
    fn a_placeholder_inside_a_string_is_text_in_it() {
        let down = notification(Level::Info, "a \"b\"\\\n\u{1}", fields(&[("n", "v")]));
        assert_eq!(
            written(r#"{"t":"Alert: $title!","f":"$fields","c":"$color"}"#, Syntax::Json, &down),
            r##"{"t":"Alert: a \"b\"\\\n\u0001!","f":"[{\"name\":\"n\",\"value\":\"v\"}]","c":"#0000ff"}"##
        );
        let x = notification(Level::Info, "x", items(&["y"]));
        assert_eq!(written(r#"{"$title":"\u0024title"}"#, Syntax::Json, &x), r#"{"x":"\u0024title"}"#);
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let tricky = notification(Level::Info, "$message & $title", Body::Text("$fields".into()));
        assert_eq!(written("[$title,$message]", Syntax::Json, &tricky), r#"["$message & $title","$fields"]"#);
        assert_eq!(
            written("$title $message $titles", Syntax::Text, &tricky),
            "$message & $title $fields $titles"
        );
    }

    // GoDoxy defect 1.7.5: titles were JSON in text and forms, and forms were not encoded.
    #[test]
    fn a_form_is_encoded_and_text_is_as_it_is() {
        let down = notification(Level::Info, "a & \"b\"=100%+", items(&["x y"]));
        assert_eq!(
            written(" k=v w&t=$title&c=$color\n", Syntax::Form, &down),
            "k=v w&t=a+%26+%22b%22%3D100%25%2B&c=%230000ff"
        );
        assert_eq!(written("$title: $fields\n", Syntax::Text, &down), "a & \"b\"=100%+: [\"x y\"]\n");
    }

    // GoDoxy defect 1.7.5: this is the Pushover example that it ships, which was sent as JSON.
    #[test]
    fn json_is_a_form_where_a_form_is_wanted() {
        let pushover =
            r#"{"token": "your-app-token", "user": "your-user-key", "title": $title, "message": $message}"#;
        let down = notification(Level::Info, "a \"b\" & c", items(&["x"]));
        assert_eq!(
            written(pushover, Syntax::Form, &down),
            "token=your-app-token&user=your-user-key&title=a+%22b%22+%26+c&message=*+x%0A"
        );
        let (problem, hint) = refused(r#"{"m":"$fields","f":$fields}"#, Syntax::Form);
        assert!(problem.starts_with("`f` is a list or a mapping") && hint.contains(r#""f": "…""#), "{hint}");
    }

    #[test]
    fn what_else_a_notification_has_is_filled_in() {
        let mut down = notification(Level::Fatal, "t", items(&["x"]));
        (down.id, down.tags) = ("i-1".into(), vec!["a".into(), "\"b\"".into()]);
        let values = "[$level,$type,$id,$tags,$link,$key]";
        let inside = r#"{"a":"$level $type $id $tags $link $key"}"#;
        assert_eq!(
            written(values, Syntax::Json, &down),
            r#"["fatal","failure","i-1",["a","\"b\""],null,null]"#
        );
        assert_eq!(
            written(inside, Syntax::Json, &down),
            r#"{"a":"fatal failure i-1 [\"a\",\"\\\"b\\\"\"]  "}"#
        );
        (down.link, down.key) = (Some("https://x.example/?a&b".into()), Some("k".into()));
        assert_eq!(
            written(values, Syntax::Json, &down),
            r#"["fatal","failure","i-1",["a","\"b\""],"https://x.example/?a&b","k"]"#
        );
        assert_eq!(
            written("k=$key&l=$link", Syntax::Form, &down),
            "k=k&l=https%3A%2F%2Fx.example%2F%3Fa%26b"
        );
        (down.link, down.key, down.resolves) = (None, None, Some("r".into()));
        assert_eq!(written("$key$link", Syntax::Text, &down), "r");
        assert_eq!(written(r#"{"k":$key,"l":$link}"#, Syntax::Form, &down), "k=r");
        let types =
            Level::ALL.map(|level| written("$type", Syntax::Text, &notification(level, "", items(&[]))));
        assert_eq!(types, ["info", "info", "info", "warning", "failure", "failure"]);
    }

    #[test]
    fn xml_is_escaped_in_text_and_in_attributes() {
        let body = Body::Text("1\r\n\t2 ]]>😀".into());
        let odd = notification(Level::Info, "a<b> & \"c\" 'd'\u{1}\u{fffe}", body);
        assert_eq!(
            written(r#"<n t="$title">$message<i>$id</i></n>"#, Syntax::Xml, &odd),
            "<n t=\"a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;\">1&#13;&#10;&#9;2 ]]&gt;😀\
             <i>01890a5d-ac96-774b-bcce-b302099a8057</i></n>"
        );
    }

    // GoDoxy defect 1.7.6: all it said was "invalid payload, expect valid JSON".
    #[test]
    fn an_error_says_where_it_is_and_what_to_do() {
        let (problem, hint) = refused("{\n  \"ä\": $title\n  \"b\": 1\n}", Syntax::Json);
        assert_eq!(problem, "the payload is no JSON at line 3, column 3: expected `,` or `}`");
        assert!(hint.contains("mime_type"), "{hint}");
        let (problem, hint) = refused("{\"ä\": $tilte}", Syntax::Json);
        assert_eq!(problem, "the payload is no JSON at line 1, column 7: expected value");
        assert_eq!(hint, "`$tilte` is no placeholder; did you mean `$title`?");
        let (problem, _) = refused("\n {\"a\": $message, \"b\" $color}", Syntax::Form);
        assert_eq!(problem, "the payload is no JSON at line 2, column 22: expected `:`");
    }

    #[test]
    fn what_is_json_for_some_colours_only_is_refused() {
        let numbers = ["$color$color", "-$color", "1$color", "$color.5", "1e$color", "{$color:1}"];
        let others = [
            "{$fields:1}",
            "$title$title",
            r#""\$title""#,
            r#""\u00$color""#,
            "\"\n$title\"",
            "$title x",
            "{$link:1}",
            "{$key:1}",
            "$tags$tags",
            "$link$key",
            "",
        ];
        for text in numbers.into_iter().chain(others) {
            refused(text, Syntax::Json);
        }
    }
}
