//! Nextcloud Talk, as a user (<https://nextcloud-talk.readthedocs.io/en/latest/chat/>) or as a bot
//! (<https://nextcloud-talk.readthedocs.io/en/latest/bots/>).
//!
//! A message has at most 32 000 characters, which Nextcloud counts as PHP's `mb_strlen` does. It is shown as
//! Markdown, whatever is said: `format: plain` sends what the text is with its marks escaped. Of `@name` only an
//! author's own running text alerts people, see [`crate::markup::dialect::TALK`].
//!
//! A bot signs the message and something random of at least 32 characters: here that is the time and the
//! notification's id, of which Talk asks for nothing more. It has no idempotency key that it would heed. A user
//! gets 403 in a conversation that is read-only, and 412 in one whose lobby is closed; a bot gets 401 where it is
//! not enabled in the conversation, and 429 where that was too often.

use serde_json::{Map, Value, json};

use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::TALK;
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each, each_numbered};
use crate::provider::{Occasion, Provider};
use crate::request::{Atom, Hmac, KeyForm, Request, Segment};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, PerLevel, Secret, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the Nextcloud server, with the path that it is served under, if any.
        url: BaseUrl,
        /// The token of the conversation: what its URL ends in.
        room: String,
        /// The name of the user who writes; or else a bot's `secret`.
        user: Option<String>,
        /// An app password of that user.
        password: Option<Secret>,
        /// The secret that a bot was installed with; it has to be enabled in the conversation.
        secret: Option<Secret>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// Whether messages alert nobody, for all levels or by level; of others: trace and debug do not.
        silent: Option<PerLevel<bool>>,
    }
}

/// A conversation of Nextcloud Talk.
pub struct NextcloudTalk {
    url: Vec<Segment>,
    way: Way,
    format: Format,
    silent: PerLevel<bool>,
    overflow: Overflow,
}

enum Way {
    User(Vec<Segment>),
    Bot(Secret),
}

const MESSAGE: Limit = Limit::characters(32_000);

