//! IFTTT, the Webhooks service: <https://ifttt.com/maker_webhooks>.
//!
//! An event has three values, which an applet can use in what it does; other members are sent, and can be used
//! by nobody. A limit is not documented, and none is kept to. Text is plain, because an applet can send it
//! anywhere.
//!
//! IFTTT answers 200 with `Congratulations!` also to an event that no applet waits for, and 401 to a key that is
//! wrong. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Notification};
use crate::payload::each;
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, number_or_word, settings, wrong};
use crate::settings::declare::{Named, Within, settings};
use crate::settings::{Secret, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The key of the Webhooks service, as its documentation page shows it.
        key: Secret,
        /// The name of the event, of letters, digits and underscores.
        event: String,
        /// In which of the three values the title is: the first, unless this says otherwise; 0 for in front of the
        /// text.
        title: Within<0, 3> = Within(1),
        /// In which the text is: the second, unless this says otherwise.
        text: Within<1, 3> = Within(2),
        /// In which the level's name is: the third, unless this says otherwise; 0 for in none.
        level: Within<0, 3> = Within(3),
        /// Values that are always the same, under their names: `value1`, `value2` or `value3`.
        values: Named<String>,
    }
}

/// An event of IFTTT.
pub struct Ifttt {
    url: Vec<Segment>,
    settings: Settings,
}

impl Provider for Ifttt {
    const NAME: &'static str = "ifttt";
    const SUMMARY: &'static str = "IFTTT, an event of the Webhooks service";
    const EXAMPLE: &'static str = "\
- name: ifttt
  provider: ifttt
  key: ${IFTTT_KEY}
  event: server_alert
- name: ifttt-text
  provider: ifttt
  key: ${IFTTT_KEY}
  event: server_alert
  title: 0
  text: 1
  level: 0
  values: { value2: web1 }
";
    const AUTH: &'static str = "key";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["ifttt"],
        apprise_form: "ifttt://key@event",
        shoutrrr: &["ifttt"],
        shoutrrr_form: "ifttt://key/?events=event1,event2",
    };
    const ORIGINS: &'static [&'static str] = &["https://maker.ifttt.com"];

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let before = problems.len();
        let Settings { key, event, title, text, level, values } = &settings;
        // Dots alone would be another path.
        if event.chars().all(|c| c == '.') {
            problems.value(&at.at("event"), "this is no name of an event", "write it as the applet has it");
        }
        if title.0 == text.0 {
            problems.value(
                &at.at("title"),
                "title and text are in one value",
                "0 puts it in front of the text",
            );
        }
        if level.0 == text.0 || level.0 != 0 && level.0 == title.0 {
            let hint = "0 leaves it out";
            problems.value(&at.at("level"), "the level is in a value that has something else", hint);
        }
        for name in values.keys() {
            let number = (1..=3).find(|number| *name == format!("value{number}"));
            match number {
                None => problems.value(
                    &at.at("values").at(name),
                    "an event has no such value",
                    "allowed are `value1`, `value2` and `value3`",
                ),
                Some(number) if [title.0, text.0, level.0].contains(&number) => problems.value(
                    &at.at("values").at(name),
                    "something else is in this value",
                    "set `title` or `level` to 0, or `text` to another",
                ),
                Some(_) => {}
            }
        }
        let path = format!("https://maker.ifttt.com/trigger/{}/with/key/", path_segment(event));
        let url = vec![path.into(), key.segment(Escape::Percent)];
        (problems.len() == before).then_some(Self { url, settings })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (key, events, places, values) = match url.dialect {
            UrlDialect::Apprise => {
                // Where something stands before an `@`, that is the key, and the host an event.
                let (user, host) = (url.user(), url.take_host("the key")?);
                let (key, first) = match user {
                    Some(key) => (key, Some(host)),
                    None => (host, None),
                };
                let mut events: Vec<String> = first.into_iter().chain(url.rest()).collect();
                events.extend(url.list(&["to"]));
                let (places, values) = apprise_values(url)?;
                (key, events, places, values)
            }
            UrlDialect::Shoutrrr => {
                let key = url.take_host("the key")?;
                let (places, values) = shoutrrr_values(url)?;
                (key, url.list(&["events"]), places, values)
            }
        };
        if events.is_empty() {
            let part = if url.is(UrlDialect::Apprise) { "path" } else { "?events" };
            return Err(wrong(part, "is missing: the name of an event belongs there", ""));
        }
        let [title, text, level] = places;
        let target = |event: String| {
            settings([
                ("key", key.as_str().into()),
                ("event", event.into()),
                ("title", title.clone()),
                ("text", text.clone()),
                ("level", level.clone()),
                ("values", if values.is_empty() { Value::Null } else { Value::from(&values) }),
            ])
        };
        Ok(each(events, &target))
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        url.has_option("events")
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { title, text, level, values, .. } = &self.settings;
        let whole = Text::of(notification, Format::Markdown).linked(notification.link.as_deref());
        let whole = if title.0 == 0 { whole.titled(&notification.title) } else { whole };
        let mut event = Map::new();
        for number in 1..=3 {
            let name = format!("value{number}");
            let value = match number {
                _ if number == text.0 => Value::from(whole.write(&PLAIN)),
                _ if number == title.0 => Value::from(notification.title.as_str()),
                _ if number == level.0 => Value::from(notification.level.name()),
                _ => json!(values.get(&name)),
            };
            if !value.is_null() {
                event.insert(name, value);
            }
        }
        let request = Request::post(self.url.clone());
        Ok(vec![request.text("application/json", Value::Object(event).to_string())])
    }
}

