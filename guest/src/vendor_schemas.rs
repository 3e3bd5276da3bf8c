//! What is sent, to be held against the schemas that the vendors publish.
//!
//! The schemas are not part of this repository: `NUNCIO_PROVIDER_SCHEMAS` names the folder that has them,
//! as `gotify.schema.json`, each with a payload of the vendor's own in `examples/gotify.json`.

use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::Value;

use crate::color::Color;
use crate::notification::tests::notification;
use crate::notification::{Body, Field, Level, Notification};

const FOLDER: &str = "NUNCIO_PROVIDER_SCHEMAS";

/// The validator of a schema that has accepted its vendor's own example; `None` where there are no schemas.
#[expect(clippy::disallowed_methods, reason = "the folder is this machine's, and no setting of Nuncio's")]
pub(crate) fn schema(name: &str) -> Option<Validator> {
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

pub(crate) fn accept(validator: &Validator, payload: &Value) {
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
    let items = [0, 1, 2].map(|n| Body::Items(vec![text.to_owned(); n]));
    let fields = [0, 1, 26].map(|n| Body::Fields(vec![field.clone(); n]));
    [vec![Body::Text(text.to_owned())], items.to_vec(), fields.to_vec()].concat()
}

/// Every kind of body with every text, at the levels in turn, with a title, or none, that is short, too long
/// for some, or the text; a short one at every level; and one that opens an alert, and one that closes it.
pub(crate) fn notifications() -> Vec<Notification> {
    let mut notifications: Vec<Notification> =
        Level::ALL.map(|level| notification(level, "❌ web is down", Body::Text("b".into()))).to_vec();
    let down = notification(Level::Error, "❌ web is down", Body::Text("b".into()));
    notifications.push(Notification { key: Some("web/1 é".to_owned()), ..down.clone() });
    notifications.push(Notification { resolves: Some("web/1 é".to_owned()), ..down });
    for text in texts() {
        let titles = ["", "❌ web is down", &"x".repeat(1025), &text];
        for body in bodies(&text) {
            let n = notifications.len();
            let (level, title) = (Level::ALL[n % 6], titles[n % 4]);
            notifications.push(Notification {
                link: n.is_multiple_of(2).then(|| "https://status.example/web?a=1&b=2#c".to_owned()),
                tags: vec!["web".to_owned(); n % 3],
                color: n.is_multiple_of(3).then_some(Color::GREEN),
                ..notification(level, title, body)
            });
        }
    }
    notifications
}

/// Those whose text is within every limit: what a target may be sent that leaves limits to the service.
pub(crate) fn short_notifications() -> Vec<Notification> {
    let is_short = |notification: &Notification| {
        let body = notification.body.to_json().to_string();
        notification.title.len() < 100 && body.len() < 200
    };
    notifications().into_iter().filter(is_short).collect()
}

/// The schema that a provider's request to a URL fits, where its vendor has one for that operation.
pub(crate) fn name(provider: &str, settings: &Value, url: &str) -> Option<&'static str> {
    Some(match provider {
        "alertmanager" => "alertmanager",
        "bark" => "bark",
        "brevo" => "brevo",
        "datadog" => "datadog",
        "dingtalk" => "dingtalk",
        "discord" => "discord",
        "feishu" | "lark" => "feishu",
        "googlechat" => "google-chat",
        "gotify" => "gotify",
        "homeassistant" if url.ends_with("/dismiss") => return None,
        "homeassistant" => "home-assistant",
        "ifttt" => "ifttt",
        "line" => "line",
        "mailgun" => "mailgun",
        "matrix" => "matrix",
        "mattermost" if settings["webhook"].is_null() => "mattermost",
        "mattermost" => "mattermost-webhook",
        "ntfy" => "ntfy",
        "opsgenie" if url.ends_with("/close") => return None,
        "opsgenie" => "opsgenie",
        "pagerduty" => "pagerduty",
        "pushbullet" => "pushbullet",
        "pushover" => "pushover",
        "resend" => "resend",
        "rocketchat" if settings["webhook"].is_null() => "rocketchat",
        "rocketchat" => "rocketchat-webhook",
        "sendgrid" => "sendgrid",
        "signal" => "signal-cli-rest-api",
        "slack" if settings["url"].is_null() => "slack",
        "slack" => "slack-webhook",
        "splunk-oncall" => "splunk-on-call",
        "teams" => "teams",
        "telegram" => "telegram",
        "twilio" => "twilio",
        "webex" => "webex",
        "webhook" if settings["template"] == "cloudevents" => "cloudevents",
        "webhook" if settings["template"] == "discord" => "discord",
        "wecom" => "wecom",
        "zulip" => "zulip",
        _ => return None,
    })
}
