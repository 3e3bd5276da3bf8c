//! Tests of whole webhooks; those of their parts are beside the parts.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::color::Color;
use crate::notification::Level;
use crate::notification::tests::{fields, items, notification};
use crate::provider::tests::{OCCASION, body, header, notifications, open, problems, request};
use crate::request::Escape;
use crate::request::Segment;
use crate::template::Template;

fn with(more: &Value) -> Value {
    let mut settings = json!({ "url": { "$secret": "w/url" } });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn sent(settings: &Value, notification: &Notification) -> Request {
    assert_eq!(problems::<Webhook>(with(settings)), [""; 0]);
    request(&open::<Webhook>(with(settings)), notification)
}

fn down() -> Notification {
    notification(Level::Warn, "web is \"down\"", fields(&[("Detail", "a & b")]))
}

#[test]
fn a_payload_is_posted_as_json_to_a_secret_url() {
    let request = sent(&json!({ "payload": r#"{"text": "$title: $message"}"# }), &down());
    assert_eq!((request.method.name(), request.query.len()), ("POST", 0));
    assert_eq!(request.url, [Segment::Secret { name: "w/url".into(), escape: Escape::Verbatim }]);
    assert_eq!(header(&request, "content-type"), Some(&["application/json".into()][..]));
    assert_eq!(body(&request), r##"{"text": "web is \"down\": #### Detail\na & b\n"}"##);
}

// GoDoxy defect 1.7.1: green was `#ff00` and blue `#ff`.
#[test]
fn a_colour_has_six_digits_or_is_a_number() {
    let mut green = down();
    for (color, hex, dec) in [
        (Some(Color::GREEN), r##"["#00ff00"]"##, "[65280]"),
        (Some(Color::BLUE), r##"["#0000ff"]"##, "[255]"),
        (None, r##"["#ffc400"]"##, "[16761856]"),
    ] {
        green.color = color;
        assert_eq!(body(&sent(&json!({ "payload": "[$color]" }), &green)), hex);
        assert_eq!(body(&sent(&json!({ "payload": "[\"$color\"]" }), &green)), hex);
        assert_eq!(body(&sent(&json!({ "payload": "[$color]", "color_mode": "dec" }), &green)), dec);
    }
}

// GoDoxy defect 1.7.2: see also `discord`.
#[test]
fn discord_gets_one_embed_whatever_else_is_set() {
    for more in
        [json!({}), json!({ "method": "put", "mime_type": "text/plain", "color_mode": "hex", "payload": "" })]
    {
        let mut settings = more;
        settings["template"] = json!("discord");
        let request = sent(&settings, &notification(Level::Info, "t", items(&["a"])));
        assert_eq!(request.method.name(), "POST");
        assert_eq!(header(&request, "content-type"), Some(&["application/json".into()][..]));
        assert_eq!(
            body(&request),
            r#"{"embeds":[{"title":"t","description":"* a","color":255}],"allowed_mentions":{"parse":[]}}"#
        );
    }
}

// GoDoxy defect 1.7.3: a payload beside a template was accepted and ignored.
#[test]
fn there_is_a_template_or_a_payload_and_not_both() {
    let both = problems::<Webhook>(with(&json!({ "template": "discord", "payload": "{}" })));
    assert!(
        both.len() == 1 && both[0].starts_with("/payload: both `template` and `payload` are set"),
        "{both:?}"
    );
    for neither in [json!({}), json!({ "payload": "" })] {
        assert!(problems::<Webhook>(with(&neither))[0].starts_with(": there is nothing to send"));
    }
    let wrong = problems::<Webhook>(with(&json!({ "payload": "{$tite}" })));
    assert!(wrong[0].starts_with("/payload: the payload is no JSON at line 1, column 2"), "{wrong:?}");
}

// GoDoxy defect 1.7.4: `format: plain` had no effect.
#[test]
fn the_format_has_an_effect() {
    let payload = |format| json!({ "payload": "$message", "format": format, "mime_type": "text/plain" });
    assert_eq!(body(&sent(&payload("markdown"), &down())), "#### Detail\na & b\n");
    assert_eq!(body(&sent(&payload("plain"), &down())), "Detail: a & b\n");
}

// GoDoxy defect 1.7.5: a form was not encoded.
// GoDoxy defect 1.7.10: a slow receiver gets a message twice and cannot tell.
#[test]
fn every_request_carries_the_notifications_id_unless_a_header_of_that_name_is_set() {
    let id = Some(&["01890a5d-ac96-774b-bcce-b302099a8057".into()][..]);
    for settings in [json!({ "payload": "{}" }), json!({ "template": "discord" })] {
        assert_eq!(header(&sent(&settings, &down()), "idempotency-key"), id);
    }
    let own = json!({ "payload": "{}", "headers": { "Idempotency-Key": { "$secret": "w/key" } } });
    assert_ne!(header(&sent(&own, &down()), "Idempotency-Key"), id);
}

#[test]
fn a_form_is_the_body_and_with_get_the_query() {
    let form = "k=a%20b&t=$title&m=$message";
    let mime_type = "application/x-www-form-urlencoded";
    let settings = json!({ "payload": form, "mime_type": mime_type, "format": "plain" });
    let post = sent(&settings, &down());
    assert_eq!(header(&post, "content-type"), Some(&[mime_type.into()][..]));
    assert_eq!(body(&post), "k=a%20b&t=web+is+%22down%22&m=Detail%3A+a+%26+b%0A");
    let mut settings = settings;
    settings["method"] = json!("GET");
    let get = sent(&settings, &down());
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    assert_eq!(get.query, [("k", "a b"), ("t", "web is \"down\""), ("m", "Detail: a & b\n")].map(pair));
    assert_eq!((get.method.name(), header(&get, "content-type"), get.body.len()), ("GET", None, 0));
}

#[test]
fn text_says_that_it_is_utf_8_and_any_method_sends_a_body() {
    for method in ["get", "GET", "Post", "put", "PATCH"] {
        let request =
            sent(&json!({ "payload": "$title ❌", "mime_type": "text/plain", "method": method }), &down());
        assert_eq!(request.method.name(), method.to_uppercase());
        assert_eq!(header(&request, "content-type"), Some(&["text/plain; charset=utf-8".into()][..]));
        assert_eq!(body(&request), "web is \"down\" ❌");
    }
    let found = problems::<Webhook>(with(&json!({ "payload": "1", "method": "PSOT" })));
    assert_eq!(found, ["/method: `PSOT` is none of POST, PUT, PATCH, GET (did you mean `POST`?)"]);
}

#[test]
fn only_discords_replies_mean_something_of_their_own() {
    let gone = Reply { status: 404, head: Default::default(), body: br#"{"code":10015}"#.to_vec() };
    let classify = |settings| Provider::classify(&open::<Webhook>(with(&settings)), &gone);
    assert_eq!(classify(json!({ "template": "discord" })), Some(Class::Gone));
    assert_eq!(classify(json!({ "payload": "{}" })), None);
}

/// Any text, pieces of payloads in any order, and lists of values and nearly values.
fn payload() -> impl Strategy<Value = String> {
    let pieces = "$title|$message|$fields|$color|$tags|$link|$key|\"|\\|{|}|[|]|:|,| |$x|1|-|e|\\u00|a|ä";
    let piece = prop::sample::select(pieces.split('|').collect::<Vec<_>>());
    let some = prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat());
    let values = r#"$title|$message|$fields|$color|$level|$id|$tags|$link|$key|"-$title"|"\\$fields"|{"$color":$color}|1.5|"$x"|$x|1$color"#;
    let value = prop::sample::select(values.split('|').collect::<Vec<_>>());
    let list = prop::collection::vec(value, 0..4).prop_map(|values| format!("[{}]", values.join(", ")));
    let object = list.clone().prop_map(|list| format!(r#"{{"a": "$message", "b": {list}}}"#));
    prop_oneof![any::<String>(), some, list, object]
}

proptest! {
    #[test]
    fn what_is_accepted_is_sent_whatever_is_filled_in(payload in payload(), n: bool, notification in notifications()) {
        for syntax in [Syntax::Json, Syntax::Form, Syntax::Text, Syntax::Xml] {
            let Ok(payload) = Payload::read(&payload, syntax, n) else { continue };
            let written = payload.write(&notification, Format::Plain);
            prop_assert!(written.is_ok(), "{:?}", written);
            prop_assert_eq!(&written, &payload.write(&notification, Format::Plain));
            if syntax == Syntax::Json {
                let parsed = serde_json::from_str::<Value>(&written.unwrap());
                prop_assert!(parsed.is_ok(), "{:?}", parsed);
            }
        }
    }

    #[test]
    fn any_text_arrives_as_it_is(notification in notifications()) {
        let payload = r#"{"t": $title, "s": "<$title>", "m": "$message", "f": $fields, "g": "$fields"}"#;
        let json = body(&sent(&json!({ "payload": payload }), &notification));
        let (title, message) = (&notification.title, notification.message(Format::Markdown));
        let (wrapped, fields) = (format!("<{title}>"), notification.body.to_json());
        let expected = json!({ "t": title, "s": wrapped, "m": message, "f": fields, "g": fields.to_string() });
        prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), expected);
        let expected = [("t".to_owned(), title.clone()), ("m".to_owned(), message.to_string())];
        for payload in ["t=$title&m=$message", r#"{"t": "$title", "m": $message, "n": null}"#] {
            let form = |method| {
                json!({ "payload": payload, "mime_type": "application/x-www-form-urlencoded", "method": method })
            };
            prop_assert_eq!(form::pairs(&body(&sent(&form("POST"), &notification))), expected.clone());
            prop_assert_eq!(sent(&form("GET"), &notification).query, expected.clone());
        }
    }

    #[test]
    fn the_same_notification_is_the_same_request(notification in notifications(), payload in ".+") {
        prop_assume!(!Template::is_meant(&payload));
        for settings in [json!({ "template": "discord" }), json!({ "payload": payload, "mime_type": "text/plain" })] {
            let target = open::<Webhook>(with(&settings));
            let format = || Provider::format(&target, &notification, &OCCASION);
            prop_assert_eq!(format(), format());
        }
    }
}

#[test]
fn a_payload_with_braces_is_a_template() {
    let with = |payload: &str| with(&json!({ "payload": payload }));
    let target = open::<Webhook>(with(
        r#"{"text": {{ title | tojson }}{% if level > "warn" %}, "page": true{% endif %}}"#,
    ));
    assert_eq!(body(&request(&target, &down())), r#"{"text": "web is \"down\""}"#);
    for (payload, what) in [
        ("{\"text\": {{ titel }}}", "undefined"),
        ("{\"text\": \"{{ message }}\"}", "what it writes is no JSON"),
        ("{\"text\": {{ title | tojson }}, \"x\": \"$message\"}", "both a template's"),
    ] {
        let found = problems::<Webhook>(with(payload));
        assert!(
            found.len() == 1 && found[0].starts_with("/payload: ") && found[0].contains(what),
            "{found:?}"
        );
    }
}