impl Provider for NextcloudTalk {
    const NAME: &'static str = "nextcloud-talk";
    const SUMMARY: &'static str = "Nextcloud Talk, as a user or as a bot";
    const EXAMPLE: &'static str = "\
- name: talk
  provider: nextcloud-talk
  url: https://cloud.example.com
  room: n3xtc10ud
  user: alerts
  password: ${TALK_PASSWORD}
- name: talk-bot
  provider: nextcloud-talk
  url: https://cloud.example.com
  room: n3xtc10ud
  secret: ${TALK_SECRET}
";
    const AUTH: &'static str = "user and password, or a bot's secret";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["nctalk", "nctalks"],
        apprise_form: "nctalks://user:password@host/room or nctalks://host/room?secret=…",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const LIMITS: &'static [Bound] = &[Bound::text("text", &["/message"], MESSAGE)];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        let Settings { url, room, user, password, secret, format, silent } = settings;
        // Dots alone would be another path.
        if room.chars().all(|c| c == '.') {
            problems.value(
                &at.at("room"),
                "this is no token of a conversation",
                "it is what its URL ends in",
            );
        }
        let (way, path) = match secret {
            Some(_) if user.is_some() || password.is_some() => {
                let hint = "keep `secret`, or `user` and `password`";
                problems.value(&at.at("secret"), "both a bot's secret and a user are set", hint);
                return None;
            }
            Some(secret) => (Way::Bot(secret), format!("bot/{}/message", path_segment(&room))),
            None if user.is_none() && password.is_none() => {
                let hint = "add `user` and `password`, or a bot's `secret`";
                problems.value(at, "there is neither a user nor a bot", hint);
                return None;
            }
            None => {
                let login = authorization::value(None, user.as_deref(), password.as_ref(), at, problems);
                (Way::User(login.unwrap_or_default()), format!("chat/{}", path_segment(&room)))
            }
        };
        let url = url.join(&format!("ocs/v2.php/apps/spreed/api/v1/{path}"));
        let defaults = PerLevel::from_fn(|level| level <= Level::Debug);
        let silent = silent.map_or(defaults.clone(), |silent| silent.over(&defaults));
        (problems.len() == before).then_some(Self { url, way, format, silent, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_tls = url.scheme == "nctalks";
        let secret = url.option(&["secret"]).filter(|secret| !secret.is_empty());
        let (user, password) = match secret {
            Some(_) => (None, None),
            None => (url.user(), url.password()),
        };
        for (part, is_missing, what) in [
            ("user", user.is_none(), "a user, or `?secret=` for a bot,"),
            ("password", password.is_none(), "the user's password"),
        ] {
            if secret.is_none() && is_missing {
                return Err(wrong(part, &format!("is missing: {what} belongs there"), ""));
            }
        }
        let mut base = url.origin(is_tls)?;
        let prefix = url.option(&["url_prefix"]).unwrap_or_default();
        for entry in prefix.split('/').filter(|entry| !entry.is_empty()) {
            base.push('/');
            base.push_str(&path_segment(entry));
        }
        let silent = url.flag(&["silent"])?;
        let rooms = url.rest();
        if rooms.is_empty() {
            let hint = "write the token of a conversation: what its URL ends in";
            return Err(wrong("path", "is missing: a conversation belongs there", hint));
        }
        let target = |room: String| {
            settings([
                ("url", base.as_str().into()),
                ("room", room.into()),
                ("user", json!(user)),
                ("password", json!(password)),
                ("secret", json!(secret)),
                ("silent", json!(silent)),
            ])
        };
        Ok(each(rooms, &target))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let text = Text::of(notification, occasion.format(self.format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let silent = self.silent.get(notification.level);
        let request = |(n, message): (usize, String)| {
            let request = Request::post(self.url.clone())
                .header("ocs-apirequest", vec!["true".into()])
                .header("accept", vec!["application/json".into()]);
            let request = match &self.way {
                Way::User(login) => request.header("authorization", login.clone()),
                Way::Bot(secret) => {
                    // No two messages have the same one, and it is never too short.
                    let random = format!("{:032}-{n}-{}", occasion.now, notification.id);
                    let signature = Hmac {
                        key: vec![secret.atom()],
                        key_form: KeyForm::Text,
                        message: vec![Atom::Text(format!("{random}{message}"))],
                        hex: true,
                    };
                    request
                        .header("x-nextcloud-talk-bot-random", vec![random.into()])
                        .header("x-nextcloud-talk-bot-signature", vec![Segment::HmacSha256(signature)])
                }
            };
            let message = Object::default().with("message", message);
            message.with("silent", silent.then_some(true)).into(request)
        };
        let parts = text.parts(&TALK, MESSAGE, self.overflow);
        Ok(each_numbered(parts, &request))
    }

    /// 403: the conversation is read-only; the user is right.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        (reply.status == 403).then_some(Class::Permanent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{
        OCCASION, body, header, open, problems, request, requests, target_of, targets_of, wrong_part,
    };

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": "https://nc.example/sub", "room": "abc/d" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn user() -> Value {
        json!({ "user": "u", "password": { "$secret": "n/password" } })
    }

    fn bot() -> Value {
        json!({ "secret": { "$secret": "n/secret" } })
    }

    #[test]
    fn a_message_of_a_user_is_markdown_without_mentions() {
        let mut down = notification(Level::Error, "a *b* @all", items(&["@c"]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<NextcloudTalk>(with(&user())), &down);
        let url = "https://nc.example/sub/ocs/v2.php/apps/spreed/api/v1/chat/abc%2Fd";
        assert_eq!(request.url, [Segment::from(url)]);
        assert_eq!(header(&request, "ocs-apirequest").unwrap(), [Segment::from("true")]);
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Basic "));
        assert_eq!(
            body(&request),
            "{\"message\":\"**a \\\\*b\\\\* @\u{200b}all**\\n\\n* @\u{200b}c\\n\\n<https://x.example/>\"}"
        );
    }

    #[test]
    fn a_bot_signs_its_message() {
        let text = notification(Level::Debug, "", Body::Text("*a* @all".into()));
        let request = request(&open::<NextcloudTalk>(with(&bot())), &text);
        let url = "https://nc.example/sub/ocs/v2.php/apps/spreed/api/v1/bot/abc%2Fd/message";
        assert_eq!(request.url, [Segment::from(url)]);
        let random = "00000000000000000001700000052345-0-01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(header(&request, "x-nextcloud-talk-bot-random").unwrap(), [Segment::from(random)]);
        let signature = Segment::HmacSha256(Hmac {
            key: vec![Atom::Secret("n/secret".into())],
            key_form: KeyForm::Text,
            message: vec![Atom::Text(format!("{random}*a* @all"))],
            hex: true,
        });
        assert_eq!(header(&request, "x-nextcloud-talk-bot-signature").unwrap(), [signature]);
        assert_eq!(header(&request, "authorization"), None);
        assert_eq!(body(&request), r#"{"message":"*a* @all","silent":true}"#);
    }

    #[test]
    fn plain_text_is_escaped_and_silence_can_be_said() {
        let mut settings = with(&user());
        settings["format"] = json!("plain");
        settings["silent"] = json!({ "debug": false, "info": true });
        let target = open::<NextcloudTalk>(settings);
        let said = |level| body(&request(&target, &notification(level, "", Body::Text("*a*".into()))));
        assert_eq!(said(Level::Debug), r#"{"message":"\\*a\\*"}"#);
        assert_eq!(said(Level::Info), r#"{"message":"\\*a\\*","silent":true}"#);
    }

    #[test]
    fn long_text_is_several_messages_each_signed() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(7_000)));
        let sent = requests(&open::<NextcloudTalk>(with(&bot())), &long);
        let randoms: Vec<_> =
            sent.iter().map(|request| header(request, "x-nextcloud-talk-bot-random").unwrap()).collect();
        assert!(randoms.len() == 2 && randoms[0] != randoms[1], "{randoms:?}");
        let later = Occasion { now: 1, ..OCCASION };
        let again = Provider::format(&open::<NextcloudTalk>(with(&bot())), &long, &later).unwrap();
        assert_ne!(again[0].head, sent[0].head);
        for (length, count) in [(32_000, 1), (32_001, 2)] {
            let exact = notification(Level::Info, "", Body::Text("😀".repeat(length)));
            assert_eq!(requests(&open::<NextcloudTalk>(with(&user())), &exact).len(), count);
        }
    }

    #[test]
    fn one_of_the_two_ways_is_chosen() {
        let mut both = with(&user());
        both["secret"] = bot()["secret"].clone();
        let mut dots = with(&user());
        dots["room"] = json!("..");
        for (settings, at) in [
            (both, "/secret: both"),
            (with(&json!({})), ": there is neither"),
            (with(&json!({ "user": "u" })), "/user: a user without"),
            (with(&json!({ "password": { "$secret": "p" } })), "/password: a password without"),
            (dots, "/room: this is no token"),
        ] {
            let found = problems::<NextcloudTalk>(settings);
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, settings) in [
            (
                "nctalk://user:pass@host/room",
                json!({ "url": "http://host", "room": "room", "user": "user", "password": "pass" }),
            ),
            (
                "nctalks://u%40v:p%2Fq@host:8443/r%C3%A9?url_prefix=/next%20cloud/a/",
                json!({ "url": "https://host:8443/next%20cloud/a", "room": "ré", "user": "u@v", "password": "p/q" }),
            ),
            (
                "nctalks://host/room?secret=s%26t&silent=yes",
                json!({ "url": "https://host", "room": "room", "secret": "s&t", "silent": true }),
            ),
            (
                "nctalks://user:pass@host/room?silent=no&format=text",
                json!({ "url": "https://host", "room": "room", "user": "user", "password": "pass", "silent": false, "format": "plain" }),
            ),
            (
                "nctalk://user:pass@[::1]/room/?secret=s&+X-Token=x",
                json!({ "url": "http://[::1]", "room": "room", "secret": "s", "left out": [
                    "user: this kind of URL has no use for it",
                    "password: this kind of URL has no use for it",
                    "?+X-Token: there is no such setting here",
                ] }),
            ),
        ] {
            assert_eq!(target_of::<NextcloudTalk>(url), settings, "{url}");
        }
        let several = targets_of::<NextcloudTalk>("nctalks://u:p@host/a/b", None);
        let rooms: Vec<&Value> = several.iter().map(|target| &target["room"]).collect();
        assert_eq!(rooms, ["a", "b"]);
        for (url, part) in [
            ("nctalk://host/room", "user"),
            ("nctalk://user@host/room", "password"),
            ("nctalk://user:pass@host", "path"),
            ("nctalk://user:pass@/room", "host"),
            ("nctalk://user:pass@host/room?silent=maybe", "?silent"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        for (status, class) in
            [(201, None), (401, None), (403, Some(Class::Permanent)), (413, None), (429, None)]
        {
            let reply = Reply { status, head: Default::default(), body: vec![] };
            assert_eq!(Provider::classify(&open::<NextcloudTalk>(with(&bot())), &reply), class, "{status}");
        }
    }
}
