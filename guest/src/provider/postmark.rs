//! Postmark, mail: <https://postmarkapp.com/developer/api/email-api#send-a-single-email>.
//!
//! A mail has at most 50 recipients in all and 10 MB (<https://postmarkapp.com/developer>); here its two texts
//! have far less (`mail`). A limit of the subject was not found. All recipients are in one mail and see
//! each other, but for those in `bcc`.
//!
//! Postmark answers 200 and `"ErrorCode": 0` when it has taken a mail, and 422 with another code to what is wrong
//! (<https://postmarkapp.com/developer/api/overview#error-codes>): such as 406, all recipients bounced or
//! complained before. It says no more than 429 to too many requests. It has no idempotency key.

use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::mail::{self, Envelope};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The API token of a server.
        token: Secret,
        /// The sender, which Postmark must have confirmed, as `user@host` or `Name <user@host>`.
        from: String,
        /// The recipients, in the same form.
        to: Vec<String>,
        /// Those who get a copy.
        cc: Vec<String>,
        /// Those who get a copy without being seen.
        bcc: Vec<String>,
        /// Who gets the answers: the sender, unless this says otherwise.
        reply_to: Vec<String>,
        /// The id of the message stream: outbound, unless this says otherwise.
        stream: Option<String>,
        /// How running text is read: as markdown, unless this says plain, which also leaves the HTML version out.
        format: Format = Format::Markdown,
    }
}

/// Mail by Postmark.
pub struct Postmark {
    settings: Settings,
    envelope: Envelope,
    overflow: Overflow,
}

const RECIPIENTS: usize = 50;
const MAIL: Limit = Limit::bytes(10_000_000);

const ANSWER: Answer = Answer {
    at: "/ErrorCode",
    success: "0",
    reason: "/ErrorCode",
    meanings: &[("10", Class::Credentials), ("100", Class::Transient), ("429", Class::Throttled)],
};

