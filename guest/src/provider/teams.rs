//! Microsoft Teams, by the URL of a workflow of Power Automate that posts an Adaptive Card:
//! <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>.
//!
//! A message has "about 28 KB", which is held here as 28 000 bytes of the whole request. Title and link have no
//! limit of their own; a title is cut at 1024 characters, a link of more than 2048 is left out. Text is the
//! little Markdown of a TextBlock
//! (<https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>): bold,
//! italic, lists and links; outside of lists a line breaks only where there are two line breaks. That a
//! backslash keeps a mark from being one is CommonMark's, and not documented for cards. The colour of the title
//! is by level, one of the card's own; a notification's own colour has no place.
//!
//! A workflow answers 202 before it has posted anything, so that this is no proof of a message. The connectors
//! that were before workflows (`webhook.office.com`) take the same cards, and answer 200 with `1`, or with why
//! not; a limit that is exceeded there can be such a text. How long to wait is not documented. There is no
//! idempotency key.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{TEAMS, is_target};
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, object};
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the workflow, as Power Automate shows it. It is kept as a secret.
        url: SecretUrl,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// Whether the card is as wide as the channel, and not as narrow as cards are: it is, unless this says no.
        wide: bool = true,
    }
}

/// A workflow that posts to a channel or chat of Teams.
pub struct Teams {
    settings: Settings,
    overflow: Overflow,
}

const MESSAGE: Limit = Limit::bytes(28_000);
const TITLE: Limit = Limit::characters(1024);
const LINK: Limit = Limit::characters(2048);

impl Provider for Teams {
    const NAME: &'static str = "teams";
    const SUMMARY: &'static str = "Microsoft Teams, by a workflow of Power Automate";
    const EXAMPLE: &'static str = "\
- name: teams
  provider: teams
  url: ${TEAMS_WORKFLOW}
";
    const AUTH: &'static str = "secret URL";
    const DIALECT: &'static str = "Adaptive Card with a little Markdown";
    const URLS: Urls = Urls {
        apprise: &["workflow", "workflows"],
        apprise_form: "workflows://host/workflow/signature",
        shoutrrr: &["teams"],
        shoutrrr_form: "teams://?host=https%3A%2F%2F…%3Fsig%3D…",
    };
    const LIMITS: &'static [Bound] = &[Bound::body("message", MESSAGE)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let address = match url.dialect {
            UrlDialect::Apprise => workflow(url)?,
            UrlDialect::Shoutrrr => shoutrrr(url)?,
        };
        Ok(vec![settings([("url", address.into())])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.settings.format);
        let title = Text::plain(&notification.title).fit(&TEAMS, self.overflow.limit(TITLE));
        let link = notification.link.as_deref().filter(|link| BaseUrl::problem(link).is_none());
        let link = link.filter(|link| is_target(link) && self.overflow.limit(LINK).fits(link));
        let body = Text::of_body(&notification.body, format);
        let body = match body.is_blank() {
            true if title.is_empty() => Text::of(notification, format),
            _ => body,
        };
        let card = |text: &str| {
            let mut blocks = Vec::new();
            if !title.is_empty() {
                blocks.push(object([
                    ("type", "TextBlock".into()),
                    ("text", title.as_str().into()),
                    ("size", "Medium".into()),
                    ("weight", "Bolder".into()),
                    ("color", json!(color(notification.level))),
                    ("wrap", true.into()),
                ]));
            }
            if !text.is_empty() {
                blocks.push(json!({ "type": "TextBlock", "text": text, "wrap": true }));
            }
            let open = link.map(|link| json!([{ "type": "Action.OpenUrl", "title": "Open", "url": link }]));
            object([
                ("$schema", "http://adaptivecards.io/schemas/adaptive-card.json".into()),
                ("type", "AdaptiveCard".into()),
                ("version", "1.4".into()),
                ("body", blocks.into()),
                ("actions", json!(open)),
                ("msteams", json!(self.settings.wide.then(|| json!({ "width": "Full" })))),
            ])
        };
        let message = |text: &str| {
            let content_type = "application/vnd.microsoft.card.adaptive";
            let attachment =
                json!({ "contentType": content_type, "contentUrl": null, "content": card(text) });
            Object::default().with("type", "message").with("attachments", [attachment])
        };
        let request = |text: &str| message(text).into(Request::post(self.settings.url.segments()));
        // As it is sent: in JSON.
        let length = |part: &Text| json!(lines(&part.write(&TEAMS))).to_string().len();
        let parts = body.split(MESSAGE.less(length_of(&request("x"))).most, self.overflow, &length);
        Ok(parts.iter().map(|part| request(&lines(&part.write(&TEAMS)))).collect())
    }

    /// A connector's errors hide in a 200: `… Microsoft Teams endpoint returned HTTP error 429 …`.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        if reply.status != 200 {
            return None;
        }
        let said = String::from_utf8_lossy(&reply.body);
        let (_, status) = said.split_once("returned HTTP error ")?;
        let digits = status.bytes().take_while(u8::is_ascii_digit).count();
        let status = status.get(..digits).unwrap_or_default().parse().unwrap_or(400);
        Some(match Class::of_status(status) {
            Class::Delivered => Class::Ambiguous,
            class => class,
        })
    }
}

