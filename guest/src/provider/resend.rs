//! Resend, mail: <https://resend.com/docs/api-reference/emails/send-email>.
//!
//! `to` has at most 50 recipients, which are held for all of them here, because it is not documented how many
//! `cc` and `bcc` have; a limit of the subject is not documented. A mail has 40 MB; here its two texts have far
//! less (`mail`). All recipients are in one mail and see each other, but for those in `bcc`.
//!
//! Resend answers 200 and an id. The notification's id is the header Idempotency-Key, at most 256 characters: for
//! 24 hours, a request that comes twice is one mail
//! (<https://resend.com/docs/dashboard/emails/idempotency-keys>). A 409 says that the first of them is still being
//! worked on, or was another mail. When to come back is in Retry-After; a 429 can also be a quota of the day or
//! the month (<https://resend.com/docs/api-reference/errors>).

use serde_json::{Map, Value};

use crate::answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::mail::{self, Envelope};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// An API key that may send mail.
        key: Secret,
        /// The sender, at a domain that Resend has verified, as `user@host` or `Name <user@host>`.
        from: String,
        /// The recipients, in the same form.
        to: Vec<String>,
        /// Those who get a copy.
        cc: Vec<String>,
        /// Those who get a copy without being seen.
        bcc: Vec<String>,
        /// Who gets the answers: the sender, unless this says otherwise.
        reply_to: Vec<String>,
        /// How running text is read: as markdown, unless this says plain, which also leaves the HTML version out.
        format: Format = Format::Markdown,
    }
}

/// Mail by Resend.
pub struct Resend {
    settings: Settings,
    envelope: Envelope,
    overflow: Overflow,
}

const RECIPIENTS: usize = 50;
const MAIL: Limit = Limit::bytes(40_000_000);

/// How long an idempotency key is at most.
const LONGEST_KEY: usize = 256;

