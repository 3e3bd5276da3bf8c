//! SendGrid, mail by Twilio: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>.
//!
//! A mail has at most 1000 recipients in all, each of them once
//! (<https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors>), and 30 MB; here its two texts have
//! far less (`mail`). A subject must not be empty; a limit of its length is not documented. All
//! recipients are in one mail and see each other, but for those in `bcc`.
//!
//! SendGrid answers 202 with an empty body when it has taken a mail; 200 is for mail that it checks and does not
//! send. What is wrong is a 400, whose body says why; too many wrong requests are blocked for a while with a 403
//! (<https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/errors>), which cannot be
//! told from a key without permission. When to come back is in X-RateLimit-Reset. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::mail::{self, Envelope};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, object};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls};
use crate::settings::Secret;
use crate::settings::declare::{choices, settings};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// An API key that may send mail.
        key: Secret,
        /// Where the account is: global, unless this says eu.
        region: Region = Region::Global,
        /// The sender, which SendGrid must have verified, as `user@host` or `Name <user@host>`.
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

choices! {
    #[derive(Clone, Copy)]
    enum Region {
        Global = "global",
        Eu = "eu",
    }
}

/// Mail by SendGrid.
pub struct SendGrid {
    settings: Settings,
    envelope: Envelope,
    overflow: Overflow,
}

const RECIPIENTS: usize = 1000;
const MAIL: Limit = Limit::bytes(30_000_000);

impl Provider for SendGrid {
    const NAME: &'static str = "sendgrid";
    const SUMMARY: &'static str = "mail by SendGrid";
    const EXAMPLE: &'static str = "\
- name: mail
  provider: sendgrid
  key: ${SENDGRID_KEY}
  from: Nuncio <alerts@example.org>
  to: [ops@example.org]
  cc: [boss@example.org]
  bcc: [archive@example.org]
  reply_to: [help@example.org]
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "HTML and plain text";
    const URLS: Urls = Urls {
        apprise: &["sendgrid"],
        apprise_form: "sendgrid://key:user@host/recipient@host",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.sendgrid.com", "https://api.eu.sendgrid.com"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("subject", &["/subject"], mail::SUBJECT),
        Bound::items("recipients", &["/personalizations/*/to"], RECIPIENTS),
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
        let host = match self.settings.region {
            Region::Global => "https://api.sendgrid.com",
            Region::Eu => "https://api.eu.sendgrid.com",
        };
        let format = occasion.format(self.settings.format);
        let subject = mail::subject(notification, self.overflow);
        let recipients =
            object([("to", mail::objects(to)), ("cc", mail::objects(cc)), ("bcc", mail::objects(bcc))]);
        let request = |content: mail::Content| {
            // SendGrid wants the plain text first.
            let mut versions = vec![json!({ "type": "text/plain", "value": content.text })];
            if format == Format::Markdown {
                versions.push(json!({ "type": "text/html", "value": content.html }));
            }
            Object::default()
                .with("personalizations", json!([recipients]))
                .with("from", from.object())
                .with("reply_to_list", mail::objects(reply_to))
                .with("subject", subject.as_str())
                .with("content", versions)
                .into(
                    Request::post(vec![format!("{host}/v3/mail/send").into()])
                        .header("authorization", self.settings.key.bearer()),
                )
        };
        let contents = mail::contents(notification, format, self.overflow);
        Ok(contents.into_iter().map(request).collect())
    }

