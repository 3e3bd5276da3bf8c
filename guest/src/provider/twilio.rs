//! Twilio, text messages and WhatsApp:
//! <https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource>.
//!
//! A body has at most 1600 characters; they are counted in UTF-16 code units, in which text messages are sent
//! that need more than their own alphabet: so it is never too long. Text is plain; WhatsApp shows `*`, `_` and `~`
//! around words as marks, which have no escape. A long text is cut off, because every 70 to 160 characters are
//! charged for; `overflow: split` sends all of it.
//!
//! Twilio answers 201 and the message's `sid` when it has queued a message. Why not is a `code` in the body, with
//! 400 for what will never do, such as 21610, a receiver who has sent STOP
//! (<https://www.twilio.com/docs/api/errors>); 429 is too many requests. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Form, each};
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The SID of the account, which begins with `AC`.
        account: String,
        /// The SID of an API key, which begins with `SK`; without one, the token is the account's.
        key: Option<String>,
        /// The account's auth token, or the secret of the API key.
        token: Secret,
        /// The sender: a number as `+4915123456789`, a short code, a name, or the SID of a messaging service, which
        /// begins with `MG`; for WhatsApp as `whatsapp:+4915123456789`.
        from: String,
        /// The receiver: a number as `+4915123456789`, for WhatsApp as `whatsapp:+4915123456789`.
        to: String,
        /// How running text is read: as markdown, whose marks are left out, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A telephone that Twilio reaches.