impl Provider for Postmark {
    const NAME: &'static str = "postmark";
    const SUMMARY: &'static str = "mail by Postmark";
    const EXAMPLE: &'static str = "\
- name: mail
  provider: postmark
  token: ${POSTMARK_TOKEN}
  from: Nuncio <alerts@example.org>
  to: [ops@example.org]
";
    const AUTH: &'static str = "server token";
    const DIALECT: &'static str = "HTML and plain text";
    const URLS: Urls = Urls {
        apprise: &["postmark"],
        apprise_form: "postmark://token:user@host/recipient@host",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.postmarkapp.com"];
    const LIMITS: &'static [Bound] =
        &[Bound::text("subject", &["/Subject"], mail::SUBJECT), Bound::body("mail", MAIL)];

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
        Ok(vec![mail::from_url(url, "token")?])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Envelope { from, to, cc, bcc, reply_to } = &self.envelope;
        let format = occasion.format(self.settings.format);
        let subject = mail::subject(notification, self.overflow);
        let request = |content: mail::Content| {
            let html = if format == Format::Markdown { content.html } else { String::new() };
            let request = Request::post(vec!["https://api.postmarkapp.com/email".into()])
                .header("accept", vec!["application/json".into()])
                .header("x-postmark-server-token", vec![self.settings.token.segment(Escape::Verbatim)]);
            Object::default()
                .with("From", from.text())
                .with("To", mail::joined(to))
                .with_text("Cc", &mail::joined(cc))
                .with_text("Bcc", &mail::joined(bcc))
                .with_text("ReplyTo", &mail::joined(reply_to))
                .with("Subject", subject.as_str())
                .with("TextBody", content.text)
                .with_text("HtmlBody", &html)
                .with_text("MessageStream", self.settings.stream.as_deref().unwrap_or_default())
                .into(request)
        };
        let contents = mail::contents(notification, format, self.overflow);
        Ok(contents.into_iter().map(request).collect())
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
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
        let mut settings = json!({ "token": { "$secret": "p/token" }, "from": "Alerts <alerts@x.example>", "to": ["ops@x.example"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_mail_has_a_text_and_an_html_version() {
        let mut renewed = notification(Level::Info, "Renewed\n<all>", items(&["a & b"]));
        renewed.link = Some("https://x.example/".into());
        let settings = json!({ "to": ["ops@x.example", "Doe, Ann <ann@x.example>"], "cc": ["c@x.example"], "bcc": ["b@x.example"], "reply_to": ["r@x.example"], "stream": "alerts" });
        let request = request(&open::<Postmark>(with(&settings)), &renewed);
        assert_eq!(request.url, [Segment::from("https://api.postmarkapp.com/email")]);
        let token = Segment::Secret { name: "p/token".into(), escape: Escape::Verbatim };
        assert_eq!(header(&request, "x-postmark-server-token").unwrap(), [token]);
        assert_eq!(
            body(&request),
            r#"{"From":"Alerts <alerts@x.example>","To":"ops@x.example, \"Doe, Ann\" <ann@x.example>","Cc":"c@x.example","Bcc":"b@x.example","ReplyTo":"r@x.example","Subject":"Renewed <all>","TextBody":"- a & b\n\nhttps://x.example/","HtmlBody":"<ul><li>a &amp; b</li></ul><p><a href=\"https://x.example/\">https://x.example/</a></p>","MessageStream":"alerts"}"#
        );
    }

    #[test]
    fn plain_text_has_no_html() {
        let target = open::<Postmark>(with(&json!({ "format": "plain" })));
        let request = request(&target, &notification(Level::Info, "", Body::Text("*a*".into())));
        assert_eq!(
            body(&request),
            r#"{"From":"Alerts <alerts@x.example>","To":"ops@x.example","Subject":"a","TextBody":"*a*"}"#
        );
    }

    #[test]
    fn a_long_text_is_several_mails() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(120_000)));
        assert_eq!(requests(&open::<Postmark>(with(&json!({}))), &long).len(), 2);
    }

    #[test]
    fn what_postmark_refuses_is_refused_at_once() {
        let many = |count: usize| (0..count).map(|n| format!("a{n}@b")).collect::<Vec<_>>();
        for (settings, at) in [
            (json!({ "from": "alerts" }), "/from"),
            (json!({ "to": [] }), "/to"),
            (json!({ "bcc": many(50) }), "/to"),
            (json!({ "reply_to": ["a,b@c"] }), "/reply_to/0"),
        ] {
            let found = problems::<Postmark>(with(&settings));
            assert!(found[0].starts_with(&format!("{at}: ")), "{found:?}");
        }
        assert_eq!(problems::<Postmark>(with(&json!({ "bcc": many(49) }))), [""; 0]);
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Postmark>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"ErrorCode":0,"Message":"OK"}"#, Some(Class::Delivered)),
            (200, r#"{"ErrorCode":406}"#, Some(Class::Permanent)),
            (200, "<html>", Some(Class::Ambiguous)),
            (422, r#"{"ErrorCode":10}"#, Some(Class::Credentials)),
            (422, r#"{"ErrorCode":100}"#, Some(Class::Transient)),
            (422, r#"{"ErrorCode":300}"#, None),
            (429, r#"{"ErrorCode":429}"#, Some(Class::Throttled)),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let with = |more: &Value| {
            let mut settings = json!({ "from": "alerts@x.example", "to": ["ops@x.example"], "token": "t-1" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("postmark://t-1:alerts@x.example/ops@x.example", json!({})),
            ("postmark://t-1:alerts@x.example", json!({ "to": ["alerts@x.example"] })),
            ("postmark://ops%40x.example/?apikey=t-1&from=alerts@x.example", json!({})),
            (
                "postmark://t-1:alerts@x.example/ops@x.example/ann%40x.example?name=The%20%C3%89",
                json!({ "from": "The É <alerts@x.example>", "to": ["ops@x.example", "ann@x.example"] }),
            ),
            (
                "postmark://t-1:alerts@x.example?to=ops@x.example&cc=c@x.example&bcc=b@x.example&reply=r@x.example,s@x.example",
                json!({ "cc": ["c@x.example"], "bcc": ["b@x.example"], "reply_to": ["r@x.example", "s@x.example"] }),
            ),
            (
                "postmark://t-1:alerts@x.example:25/ops@x.example?verify=no",
                json!({ "left out": ["?verify: certificates are always verified; `tls` names your own authority", "port: this kind of URL has no use for it"] }),
            ),
        ] {
            assert_eq!(target_of::<Postmark>(url), with(&more), "{url}");
        }
        for (url, part) in [
            ("postmark://x.example", "user"),
            ("postmark://t-1@x.example", "password"),
            ("postmark://t-1:alerts@", "host"),
            ("postmark://t-1:alerts@x.example/ops", "path"),
            ("postmark://t-1:alerts@x.example?from=alerts", "?from"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