    /// 202: taken. Another success is none.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        ((200..300).contains(&reply.status) && reply.status != 202).then_some(Class::Ambiguous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, requests, target_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "s/key" }, "from": "Alerts <alerts@x.example>", "to": ["ops@x.example"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_mail_has_a_text_and_an_html_version() {
        let mut renewed = notification(Level::Info, "Renewed\n<all>", items(&["a & b"]));
        renewed.link = Some("https://x.example/".into());
        let settings = json!({ "to": ["ops@x.example", "Ann <ann@x.example>"], "cc": ["c@x.example"], "bcc": ["b@x.example"], "reply_to": ["r@x.example"] });
        let request = request(&open::<SendGrid>(with(&settings)), &renewed);
        assert_eq!(request.url, [Segment::from("https://api.sendgrid.com/v3/mail/send")]);
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(
            body(&request),
            r#"{"personalizations":[{"to":[{"email":"ops@x.example"},{"email":"ann@x.example","name":"Ann"}],"cc":[{"email":"c@x.example"}],"bcc":[{"email":"b@x.example"}]}],"from":{"email":"alerts@x.example","name":"Alerts"},"reply_to_list":[{"email":"r@x.example"}],"subject":"Renewed <all>","content":[{"type":"text/plain","value":"- a & b\n\nhttps://x.example/"},{"type":"text/html","value":"<ul><li>a &amp; b</li></ul><p><a href=\"https://x.example/\">https://x.example/</a></p>"}]}"#
        );
    }

    #[test]
    fn plain_text_has_no_html_and_an_account_can_be_in_the_eu() {
        let target = open::<SendGrid>(with(&json!({ "format": "plain", "region": "eu" })));
        let request = request(&target, &notification(Level::Info, "", Body::Text("*a*".into())));
        assert_eq!(request.url, [Segment::from("https://api.eu.sendgrid.com/v3/mail/send")]);
        let sent: Value = serde_json::from_str(&body(&request)).unwrap();
        assert_eq!(sent["content"], json!([{ "type": "text/plain", "value": "*a*" }]));
        assert_eq!(sent["subject"], "a");
    }

    #[test]
    fn a_long_text_is_several_mails_with_one_subject() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(120_000)));
        let sent = requests(&open::<SendGrid>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|request| body(request).contains(r#""subject":"t""#)));
    }

    #[test]
    fn what_sendgrid_refuses_is_refused_at_once() {
        for (settings, at) in [
            (json!({ "from": "alerts" }), "/from"),
            (json!({ "to": [] }), "/to"),
            (json!({ "to": ["a@b", "c"] }), "/to/1"),
            (json!({ "cc": ["ops@x.example"] }), "/cc/0"),
            (json!({ "bcc": vec!["a@b"; 1000] }), "/to"),
            (json!({ "region": "us" }), "/region"),
        ] {
            let found = problems::<SendGrid>(with(&settings));
            assert!(found[0].starts_with(&format!("{at}: ")), "{found:?}");
        }
        let most: Vec<String> = (0..999).map(|n| format!("a{n}@b")).collect();
        assert_eq!(problems::<SendGrid>(with(&json!({ "bcc": most }))), [""; 0]);
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<SendGrid>(with(&json!({})));
        for (status, class) in
            [(202, None), (200, Some(Class::Ambiguous)), (400, None), (403, None), (413, None), (429, None)]
        {
            let reply = Reply { status, head: Default::default(), body: vec![] };
            assert_eq!(Provider::classify(&target, &reply), class, "{status}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let with = |more: &Value| {
            let mut settings =
                json!({ "from": "alerts@x.example", "to": ["ops@x.example"], "key": "SG.k-1" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("sendgrid://SG.k-1:alerts@x.example/ops@x.example", json!({})),
            ("sendgrid://SG.k-1:alerts@x.example", json!({ "to": ["alerts@x.example"] })),
            (
                "sendgrid://SG.k-1:alerts@x.example/ops%40x.example/ann%2Bx@x.example?to=c@x.example",
                json!({ "to": ["ops@x.example", "ann+x@x.example", "c@x.example"] }),
            ),
            (
                "sendgrid://SG.k-1:alerts@x.example/ops@x.example?cc=c@x.example,b@x.example,ops@x.example&bcc=b@x.example",
                json!({ "cc": ["c@x.example"], "bcc": ["b@x.example"] }),
            ),
            (
                "sendgrid://SG.k-1:alerts@x.example/ops@x.example?name=St%C3%B6rung%20x&format=text",
                json!({ "from": "Störung x <alerts@x.example>", "format": "plain" }),
            ),
            (
                "sendgrid://SG.k-1:alerts@x.example/ops@x.example?template=d-1&%2Bname=x",
                json!({ "left out": ["?template: there is no such setting here", "?+name: there is no such setting here"] }),
            ),
        ] {
            assert_eq!(target_of::<SendGrid>(url), with(&more), "{url}");
        }
        for (url, part) in [
            ("sendgrid://x.example", "user"),
            ("sendgrid://key@x.example", "password"),
            ("sendgrid://key:alerts@", "host"),
            ("sendgrid://key:a%20b@x.example", "host"),
            ("sendgrid://key:alerts@x.example/ops", "path"),
            ("sendgrid://key:alerts@x.example/?cc=ops", "?cc"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
