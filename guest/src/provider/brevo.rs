//! Brevo, mail: <https://developers.brevo.com/reference/send-transac-email>.
//!
//! A mail has at most 99 recipients, which is documented for each version of a message and held for all
//! recipients here, and their names and the sender's have 70 characters; which unit that is, and limits of the
//! subject and the size are not documented. All recipients are in one mail and see each other, but for those in
//! `bcc`. Brevo wants an HTML version always, so that `format: plain` has one too, of the same plain text.
//!
//! Brevo fills in `{{ … }}` and `{% … %}`: such are broken, in HTML by an entity, and elsewhere by a zero-width
//! space, which is not documented to help.
//!
//! Brevo answers 201 and an id. The notification's id is `idempotencyKey`, by which Brevo knows a repetition for
//! 15 minutes (<https://developers.brevo.com/changelog/email-api-now-supports-idempotency>); that is less than
//! deliveries are retried, and what a repetition gets is not documented, so that it is not relied on. 402 is an
//! account without credits. When to come back is in X-Sib-Ratelimit-Reset
//! (<https://developers.brevo.com/docs/limit-headers>), "typically" in seconds.

use serde_json::{Map, Value};

use crate::answer;
use crate::braces::{broken, replaced};
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::mail::{self, Envelope};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, object};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, wrong};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// An API key.
        key: Secret,
        /// The sender, which Brevo must have verified, as `user@host` or `Name <user@host>`.
        from: String,
        /// The recipients, in the same form.
        to: Vec<String>,
        /// Those who get a copy.
        cc: Vec<String>,
        /// Those who get a copy without being seen.
        bcc: Vec<String>,
        /// Who gets the answers, one address: the sender, unless this says otherwise.
        reply_to: Vec<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// Mail by Brevo.
pub struct Brevo {
    settings: Settings,
    envelope: Envelope,
    overflow: Overflow,
}

const RECIPIENTS: usize = 99;
const NAME: Limit = Limit::utf16(70);