/// How many bytes the body of a request has.
fn length_of(request: &Request) -> usize {
    let length = |segment: &Segment| match segment {
        Segment::Text(text) => text.len(),
        _ => 0,
    };
    request.body.iter().map(length).sum()
}

fn color(level: Level) -> Option<&'static str> {
    match level {
        Level::Trace | Level::Debug => None,
        Level::Info => Some("Accent"),
        Level::Warn => Some("Warning"),
        Level::Error | Level::Fatal => Some("Attention"),
    }
}

/// Text in which every line that is not of a list is a paragraph, because a line break alone is none in a card.
fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut was_list = true;
    for (n, line) in text.split('\n').enumerate() {
        let digits = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
        let is_number = digits.len() < line.trim_start().len() && digits.starts_with(". ");
        let is_item = line.trim_start().starts_with("- ") || is_number;
        let is_list = is_item || (was_list && n > 0 && line.starts_with("  "));
        if n > 0 {
            let is_blank = line.is_empty() || out.ends_with('\n');
            out.push_str(if is_blank || (is_list && was_list) { "\n" } else { "\n\n" });
        }
        out.push_str(line);
        was_list = is_list;
    }
    out
}

/// The URL of a workflow, from Apprise's form.
fn workflow(url: &mut ServiceUrl) -> Result<String, UrlProblem> {
    let origin = url.origin(true)?;
    let named = url.option(&["workflow", "id"]);
    let id = match named.filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => url.entry("the workflow's id")?,
    };
    let named = url.option(&["signature", "sig"]);
    let signature = match named.filter(|signature| !signature.is_empty()) {
        Some(signature) => signature,
        None => url.entry("the workflow's signature")?,
    };
    let is_power_automate = url.flag(&["pa", "powerautomate"])?.unwrap_or(false);
    let route = url.option(&["route", "routeid"]);
    let (mut path, mut version) = (String::new(), "2016-06-01".to_owned());
    if is_power_automate {
        path.push_str("/powerautomate/automations/direct");
        if let Some(route) = route {
            path.extend(["/cu/", &path_segment(&route)]);
        }
        version = "2022-03-01-preview".to_owned();
    }
    let version = url.option(&["api-version", "ver"]).unwrap_or(version);
    // What every workflow's URL has; the rest is in the card.
    for said in ["sp", "sv", "image", "wrap"] {
        url.option(&[said]);
    }
    Ok(format!(
        "{origin}{path}/workflows/{}/triggers/manual/paths/invoke?api-version={}&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={}",
        path_segment(&id),
        path_segment(&version),
        path_segment(&signature)
    ))
}