pub struct Twilio {
    url: Vec<Segment>,
    authorization: Vec<Segment>,
    /// The name of the sender's place in the form, and the sender.
    from: (&'static str, String),
    to: String,
    format: Format,
    overflow: Overflow,
}

const BODY: Limit = Limit::utf16(1600);
const WHATSAPP: &str = "whatsapp:";

impl Provider for Twilio {
    const NAME: &'static str = "twilio";
    const SUMMARY: &'static str = "text messages and WhatsApp by Twilio";
    const EXAMPLE: &'static str = "\
- name: phone
  provider: twilio
  account: AC00000000000000000000000000000000
  token: ${TWILIO_TOKEN}
  from: \"+15005550006\"
  to: \"+4915123456789\"
- name: whatsapp
  provider: twilio
  account: AC00000000000000000000000000000000
  key: SK00000000000000000000000000000000
  token: ${TWILIO_SECRET}
  from: MG00000000000000000000000000000000
  to: whatsapp:+4915123456789
";
    const AUTH: &'static str = "account and token";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["twilio"],
        apprise_form: "twilio://AC…:token@+from/+to",
        shoutrrr: &["twilio"],
        shoutrrr_form: "twilio://AC…:token@+from/+to",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.twilio.com"];
    const LIMITS: &'static [Bound] = &[Bound::text("text", &["/Body"], BODY)];
    const OVERFLOW: Overflow = Overflow::Truncate;

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let Settings { account, key, token, from, to, format } = settings;
        let before = problems.len();
        if !is_sid(&account, "AC") {
            let hint = "it is `AC` and 32 hexadecimal digits";
            problems.value(&at.at("account"), "this is no SID of an account", hint);
        }
        if key.as_ref().is_some_and(|key| !is_sid(key, "SK")) {
            let hint = "it is `SK` and 32 hexadecimal digits; the secret that belongs to it is `token`";
            problems.value(&at.at("key"), "this is no SID of an API key", hint);
        }
        let (sender, receiver) = (Phone::read(&from), Phone::read(&to));
        if !matches!(receiver, Some(Phone { is_full: true, .. })) {
            let hint = "write it as `+4915123456789`, or `whatsapp:+4915123456789`";
            problems.value(&at.at("to"), "this is no telephone number", hint);
        }
        let is_whatsapp = [&sender, &receiver].into_iter().flatten().any(|phone| phone.is_whatsapp);
        let with_way =
            |number: &str| if is_whatsapp { format!("{WHATSAPP}{number}") } else { number.to_owned() };
        let is_name = |name: &str| {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || " +-_&".contains(c);
            (1..=11).contains(&name.len())
                && name.chars().all(is_of_name)
                && name.contains(|c: char| c.is_ascii_alphabetic())
        };
        let from = match sender {
            _ if is_sid(&from, "MG") => ("MessagingServiceSid", from),
            Some(phone) if phone.is_full || !is_whatsapp => ("From", with_way(&phone.number)),
            None if is_name(&from) && !is_whatsapp => ("From", from),
            Some(_) | None => {
                let (problem, hint) = match is_whatsapp {
                    true => ("this is no sender for WhatsApp", "it takes a number, or a messaging service"),
                    false => (
                        "this is no sender",
                        "write a number as `+4915123456789`, a short code, a name of up to 11 letters or `MG…`",
                    ),
                };
                problems.value(&at.at("from"), problem, hint);
                return None;
            }
        };
        let receiver = receiver.filter(|_| problems.len() == before)?;
        Some(Self {
            url: vec![format!("https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json").into()],
            authorization: token.basic(key.as_deref().unwrap_or(&account)),
            from,
            to: with_way(&receiver.number),
            format,
            overflow,
        })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (user, password) = (url.user(), url.password());
        let account = url
            .option(&["sid"])
            .or(user)
            .ok_or_else(|| wrong("user", "is missing: the account's SID belongs there", ""))?;
        let token = url
            .option(&["token"])
            .or(password)
            .ok_or_else(|| wrong("password", "is missing: the auth token belongs there", ""))?;
        let from = match url.option(&["source"]).or(url.option(&["from"])) {
            Some(from) => {
                // The place of the sender that is named elsewhere.
                url.take_host("").ok();
                from
            }
            None => url.take_host("the sender")?,
        };
        match url.option(&["method"]).as_deref() {
            None | Some("sms") => {}
            Some("call") => return Err(wrong("?method", "is a call", "Nuncio sends text: leave it out")),
            Some(_) => return Err(wrong("?method", "is neither sms nor call", "leave it out")),
        }
        let sender = sender(&from);
        let mut receivers = url.rest();
        receivers.extend(url.list(&["to"]));
        if receivers.is_empty() {
            if url.is(UrlDialect::Shoutrrr) || Phone::read(&sender).is_none_or(|phone| !phone.is_full) {
                return Err(wrong(
                    "path",
                    "is missing: a receiver belongs there",
                    "write it as `+4915123456789`",
                ));
            }
            receivers.push(sender.clone());
        }
        let key = url.option(&["apikey"]);
        let target = |receiver: String| {
            let to = receiver_of(&receiver).ok_or_else(|| {
                wrong("path", "holds what is no telephone number", "write it as `+4915123456789`")
            })?;
            Ok(settings([
                ("account", account.as_str().into()),
                ("key", json!(key)),
                ("token", token.as_str().into()),
                ("from", sender.as_str().into()),
                ("to", to.into()),
            ]))
        };
        receivers.into_iter().map(target).collect()
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        url.has_option("title") || url.host().starts_with("MG")
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let text = Text::of(notification, occasion.format(self.format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let request = |part: String| {
            let request = Request::post(self.url.clone());
            Form::default()
                .with("To", &self.to)
                .with(self.from.0, &self.from.1)
                .with("Body", &part)
                .into(request.header("authorization", self.authorization.clone()))
        };
        Ok(each(text.parts(&PLAIN, BODY, self.overflow), &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        answer::accepted(reply, "/sid")
    }
}

/// A telephone number.
struct Phone {
    is_whatsapp: bool,
    /// Whether it is one of the whole world, and no short code.
    is_full: bool,
    number: String,
}

impl Phone {
    /// Reads `+4915123456789`, the short code `12345`, and either behind `whatsapp:`.
    fn read(text: &str) -> Option<Self> {
        let (is_whatsapp, number) = match text.strip_prefix(WHATSAPP) {
            Some(number) => (true, number),
            None => (false, text),
        };
        let (is_full, digits) = match number.strip_prefix('+') {
            Some(digits) => (true, digits),
            None => (false, number),
        };
        let lengths = if is_full { 7..=15 } else { 3..=8 };
        let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && lengths.contains(&digits.len());
        is_number.then(|| Self { is_whatsapp, is_full, number: number.to_owned() })
    }
}

fn is_sid(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A URL's number without what people write between digits: the way, `whatsapp:` or nothing, and the digits.
fn digits(text: &str) -> Option<(&'static str, String)> {
    let (way, number) = match text.split_once(':') {
        Some((way, number)) if way.trim().to_ascii_lowercase().starts_with('w') => (WHATSAPP, number),
        Some(_) => return None,
        None => ("", text),
    };
    let is_between = |c: char| c.is_whitespace() || "+-().".contains(c);
    let digits: String = number.chars().filter(|c| !is_between(*c)).collect();
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((way, digits))
}

/// The sender of a URL: 5 or 6 digits are a short code, more a number.
fn sender(text: &str) -> String {
    match digits(text) {
        Some((way, digits)) if digits.len() > 8 => format!("{way}+{digits}"),
        Some((way, digits)) => format!("{way}{digits}"),
        None => text.to_owned(),
    }
}

/// A receiver of a URL.
fn receiver_of(text: &str) -> Option<String> {
    let (way, digits) = digits(text)?;
    let number = format!("{way}+{digits}");
    Phone::read(&number).map(|_| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, requests, targets_of, wrong_part};
    use crate::request::Atom;
    use crate::settings::declare::Setting;

    const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
    const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "account": ACCOUNT, "token": { "$secret": "t/token" }, "from": "+15005550006", "to": "+4915123456789" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_a_form_of_plain_text() {
        let mut down = notification(Level::Error, "Down", items(&["*a* & b"]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Twilio>(with(&json!({}))), &down);
        let url = format!("https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
        assert_eq!(request.url, [Segment::from(url)]);
        let login = Segment::Base64(vec![Atom::Text(format!("{ACCOUNT}:")), Atom::Secret("t/token".into())]);
        assert_eq!(header(&request, "authorization").unwrap(), ["Basic ".into(), login]);
        assert_eq!(
            body(&request),
            "To=%2B4915123456789&From=%2B15005550006&Body=Down%0A%0A-+*a*+%26+b%0A%0Ahttps%3A%2F%2Fx.example%2F"
        );
    }

    #[test]
    fn a_sender_is_a_number_a_code_a_name_or_a_service() {
        let sent = |settings: Value| {
            let target = open::<Twilio>(with(&settings));
            body(&request(&target, &notification(Level::Info, "t", Body::Text(String::new()))))
        };
        for (from, to, form) in [
            ("12345", "+4915123456789", "To=%2B4915123456789&From=12345&Body=t"),
            ("Nuncio", "+4915123456789", "To=%2B4915123456789&From=Nuncio&Body=t"),
            (
                SERVICE,
                "+4915123456789",
                "To=%2B4915123456789&MessagingServiceSid=MG0123456789abcdef0123456789abcdef&Body=t",
            ),
            (
                "whatsapp:+15005550006",
                "+4915123456789",
                "To=whatsapp%3A%2B4915123456789&From=whatsapp%3A%2B15005550006&Body=t",
            ),
            (
                "+15005550006",
                "whatsapp:+4915123456789",
                "To=whatsapp%3A%2B4915123456789&From=whatsapp%3A%2B15005550006&Body=t",
            ),
            (
                SERVICE,
                "whatsapp:+4915123456789",
                "To=whatsapp%3A%2B4915123456789&MessagingServiceSid=MG0123456789abcdef0123456789abcdef&Body=t",
            ),
        ] {
            assert_eq!(sent(json!({ "from": from, "to": to })), form, "{from} {to}");
        }
        let key = "SK0123456789abcdef0123456789abcdef";
        let keyed = request(
            &open::<Twilio>(with(&json!({ "key": key }))),
            &notification(Level::Info, "t", items(&[])),
        );
        let login = Segment::Base64(vec![Atom::Text(format!("{key}:")), Atom::Secret("t/token".into())]);
        assert_eq!(header(&keyed, "authorization").unwrap()[1], login);
    }

    #[test]
    fn a_long_text_is_cut_off_and_can_be_split() {
        let long = notification(Level::Info, "", Body::Text("wörd 😀 ".repeat(400)));
        let cut = requests(&open::<Twilio>(with(&json!({}))), &long);
        assert!(cut.len() == 1 && body(&cut[0]).ends_with("%E2%80%A6"));
        let whole = notification(Level::Info, "", Body::Text("x".repeat(1600)));
        assert!(body(&request(&open::<Twilio>(with(&json!({}))), &whole)).ends_with("xx"));
        let longer = notification(Level::Info, "", Body::Text("x".repeat(1601)));
        assert!(body(&request(&open::<Twilio>(with(&json!({}))), &longer)).ends_with("x%E2%80%A6"));
        let settings = Setting::read(&with(&json!({}))).unwrap();
        let target =
            Twilio::check(settings, Overflow::Split, &Pointer::default(), &mut Diagnostics::default());
        assert_eq!(requests(&target.unwrap(), &long).len(), 3);
        let plain = notification(Level::Info, "", Body::Text("**a**".into()));
        assert!(body(&request(&open::<Twilio>(with(&json!({}))), &plain)).ends_with("&Body=a"));
        let kept = open::<Twilio>(with(&json!({ "format": "plain" })));
        assert!(body(&request(&kept, &plain)).ends_with("&Body=**a**"));
    }

    #[test]
    fn what_twilio_refuses_is_refused_at_once() {
        for (settings, at) in [
            (json!({ "account": "AC1" }), "/account"),
            (json!({ "account": "../../../../../../../../../../../../" }), "/account"),
            (json!({ "key": ACCOUNT }), "/key"),
            (json!({ "to": "015123456789" }), "/to"),
            (json!({ "to": "12345" }), "/to"),
            (json!({ "to": "+49 1512 3456789" }), "/to"),
            (json!({ "from": "MG1234567890" }), "/from"),
            (json!({ "from": "Nuncio alerts" }), "/from"),
            (json!({ "from": "12345", "to": "whatsapp:+4915123456789" }), "/from"),
            (json!({ "from": "Nuncio", "to": "whatsapp:+4915123456789" }), "/from"),
        ] {
            let found = problems::<Twilio>(with(&settings));
            assert!(found.len() == 1 && found[0].starts_with(&format!("{at}: ")), "{settings}: {found:?}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Twilio>(with(&json!({})));
        for (status, body, class) in [
            (201, r#"{"sid":"SM1","status":"queued"}"#, None),
            (200, "<html>", Some(Class::Ambiguous)),
            (400, r#"{"code":21610,"status":400}"#, None),
            (401, r#"{"code":20003,"status":401}"#, None),
            (429, r#"{"code":20429,"status":429}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let all = |from: &str, to: &[&str], more: Value| -> Vec<Value> {
            let target = |to: &&str| {
                let mut settings = json!({ "account": ACCOUNT, "token": "t0", "from": from, "to": to });
                settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                settings
            };
            to.iter().map(target).collect()
        };
        let (apprise, shoutrrr) = (Some(UrlDialect::Apprise), Some(UrlDialect::Shoutrrr));
        let key = "SK0123456789abcdef0123456789abcdef";
        let title = json!({ "left out": ["?title: there is no such setting here"] });
        for (url, dialect, expected) in [
            (
                "twilio://A:t0@15005550006/4915123456789",
                None,
                all("+15005550006", &["+4915123456789"], json!({})),
            ),
            (
                "twilio://A:t0@+15005550006/+4915123456789/+49%20(1512)%203456-780",
                None,
                all("+15005550006", &["+4915123456789", "+4915123456780"], json!({})),
            ),
            ("twilio://A:t0@+15005550006", apprise, all("+15005550006", &["+15005550006"], json!({}))),
            (
                "twilio://A:t0@12345/w:+4915123456789?from=whatsapp:15005550006",
                None,
                all("whatsapp:+15005550006", &["whatsapp:+4915123456789"], json!({})),
            ),
            (
                "twilio://+15005550006?sid=A&token=t0&apikey=K&to=4915123456789,w:4915123456780&method=sms",
                apprise,
                [
                    all("+15005550006", &["+4915123456789"], json!({ "key": key })),
                    all("+15005550006", &["whatsapp:+4915123456780"], json!({ "key": key })),
                ]
                .concat(),
            ),
            ("twilio://A:t0@M/+4915123456789", None, all(SERVICE, &["+4915123456789"], json!({}))),
            ("twilio://A:t0@M/+4915123456789?title=x", None, all(SERVICE, &["+4915123456789"], title)),
            (
                "twilio://A:t0@+15005550006/+4915123456789",
                shoutrrr,
                all("+15005550006", &["+4915123456789"], json!({})),
            ),
            (
                "twilio://A:t0@+1500-555.0006/+4915123456789/+4915123456780",
                shoutrrr,
                all("+15005550006", &["+4915123456789", "+4915123456780"], json!({})),
            ),
            (
                "twilio://A:t%30@12345/(+49)%201512%203456789",
                shoutrrr,
                all("12345", &["+4915123456789"], json!({})),
            ),
        ] {
            let url = url
                .replace("A:", &format!("{ACCOUNT}:"))
                .replace("sid=A", &format!("sid={ACCOUNT}"))
                .replace("apikey=K", &format!("apikey={key}"))
                .replace("@M/", &format!("@{SERVICE}/"));
            let found = targets_of::<Twilio>(&url, dialect);
            assert_eq!(found, expected, "{url}");
        }
        for (url, part) in [
            ("twilio://+15005550006/+4915123456789", "user"),
            ("twilio://AC1@+15005550006/+4915123456789", "password"),
            ("twilio://AC1:t@/+4915123456789", "host"),
            ("twilio://AC1:t@12345", "path"),
            ("twilio://AC1:t@+15005550006/phone", "path"),
            ("twilio://AC1:t@+15005550006/+4915123456789?method=call", "?method"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
