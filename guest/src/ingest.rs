//! Reads the JSON form of a notification, the same whichever host takes it in.
//!
//! `{"id", "level", "title", "body": text | [text] | {name: value} | [{"name", "value"}], "color", "to", "tags",
//! "link", "key" or "resolves"}`: all but one of `title` and `body` can be left out. Finds everything that is wrong at once, and
//! takes nothing that it does not understand.

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::fmt;

use crate::color::Color;
use crate::diagnostic::{Diagnostic, Diagnostics, Pointer, did_you_mean};
use crate::notification::{Body, Field, Level, Notification};
use crate::schema::kind;

/// The members that are understood.
const KNOWN: [&str; 10] = ["id", "level", "title", "body", "color", "to", "tags", "link", "key", "resolves"];

/// No notification has more tags, or names more targets.
const MOST_NAMES: usize = 100;

/// No tag and no target's name is longer, in characters.
const LONGEST_NAME: usize = 100;

/// No id is longer, in bytes.
const LONGEST_ID: usize = 255;

/// Reads a notification; `id` and `at` are the host's, and the id counts where the text has none.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the text.
pub fn read(json: &str, id: String, at: u64) -> Result<Notification, Vec<Diagnostic>> {
    let mut problems = Diagnostics::default();
    let root = Pointer::default();
    let members = match serde_json::from_str(json).map(|Unique(value)| value) {
        Ok(Value::Object(members)) => members,
        Ok(other) => {
            let hint = r#"send an object such as {"level":"warn","title":"…","body":"…"}"#;
            problems.value(&root, format!("expected a notification, found {}", kind(&other)), hint);
            return Err(problems.into_vec());
        }
        Err(error) => {
            let hint = r#"send an object such as {"level":"warn","title":"…","body":"…"}"#;
            problems.value(&root, format!("this cannot be read as JSON: {error}"), hint);
            return Err(problems.into_vec());
        }
    };
    let mut notification = Notification {
        id,
        at,
        level: Level::Info,
        title: String::new(),
        body: Body::Text(String::new()),
        color: None,
        to: Vec::new(),
        tags: Vec::new(),
        link: None,
        key: None,
        resolves: None,
    };
    for (name, value) in &members {
        let at = root.at(name);
        match name.as_str() {
            _ if value.is_null() && KNOWN.contains(&name.as_str()) => {}
            "id" => notification.id = read_id(value, &at, &mut problems),
            "level" => notification.level = read_level(value, &at, &mut problems),
            "title" => notification.title = text(value, &at, &mut problems).unwrap_or_default(),
            "body" => notification.body = read_body(value, &at, &mut problems),
            "color" => notification.color = read_color(value, &at, &mut problems),
            "to" => notification.to = names(value, &at, &mut problems),
            "tags" => notification.tags = names(value, &at, &mut problems),
            "link" => notification.link = read_link(value, &at, &mut problems),
            "key" => notification.key = read_key(value, &at, &mut problems),
            "resolves" => notification.resolves = read_key(value, &at, &mut problems),
            _ => problems.key(&at, format!("unknown key `{name}`"), did_you_mean(name, KNOWN)),
        }
    }
    if notification.key.is_some() && notification.resolves.is_some() {
        let hint = "keep `key` where it opens an alert, and `resolves` where it closes one";
        problems.value(&root.at("resolves"), "both `key` and `resolves` are set", hint);
    }
    if problems.is_empty() && notification.title.trim().is_empty() && notification.body.is_empty() {
        problems.value(&root, "the notification says nothing", "give it a `title` or a `body`");
    }
    if problems.is_empty() { Ok(notification) } else { Err(problems.into_vec()) }
}

/// A JSON value in which no key stands twice: of two, one would be lost in silence (RFC 8259, section 4, leaves
/// it open which).
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(de::Error::custom(format!("key `{key}` stands twice")));
            }
            let Unique(value) = entries.next_value()?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

/// An id goes into headers, and into the addresses that it is looked up under.
fn read_id(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> String {
    let Some(id) = text(value, at, problems) else { return String::new() };
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let hint =
            format!("write 1 to {LONGEST_ID} visible ASCII characters, such as a UUID, or leave it out");
        problems.value(at, "this is no id", hint);
    }
    id
}

