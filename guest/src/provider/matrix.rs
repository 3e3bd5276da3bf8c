//! Matrix: <https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>.
//!
//! A message goes to a room that the account is in, in clear text: a room that is encrypted shows it as not
//! encrypted. An event has 65 536 bytes with all that the server adds
//! (<https://spec.matrix.org/latest/client-server-api/#size-limits>), of which the content here takes 60 000.
//! It has the text twice, plain and as HTML; `format: plain` leaves the HTML out.
//!
//! The notification's id is the transaction's, by which a server knows a repetition
//! (<https://spec.matrix.org/latest/client-server-api/#transaction-identifiers>). The wait that a server asks
//! for is in its body, or since version 1.10 in Retry-After.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::hint::{self, Unit};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{HTML, PLAIN};
use crate::notification::{Format, Notification};
use crate::outcome::Reply;
use crate::payload::{Object, each, json_length};
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, Secret, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the account's homeserver.
        url: BaseUrl,
        /// An access token of the account that messages come from.
        token: Secret,
        /// The id of the room, as `!id:server` or `!id`; clients show it in the room's advanced settings.
        room: String,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// Whether messages are notices, as those of bots are, which by default alert nobody: not, unless this
        /// says so.
        notice: bool = false,
    }
}

/// A room of Matrix.
pub struct Matrix {
    settings: Settings,
    overflow: Overflow,
}

const CONTENT: Limit = Limit::bytes(60_000);

/// Room for the names of the content's members.
const MEMBERS: usize = 120;

impl Provider for Matrix {
    const NAME: &'static str = "matrix";
    const SUMMARY: &'static str = "a Matrix room that is not encrypted";
    const EXAMPLE: &'static str = "\
- name: matrix
  provider: matrix
  url: https://matrix.example.org
  token: ${MATRIX_TOKEN}
  room: \"!qporfwt:example.org\"
";
    const AUTH: &'static str = "access token";
    const DIALECT: &'static str = "HTML";
    const URLS: Urls = Urls {
        apprise: &["matrix", "matrixs"],
        apprise_form: "matrixs://token@host/!room:server",
        shoutrrr: &["matrix"],
        shoutrrr_form: "matrix://:token@host?rooms=!room:server",
    };
    // By the transaction id, in the specification.
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[Bound::body("message", CONTENT)];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        if !settings.room.starts_with('!') {
            let hint = match settings.room.starts_with('#') {
                true => "this is an alias; the id is in the room's advanced settings, and begins with `!`",
                false => "it begins with `!`; in YAML, put quotes around it",
            };
            problems.value(&at.at("room"), "this is no id of a room", hint);
            return None;
        }
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_of_apprise = url.is(UrlDialect::Apprise);
        let mode = if is_of_apprise { url.option(&["mode"]) } else { None };
        if mode.is_some_and(|mode| !mode.is_empty() && !mode.eq_ignore_ascii_case("off")) {
            let hint = "give the webhook's URL to a target of the provider `webhook`";
            return Err(wrong("?mode", "is of a webhook, not of a Matrix server", hint));
        }
        let by_option = if is_of_apprise { url.option(&["token"]) } else { None };
        let token = match (by_option, url.user(), url.password()) {
            (Some(token), _, _) | (None, None, Some(token)) => token,
            (None, Some(token), None) if is_of_apprise => token,
            (None, Some(_), Some(_)) => {
                let hint = "log in once, and write the access token in the place of both";
                return Err(wrong("password", "is an account's, and Nuncio does not log in", hint));
            }
            _ => return Err(wrong("user", "is missing: an access token belongs there", "")),
        };
        let is_tls = if is_of_apprise {
            url.scheme == "matrixs"
        } else {
            !url.flag(&["disabletls"])?.unwrap_or(false)
        };
        let base = url.origin(is_tls)?;
        let mut rooms = url.rest();
        rooms.extend(url.list(&["to", "rooms", "room"]));
        if rooms.is_empty() {
            return Err(wrong("path", "is missing: a room belongs there", "write its id, as `!id:server`"));
        }
        if rooms.iter().any(|room| room.starts_with('@')) {
            let hint = "write the id of the room that you share, which begins with `!`";
            return Err(wrong("path", "names a person and no room", hint));
        }
        if rooms.iter().any(|room| !room.starts_with('!')) {
            return Err(wrong(
                "path",
                "names a room by its alias",
                "write its id, which begins with `!`; it is in the room's advanced settings",
            ));
        }
        let notice = url.option(&["msgtype"]).is_some_and(|kind| kind.eq_ignore_ascii_case("notice"));
        let target = |room: String| {
            let notice = if notice { Value::from(true) } else { Value::Null };
            settings([
                ("url", base.as_str().into()),
                ("token", token.as_str().into()),
                ("room", room.into()),
                ("notice", notice),
            ])
        };
        Ok(each(rooms, &target))
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        ["rooms", "room", "disabletls"].iter().any(|name| url.has_option(name))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { notice, .. } = &self.settings;
        let format = occasion.format(self.settings.format);
        let content = |part: &Text| {
            let content = Object::default()
                .with("msgtype", if *notice { "m.notice" } else { "m.text" })
                .with("body", part.write(&PLAIN));
            match format {
                Format::Plain => content,
                Format::Markdown => {
                    content.with("format", "org.matrix.custom.html").with("formatted_body", part.write(&HTML))
                }
            }
        };
        let length = |part: &Text| {
            let texts =
                [part.write(&PLAIN), if format == Format::Plain { String::new() } else { part.write(&HTML) }];
            texts.into_iter().map(|text| json_length(&text)).sum::<usize>()
        };
        let text = Text::of(notification, format);
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let parts = text.split(CONTENT.less(MEMBERS).most, self.overflow, &length);
        let request = |(n, part): (usize, &Text)| {
            let request = Request::put(self.url(&notification.id, n));
            content(part).into(request.header("authorization", self.settings.token.bearer()))
        };
        Ok(parts.iter().enumerate().map(request).collect())
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        hint::in_json(reply, "/retry_after_ms", Unit::Milliseconds)
    }
}

