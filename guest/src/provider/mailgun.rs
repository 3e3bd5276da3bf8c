//! Mailgun, mail: <https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages>.
//!
//! A message has at most 25 MB (<https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages>);
//! here its two texts have far less (`mail`). 1000 recipients are documented for batches and are held
//! for all here; a limit of the subject is not documented. All recipients are in one mail and see each other, but
//! for those in `bcc`. Options have 16 kB in all, of which only Reply-To is used.
//!
//! Mailgun answers 200 and an id when it has queued a message. Why not is in the body's `message`; a domain that
//! is not the account's, or in the other region, is a 404. It has rate limits, of which nothing is documented.
//! It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::mail::{self, Address, Envelope};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Form;
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, wrong};
use crate::settings::declare::{choices, settings};
use crate::settings::{Secret, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// An API key, of the account or of the domain.
        key: Secret,
        /// Where the domain is: us, unless this says eu.
        region: Region = Region::Us,
        /// The domain that sends: that of the sender, unless this says otherwise.
        domain: Option<String>,
        /// The sender, as `user@host` or `Name <user@host>`.
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
        Us = "us",
        Eu = "eu",
    }
}

/// Mail by Mailgun.
pub struct Mailgun {
    key: Secret,
    url: Vec<Segment>,
    envelope: Envelope,
    format: Format,
    overflow: Overflow,
}

const RECIPIENTS: usize = 1000;
const MAIL: Limit = Limit::bytes(25_000_000);