/// The URL that a URL of shoutrrr has for an option, or that of a connector from its five parts.
fn shoutrrr(url: &mut ServiceUrl) -> Result<String, UrlProblem> {
    url.option(&["color"]);
    let host = url
        .option(&["host"])
        .filter(|host| !host.is_empty())
        .ok_or_else(|| wrong("?host", "is missing: the workflow's URL belongs there", "percent-encode it"))?;
    if host.contains("://") {
        return match BaseUrl::problem(&host) {
            None => Ok(host),
            Some((problem, hint)) => Err(wrong("?host", problem, hint)),
        };
    }
    let group = url.required_user("the group's id")?;
    let tenant = url.take_host("the tenant's id")?;
    let (alternate, owner) = (url.entry("the alternate id")?, url.entry("the group owner's id")?);
    let extra = url.entry("the extra id")?;
    let path = [alternate, owner, extra].map(|part| path_segment(&part)).join("/");
    let address = format!(
        "https://{host}/webhookb2/{}@{}/IncomingWebhook/{path}",
        path_segment(&group),
        path_segment(&tenant)
    );
    match BaseUrl::problem(&address) {
        // The one `@` is of the path.
        None => Ok(address),
        Some(_) => Err(wrong("?host", "is no name of a host", "write it as `example.webhook.office.com`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{fields, notification};
    use crate::provider::tests::{body, open, problems, request, requests, target_of, wrong_part};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": { "$secret": "t/url" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn text(request: &Request, n: usize) -> String {
        let sent: Value = serde_json::from_str(&body(request)).unwrap();
        sent["attachments"][0]["content"]["body"][n]["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_message_is_a_card_with_a_button() {
        let mut down = notification(Level::Warn, "a *b*", fields(&[("Service", "web"), ("n", "_x_")]));
        down.link = Some("https://x.example/?a&b".into());
        let request = request(&open::<Teams>(with(&json!({}))), &down);
        assert!(matches!(request.url.as_slice(), [Segment::Secret { .. }]));
        assert_eq!(
            body(&request),
            r#"{"type":"message","attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","contentUrl":null,"content":{"$schema":"http://adaptivecards.io/schemas/adaptive-card.json","type":"AdaptiveCard","version":"1.4","body":[{"type":"TextBlock","text":"a \\*b\\*","size":"Medium","weight":"Bolder","color":"Warning","wrap":true},{"type":"TextBlock","text":"**Service**: web\n\n**n**: \\_x\\_","wrap":true}],"actions":[{"type":"Action.OpenUrl","title":"Open","url":"https://x.example/?a&b"}],"msteams":{"width":"Full"}}}]}"#
        );
    }

    #[test]
    fn a_card_is_narrow_and_plain_where_it_is_to_be() {
        let settings = with(&json!({ "wide": false, "format": "plain" }));
        assert_eq!(problems::<Teams>(settings.clone()), [""; 0]);
        let sent =
            request(&open::<Teams>(settings), &notification(Level::Debug, "", Body::Text("# *a*".into())));
        assert_eq!(text(&sent, 0), r"\# \*a\*");
        assert!(!body(&sent).contains("msteams") && !body(&sent).contains("color"));
        assert_eq!(problems::<Teams>(json!({})).len(), 1);
    }

    #[test]
    fn a_line_is_a_paragraph_and_a_list_stays_together() {
        let shown = "one\ntwo\n\n* a\n  1. b\n* c\n  d\n\nend";
        let target = open::<Teams>(with(&json!({})));
        let sent = request(&target, &notification(Level::Info, "t", Body::Text(shown.into())));
        assert_eq!(text(&sent, 1), "one\n\ntwo\n\n- a\n  1. b\n- c\n  d\n\nend");
    }

    #[test]
    fn there_is_always_something_to_read() {
        let target = open::<Teams>(with(&json!({})));
        let of =
            |title, body: &str| request(&target, &notification(Level::Info, title, Body::Text(body.into())));
        assert_eq!(text(&of("", ""), 0), "info");
        assert_eq!(text(&of("t", ""), 0), "t");
        let mut odd = notification(Level::Info, "t", Body::Text("b".into()));
        odd.link = Some("javascript:x".into());
        assert!(!body(&request(&target, &odd)).contains("actions"));
        odd.link = Some(format!("https://x.example/{}", "x".repeat(2031)));
        assert!(!body(&request(&target, &odd)).contains("actions"));
    }

    #[test]
    fn a_message_has_28_000_bytes_whatever_has_to_be_escaped() {
        let target = open::<Teams>(with(&json!({})));
        let lengths = |text: String| -> Vec<usize> {
            let sent = requests(&target, &notification(Level::Info, "t", Body::Text(text)));
            sent.iter().map(|request| body(request).len()).collect()
        };
        for text in ["word ".repeat(10_000), "\"\\\n".repeat(10_000), "é".repeat(20_000)] {
            let lengths = lengths(text);
            assert!(lengths.len() > 1 && lengths.iter().all(|length| *length <= 28_000), "{lengths:?}");
        }
        // A part has room for a number of two digits, and for what stands in the text's place where it is measured.
        assert_eq!(lengths("x".repeat(40_000))[0], 27_996);
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let whole = "https://prod-1.westus.logic.azure.com:443/workflows/abc/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s";
        let workflow = |host: &str, path: &str, version: &str, sig: &str| {
            json!(format!(
                "https://{host}{path}/triggers/manual/paths/invoke?api-version={version}&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={sig}"
            ))
        };
        let (old, new) = ("2016-06-01", "2022-03-01-preview");
        let direct = "/powerautomate/automations/direct";
        let connector = "https://example.webhook.office.com/webhookb2/g@t/IncomingWebhook/a/o/e";
        for (url, expected) in [
            ("workflows://h.example/w/s", workflow("h.example", "/workflows/w", old, "s")),
            (
                "workflow://h.example:443/w/s%2Fé",
                workflow("h.example:443", "/workflows/w", old, "s%2F%C3%A9"),
            ),
            ("workflows://h.example/?id=w&sig=s%20t", workflow("h.example", "/workflows/w", old, "s%20t")),
            (
                "workflows://h.example/?workflow=w&signature=s&api-version=2020&sv=1.0&sp=x",
                workflow("h.example", "/workflows/w", "2020", "s"),
            ),
            (
                "workflows://h.example/w/s?pa=yes",
                workflow("h.example", &format!("{direct}/workflows/w"), new, "s"),
            ),
            (
                "workflows://h.example/w/s?powerautomate=yes&route=12&ver=2&wrap=no&image=no",
                workflow("h.example", &format!("{direct}/cu/12/workflows/w"), "2", "s"),
            ),
            (
                "teams://?host=https%3A%2F%2Fprod-1.westus.logic.azure.com%3A443%2Fworkflows%2Fabc%2Ftriggers%2Fmanual%2Fpaths%2Finvoke%3Fapi-version%3D2016-06-01%26sp%3D%252Ftriggers%252Fmanual%252Frun%26sv%3D1.0%26sig%3Ds&color=%23ff0000",
                json!(whole),
            ),
            ("teams://?host=https://h.example/x%3Fa%3Db%26c%3Dd", json!("https://h.example/x?a=b&c=d")),
            ("teams://?HOST=http://127.0.0.1:8080/x", json!("http://127.0.0.1:8080/x")),
            ("teams://g@t/a/o/e?host=example.webhook.office.com", json!(connector)),
            ("teams://g%40@t/a%2F/o/é?host=x.webhook.office.com&color=red", {
                json!("https://x.webhook.office.com/webhookb2/g%40@t/IncomingWebhook/a%2F/o/%C3%A9")
            }),
        ] {
            assert_eq!(target_of::<Teams>(url), json!({ "url": expected }), "{url}");
        }
        let left = target_of::<Teams>("workflows://h.example/w/s?template=/x&format=text&:a=b");
        assert_eq!(left["format"], "plain");
        assert_eq!(
            left["left out"],
            json!(["?template: there is no such setting here", "?:a: there is no such setting here"])
        );
        for (url, part) in [
            ("workflows://", "host"),
            ("workflows://h.example", "path"),
            ("workflows://h.example/w", "path"),
            ("workflows://h.example/w/s?pa=perhaps", "?pa"),
            ("teams://g@t/a/o/e", "?host"),
            ("teams://?host=https://", "?host"),
            ("teams://t/a/o/e?host=x.webhook.office.com", "user"),
            ("teams://g@t/a/o?host=x.webhook.office.com", "path"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn a_connectors_errors_hide_in_a_success() {
        let target = open::<Teams>(with(&json!({})));
        let failed =
            |status: u16| format!("Microsoft Teams endpoint returned HTTP error {status} with ContextId x");
        for (status, body, class) in [
            (202, String::new(), None),
            (200, "1".to_owned(), None),
            (200, failed(429), Some(Class::Throttled)),
            (200, failed(413), Some(Class::Permanent)),
            (200, failed(503), Some(Class::Transient)),
            (200, failed(200), Some(Class::Ambiguous)),
            (400, failed(429), None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.clone().into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }
}
