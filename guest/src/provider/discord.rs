//! Discord, by the URL of a webhook:
//! <https://docs.discord.com/developers/resources/webhook#execute-webhook>.
//!
//! One embed a message, which Discord accepts whatever the notification holds. Its documented limits
//! (<https://docs.discord.com/developers/resources/message#embed-limits>): title 256 characters,
//! description 4096, 25 fields, a field's name 256 and value 1024, and 6000 in all of them together; a URL
//! has 2048. They are counted here in UTF-16 code units, of which no reading of "characters" has more. Discord
//! takes white space off all text and refuses an embed without any text, and fields whose name or value is
//! empty. Its markdown is on everywhere, so that plain text is escaped.
//!
//! A running text that is too long is split over several messages, and so are fields; a title, a name or a
//! value is cut off. The webhook's `template: discord` is one such embed, where what has no place is left out.
//!
//! Rate limits are told by Retry-After and, finer, in the body
//! (<https://docs.discord.com/developers/topics/rate-limits>).

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::hint::{self, Unit};
use crate::limit::{Bound, Limit, MOST_PARTS, Overflow};
use crate::markup::Text;
use crate::markup::dialect::DISCORD;
use crate::notification::{Body, Field, Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, object};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The webhook's URL, as Discord shows it. It is kept as a secret.
        url: SecretUrl,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The name that messages come from, in place of the webhook's: 1 to 80 characters.
        #[length(1, 80)]
        username: Option<String>,
        /// The URL of a picture for it.
        avatar: Option<String>,
        /// The id of the thread to write in, where that is not the channel itself.
        thread: Option<String>,
    }
}

/// A webhook of a Discord channel.
pub struct Discord {
    settings: Settings,
    overflow: Overflow,
}

const TITLE: Limit = Limit::utf16(256);
const DESCRIPTION: Limit = Limit::utf16(4096);
const FIELDS: usize = 25;
const NAME: Limit = Limit::utf16(256);
const VALUE: Limit = Limit::utf16(1024);
const TOTAL: Limit = Limit::utf16(6000);
const URL: Limit = Limit::utf16(2048);

/// Room for the field that says how many are missing, or for a number.
const SUMMARY: usize = 40;

/// A zero-width space: what stands for nothing where Discord wants something.
const BLANK: &str = "\u{200b}";

impl Provider for Discord {
    const NAME: &'static str = "discord";
    const SUMMARY: &'static str = "a Discord channel, by the URL of a webhook";
    const EXAMPLE: &'static str = "\
- name: discord
  provider: discord
  url: ${DISCORD_WEBHOOK}
";
    const AUTH: &'static str = "secret URL";
    const DIALECT: &'static str = "Discord's markdown";
    const URLS: Urls = Urls {
        apprise: &["discord"],
        apprise_form: "discord://id/token",
        shoutrrr: &["discord"],
        shoutrrr_form: "discord://token@id",
    };
    const LIMITS: &'static [Bound] = &[
        Bound::text("title", &["/embeds/*/title"], TITLE),
        Bound::text("text", &["/embeds/*/description"], DESCRIPTION),
        Bound::items("fields", &["/embeds/*/fields"], FIELDS),
        Bound::text("field name", &["/embeds/*/fields/*/name"], NAME),
        Bound::text("field value", &["/embeds/*/fields/*/value"], VALUE),
        Bound::text("link", &["/embeds/*/url"], URL),
        Bound::sum(
            "message",
            &[
                "/embeds/*/title",
                "/embeds/*/description",
                "/embeds/*/fields/*/name",
                "/embeds/*/fields/*/value",
            ],
            TOTAL,
        ),
    ];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (id, token, username, avatar) = match url.dialect {
            UrlDialect::Apprise => {
                let (id, token) = (url.take_host("the webhook's id")?, url.entry("the webhook's token")?);
                let user = url.user();
                // Whether messages have a picture of their own at all.
                let has_avatar = url.flag(&["avatar"])?.unwrap_or(true);
                let avatar = url.option(&["avatar_url"]).filter(|_| has_avatar);
                (id, token, url.option(&["botname"]).or(user), avatar)
            }
            UrlDialect::Shoutrrr => {
                let token = url.required_user("the webhook's token")?;
                let id = url.take_host("the webhook's id")?;
                (id, token, url.option(&["username"]), url.option(&["avatar", "avatarurl"]))
            }
        };
        let webhook =
            format!("https://discord.com/api/webhooks/{}/{}", path_segment(&id), path_segment(&token));
        Ok(vec![settings([
            ("url", webhook.into()),
            ("username", json!(username)),
            ("avatar", json!(avatar)),
            ("thread", json!(url.option(&["thread", "thread_id"]).map(|id| id.trim().to_owned()))),
        ])])
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        url.has_login() && url.entries() == 0
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { url, username, avatar, thread, .. } = &self.settings;
        let format = occasion.format(self.settings.format);
        let request = |embed| {
            let mut request = Request::post(url.segments());
            request.query.extend(thread.iter().map(|thread| ("thread_id".to_owned(), thread.clone())));
            let message =
                message(embed).with("username", username.clone()).with("avatar_url", avatar.clone());
            message.into(request)
        };
        Ok(embeds(notification, format, self.overflow).into_iter().map(request).collect())
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        classify(reply)
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        hint::in_json(reply, "/retry_after", Unit::Seconds)
    }
}

