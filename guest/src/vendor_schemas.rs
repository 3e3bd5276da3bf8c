//! What is sent, against the schemas that the vendors publish.
//!
//! The schemas are not part of this repository: `NUNCIO_PROVIDER_SCHEMAS` names the folder that has them,
//! as `gotify.schema.json`, each with a payload of the vendor's own in `examples/gotify.json`.

use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::color::Color;
use crate::notification::tests::notification;
use crate::notification::{Body, Field, Level, Notification};
use crate::provider::Provider;
use crate::provider::gotify::Gotify;
use crate::provider::ntfy::Ntfy;
use crate::provider::tests::{body, open, request};
use crate::provider::webhook::Webhook;

const FOLDER: &str = "NUNCIO_PROVIDER_SCHEMAS";

/// The validator of a schema that has accepted its vendor's own example; `None` where there are no schemas.
#[expect(clippy::disallowed_methods, reason = "the folder is this machine's, and no setting of Nuncio's")]
fn schema(name: &str) -> Option<Validator> {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        eprintln!(
            "{FOLDER} is not set: the payloads for {name} were NOT checked against its vendor's schema"
        );
        return None;
    };
    let read = |path: String| -> Value {
        let path = folder.join(path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let schema = read(format!("{name}.schema.json"));
    let validator =
        jsonschema::options().should_validate_formats(true).build(&schema).expect("a JSON schema");
    accept(&validator, &read(format!("examples/{name}.json")));
    Some(validator)
}

fn accept(validator: &Validator, payload: &Value) {
    let problems: Vec<String> =
        validator.iter_errors(payload).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:?} in {payload}");
}

/// Texts where something ends: nothing, one character, a limit of Discord's or ntfy's, one more, a cut in an
/// emoji, and what other forms give a meaning to.
fn texts() -> Vec<String> {
    let mut texts =
        ["", " ", "x", "\0\u{1}\u{1b}[31m\u{7f}", "שלום \u{202e}עולם", "# *a* _b_ `c` [d](e) @everyone"]
            .map(str::to_owned)
            .to_vec();
    texts.push("<b>&amp;</b> \"$title\" \\ $message \r\n".to_owned());
    for limit in [256, 1024, 2048, 4096, 6000] {
        for length in [limit - 1, limit, limit + 1] {
            texts.push("x".repeat(length));
        }
        texts.push("x".repeat(limit - 2) + "👩‍👩‍👧");
        texts.push("😀".repeat(limit / 2 + 1));
    }
    texts
}

fn bodies(text: &str) -> Vec<Body> {
    let field = Field { name: text.to_owned(), value: text.to_owned() };
    let mut bodies = vec![Body::Text(text.to_owned())];
    bodies.extend([0, 1, 2].map(|n| Body::Items(vec![text.to_owned(); n])));
    bodies.extend([0, 1, 5, 25, 26].map(|n| Body::Fields(vec![field.clone(); n])));
    bodies
}

/// Every kind of body with every text at every level, and each of those with a title, or none, that is short,
/// too long for some, or the text.
fn notifications() -> Vec<Notification> {
    let mut notifications = Vec::new();
    for text in texts() {
        let titles = ["", "❌ web is down", &"x".repeat(257), &text];
        for body in bodies(&text) {
            for (n, (level, title)) in Level::ALL.into_iter().zip(titles.into_iter().cycle()).enumerate() {
                notifications.push(Notification {
                    link: (n % 2 == 0).then(|| "https://status.example/web?a=1&b=2#c".to_owned()),
                    tags: vec!["web".to_owned(); n % 3],
                    color: (n % 3 == 0).then_some(Color::GREEN),
                    ..notification(level, title, body.clone())
                });
            }
        }
    }
    notifications
}

fn check<P: Provider>(schema_name: &str, settings: &Value) {
    let Some(validator) = schema(schema_name) else { return };
    for format in ["markdown", "plain"] {
        let mut settings = settings.clone();
        settings["format"] = json!(format);
        let target: P = open(settings);
        for notification in notifications() {
            let payload = serde_json::from_str(&body(&request(&target, &notification))).expect("JSON");
            accept(&validator, &payload);
        }
    }
}

#[test]
fn gotify_is_sent_what_its_schema_allows() {
    check::<Gotify>("gotify", &json!({ "url": "https://push.example", "token": { "$secret": "t" } }));
}

#[test]
fn ntfy_is_sent_what_its_schema_allows() {
    check::<Ntfy>("ntfy", &json!({ "url": "https://ntfy.example", "topic": "alerts", "tags": ["house"] }));
}

#[test]
fn discord_is_sent_what_its_schema_allows() {
    check::<Webhook>("discord", &json!({ "url": { "$secret": "u" }, "template": "discord" }));
}