/// The name of an alert. Services take 255 characters at least
/// (PagerDuty's `dedup_key`, <https://developer.pagerduty.com/docs/events-api-v2-overview>).
fn read_key(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Option<String> {
    let key = text(value, at, problems)?;
    if key.is_empty() || key.chars().count() > LONGEST_ID || key.chars().any(char::is_control) {
        let hint = format!("write 1 to {LONGEST_ID} characters, such as `disk/web-1`");
        problems.value(at, "this is no key", hint);
        return None;
    }
    Some(key)
}

fn read_level(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Level {
    let names = Level::ALL.map(Level::name);
    let Some(name) = value.as_str() else {
        problems.value(
            at,
            format!("expected a level, found {}", kind(value)),
            format!("known are: {}", names.join(", ")),
        );
        return Level::Info;
    };
    Level::parse(name).unwrap_or_else(|| {
        problems.value(at, format!("no level is called `{name}`"), did_you_mean(name, names));
        Level::Info
    })
}

fn read_color(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Option<Color> {
    let color = match value {
        // The level's.
        Value::String(text) if text.trim().eq_ignore_ascii_case("default") => return None,
        Value::String(text) => Color::parse(text),
        Value::Number(number) => {
            number.as_u64().and_then(|rgb| u32::try_from(rgb).ok()).and_then(Color::from_rgb)
        }
        _ => None,
    };
    if color.is_none() {
        let hint = "write default, red, green, blue, yellow, purple, `#rrggbb`, or an integer up to 16777215";
        problems.value(at, "this is no colour", hint);
    }
    color
}

fn read_body(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Body {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let fields = items.iter().enumerate();
            Body::Fields(fields.filter_map(|(n, item)| read_field(item, &at.at(n), problems)).collect())
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            Body::Items(items.filter_map(|(n, item)| scalar(item, &at.at(n), problems)).collect())
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let value = scalar(value, &at.at(name), problems)?;
                Some(Field { name: name.clone(), value })
            };
            Body::Fields(fields.iter().filter_map(field).collect())
        }
        other => Body::Text(scalar(other, at, problems).unwrap_or_default()),
    }
}

fn read_field(item: &Value, at: &Pointer, problems: &mut Diagnostics) -> Option<Field> {
    let empty = Map::new();
    let members = item.as_object().unwrap_or(&empty);
    for name in members.keys().filter(|name| !["name", "value"].contains(&name.as_str())) {
        problems.key(&at.at(name), format!("unknown key `{name}`"), did_you_mean(name, ["name", "value"]));
    }
    let (Some(name), Some(value)) = (members.get("name"), members.get("value")) else {
        problems.value(
            at,
            format!("expected a field, found {}", kind(item)),
            r#"write {"name":"…","value":"…"}"#,
        );
        return None;
    };
    let name = text(name, &at.at("name"), problems);
    let value = scalar(value, &at.at("value"), problems);
    Some(Field { name: name?, value: value? })
}

fn read_link(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Option<String> {
    let link = text(value, at, problems)?;
    let has_scheme = link.starts_with("https://") || link.starts_with("http://");
    if !has_scheme || link.contains(|c: char| c.is_whitespace() || c.is_control()) {
        problems.value(at, "this is no http or https URL", "it must start with `https://` or `http://`");
        return None;
    }
    Some(link)
}

/// One name, or a list of them.
fn names(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Vec<String> {
    let names: Vec<String> = match value {
        Value::Array(names) if names.len() > MOST_NAMES => {
            let problem = format!("has {} entries; at most {MOST_NAMES} are allowed", names.len());
            problems.value(at, problem, "send fewer, or several notifications");
            return Vec::new();
        }
        Value::Array(names) => {
            names.iter().enumerate().filter_map(|(n, entry)| name(entry, &at.at(n), problems)).collect()
        }
        one => name(one, at, problems).into_iter().collect(),
    };
    names
}

fn name(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Option<String> {
    let name = text(value, at, problems)?;
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let hint = format!("a name has at most {LONGEST_NAME} characters, and no control characters");
        problems.value(at, "this is no name", hint);
        return None;
    }
    Some(name)
}

fn text(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Option<String> {
    let text = value.as_str().map(ToOwned::to_owned);
    if text.is_none() {
        problems.value(at, format!("expected text, found {}", kind(value)), "put quotes around it");
    }
    text
}

/// Text, or a number or truth value as JSON writes it: callers fill fields from measurements.
fn scalar(value: &Value, at: &Pointer, problems: &mut Diagnostics) -> Option<String> {
    match value {
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        other => text(other, at, problems),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(json: &str) -> Result<Notification, Vec<Diagnostic>> {
        read(json, "id".into(), 7)
    }

    fn field(name: &str, value: &str) -> Field {
        Field { name: name.into(), value: value.into() }
    }

    #[test]
    fn every_member_is_read() {
        let read = of(r##"{"level":"WARN","title":"t","body":"b","color":"#00ff00","to":["x"],"tags":"db",
            "link":"https://example.org/"}"##)
        .unwrap();
        assert_eq!((read.id.as_str(), read.at, read.level), ("id", 7, Level::Warn));
        assert_eq!((read.title.as_str(), read.body), ("t", Body::Text("b".into())));
        assert_eq!(read.color.map(Color::rgb), Some(0x00ff00));
        assert_eq!((read.to, read.tags), (vec!["x".into()], vec!["db".into()]));
        assert_eq!(read.link.as_deref(), Some("https://example.org/"));
    }

    #[test]
    fn a_body_is_text_items_or_fields_in_their_order() {
        let body = |json: &str| of(&format!(r#"{{"body":{json}}}"#)).unwrap().body;
        assert_eq!(body(r#"["b","a"]"#), Body::Items(vec!["b".into(), "a".into()]));
        let fields = Body::Fields(vec![field("Zulu", "1"), field("Alpha", "true"), field("Mike", "x")]);
        assert_eq!(body(r#"{"Zulu":1,"Alpha":true,"Mike":"x"}"#), fields);
        let pairs =
            r#"[{"name":"Zulu","value":1},{"name":"Alpha","value":true},{"name":"Mike","value":"x"}]"#;
        assert_eq!(body(pairs), fields);
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let read = of(r#"{"title":"t","color":null,"to":null}"#).unwrap();
        assert_eq!((read.level, read.color, read.to.len()), (Level::Info, None, 0));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let json = r##"{"levle":"warn","level":"loud","title":3,"body":[{"name":"a"},{"name":"b","vlaue":1}],
            "color":"#fff","to":[1],"link":"ftp://x"}"##;
        let found: Vec<String> = of(json).unwrap_err().into_iter().map(|d| d.path).collect();
        assert_eq!(
            found,
            ["/levle", "/level", "/title", "/body/0", "/body/1/vlaue", "/body/1", "/color", "/to/0", "/link"]
        );
    }

    #[test]
    fn a_notification_must_say_something() {
        for json in ["{}", r#"{"title":"  "}"#, r#"{"body":""}"#, r#"{"body":[]}"#, r#"{"body":{}}"#] {
            assert!(of(json).unwrap_err()[0].problem.contains("says nothing"), "{json}");
        }
    }

    #[test]
    fn names_are_bounded_in_number_and_length_and_have_no_control_characters() {
        let many = serde_json::json!({ "title": "t", "to": vec!["x"; MOST_NAMES + 1] });
        let long = serde_json::json!({ "title": "t", "tags": ["x".repeat(LONGEST_NAME + 1)] });
        let broken = serde_json::json!({ "title": "t", "to": "a\nb" });
        for json in [many, long, broken] {
            assert!(of(&json.to_string()).is_err());
        }
    }

    #[test]
    fn an_id_of_the_callers_counts_and_fits_into_a_header() {
        assert_eq!(of(r#"{"id":"order-17","title":"t"}"#).unwrap().id, "order-17");
        let long = "x".repeat(LONGEST_ID + 1);
        for id in ["", "two words", "two\nlines", "späť", &long] {
            let json = serde_json::json!({ "id": id, "title": "t" }).to_string();
            assert_eq!(of(&json).unwrap_err()[0].path, "/id", "{id}");
        }
        assert!(of(r#"{"id":17,"title":"t"}"#).is_err());
    }

    #[test]
    fn a_key_opens_an_alert_or_closes_it_and_not_both() {
        assert_eq!(of(r#"{"key":"disk/web 1","title":"t"}"#).unwrap().alert(), "disk/web 1");
        assert_eq!(of(r#"{"resolves":"disk","title":"t"}"#).unwrap().alert(), "disk");
        assert_eq!(of(r#"{"title":"t"}"#).unwrap().alert(), "id");
        let both = of(r#"{"key":"a","resolves":"a","title":"t"}"#).unwrap_err();
        assert_eq!(both[0].path, "/resolves");
        for key in ["", &"x".repeat(LONGEST_ID + 1), "a\nb"] {
            let json = serde_json::json!({ "key": key, "title": "t" }).to_string();
            assert_eq!(of(&json).unwrap_err()[0].path, "/key", "{key}");
        }
    }

    #[test]
    fn the_default_colour_is_the_levels() {
        assert_eq!(of(r#"{"title":"t","color":"default"}"#).unwrap().color, None);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_and_nothing_is_lost_in_silence() {
        for json in [r#"{"title":"x","title":"y"}"#, r#"{"body":{"a":"1","a":"2"}}"#] {
            assert!(of(json).unwrap_err()[0].problem.contains("stands twice"), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["", "{", "[]", "3", "\"text\"", "{\"title\":\"t\"} x"] {
            assert!(of(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = of(&text);
        }

        #[test]
        fn any_title_arrives_as_it_was_sent(title in "\\PC{1,40}") {
            prop_assume!(!title.trim().is_empty());
            let json = serde_json::json!({ "title": &title }).to_string();
            prop_assert_eq!(of(&json).unwrap().title, title);
        }
    }
}