impl Provider for Mailgun {
    const NAME: &'static str = "mailgun";
    const SUMMARY: &'static str = "mail by Mailgun";
    const EXAMPLE: &'static str = "\
- name: mail
  provider: mailgun
  key: ${MAILGUN_KEY}
  from: Nuncio <alerts@mg.example.org>
  to: [ops@example.org]
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "HTML and plain text";
    const URLS: Urls = Urls {
        apprise: &["mailgun"],
        apprise_form: "mailgun://user@domain/key/recipient@host?region=eu",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.mailgun.net", "https://api.eu.mailgun.net"];
    const LIMITS: &'static [Bound] =
        &[Bound::text("subject", &["/subject"], mail::SUBJECT), Bound::body("mail", MAIL)];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let Settings { key, region, domain, from, to, cc, bcc, reply_to, format } = settings;
        let envelope = Envelope::check(&from, [&to, &cc, &bcc, &reply_to], RECIPIENTS, at, problems)?;
        let domain = domain.unwrap_or_else(|| envelope.from.host().to_owned());
        if !mail::is_host(&domain) {
            problems.value(&at.at("domain"), "this is no domain", "write it as `mg.example.org`");
            return None;
        }
        let host = match region {
            Region::Us => "https://api.mailgun.net",
            Region::Eu => "https://api.eu.mailgun.net",
        };
        let url = vec![format!("{host}/v3/{}/messages", path_segment(&domain)).into()];
        Some(Self { key, url, envelope, format, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let user = url.required_user("the sender")?;
        let domain = url.take_host("the domain")?;
        let key = url.entry("the API key")?;
        let email = format!("{user}@{domain}");
        // An address, or else a name for people.
        let from = match url.option(&["from"]) {
            Some(from) if from.contains('@') => from,
            Some(name) => Address { name, email }.text(),
            None => email,
        };
        let region = url.option(&["region"]).map(|region| region.to_ascii_lowercase());
        if region.as_ref().is_some_and(|region| region != "us" && region != "eu") {
            return Err(wrong("?region", "is neither us nor eu", "write one of them"));
        }
        let mut settings = mail::recipients(url, &from, Vec::new())?;
        let is_of_sender = Address::read(&from).is_some_and(|from| from.host() == domain);
        if !is_of_sender {
            settings.insert("domain".to_owned(), domain.into());
        }
        if region.is_some() {
            settings.insert("region".to_owned(), json!(region));
        }
        settings.insert("key".to_owned(), key.into());
        Ok(vec![settings])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Envelope { from, to, cc, bcc, reply_to } = &self.envelope;
        let format = occasion.format(self.format);
        let subject = mail::subject(notification, self.overflow);
        let request = |content: mail::Content| {
            let html = if format == Format::Markdown { content.html } else { String::new() };
            let request = Request::post(self.url.clone());
            Form::default()
                .with("from", &from.text())
                .with("to", &mail::joined(to))
                .with_text("cc", &mail::joined(cc))
                .with_text("bcc", &mail::joined(bcc))
                .with_text("h:Reply-To", &mail::joined(reply_to))
                .with("subject", &subject)
                .with("text", &content.text)
                .with_text("html", &html)
                .into(request.header("authorization", self.key.basic("api")))
        };
        let contents = mail::contents(notification, format, self.overflow);
        Ok(contents.into_iter().map(request).collect())
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        answer::accepted(reply, "/id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, requests, target_of, wrong_part};
    use crate::request::Atom;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "m/key" }, "from": "Alerts <alerts@x.example>", "to": ["ops@x.example"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_mail_is_a_form_with_two_versions() {
        let mut renewed = notification(Level::Info, "Renewed\n<all>", items(&["a & b"]));
        renewed.link = Some("https://x.example/".into());
        let settings = json!({ "to": ["ops@x.example", "Doe, Ann <ann@x.example>"], "cc": ["c@x.example"], "bcc": ["b@x.example"], "reply_to": ["r@x.example"] });
        let request = request(&open::<Mailgun>(with(&settings)), &renewed);
        assert_eq!(request.url, [Segment::from("https://api.mailgun.net/v3/x.example/messages")]);
        let login = Segment::Base64(vec![Atom::Text("api:".into()), Atom::Secret("m/key".into())]);
        assert_eq!(header(&request, "authorization").unwrap(), ["Basic ".into(), login]);
        assert_eq!(
            body(&request),
            "from=Alerts+%3Calerts%40x.example%3E&to=ops%40x.example%2C+%22Doe%2C+Ann%22+%3Cann%40x.example%3E&cc=c%40x.example&bcc=b%40x.example&h%3AReply-To=r%40x.example&subject=Renewed+%3Call%3E&text=-+a+%26+b%0A%0Ahttps%3A%2F%2Fx.example%2F&html=%3Cul%3E%3Cli%3Ea+%26amp%3B+b%3C%2Fli%3E%3C%2Ful%3E%3Cp%3E%3Ca+href%3D%22https%3A%2F%2Fx.example%2F%22%3Ehttps%3A%2F%2Fx.example%2F%3C%2Fa%3E%3C%2Fp%3E"
        );
    }

    #[test]
    fn plain_text_has_no_html_and_a_domain_can_be_in_the_eu() {
        let settings = json!({ "format": "plain", "region": "eu", "domain": "mg.x.example" });
        let request = request(
            &open::<Mailgun>(with(&settings)),
            &notification(Level::Info, "", Body::Text("*a*".into())),
        );
        assert_eq!(request.url, [Segment::from("https://api.eu.mailgun.net/v3/mg.x.example/messages")]);
        assert!(body(&request).ends_with("&subject=a&text=*a*"), "{}", body(&request));
    }

    #[test]
    fn a_long_text_is_several_mails() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(120_000)));
        assert_eq!(requests(&open::<Mailgun>(with(&json!({}))), &long).len(), 2);
    }

    #[test]
    fn what_mailgun_refuses_is_refused_at_once() {
        for (settings, at) in [
            (json!({ "from": "alerts" }), "/from"),
            (json!({ "to": [] }), "/to"),
            (json!({ "bcc": vec!["a@b"; 1000] }), "/to"),
            (json!({ "domain": "../x" }), "/domain"),
            (json!({ "domain": ".." }), "/domain"),
            (json!({ "region": "de" }), "/region"),
        ] {
            let found = problems::<Mailgun>(with(&settings));
            assert!(found[0].starts_with(&format!("{at}: ")), "{found:?}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Mailgun>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"id":"<1@x.example>","message":"Queued. Thank you."}"#, None),
            (200, "Mailgun Magnificent API", Some(Class::Ambiguous)),
            (400, r#"{"message":"to parameter is not a valid address"}"#, None),
            (401, "Forbidden", None),
            (404, r#"{"message":"Domain not found: x.example"}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let with = |more: &Value| {
            let mut settings = json!({ "from": "alerts@x.example", "to": ["ops@x.example"], "key": "k-1" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("mailgun://alerts@x.example/k-1/ops@x.example", json!({})),
            ("mailgun://alerts@x.example/k-1", json!({ "to": ["alerts@x.example"] })),
            (
                "mailgun://alerts@x.example/k-1/ops%40x.example?region=EU&to=c%40x.example&name=St%C3%B6rung",
                json!({ "from": "Störung <alerts@x.example>", "region": "eu", "to": ["ops@x.example", "c@x.example"] }),
            ),
            (
                "mailgun://alerts@x.example/k-1/ops@x.example?from=The%20Ops",
                json!({ "from": "The Ops <alerts@x.example>" }),
            ),
            (
                "mailgun://alerts@mg.x.example/k-1/ops@x.example?from=a@x.example&cc=c@x.example&bcc=b@x.example",
                json!({ "from": "a@x.example", "domain": "mg.x.example", "cc": ["c@x.example"], "bcc": ["b@x.example"] }),
            ),
            (
                "mailgun://alerts@x.example/k-1/ops@x.example?batch=yes&overflow=split",
                json!({ "overflow": "split", "left out": ["?batch: there is no such setting here"] }),
            ),
        ] {
            assert_eq!(target_of::<Mailgun>(url), with(&more), "{url}");
        }
        for (url, part) in [
            ("mailgun://x.example/k-1", "user"),
            ("mailgun://alerts@/k-1", "host"),
            ("mailgun://alerts@x.example", "path"),
            ("mailgun://alerts@x.example/k-1/ops", "path"),
            ("mailgun://alerts@x.example/k-1?region=de", "?region"),
            ("mailgun://alerts@x.example/k-1?bcc=ops", "?bcc"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