/// Where title, text and level are, and values that are always the same.
type Values = ([Value; 3], Named<String>);

/// Of Apprise: `+value3=…` sets a value, in the place of what it had, and `-value3=` leaves it out.
fn apprise_values(url: &mut ServiceUrl) -> Result<Values, UrlProblem> {
    let mut places = [Value::Null, Value::Null, Value::Null];
    let mut values = Named::default();
    let (set, left_out) = (url.prefixed("+"), url.prefixed("-"));
    let set = set.into_iter().map(|(name, value)| ("+", name, Some(value)));
    for (sign, name, value) in set.chain(left_out.into_iter().map(|(name, _)| ("-", name, None))) {
        let name = name.to_ascii_lowercase();
        let place = match name.as_str() {
            "value1" => 0,
            "value3" => 2,
            "value2" => {
                let hint = "title and level can be left out, the text cannot";
                return Err(wrong(&format!("?{sign}value2"), "is the value that has the text", hint));
            }
            _ => {
                let hint = "an event has `value1`, `value2` and `value3`";
                // The name is the URL's, and can be a secret that stands in the wrong place.
                return Err(wrong(&format!("?{sign}"), "is not followed by a value of an event", hint));
            }
        };
        if let Some(place) = places.get_mut(place) {
            *place = json!(0);
        }
        match value {
            Some(value) => values.insert(name, value),
            None => values.remove(&name),
        }
    }
    Ok((places, values))
}

