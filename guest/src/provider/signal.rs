//! Signal, by the server signal-cli-rest-api: <https://bbernhard.github.io/signal-cli-rest-api/>, `POST /v2/send`.
//!
//! One message goes to several numbers, to several user names, or to one group; the server refuses to mix them. No
//! limits are documented: Signal's apps send what is longer than 2000 bytes as an attachment, and signal-cli does
//! that by itself. Text is plain, in the mode `normal`. The mode `styled` has marks with an escape, but none for
//! those in URLs, and older versions of the server have no escape.
//!
//! The server answers 201 and a timestamp. Every failure of signal-cli, also one that would pass, is a 400 with the
//! reason in `error`; 429 is Signal's rate limit, which can ask for a captcha. The server has no authentication:
//! `token`, or `user` and `password`, are for a proxy in front of it. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer;
use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the server.
        url: BaseUrl,
        /// A token for the proxy in front of it.
        token: Option<Secret>,
        /// A user's name for the proxy in front of it.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// The number that messages come from, which the server has registered, as `+4915123456789`.
        from: String,
        /// Who gets them: numbers as `+4915123456789`, user names as `u:name.01`, or one group as `group.…`.
        to: Vec<String>,
        /// How running text is read: as markdown, whose marks are left out, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// Receivers of Signal.
pub struct Signal {
    url: Vec<Segment>,
    authorization: Option<Vec<Segment>>,
    from: String,
    to: Vec<String>,
    format: Format,
}

/// What kind of receiver it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Name,
    Group,
}

impl Provider for Signal {
    const NAME: &'static str = "signal";
    const SUMMARY: &'static str = "Signal, by a server signal-cli-rest-api of your own";
    const EXAMPLE: &'static str = "\
- name: signal
  provider: signal
  url: http://localhost:8080
  from: \"+4915123456780\"
  to: [\"+4915123456789\"]
- name: signal-group
  provider: signal
  url: https://signal.example.org
  user: nuncio
  password: ${SIGNAL_PASSWORD}
  from: \"+4915123456780\"
  to: [group.cHJvamVjdA==]
";
    const AUTH: &'static str = "none, token, or user and password";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["signal", "signals"],
        apprise_form: "signals://user:password@host/+from/+to/@group",
        shoutrrr: &["signal"],
        shoutrrr_form: "signal://user:password@host/+from/+to/group.…?disabletls=yes",
    };

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let Settings { url, token, user, password, from, to, format } = settings;
        let before = problems.len();
        let authorization =
            authorization::value(token.as_ref(), user.as_deref(), password.as_ref(), at, problems);
        if kind(&from) != Some(Kind::Number) {
            problems.value(
                &at.at("from"),
                "this is no telephone number",
                "write it as `+4915123456789`, in quotes",
            );
        }
        let kinds: Vec<Option<Kind>> = to.iter().map(|receiver| kind(receiver)).collect();
        for (n, _) in kinds.iter().enumerate().filter(|(_, kind)| kind.is_none()) {
            let hint =
                "write a number as `+4915123456789`, in quotes, a user name as `u:name.01`, or `group.…`";
            problems.value(&at.at("to").at(n), "this is no receiver", hint);
        }
        let first = kinds.first().copied().flatten();
        let is_mixed = kinds.iter().any(|kind| *kind != first);
        if to.is_empty() {
            problems.value(
                &at.at("to"),
                "there is nobody to write to",
                "add a number, a user name or a group",
            );
        } else if problems.len() == before && (is_mixed || (first == Some(Kind::Group) && to.len() > 1)) {
            let hint = "make targets of the others: there are numbers, user names, or one group in each";
            problems.value(&at.at("to"), "these receivers do not go together", hint);
        }
        let url = url.join("v2/send");
        (problems.len() == before).then_some(Self { url, authorization, from, to, format })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_of_apprise = url.is(UrlDialect::Apprise);
        let is_tls = match url.dialect {
            UrlDialect::Apprise => url.scheme == "signals",
            UrlDialect::Shoutrrr => !url.flag(&["disabletls"])?.unwrap_or(false),
        };
        let mut base = url.origin(is_tls)?;
        let has_port = base.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !is_of_apprise && !has_port {
            base += ":8080";
        }
        let (user, password) = (url.user(), url.password());
        let token = if is_of_apprise { None } else { url.option(&["token", "apikey"]) };
        let mut entries = url.rest();
        let from = match url.option(if is_of_apprise { &["from"] } else { &["source"] }) {
            Some(from) => from,
            None if entries.is_empty() => {
                return Err(wrong("path", "is missing: the sender's number belongs there", ""));
            }
            None => entries.remove(0),
        };
        let from = number(&from)
            .ok_or_else(|| wrong("path", "holds no number for the sender", "write it as `+4915123456789`"))?;
        let mut receivers: Vec<String> = Vec::new();
        for entry in entries {
            // A group's id is base64, which can have slashes in it.
            match receivers.last_mut().filter(|last| !is_of_apprise && last.starts_with("group.")) {
                Some(group) if !entry.starts_with(['+', '@']) && kind(&entry).is_none() => {
                    *group += "/";
                    *group += &entry;
                }
                _ => receivers.push(entry),
            }
        }
        receivers.extend(url.list(if is_of_apprise { &["to"] } else { &["recipients", "to"] }));
        if receivers.is_empty() {
            if !is_of_apprise {
                return Err(wrong(
                    "path",
                    "is missing: a receiver belongs there",
                    "write it as `+4915123456789`",
                ));
            }
            receivers.push(from.clone());
        }
        let mut lists: [Vec<String>; 2] = [Vec::new(), Vec::new()];
        let mut groups: Vec<Vec<String>> = Vec::new();
        let [numbers, names] = &mut lists;
        for receiver in &receivers {
            let group = receiver.strip_prefix('@').or(receiver.strip_prefix("group."));
            match group.map(|group| format!("group.{}", group.trim_start_matches("group."))) {
                Some(group) if kind(&group) == Some(Kind::Group) => groups.push(vec![group]),
                None if kind(receiver) == Some(Kind::Name) => names.push(receiver.clone()),
                None if number(receiver).is_some() => numbers.extend(number(receiver)),
                _ => {
                    let hint = "write a number as `+4915123456789`, or `group.…`";
                    return Err(wrong("path", "holds what is no receiver", hint));
                }
            }
        }
        let target = |to: Vec<String>| {
            settings([
                ("url", base.as_str().into()),
                ("token", json!(token)),
                ("user", json!(user)),
                ("password", json!(password)),
                ("from", from.as_str().into()),
                ("to", to.into()),
            ])
        };
        let all = lists.into_iter().chain(groups);
        Ok(all.filter(|list| !list.is_empty()).map(target).collect())
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        ["disabletls", "recipients", "source", "text_mode", "textmode", "token", "apikey"]
            .iter()
            .any(|name| url.has_option(name))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let text = Text::of(notification, occasion.format(self.format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let mut request = Request::post(self.url.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.clone());
        }
        let message = Object::default()
            .with("message", text.write(&PLAIN))
            .with("number", self.from.as_str())
            .with("recipients", json!(self.to))
            .with("text_mode", "normal");
        Ok(vec![message.into(request)])
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        answer::accepted(reply, "/timestamp")
    }
}

