//! The template for Discord: <https://docs.discord.com/developers/resources/webhook#execute-webhook>.
//!
//! One embed that Discord accepts whatever the notification holds. Its documented limits
//! (<https://docs.discord.com/developers/resources/message#embed-limits>): title 256 characters,
//! description 4096, 25 fields, a field's name 256 and value 1024, and 6000 in all of them together; a URL
//! has 2048. They are counted here in UTF-16 code units, of which no reading of "characters" has more. What
//! is longer ends in `…`, and fields that have no place are counted in the last one. Discord takes white
//! space off all text and refuses an embed without any text, and fields whose name or value is empty.

use serde::Serialize;

use crate::notification::{Body, Field, Format, Notification};
use crate::outcome::{Class, Reply};
use crate::settings::BaseUrl;

const TITLE: usize = 256;
const DESCRIPTION: usize = 4096;
const FIELDS: usize = 25;
const NAME: usize = 256;
const VALUE: usize = 1024;
const TOTAL: usize = 6000;
const URL: usize = 2048;

/// Room for the field that says how many are missing.
const SUMMARY: usize = 40;

/// A zero-width space: what stands for nothing where Discord wants something.
const BLANK: &str = "\u{200b}";

/// The body of the request.
#[derive(Serialize)]
pub(super) struct Message {
    embeds: [Embed; 1],
    allowed_mentions: Mentions,
}

#[derive(Serialize)]
struct Embed {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    color: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// Who may be alerted by an `@name` in the text.
#[derive(Serialize)]
struct Mentions {
    parse: [&'static str; 0],
}

impl Message {
    /// The message of a notification. A link goes behind the title, or is the title where there is none.
    pub(super) fn new(notification: &Notification, format: Format) -> Self {
        let link = notification.link.as_deref();
        let link = link.filter(|link| BaseUrl::problem(link).is_none() && units(link) <= URL);
        let titles = [Some(notification.title.as_str()), link];
        let title =
            titles.into_iter().flatten().find(|title| !is_blank(title)).map(|title| cut(title, TITLE));
        let (text, fields) = match &notification.body {
            Body::Fields(all) => {
                let budget = TOTAL.saturating_sub(title.as_deref().map_or(0, units));
                (String::new(), fit(all, budget))
            }
            body => (body.render(format), Vec::new()),
        };
        let description = if !is_blank(&text) {
            Some(cut(&text, DESCRIPTION))
        } else if title.is_none() && fields.is_empty() {
            Some(cut(visible(&notification.message(format)), DESCRIPTION))
        } else {
            None
        };
        let color = notification.shown_color().rgb();
        let embed = Embed { title, description, fields, color, url: link.map(str::to_owned) };
        Self { embeds: [embed], allowed_mentions: Mentions { parse: [] } }
    }
}

/// A webhook that somebody deleted: status 404 with Discord's code 10015. A 404 without it comes from
/// something else, such as a wrong URL.
pub(super) fn classify(reply: &Reply) -> Option<Class> {
    let error: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
    (reply.status == 404 && error.get("code")? == 10015).then_some(Class::Gone)
}

/// As many fields as there is place for, in a budget of at least [`SUMMARY`].
fn fit(all: &[Field], mut budget: usize) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for (n, field) in all.iter().enumerate() {
        let missing = all.len().saturating_sub(n);
        let is_last = missing == 1;
        let name = cut(visible(&field.name), NAME);
        let reserve = if is_last { 0 } else { SUMMARY };
        let room = budget.saturating_sub(reserve).saturating_sub(units(&name));
        if room == 0 || (fields.len().saturating_add(1) == FIELDS && !is_last) {
            fields.push(Field { name: BLANK.to_owned(), value: format!("and {missing} more") });
            break;
        }
        let value = cut(visible(&field.value), VALUE.min(room));
        budget = budget.saturating_sub(units(&name)).saturating_sub(units(&value));
        fields.push(Field { name, value });
    }
    fields
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control())
}

fn visible(text: &str) -> &str {
    if is_blank(text) { BLANK } else { text }
}