/// Of shoutrrr: the text is in the second value, or the one that `messagevalue` says; others are as the URL has
/// them.
fn shoutrrr_values(url: &mut ServiceUrl) -> Result<Values, UrlProblem> {
    let mut number = |name: &str, default: i64, least: i64| match url.option(&[name]) {
        None => Ok(Value::from(default)),
        Some(text) => number_or_word(&text, &format!("?{name}"), &[], least..=3),
    };
    let (text, title) = (number("messagevalue", 2, 1)?, number("titlevalue", 0, 0)?);
    if text == title {
        return Err(wrong("?titlevalue", "is the value that has the text", "write another, or 0"));
    }
    let mut values = Named::default();
    for n in 1..=3 {
        let name = format!("value{n}");
        // What the notification says takes the place of what the URL says.
        if let Some(value) = url.option(&[&name]).filter(|value| !value.is_empty() && text != n && title != n)
        {
            values.insert(name, value);
        }
    }
    Ok(([title, text, Value::from(0)], values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, open, problems, request, target_of, targets_of, wrong_part};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "i/key" }, "event": "web down" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn an_event_has_three_values_and_the_key_in_its_path() {
        let mut down = notification(Level::Error, "a & b", items(&["**c**"]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Ifttt>(with(&json!({}))), &down);
        let key = Segment::Secret { name: "i/key".into(), escape: Escape::Percent };
        assert_eq!(request.url, ["https://maker.ifttt.com/trigger/web%20down/with/key/".into(), key]);
        assert_eq!(
            body(&request),
            r#"{"value1":"a & b","value2":"- **c**\n\nhttps://x.example/","value3":"error"}"#
        );
    }

    #[test]
    fn what_is_in_which_value_can_be_said() {
        let text = notification(Level::Warn, "t", Body::Text("**a**".into()));
        for (settings, sent) in [
            (json!({ "title": 0, "level": 0 }), r#"{"value2":"t\n\na"}"#),
            (json!({ "title": 2, "text": 1 }), r#"{"value1":"a","value2":"t","value3":"warn"}"#),
            (
                json!({ "title": 0, "level": 1, "text": 3, "values": { "value2": "x" } }),
                r#"{"value1":"warn","value2":"x","value3":"t\n\na"}"#,
            ),
        ] {
            assert_eq!(problems::<Ifttt>(with(&settings)), [""; 0]);
            assert_eq!(body(&request(&open::<Ifttt>(with(&settings)), &text)), sent);
        }
    }

    #[test]
    fn a_value_has_one_thing_in_it() {
        for (settings, at) in [
            (json!({ "title": 2 }), "/title: title and text"),
            (json!({ "level": 1 }), "/level: the level"),
            (json!({ "level": 2 }), "/level: the level"),
            (json!({ "values": { "value3": "x" } }), "/values/value3: something else"),
            (json!({ "values": { "value4": "x" } }), "/values/value4: an event has no"),
            (json!({ "event": ".." }), "/event: this is no name"),
            (json!({ "event": "" }), "/event: this is no name"),
            (json!({ "text": 0 }), "/text"),
        ] {
            let found = problems::<Ifttt>(with(&settings));
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let with = |more: Value| {
            let mut settings = json!({ "key": "key", "event": "e" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("ifttt://key/e", json!({})),
            ("ifttt://key@e", json!({})),
            ("ifttt://key?to=web%20caf%C3%A9", json!({ "event": "web café" })),
            ("ifttt://k%2F%40y/e/?format=text", json!({ "key": "k/@y" })),
            (
                "ifttt://key@e/?-Value1=&+value3=web1",
                json!({ "title": 0, "level": 0, "values": { "value3": "web1" } }),
            ),
            ("ifttt://key@e/?-value3=&+value3=x", json!({ "level": 0 })),
            ("ifttt://key/?events=e", json!({ "title": 0, "text": 2, "level": 0 })),
            (
                "ifttt://key/?events=e&messagevalue=1&titlevalue=3",
                json!({ "title": 3, "text": 1, "level": 0 }),
            ),
            (
                "ifttt://key?Events=e&value1=a%20b&value2=c&value3=%C3%A9",
                json!({ "title": 0, "text": 2, "level": 0, "values": { "value1": "a b", "value3": "é" } }),
            ),
            (
                "ifttt://key/?events=e&title=t",
                json!({ "title": 0, "text": 2, "level": 0, "left out": ["?title: there is no such setting here"] }),
            ),
        ] {
            assert_eq!(target_of::<Ifttt>(url), with(more), "{url}");
        }
        for url in ["ifttt://key/e/f?to=g", "ifttt://key@e/f/g", "ifttt://key/?events=e,f,g"] {
            let several = targets_of::<Ifttt>(url, None);
            let events: Vec<&Value> = several.iter().map(|target| &target["event"]).collect();
            assert_eq!(events, ["e", "f", "g"], "{url}");
        }
        for (url, part) in [
            ("ifttt://", "host"),
            ("ifttt://key", "path"),
            ("ifttt://key@e?+value4=x", "?+"),
            ("ifttt://key@e?-value2=", "?-value2"),
            ("ifttt:///?events=e", "host"),
            ("ifttt://key?events=", "?events"),
            ("ifttt://key?events=e&messagevalue=4", "?messagevalue"),
            ("ifttt://key?events=e&titlevalue=2", "?titlevalue"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