/// The message that is one embed. Nobody is alerted by an `@name` in it.
pub(super) fn message(embed: Value) -> Object {
    Object::default().with("embeds", [embed]).with("allowed_mentions", json!({ "parse": [] }))
}

/// The one embed that says as much of a notification as has room in it.
pub(super) fn one_embed(notification: &Notification, format: Format) -> Value {
    embeds(notification, format, Overflow::Truncate).pop().unwrap_or_default()
}

/// A webhook that somebody deleted: status 404 with Discord's code 10015. A 404 without it comes from
/// something else, such as a wrong URL.
pub(super) fn classify(reply: &Reply) -> Option<Class> {
    let error: Value = serde_json::from_slice(&reply.body).ok()?;
    (reply.status == 404 && error.get("code")? == 10015).then_some(Class::Gone)
}

/// The embeds that say what a notification says, at least one. A link goes behind the title, or is the title
/// where there is none.
fn embeds(notification: &Notification, format: Format, overflow: Overflow) -> Vec<Value> {
    let link = notification.link.as_deref();
    let link = link.filter(|link| BaseUrl::problem(link).is_none() && URL.fits(link));
    let limit = overflow.limit(TITLE);
    let title = Text::plain(&notification.title);
    let title = match link {
        _ if !title.is_blank() => Some(title.fit(&DISCORD, limit)),
        link => link.map(|link| limit.cut(link)),
    };
    let embed = |description: Option<String>, fields: Value| {
        object([
            ("title", json!(title)),
            ("description", json!(description)),
            ("fields", fields),
            ("color", notification.shown_color().rgb().into()),
            ("url", json!(link)),
        ])
    };
    let text = match &notification.body {
        Body::Fields(fields) if !fields.is_empty() => {
            let budget = TOTAL.less(title.as_deref().map_or(0, |title| TOTAL.length(title))).most;
            let groups = groups(fields, budget, overflow);
            let number =
                |n: usize| (groups.len() > 1).then(|| format!("{}/{}", n.saturating_add(1), groups.len()));
            let groups = groups.iter().enumerate();
            return groups.map(|(n, fields)| embed(number(n), json!(fields))).collect();
        }
        body => Text::of_body(body, format),
    };
    let text = if text.is_blank() && title.is_none() { Text::of(notification, format) } else { text };
    let parts = text.parts(&DISCORD, DESCRIPTION, overflow);
    parts.into_iter().map(|part| embed(Some(part).filter(|part| !part.is_empty()), Value::Null)).collect()
}