/// What kind of receiver a text names, if any.
fn kind(text: &str) -> Option<Kind> {
    let is_of_group = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    if let Some(digits) = text.strip_prefix('+') {
        let is_number = (5..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        return is_number.then_some(Kind::Number);
    }
    if let Some(name) = text.strip_prefix("u:") {
        let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
        return is_name.then_some(Kind::Name);
    }
    let group = text.strip_prefix("group.")?;
    (!group.is_empty() && group.chars().all(is_of_group)).then_some(Kind::Group)
}

/// A URL's number, without what people write between digits.
fn number(text: &str) -> Option<String> {
    let is_between = |c: &char| c.is_whitespace() || "+-().".contains(*c);
    let number: String = std::iter::once('+').chain(text.chars().filter(|c| !is_between(c))).collect();
    (kind(&number) == Some(Kind::Number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, targets_of, wrong_part};
    use crate::request::Atom;

    fn with(more: &Value) -> Value {
        let mut settings =
            json!({ "url": "http://sig.example:8080/", "from": "+4915123456780", "to": ["+4915123456789"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_plain_text() {
        let mut down = notification(Level::Error, "Down", items(&["*a* & b"]));
        down.link = Some("https://x.example/~a".into());
        let request =
            request(&open::<Signal>(with(&json!({ "to": ["+4915123456789", "+4915123456788"] }))), &down);
        assert_eq!(request.url, [Segment::from("http://sig.example:8080/v2/send")]);
        assert_eq!(header(&request, "authorization"), None);
        assert_eq!(
            body(&request),
            r#"{"message":"Down\n\n- *a* & b\n\nhttps://x.example/~a","number":"+4915123456780","recipients":["+4915123456789","+4915123456788"],"text_mode":"normal"}"#
        );
    }

    #[test]
    fn marks_are_left_out_and_a_proxy_can_ask_who_it_is() {
        let text = notification(Level::Info, "", Body::Text("**a** `b`".into()));
        let sent = |settings: Value| {
            let request = request(&open::<Signal>(with(&settings)), &text);
            let login = header(&request, "authorization").map(<[Segment]>::to_vec);
            let sent: Value = serde_json::from_str(&body(&request)).unwrap();
            (login, sent["message"].clone())
        };
        let (login, message) = sent(json!({ "token": { "$secret": "s/token" } }));
        assert_eq!((login.unwrap()[0].clone(), message), (Segment::from("Bearer "), json!("a b")));
        let settings = json!({ "user": "ann", "password": { "$secret": "s/pw" }, "format": "plain" });
        let (login, message) = sent(settings);
        let atoms = vec![Atom::Text("ann:".into()), Atom::Secret("s/pw".into())];
        assert_eq!(login.unwrap(), ["Basic ".into(), Segment::Base64(atoms)]);
        assert_eq!(message, "**a** `b`");
    }

    #[test]
    fn what_the_server_refuses_is_refused_at_once() {
        for (settings, at) in [
            (json!({ "from": "015123456789" }), "/from"),
            (json!({ "from": "u:ann.01" }), "/from"),
            (json!({ "to": [] }), "/to"),
            (json!({ "to": ["+4915123456789", "ann"] }), "/to/1"),
            (json!({ "to": ["group."] }), "/to/0"),
            (json!({ "to": ["+4915123456789", "group.abc="] }), "/to"),
            (json!({ "to": ["group.abc=", "group.abd="] }), "/to"),
            (json!({ "to": ["u:ann.01", "+4915123456789"] }), "/to"),
            (json!({ "user": "ann" }), "/user"),
        ] {
            let found = problems::<Signal>(with(&settings));
            assert!(found.len() == 1 && found[0].starts_with(&format!("{at}: ")), "{settings}: {found:?}");
        }
        assert_eq!(problems::<Signal>(with(&json!({ "to": ["u:ann.01", "u:bob.2"] }))), [""; 0]);
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Signal>(with(&json!({})));
        for (status, body, class) in [
            (201, r#"{"timestamp":"1700000000000"}"#, None),
            (200, "<html>", Some(Class::Ambiguous)),
            (400, r#"{"error":"Unregistered user"}"#, None),
            (429, r#"{"error":"Rate limit","challenge_tokens":["x"]}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let of = |url: &str, to: &[&str], more: Value| {
            let mut settings = json!({ "url": url, "from": "+4915123456780", "to": to });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        let (none, shoutrrr) = (json!({}), Some(UrlDialect::Shoutrrr));
        let to = ["+4915123456789"];
        for (url, dialect, expected) in [
            (
                "signal://sig.example/+4915123456780/+4915123456789",
                None,
                vec![of("http://sig.example", &to, none.clone())],
            ),
            (
                "signals://ann:p%40w@sig.example:8443/4915123456780",
                None,
                vec![of(
                    "https://sig.example:8443",
                    &["+4915123456780"],
                    json!({ "user": "ann", "password": "p@w" }),
                )],
            ),
            (
                "signal://sig.example:8080/+4915123456780/+49%20(1512)%203456-789/@abc_-=/group.abd=/4915123456788",
                None,
                vec![
                    of("http://sig.example:8080", &["+4915123456789", "+4915123456788"], none.clone()),
                    of("http://sig.example:8080", &["group.abc_-="], none.clone()),
                    of("http://sig.example:8080", &["group.abd="], none.clone()),
                ],
            ),
            (
                "signal://[::1]/+4915123456789?from=4915123456780&to=%40group.abc%3D",
                None,
                vec![
                    of("http://[::1]", &to, none.clone()),
                    of("http://[::1]", &["group.abc="], none.clone()),
                ],
            ),
            (
                "signals://sig.example/+4915123456780/+4915123456789?status=yes&batch=no",
                None,
                vec![of(
                    "https://sig.example",
                    &to,
                    json!({ "left out": ["?status: there is no such setting here", "?batch: there is no such setting here"] }),
                )],
            ),
            (
                "signal://sig.example/+4915123456780/+4915123456789",
                shoutrrr,
                vec![of("https://sig.example:8080", &to, none.clone())],
            ),
            (
                "signal://ann:p%2Fw@sig.example:80/+4915123456780/+4915123456789?disabletls=yes",
                None,
                vec![of("http://sig.example:80", &to, json!({ "user": "ann", "password": "p/w" }))],
            ),
            (
                "signal://sig.example/+4915123456780/group.a+b/c=/+4915123456789/u:ann.01?token=t0",
                None,
                vec![
                    of("https://sig.example:8080", &to, json!({ "token": "t0" })),
                    of("https://sig.example:8080", &["u:ann.01"], json!({ "token": "t0" })),
                    of("https://sig.example:8080", &["group.a+b/c="], json!({ "token": "t0" })),
                ],
            ),
            (
                "signal://sig.example?source=4915123456780&recipients=4915123456789,4915123456788&apikey=t%25",
                None,
                vec![of(
                    "https://sig.example:8080",
                    &["+4915123456789", "+4915123456788"],
                    json!({ "token": "t%" }),
                )],
            ),
            (
                "signal://[fe80::1]:81/+4915123456780/+4915123456789?textmode=Styled",
                None,
                vec![of(
                    "https://[fe80::1]:81",
                    &to,
                    json!({ "left out": ["?textmode: there is no such setting here"] }),
                )],
            ),
        ] {
            assert_eq!(targets_of::<Signal>(url, dialect), expected, "{url}");
        }
        for (url, part) in [
            ("signal:///+4915123456780/+4915123456789", "host"),
            ("signal://sig.example", "path"),
            ("signal://sig.example/phone/+4915123456789", "path"),
            ("signal://sig.example/+4915123456780/ann", "path"),
            ("signal://sig.example/+4915123456780?disabletls=yes", "path"),
            ("signal://sig.example/+4915123456780/+4915123456789?disabletls=maybe", "?disabletls"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