impl Matrix {
    /// Where a part goes; each has a transaction of its own, whose name no id can make `.` or `..`.
    fn url(&self, id: &str, part: usize) -> Vec<Segment> {
        let room = path_segment(&self.settings.room);
        let mut transaction = format!("nuncio-{}", path_segment(id));
        if part > 0 {
            transaction += &format!("-{part}");
        }
        let path = format!("_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}");
        self.settings.url.join(&path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, requests, targets_of, wrong_part};

    fn with(more: &Value) -> Value {
        let mut settings =
            json!({ "url": "https://hs.example/", "token": { "$secret": "m" }, "room": "!a/b:hs.example" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_put_under_the_notifications_id() {
        let renewed = notification(Level::Info, "Renewed", items(&["a < b"]));
        let request = request(&open::<Matrix>(with(&json!({}))), &renewed);
        let url = "https://hs.example/_matrix/client/v3/rooms/%21a%2Fb%3Ahs.example/send/m.room.message/nuncio-01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!((request.method.name(), request.url.as_slice()), ("PUT", &[url.into()][..]));
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(
            body(&request),
            r#"{"msgtype":"m.text","body":"Renewed\n\n- a < b","format":"org.matrix.custom.html","formatted_body":"<p><strong>Renewed</strong></p><ul><li>a &lt; b</li></ul>"}"#
        );
    }

    #[test]
    fn plain_text_has_no_html() {
        let target = open::<Matrix>(with(&json!({ "format": "plain", "notice": true })));
        let text = notification(Level::Info, "", Body::Text("*a*".into()));
        assert_eq!(body(&request(&target, &text)), r#"{"msgtype":"m.notice","body":"*a*"}"#);
    }

    #[test]
    fn each_part_is_a_transaction_of_its_own() {
        let long = notification(Level::Info, "", Body::Text("\"word\" ".repeat(4_000)));
        let sent = requests(&open::<Matrix>(with(&json!({}))), &long);
        let urls: Vec<String> = sent.iter().map(|request| format!("{:?}", request.url)).collect();
        assert!(
            urls.len() == 2 && urls[0].ends_with("8057\")]") && urls[1].ends_with("8057-1\")]"),
            "{urls:?}"
        );
        assert!(body(&sent[1]).contains("2/2") && body(&sent[1]).contains("<p>2/2</p>"));
    }

    #[test]
    fn a_room_is_named_by_its_id() {
        let found = problems::<Matrix>(with(&json!({ "room": "#ops:hs.example" })));
        assert!(found.len() == 1 && found[0].contains("alias"), "{found:?}");
        assert_eq!(problems::<Matrix>(with(&json!({ "room": "ops" }))).len(), 1);
    }

    #[test]
    fn the_wait_is_in_the_body() {
        let body = br#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}"#.to_vec();
        let reply = Reply { status: 429, head: Default::default(), body };
        assert_eq!(Provider::hint(&open::<Matrix>(with(&json!({}))), &reply), Some(2000));
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let target = |more: Value| {
            let mut target = json!({ "url": "https://hs.example", "token": "T", "room": "!a:hs.example" });
            target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            target
        };
        for (url, expected) in [
            ("matrixs://T@hs.example/!a:hs.example", vec![target(json!({}))]),
            (
                "matrix://T@hs.example:8008/%21a%3Ahs.example",
                vec![target(json!({ "url": "http://hs.example:8008" }))],
            ),
            (
                "matrixs://T@hs.example/!a:hs.example:8448/!b",
                vec![target(json!({ "room": "!a:hs.example:8448" })), target(json!({ "room": "!b" }))],
            ),
            (
                "matrixs://T@hs.example?to=!a:hs.example,!b:x&msgtype=notice",
                vec![target(json!({ "notice": true })), target(json!({ "notice": true, "room": "!b:x" }))],
            ),
            ("matrixs://hs.example/!a:hs.example?token=T&mode=off", vec![target(json!({}))]),
            ("matrixs://:T@hs.example/!a:hs.example?format=text", vec![target(json!({ "format": "plain" }))]),
            (
                "matrixs://T@hs.example/!a:hs.example?image=no",
                vec![target(json!({ "left out": ["?image: there is no such setting here"] }))],
            ),
            ("matrix://:T@hs.example?rooms=!a:hs.example", vec![target(json!({}))]),
            (
                "matrix://:T@hs.example:8008/?rooms=!a:hs.example&disableTLS=yes",
                vec![target(json!({ "url": "http://hs.example:8008" }))],
            ),
            ("matrix://:T@hs.example?room=%21a%3Ahs.example", vec![target(json!({}))]),
            (
                "matrix://:T@hs.example?rooms=!a:hs.example:8448,!b",
                vec![target(json!({ "room": "!a:hs.example:8448" })), target(json!({ "room": "!b" }))],
            ),
            ("matrix://:a%40b%2Fc@hs.example?rooms=!a:hs.example", vec![target(json!({ "token": "a@b/c" }))]),
            (
                "matrix://:T@hs.example?rooms=!a:hs.example&title=t",
                vec![target(json!({ "left out": ["?title: there is no such setting here"] }))],
            ),
        ] {
            assert_eq!(targets_of::<Matrix>(url, None), expected, "{url}");
        }
        for (url, part) in [
            ("matrixs://T@hs.example", "path"),
            ("matrixs://hs.example/!a", "user"),
            ("matrixs://ann:pw@hs.example/!a", "password"),
            ("matrixs://T@/!a", "host"),
            ("matrixs://T@hs.example/#ops:hs.example", "path"),
            ("matrixs://T@hs.example/ops", "path"),
            ("matrixs://T@hs.example/@ann:hs.example", "path"),
            ("matrixs://token?mode=t2bot", "?mode"),
            ("matrix://T@hs.example?rooms=!a", "user"),
            ("matrix://ann:pw@hs.example?rooms=!a", "password"),
            ("matrix://:T@hs.example?rooms=ops", "path"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