/// The fields of each message, with a budget of UTF-16 code units for each: of more than one only where they
/// are to be split.
fn groups(all: &[Field], budget: usize, overflow: Overflow) -> Vec<Vec<Value>> {
    if overflow == Overflow::Upstream {
        return vec![all.iter().map(|field| shown(field, Limit::NONE, Limit::NONE).1).collect()];
    }
    let mut rest: Vec<_> = all.iter().map(|field| shown(field, NAME, VALUE)).collect();
    if overflow == Overflow::Truncate || whole(&rest, budget) == rest.len() {
        return vec![fit(all, rest, budget)];
    }
    let numbered = budget.saturating_sub(SUMMARY);
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let count = whole(&rest, numbered).max(1);
        if groups.len().saturating_add(1) == MOST_PARTS && count < rest.len() {
            let from = all.len().saturating_sub(rest.len());
            groups.push(fit(all.get(from..).unwrap_or_default(), rest, numbered));
            break;
        }
        let after = rest.split_off(count);
        groups.push(rest.into_iter().map(|(_, field)| field).collect());
        rest = after;
    }
    groups
}

/// How many fields there is place for.
fn whole(shown: &[(usize, Value)], budget: usize) -> usize {
    let sums = shown.iter().take(FIELDS).scan(0_usize, |sum, (length, _)| {
        *sum = sum.saturating_add(*length);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= budget).count()
}

/// As many fields as there is place for, in a budget of at least [`SUMMARY`]; the last says how many are
/// missing.
fn fit(all: &[Field], shown_in_full: Vec<(usize, Value)>, mut budget: usize) -> Vec<Value> {
    let mut fields: Vec<Value> = Vec::new();
    for (n, (field, (mut length, mut value))) in all.iter().zip(shown_in_full).enumerate() {
        let missing = all.len().saturating_sub(n);
        let is_last = missing == 1;
        let room = budget.saturating_sub(if is_last { 0 } else { SUMMARY });
        if length > room {
            let name = shown(field, NAME, Limit::utf16(0)).0;
            (length, value) = shown(field, NAME, VALUE.min(Limit::utf16(room.saturating_sub(name))));
        }
        if length > room || room == 0 || (fields.len().saturating_add(1) == FIELDS && !is_last) {
            fields.push(json!({ "name": BLANK, "value": format!("and {missing} more") }));
            break;
        }
        budget = budget.saturating_sub(length);
        fields.push(value);
    }
    fields
}

/// A field as it is sent, and how long it is.
fn shown(field: &Field, name: Limit, value: Limit) -> (usize, Value) {
    let text = |text: &str, limit| {
        let text = Text::plain(text);
        if text.is_blank() { BLANK.to_owned() } else { text.fit(&DISCORD, limit) }
    };
    let (name, value) = (text(&field.name, name), text(&field.value, value));
    let length = TOTAL.length(&name).saturating_add(TOTAL.length(&value));
    (length, json!({ "name": name, "value": value }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Level;
    use crate::notification::tests::{fields, items, notification};
    use crate::provider::tests::{body, open, problems, request, target_of, wrong_part};

    fn embed(notification: &Notification) -> Value {
        one_embed(notification, Format::Markdown)
    }

    fn embed_of(title: &str, body: Body) -> Value {
        embed(&notification(Level::Error, title, body))
    }

    #[test]
    fn fields_are_fields_of_an_embed_and_nobody_is_alerted() {
        let down = notification(
            Level::Warn,
            "❌ web is down",
            fields(&[("Service", "web"), ("Detail", "@everyone")]),
        );
        assert_eq!(
            message(one_embed(&down, Format::Markdown)).into_body(),
            [r#"{"embeds":[{"title":"❌ web is down","fields":[{"name":"Service","value":"web"},{"name":"Detail","value":"@everyone"}],"color":16761856}],"allowed_mentions":{"parse":[]}}"#.into()]
        );
    }

    // GoDoxy defect 1.7.2: lists and text came as `fields`, which Discord refuses.
    #[test]
    fn lists_and_text_are_a_description() {
        let list = embed_of("Renewed", items(&["a.example", "b.example"]));
        assert_eq!(
            list,
            json!({ "title": "Renewed", "description": "* a.example\n* b.example", "color": 0xff0000 })
        );
        let text = embed_of("", Body::Text("**x**".into()));
        assert_eq!(text, json!({ "description": "**x**", "color": 0xff0000 }));
        let plain = one_embed(&notification(Level::Info, "t", items(&["a", "b"])), Format::Plain);
        assert_eq!(plain["description"], "a\nb");
    }

    // GoDoxy defect 1.7.2: no cap on fields.
    #[test]
    fn fields_that_have_no_place_are_counted() {
        let many = |n: usize, value: &str| {
            let field = |n| Field { name: format!("f{n}"), value: value.to_owned() };
            Body::Fields((0..n).map(field).collect())
        };
        assert_eq!(embed_of("t", many(25, "x"))["fields"][24], json!({ "name": "f24", "value": "x" }));
        let over = embed_of("t", many(26, "x"));
        assert_eq!(over["fields"].as_array().unwrap().len(), 25);
        assert_eq!(over["fields"][24], json!({ "name": BLANK, "value": "and 2 more" }));
        let long = embed_of("t", many(9, &"x".repeat(1024)));
        let fields = long["fields"].as_array().unwrap();
        assert_eq!(fields.len(), 7);
        // 6000, less the title, five whole fields, this one's name and the room for the last.
        assert_eq!(fields[5]["value"], "x".repeat(6000 - 1 - 5 * 1026 - 2 - 40 - 1) + "…");
        assert_eq!(fields[6]["value"], "and 3 more");
    }

    #[test]
    fn empty_names_and_values_are_zero_width_spaces() {
        let fields = embed_of("t", fields(&[("", "\n"), ("a", "\0")]))["fields"].clone();
        assert_eq!(fields, json!([{ "name": BLANK, "value": BLANK }, { "name": "a", "value": BLANK }]));
    }

    #[test]
    fn an_embed_always_says_something() {
        let nothing = [items(&[]), fields(&[]), Body::Text(" ".into()), Body::Text("\0".into())];
        for body in nothing {
            assert_eq!(embed_of("t", body.clone()), json!({ "title": "t", "color": 0xff0000 }));
            let text = embed_of(" ", body)["description"].clone();
            assert!([json!("error"), json!(BLANK)].contains(&text), "{text}");
        }
    }

    #[test]
    fn a_link_is_behind_the_title_or_is_the_title() {
        let mut linked = notification(Level::Info, "t", Body::Text("b".into()));
        for (link, title, url) in [
            ("https://status.example/?a=1&b=2", "t", json!("https://status.example/?a=1&b=2")),
            ("https://status.example/", "", json!("https://status.example/")),
            ("javascript:alert(1)", "t", Value::Null),
            (&format!("https://x.example/{}", "x".repeat(2048)), "t", Value::Null),
        ] {
            (linked.link, linked.title) = (Some(link.into()), title.into());
            assert_eq!(embed(&linked)["url"], url);
            assert_eq!(embed(&linked)["title"], if title.is_empty() { link } else { title });
        }
    }

    #[test]
    fn what_is_plain_shows_no_markup() {
        let shown = embed_of("*a* <@1>", fields(&[("_b_", "~c~ `d` snake_case https://x/*_")]));
        assert_eq!(shown["title"], r"\*a\* \<@1>");
        let field = json!({ "name": r"\_b\_", "value": r"\~c\~ \`d\` snake_case <https://x/*_>" });
        assert_eq!(shown["fields"][0], field);
        let text = Body::Text("# *a*".into());
        let plain = one_embed(&notification(Level::Info, "t", text.clone()), Format::Plain);
        assert_eq!(plain["description"], r"\# \*a\*");
        assert_eq!(embed_of("t", text)["description"], "# *a*");
    }

    #[test]
    fn long_text_and_many_fields_are_messages_in_order() {
        let sent = |body| embeds(&notification(Level::Info, "t", body), Format::Markdown, Overflow::Split);
        let words = sent(Body::Text("word ".repeat(2000)));
        let starts = words.iter().map(|embed| embed["description"].as_str().unwrap().get(..8).unwrap());
        assert_eq!(starts.collect::<Vec<_>>(), ["1/3\nword", "2/3\nword", "3/3\nword"]);
        assert!(words.iter().all(|embed| embed["title"] == "t"));
        let many: Vec<Field> = (0..60).map(|n| Field { name: format!("f{n}"), value: "x".into() }).collect();
        let many = sent(Body::Fields(many));
        let found = many
            .iter()
            .map(|embed| (embed["description"].as_str().unwrap(), embed["fields"].as_array().unwrap().len()));
        assert_eq!(found.collect::<Vec<_>>(), [("1/3", 25), ("2/3", 25), ("3/3", 10)]);
        assert_eq!(many[2]["fields"][9]["name"], "f59");
        assert_eq!(sent(fields(&[("a", "b")]))[0]["description"], Value::Null);
    }

    #[test]
    fn a_target_of_its_own_says_who_writes_and_where() {
        let settings = json!({
            "url": { "$secret": "d/url" }, "username": "Nuncio", "avatar": "https://x.example/a.png", "thread": "42",
        });
        assert_eq!(problems::<Discord>(settings.clone()), [""; 0]);
        let request = request(&open::<Discord>(settings), &notification(Level::Info, "t", items(&["a"])));
        assert_eq!(request.query, [("thread_id".to_owned(), "42".to_owned())]);
        let sent: Value = serde_json::from_str(&body(&request)).unwrap();
        assert_eq!(
            (&sent["username"], &sent["avatar_url"]),
            (&json!("Nuncio"), &json!("https://x.example/a.png"))
        );
        let reply =
            Reply { status: 429, head: Default::default(), body: br#"{"retry_after": 0.376}"#.to_vec() };
        assert_eq!(Provider::hint(&open::<Discord>(json!({ "url": { "$secret": "u" } })), &reply), Some(376));
    }

    #[test]
    fn a_deleted_webhook_is_gone_and_nothing_else_is() {
        let reply =
            |status, body: &str| classify(&Reply { status, head: Default::default(), body: body.into() });
        assert_eq!(reply(404, r#"{"message": "Unknown Webhook", "code": 10015}"#), Some(Class::Gone));
        for (status, body) in
            [(404, "<html>"), (404, "[]"), (404, r#"{"code":0}"#), (400, r#"{"code":10015}"#)]
        {
            assert_eq!(reply(status, body), None);
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let webhook = "https://discord.com/api/webhooks/42/T-_x";
        for (url, more) in [
            ("discord://42/T-_x", json!({})),
            ("discord://Ops@42/T-_x/", json!({ "username": "Ops" })),
            (
                "discord://Ops@42/T-_x?botname=My%20Bot&thread=7",
                json!({ "username": "My Bot", "thread": "7" }),
            ),
            (
                "discord://42/T-_x?avatar_url=https://x.example/a.png",
                json!({ "avatar": "https://x.example/a.png" }),
            ),
            ("discord://42/T-_x?avatar=no&avatar_url=https://x.example/a.png", json!({})),
            (
                "discord://42/T-_x?format=text&overflow=truncate&tts=yes&footer=yes",
                json!({ "format": "plain", "overflow": "truncate", "left out": ["?tts: there is no such setting here", "?footer: there is no such setting here"] }),
            ),
            ("discord://T-_x@42", json!({})),
            (
                "discord://T-_x@42?username=Bot+B&thread_id=%207%20",
                json!({ "username": "Bot B", "thread": "7" }),
            ),
            (
                "discord://T-_x@42?avatar=https://x.example/a.png",
                json!({ "avatar": "https://x.example/a.png" }),
            ),
            (
                "discord://T-_x@42/?avatarurl=https://x.example/%C3%A9",
                json!({ "avatar": "https://x.example/é" }),
            ),
            ("discord://T-_x@42?title=t", json!({ "left out": ["?title: there is no such setting here"] })),
            (
                "discord://T-_x@42?splitLines=no",
                json!({ "left out": ["?splitLines: there is no such setting here"] }),
            ),
        ] {
            let mut expected = json!({ "url": webhook });
            expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(target_of::<Discord>(url), expected, "{url}");
        }
        for (url, part) in [
            ("discord://", "host"),
            ("discord://42", "path"),
            ("discord://T@", "host"),
            ("discord://42/T?avatar=perhaps", "?avatar"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