impl Provider for Resend {
    const NAME: &'static str = "resend";
    const SUMMARY: &'static str = "mail by Resend";
    const EXAMPLE: &'static str = "\
- name: mail
  provider: resend
  key: ${RESEND_KEY}
  from: Nuncio <alerts@example.org>
  to: [ops@example.org]
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "HTML and plain text";
    const URLS: Urls = Urls {
        apprise: &["resend"],
        apprise_form: "resend://key:user@host/recipient@host",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.resend.com"];
    // By Idempotency-Key, as the page above says.
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[
        Bound::text("subject", &["/subject"], mail::SUBJECT),
        Bound::items("recipients", &["/to"], RECIPIENTS),
        Bound::body("mail", MAIL),
    ];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let Settings { from, to, cc, bcc, reply_to, .. } = &settings;
        let envelope = Envelope::check(from, [to, cc, bcc, reply_to], RECIPIENTS, at, problems)?;
        Some(Self { settings, envelope, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        Ok(vec![mail::from_url(url, "key")?])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Envelope { from, to, cc, bcc, reply_to } = &self.envelope;
        let format = occasion.format(self.settings.format);
        let subject = mail::subject(notification, self.overflow);
        let request = |(n, content): (usize, mail::Content)| {
            let html = if format == Format::Markdown { content.html } else { String::new() };
            let request = Request::post(vec!["https://api.resend.com/emails".into()])
                .header("authorization", self.settings.key.bearer())
                .header("idempotency-key", vec![key(&notification.id, n).into()]);
            Object::default()
                .with("from", from.text())
                .with("to", mail::texts(to))
                .with("cc", mail::texts(cc))
                .with("bcc", mail::texts(bcc))
                .with("reply_to", mail::texts(reply_to))
                .with("subject", subject.as_str())
                .with("text", content.text)
                .with_text("html", &html)
                .into(request)
        };
        let contents = mail::contents(notification, format, self.overflow);
        Ok(contents.into_iter().enumerate().map(request).collect())
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match (reply.status, body.get("name").and_then(Value::as_str)) {
            (409, Some("concurrent_idempotent_requests")) => Some(Class::Transient),
            _ => answer::accepted(reply, "/id"),
        }
    }
}

/// The idempotency key of a part; a long id, which is ASCII, loses its beginning to the part's number.
fn key(id: &str, part: usize) -> String {
    let key = if part == 0 { id.to_owned() } else { format!("{id}-{part}") };
    let start = key.len().saturating_sub(LONGEST_KEY);
    key.get(start..).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, requests, target_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "r/key" }, "from": "Alerts <alerts@x.example>", "to": ["ops@x.example"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_mail_has_two_versions_and_the_notifications_id() {
        let mut renewed = notification(Level::Info, "Renewed\n<all>", items(&["a & b"]));
        renewed.link = Some("https://x.example/".into());
        let settings = json!({ "to": ["ops@x.example", "Doe, Ann <ann@x.example>"], "cc": ["c@x.example"], "bcc": ["b@x.example"], "reply_to": ["r@x.example"] });
        let request = request(&open::<Resend>(with(&settings)), &renewed);
        assert_eq!(request.url, [Segment::from("https://api.resend.com/emails")]);
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(header(&request, "idempotency-key").unwrap(), [Segment::from(renewed.id.as_str())]);
        assert_eq!(
            body(&request),
            r#"{"from":"Alerts <alerts@x.example>","to":["ops@x.example","\"Doe, Ann\" <ann@x.example>"],"cc":["c@x.example"],"bcc":["b@x.example"],"reply_to":["r@x.example"],"subject":"Renewed <all>","text":"- a & b\n\nhttps://x.example/","html":"<ul><li>a &amp; b</li></ul><p><a href=\"https://x.example/\">https://x.example/</a></p>"}"#
        );
    }

    #[test]
    fn plain_text_has_no_html() {
        let target = open::<Resend>(with(&json!({ "format": "plain" })));
        let request = request(&target, &notification(Level::Info, "", Body::Text("*a*".into())));
        assert_eq!(
            body(&request),
            r#"{"from":"Alerts <alerts@x.example>","to":["ops@x.example"],"subject":"a","text":"*a*"}"#
        );
    }

    #[test]
    fn each_part_has_a_key_of_its_own() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(120_000)));
        let sent = requests(&open::<Resend>(with(&json!({}))), &long);
        let keys: Vec<_> =
            sent.iter().map(|request| header(request, "idempotency-key").unwrap()[0].clone()).collect();
        assert_eq!(keys, [Segment::from(long.id.as_str()), format!("{}-1", long.id).into()]);
        assert_eq!(key(&"x".repeat(255), 0).len(), 255);
        let longest = key(&"x".repeat(255), 12);
        assert!(longest.len() == LONGEST_KEY && longest.ends_with("x-12"), "{longest}");
    }

    #[test]
    fn what_resend_refuses_is_refused_at_once() {
        for (settings, at) in [
            (json!({ "from": "alerts" }), "/from"),
            (json!({ "to": [] }), "/to"),
            (json!({ "to": ["a@b", "c d@e"] }), "/to/1"),
            (json!({ "reply_to": ["c"] }), "/reply_to/0"),
            (json!({ "format": "html" }), "/format"),
        ] {
            let found = problems::<Resend>(with(&settings));
            assert!(found[0].starts_with(&format!("{at}: ")), "{found:?}");
        }
        let many = |count: usize| (0..count).map(|n| format!("a{n}@b")).collect::<Vec<_>>();
        assert_eq!(problems::<Resend>(with(&json!({ "to": many(50) }))), [""; 0]);
        assert!(problems::<Resend>(with(&json!({ "to": many(51) })))[0].starts_with("/to: there are 51"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Resend>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"id":"49a3999c"}"#, None),
            (200, "<html>", Some(Class::Ambiguous)),
            (409, r#"{"name":"concurrent_idempotent_requests"}"#, Some(Class::Transient)),
            (409, r#"{"name":"invalid_idempotent_request"}"#, None),
            (403, r#"{"name":"invalid_api_key"}"#, None),
            (429, r#"{"name":"daily_quota_exceeded"}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let with = |more: &Value| {
            let mut settings = json!({ "from": "alerts@x.example", "to": ["ops@x.example"], "key": "re_1" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("resend://re_1:alerts@x.example/ops@x.example", json!({})),
            ("resend://re_1:alerts@x.example", json!({ "to": ["alerts@x.example"] })),
            ("resend://ops%40x.example?apikey=re_1&from=alerts@x.example", json!({})),
            (
                "resend://alerts@x.example/ops@x.example?apikey=re_1&name=Ops%2C%20all",
                json!({ "from": "\"Ops, all\" <alerts@x.example>" }),
            ),
            (
                "resend://re_1:alerts@x.example/ops@x.example/ann@x.example?to=c@x.example&reply=r@x.example",
                json!({ "to": ["ops@x.example", "ann@x.example", "c@x.example"], "reply_to": ["r@x.example"] }),
            ),
            (
                "resend://re_1:alerts@x.example/ops@x.example?cc=St%C3%B6r%20%3Cc@x.example%3E&bcc=b@x.example",
                json!({ "cc": ["Stör <c@x.example>"], "bcc": ["b@x.example"] }),
            ),
        ] {
            assert_eq!(target_of::<Resend>(url), with(&more), "{url}");
        }
        for (url, part) in [
            ("resend://x.example", "user"),
            ("resend://re_1@x.example", "password"),
            ("resend://re_1:alerts@", "host"),
            ("resend://re_1:alerts@x.example?to=ops", "?to"),
            ("resend://re_1:alerts@x.example?reply=ops", "?reply"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