impl Provider for Brevo {
    const NAME: &'static str = "brevo";
    const SUMMARY: &'static str = "mail by Brevo";
    const EXAMPLE: &'static str = "\
- name: mail
  provider: brevo
  key: ${BREVO_KEY}
  from: Nuncio <alerts@example.org>
  to: [Ops <ops@example.org>]
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "HTML and plain text";
    const URLS: Urls = Urls {
        apprise: &["brevo"],
        apprise_form: "brevo://key:user@host/recipient@host",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.brevo.com"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("subject", &["/subject"], mail::SUBJECT),
        Bound::items("recipients", &["/to"], RECIPIENTS),
        Bound::text("name", &["/sender/name", "/to/*/name"], NAME),
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
        let before = problems.len();
        if reply_to.len() > 1 {
            problems.value(&at.at("reply_to"), "Brevo takes one address here", "keep one of them");
        }
        let lists = [
            ("from", std::slice::from_ref(&envelope.from)),
            ("to", &envelope.to),
            ("cc", &envelope.cc),
            ("bcc", &envelope.bcc),
            ("reply_to", &envelope.reply_to),
        ];
        for (name, list) in lists {
            if list.iter().any(|address| !NAME.fits(&address.name)) {
                problems.value(
                    &at.at(name),
                    "a name is too long for Brevo",
                    "allowed are up to 70 characters",
                );
            }
        }
        (problems.len() == before).then_some(Self { settings, envelope, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let settings = mail::from_url(url, "key")?;
        let replies = settings.get("reply_to").and_then(Value::as_array).map_or(0, Vec::len);
        if replies > 1 {
            return Err(wrong("?reply", "names several addresses", "keep one of them"));
        }
        Ok(vec![settings])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Envelope { from, to, cc, bcc, reply_to } = &self.envelope;
        let format = occasion.format(self.settings.format);
        let subject = broken(&mail::subject(notification, self.overflow));
        let subject = self.overflow.limit(mail::SUBJECT).cut(&subject);
        let request = |(n, content): (usize, mail::Content)| {
            let key = if n == 0 { notification.id.clone() } else { format!("{}-{n}", notification.id) };
            let request = Request::post(vec!["https://api.brevo.com/v3/smtp/email".into()])
                .header("api-key", vec![self.settings.key.segment(Escape::Verbatim)]);
            Object::default()
                .with("sender", from.object())
                .with("to", mail::objects(to))
                .with("cc", mail::objects(cc))
                .with("bcc", mail::objects(bcc))
                .with("replyTo", reply_to.first().map(mail::Address::object))
                .with("subject", subject.as_str())
                .with("textContent", broken(&content.text))
                .with("htmlContent", replaced(&content.html, "&#123;"))
                .with("headers", object([("idempotencyKey", key.into())]))
                .into(request)
        };
        let contents = mail::contents(notification, format, self.overflow);
        Ok(contents.into_iter().enumerate().map(request).collect())
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        answer::accepted(reply, "/messageId")
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        let seconds = reply.header("x-sib-ratelimit-reset").filter(|_| reply.status == 429)?;
        seconds.trim().parse::<u64>().ok()?.checked_mul(1000)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::outcome::Head;
    use crate::provider::tests::{body, header, open, problems, request, requests, target_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "b/key" }, "from": "Alerts <alerts@x.example>", "to": ["ops@x.example"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_mail_has_two_versions_and_the_notifications_id() {
        let mut renewed = notification(Level::Info, "Renewed\n<all>", items(&["a & b"]));
        renewed.link = Some("https://x.example/".into());
        let settings = json!({ "to": ["ops@x.example", "Ann <ann@x.example>"], "cc": ["c@x.example"], "bcc": ["b@x.example"], "reply_to": ["r@x.example"] });
        let request = request(&open::<Brevo>(with(&settings)), &renewed);
        assert_eq!(request.url, [Segment::from("https://api.brevo.com/v3/smtp/email")]);
        let key = Segment::Secret { name: "b/key".into(), escape: Escape::Verbatim };
        assert_eq!(header(&request, "api-key").unwrap(), [key]);
        assert_eq!(
            body(&request),
            r#"{"sender":{"email":"alerts@x.example","name":"Alerts"},"to":[{"email":"ops@x.example"},{"email":"ann@x.example","name":"Ann"}],"cc":[{"email":"c@x.example"}],"bcc":[{"email":"b@x.example"}],"replyTo":{"email":"r@x.example"},"subject":"Renewed <all>","textContent":"- a & b\n\nhttps://x.example/","htmlContent":"<ul><li>a &amp; b</li></ul><p><a href=\"https://x.example/\">https://x.example/</a></p>","headers":{"idempotencyKey":"01890a5d-ac96-774b-bcce-b302099a8057"}}"#
        );
    }

    #[test]
    fn nothing_is_filled_in() {
        let target = open::<Brevo>(with(&json!({ "format": "plain" })));
        let text = notification(Level::Info, "{{a}} {%b%} {c}", Body::Text("{{{d}} <e>".into()));
        let sent: Value = serde_json::from_str(&body(&request(&target, &text))).unwrap();
        assert_eq!(sent["subject"], "{\u{200b}{a}} {\u{200b}%b%} {c}");
        assert_eq!(sent["textContent"], "{\u{200b}{\u{200b}{d}} <e>");
        assert_eq!(sent["htmlContent"], "<p>&#123;&#123;{d}} &lt;e&gt;</p>");
        let long = notification(Level::Info, &"{{".repeat(120), Body::Text("b".into()));
        let sent: Value = serde_json::from_str(&body(&request(&target, &long))).unwrap();
        assert_eq!(sent["subject"].as_str().unwrap().chars().count(), 255);
    }

    #[test]
    fn each_part_has_a_key_of_its_own() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(120_000)));
        let sent = requests(&open::<Brevo>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 2);
        assert!(body(&sent[1]).ends_with(r#"8057-1"}}"#));
    }

    #[test]
    fn what_brevo_refuses_is_refused_at_once() {
        let name = |length: usize| format!("{} <a@b>", "x".repeat(length));
        for (settings, at) in [
            (json!({ "from": "alerts" }), "/from"),
            (json!({ "from": name(71) }), "/from"),
            (json!({ "to": [name(71)] }), "/to"),
            (json!({ "to": [] }), "/to"),
            (json!({ "reply_to": ["r@x.example", "s@x.example"] }), "/reply_to"),
            (json!({ "reply_to": ["r"] }), "/reply_to/0"),
        ] {
            let found = problems::<Brevo>(with(&settings));
            assert!(found[0].starts_with(&format!("{at}: ")), "{found:?}");
        }
        assert_eq!(problems::<Brevo>(with(&json!({ "from": name(70), "to": [name(70)] }))), [""; 0]);
        let many: Vec<String> = (0..100).map(|n| format!("a{n}@b")).collect();
        assert!(problems::<Brevo>(with(&json!({ "to": many })))[0].starts_with("/to: there are 100"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Brevo>(with(&json!({})));
        let reply = |status, body: &str| Reply {
            status,
            head: Head::of([("x-sib-ratelimit-reset", "30")]),
            body: body.into(),
        };
        for (status, body, class) in [
            (201, r#"{"messageId":"<1@x.example>"}"#, None),
            (201, "", Some(Class::Ambiguous)),
            (400, r#"{"code":"invalid_parameter"}"#, None),
            (401, r#"{"code":"unauthorized"}"#, None),
            (402, r#"{"code":"not_enough_credits"}"#, None),
        ] {
            assert_eq!(Provider::classify(&target, &reply(status, body)), class, "{body}");
        }
        assert_eq!(Provider::hint(&target, &reply(429, "")), Some(30_000));
        assert_eq!(Provider::hint(&target, &reply(201, "")), None);
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let with = |more: &Value| {
            let mut settings =
                json!({ "from": "alerts@x.example", "to": ["ops@x.example"], "key": "xkeysib-1" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("brevo://xkeysib-1:alerts@x.example/ops@x.example", json!({})),
            ("brevo://xkeysib-1:alerts@x.example/", json!({ "to": ["alerts@x.example"] })),
            (
                "brevo://xkeysib-1:alerts@x.example/ops%40x.example?to=Ann%20%C3%89%20%3Cann@x.example%3E",
                json!({ "to": ["ops@x.example", "Ann É <ann@x.example>"] }),
            ),
            (
                "brevo://xkeysib-1:alerts@x.example/ops@x.example?reply=r@x.example",
                json!({ "reply_to": ["r@x.example"] }),
            ),
            (
                "brevo://xkeysib-1:alerts@x.example/ops@x.example?cc=c@x.example,d@x.example&bcc=d@x.example&format=text",
                json!({ "cc": ["c@x.example"], "bcc": ["d@x.example"], "format": "plain" }),
            ),
        ] {
            assert_eq!(target_of::<Brevo>(url), with(&more), "{url}");
        }
        for (url, part) in [
            ("brevo://x.example", "user"),
            ("brevo://xkeysib-1@x.example", "password"),
            ("brevo://xkeysib-1:alerts@", "host"),
            ("brevo://xkeysib-1:alerts@x.example/o%20ps@x.example", "path"),
            ("brevo://xkeysib-1:alerts@x.example?reply=a@b,c@d", "?reply"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