/// The text, or its beginning and `…`, in at most so many UTF-16 code units, of which there is at least one.
fn cut(text: &str, limit: usize) -> String {
    if units(text) <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let fits = |c: &char| left.checked_sub(c.len_utf16()).map(|after| left = after).is_some();
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::notification::Level;
    use crate::notification::tests::{fields, items, notification};
    use crate::provider::tests::notifications;

    fn embed(notification: &Notification) -> Value {
        serde_json::to_value(Message::new(notification, Format::Markdown)).unwrap()["embeds"][0].clone()
    }

    fn embed_of(title: &str, body: Body) -> Value {
        embed(&notification(Level::Error, title, body))
    }

    #[test]
    fn fields_are_fields_of_an_embed_and_nobody_is_alerted() {
        let down = notification(
            Level::Warn,
            "❌ web is down",
            fields(&[("Service", "web"), ("Detail", "@everyone")]),
        );
        assert_eq!(
            serde_json::to_string(&Message::new(&down, Format::Markdown)).unwrap(),
            r#"{"embeds":[{"title":"❌ web is down","fields":[{"name":"Service","value":"web"},{"name":"Detail","value":"@everyone"}],"color":16761856}],"allowed_mentions":{"parse":[]}}"#
        );
    }

    // GoDoxy defect 1.7.2: lists and text came as `fields`, which Discord refuses.
    #[test]
    fn lists_and_text_are_a_description() {
        let list = embed_of("Renewed", items(&["a.example", "b.example"]));
        assert_eq!(
            list,
            json!({ "title": "Renewed", "description": "* a.example\n* b.example\n", "color": 0xff0000 })
        );
        let text = embed_of("", Body::Text("**x**".into()));
        assert_eq!(text, json!({ "description": "**x**", "color": 0xff0000 }));
        let plain = Message::new(&notification(Level::Info, "t", items(&["a", "b"])), Format::Plain);
        assert_eq!(serde_json::to_value(plain).unwrap()["embeds"][0]["description"], "a\nb");
    }

    // GoDoxy defect 1.7.2: no cap on fields.
    #[test]
    fn fields_that_have_no_place_are_counted() {
        let many = |n: usize, value: &str| {
            let field = |n| Field { name: format!("f{n}"), value: value.to_owned() };
            Body::Fields((0..n).map(field).collect())
        };
        assert_eq!(embed_of("t", many(25, "x"))["fields"][24], json!({ "name": "f24", "value": "x" }));
        let over = embed_of("t", many(26, "x"));
        assert_eq!(over["fields"].as_array().unwrap().len(), 25);
        assert_eq!(over["fields"][24], json!({ "name": BLANK, "value": "and 2 more" }));
        let long = embed_of("t", many(9, &"x".repeat(1024)));
        let fields = long["fields"].as_array().unwrap();
        assert_eq!(fields.len(), 7);
        // 6000, less the title, five whole fields, this one's name and the room for the last.
        assert_eq!(fields[5]["value"], "x".repeat(6000 - 1 - 5 * 1026 - 2 - 40 - 1) + "…");
        assert_eq!(fields[6]["value"], "and 3 more");
    }

    #[test]
    fn empty_names_and_values_are_zero_width_spaces() {
        let fields = embed_of("t", fields(&[("", "\n"), ("a", "\0")]))["fields"].clone();
        assert_eq!(fields, json!([{ "name": BLANK, "value": BLANK }, { "name": "a", "value": BLANK }]));
    }

    #[test]
    fn an_embed_always_says_something() {
        let nothing = [items(&[]), fields(&[]), Body::Text(" ".into()), Body::Text("\0".into())];
        for body in nothing {
            assert_eq!(embed_of("t", body.clone()), json!({ "title": "t", "color": 0xff0000 }));
            let text = embed_of(" ", body)["description"].clone();
            assert!([json!("error"), json!(BLANK)].contains(&text), "{text}");
        }
    }

    #[test]
    fn a_link_is_behind_the_title_or_is_the_title() {
        let mut linked = notification(Level::Info, "t", Body::Text("b".into()));
        for (link, title, url) in [
            ("https://status.example/?a=1&b=2", "t", json!("https://status.example/?a=1&b=2")),
            ("https://status.example/", "", json!("https://status.example/")),
            ("javascript:alert(1)", "t", Value::Null),
            (&format!("https://x.example/{}", "x".repeat(2048)), "t", Value::Null),
        ] {
            (linked.link, linked.title) = (Some(link.into()), title.into());
            assert_eq!(embed(&linked)["url"], url);
            assert_eq!(embed(&linked)["title"], if title.is_empty() { link } else { title });
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcde", 4), "abc…");
        assert_eq!(cut("ab😀de", 4), "ab…");
        assert_eq!(cut("a😀de", 4), "a😀…");
        assert_eq!(cut("😀", 1), "…");
    }

    #[test]
    fn a_deleted_webhook_is_gone_and_nothing_else_is() {
        let reply = |status, body: &str| classify(&Reply { status, headers: vec![], body: body.into() });
        assert_eq!(reply(404, r#"{"message": "Unknown Webhook", "code": 10015}"#), Some(Class::Gone));
        for (status, body) in
            [(404, "<html>"), (404, "[]"), (404, r#"{"code":0}"#), (400, r#"{"code":10015}"#)]
        {
            assert_eq!(reply(status, body), None);
        }
    }

    proptest! {
        #[test]
        fn no_limit_is_exceeded(mut notification in notifications(), times in 1_usize..2000) {
            if let Body::Fields(fields) = &mut notification.body {
                fields.iter_mut().for_each(|field| field.value = field.value.repeat(times));
            }
            notification.title = notification.title.repeat(times);
            let embed = embed(&notification);
            let length = |value: &Value| value.as_str().map_or(0, units);
            let fields = embed["fields"].as_array().cloned().unwrap_or_default();
            let (title, description) = (length(&embed["title"]), length(&embed["description"]));
            prop_assert!(title <= 256 && description <= 4096 && fields.len() <= 25, "{}", embed);
            let mut total = title + description;
            for field in &fields {
                prop_assert!((1..=256).contains(&length(&field["name"])), "{}", field);
                prop_assert!((1..=1024).contains(&length(&field["value"])), "{}", field);
                total += length(&field["name"]) + length(&field["value"]);
            }
            prop_assert!((1..=6000).contains(&total), "{}", total);
        }
    }
}
