//! Any HTTP endpoint that takes JSON, XML, a form or text.
//!
//! There is no vendor here and no limit: what is sent is what the configuration says. The settings are those
//! of GoDoxy's `webhook`, with more ways to say who sends. A `GET` puts a form into the URL's query and has
//! no body; it has one with JSON, XML and text, as any other method has.

use serde_json::{Map, Value};

use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer, did_you_mean};
use crate::hint::{self, Unit};
use crate::limit::Overflow;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::provider::{Occasion, Provider, discord};
use crate::request::{Head, Method, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls};
use crate::settings::declare::{Named, choices, settings};
use crate::settings::{Secret, SecretUrl};
use payload::{Payload, Syntax};
use sign::Signer;

mod cloudevents;
pub(crate) mod form;
mod from_url;
mod headers;
mod payload;
mod sign;
mod template;
#[cfg(test)]
mod tests;
mod xml;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL to send to. It is kept as a secret, because whoever knows the URL of an incoming webhook can
        /// use it.
        url: SecretUrl,
        /// A token, sent as `Authorization: Bearer`.
        token: Option<Secret>,
        /// A user's name for basic authentication.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// Headers by name. Every value is kept as a secret. A Content-Type goes over that of `mime_type`.
        headers: Named<Secret>,
        /// Signs each request as Standard Webhooks 1.0.0 describes it: `webhook-id` is the notification's id,
        /// `webhook-timestamp` the time of the attempt. It takes `secrets`, `private_keys`, or both.
        sign: Option<sign::Settings>,
        /// How `$message` and the template write the body: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// A ready-made payload, which needs none of `payload`, `method`, `mime_type` and `color_mode`: discord,
        /// or cloudevents.
        template: Option<Template>,
        /// Where CloudEvents come from, as a URI or a part of one: nuncio, unless this says otherwise.
        #[length(1, 2048)]
        source: Option<String>,
        /// What CloudEvents are of: nuncio.notification, unless this says otherwise.
        #[length(1, 255)]
        r#type: Option<String>,
        /// What is sent where there is no template. `$title`, `$message` (the body as text; the title where it
        /// is empty), `$fields` (the body as JSON), `$color`, `$level`, `$type` (the level as info, warning or
        /// failure), `$id`, `$tags` (a list in JSON), `$link` and `$key` (of the alert that is opened or closed)
        /// are filled in. In JSON they are values of their own or text inside quotes, as in
        /// `{"text": "Alert: $title", "body": $message}`; in a form they are encoded, in XML they are text or
        /// stand in an attribute's quotes. A payload is not kept as a secret: `headers` are. One
        /// with `{{` or `{%` in it is a template.
        payload: Option<String>,
        /// POST (unless this says otherwise), PUT, PATCH or GET, which sends a form in the URL.
        method: Option<String>,
        /// What the payload is. A form can be written as one, `title=$title&message=$message`, or as JSON.
        mime_type: MimeType = MimeType::Json,
        /// How `$color` is written: as `#rrggbb`, unless this says dec.
        color_mode: ColorMode = ColorMode::Hex,
    }
}

choices! {
    /// A ready-made payload.
    #[derive(Clone, Copy)]
    enum Template {
        /// An event of CloudEvents 1.0.
        CloudEvents = "cloudevents",
        /// An embed, within all limits of Discord.
        Discord = "discord",
    }
}

choices! {
    /// What a payload is.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum MimeType {
        /// JSON.
        Json = "application/json",
        /// A form.
        Form = "application/x-www-form-urlencoded",
        /// Text.
        Text = "text/plain",
        /// XML.
        Xml = "application/xml",
    }
}

choices! {
    /// How a colour is written.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum ColorMode {
        /// As `#rrggbb`.
        Hex = "hex",
        /// As an integer.
        Dec = "dec",
    }
}

/// An HTTP endpoint.
pub struct Webhook {
    method: Method,
    url: SecretUrl,
    /// The headers that are the same for every notification.
    head: Head,
    /// Whether they have one with the notification's id.
    has_key: bool,
    signer: Option<Signer>,
    format: Format,
    content: Content,
}

enum Content {
    Discord,
    Event(cloudevents::Context),
    Body(Payload),
    Query(Payload),
}

/// The header that carries the notification's id.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

const METHODS: [Method; 4] = [Method::Post, Method::Put, Method::Patch, Method::Get];

impl Provider for Webhook {
    const NAME: &'static str = "webhook";
    const SUMMARY: &'static str = "any HTTP endpoint, with a payload of your own, Discord's or CloudEvents'";
    const EXAMPLE: &'static str = r#"- name: chat
  provider: webhook
  url: https://hooks.example.com/services/${CHAT_HOOK}
  payload: |
    {"text": "**$title** $message", "color": "$color"}
- name: events
  provider: webhook
  url: https://events.example.com/${EVENTS_HOOK}
  template: cloudevents
"#;
    const AUTH: &'static str = "secret URL, headers, signature";
    const DIALECT: &'static str = "as configured";
    const URLS: Urls = Urls {
        apprise: &["json", "jsons", "form", "forms", "xml", "xmls"],
        apprise_form: "jsons://user:password@host/path?+Header=value",
        shoutrrr: &["generic"],
        shoutrrr_form: "generic://host/path?template=json",
    };

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let before = problems.len();
        let (user, password) = (settings.user.as_deref(), settings.password.as_ref());
        let authorization = authorization::value(settings.token.as_ref(), user, password, at, problems);
        let mut headers = headers::read(&settings.headers, authorization, &at.at("headers"), problems);
        let method = settings.method.as_deref().unwrap_or("POST");
        let known = METHODS.into_iter().find(|known| known.name().eq_ignore_ascii_case(method));
        if known.is_none() {
            let names = METHODS.map(Method::name);
            let hint = did_you_mean(method, names);
            problems.value(&at.at("method"), format!("`{method}` is none of {}", names.join(", ")), hint);
        }
        let context = cloudevents::Context::check(&settings, at, problems);
        let content = match (settings.template, settings.payload.as_deref().unwrap_or_default()) {
            (None, "") => {
                let hint = r#"add `payload: '{"text": $message}'`, or `template: discord`"#;
                problems.value(at, "there is nothing to send: no `payload` and no `template`", hint);
                None
            }
            (Some(Template::Discord), "") => Some(Content::Discord),
            (Some(Template::CloudEvents), "") => Some(Content::Event(context)),
            (Some(_), _) => {
                let hint = "keep one of the two: a template is a whole payload";
                problems.value(&at.at("payload"), "both `template` and `payload` are set", hint);
                None
            }
            (None, text) => {
                let is_color_number = settings.color_mode == ColorMode::Dec;
                let payload = Payload::read(text, settings.mime_type.syntax(), is_color_number)
                    .map_err(|(problem, hint)| problems.value(&at.at("payload"), problem, hint));
                let is_query = settings.mime_type == MimeType::Form && known == Some(Method::Get);
                payload.ok().map(if is_query { Content::Query } else { Content::Body })
            }
        };
        let signer = settings.sign.map(|sign| Signer::check(sign, &settings.headers, at, problems));
        if let (Some(_), Some(Content::Query(_))) = (&signer, &content) {
            let hint = "a signature is over the body: use POST, or another `mime_type`";
            problems.value(&at.at("sign"), "this GET has no body that could be signed", hint);
        }
        if problems.len() > before {
            return None;
        }
        let content = content?;
        let (method, media_type) = match content {
            Content::Discord => (Method::Post, Some(MimeType::Json.header())),
            Content::Event(_) => (Method::Post, Some(cloudevents::MEDIA_TYPE)),
            Content::Body(_) => (known?, Some(settings.mime_type.header())),
            Content::Query(_) => (known?, None),
        };
        let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(media_type) = media_type.filter(|_| !is_typed) {
            headers.push(("content-type".to_owned(), vec![media_type.into()]));
        }
        let has_key = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
        let mut head = Head::default();
        headers.into_iter().for_each(|(name, value)| head.add(&name, value));
        Some(Self { method, url: settings.url, head, has_key, signer, format: settings.format, content })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        from_url::target(url).map(|target| vec![target])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let mut request = Request::new(self.method, self.url.segments());
        request.head = self.head.with_room(IDEMPOTENCY_KEY.len() + notification.id.len() + 3);
        // The same for every attempt, so that a receiver can tell a repetition (the name is that of the IETF
        // draft httpapi-idempotency-key-header, and Stripe's).
        if !self.has_key {
            request.head.add(IDEMPOTENCY_KEY, [notification.id.as_str().into()]);
        }
        if let Some(signer) = &self.signer {
            for (name, value) in signer.headers(&notification.id, occasion) {
                request.head.add(name, value);
            }
        }
        match &self.content {
            Content::Discord => {
                let embed = discord::one_embed(notification, self.format);
                request.body = discord::message(embed).into_body();
            }
            Content::Event(context) => request.body = context.event(notification).into_body(),
            Content::Body(payload) => request.body = vec![payload.write(notification, self.format)?.into()],
            Content::Query(payload) => {
                request.query = form::pairs(&payload.write(notification, self.format)?)
            }
        }
        Ok(vec![request])
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        match self.content {
            Content::Discord => discord::classify(reply),
            Content::Event(_) | Content::Body(_) | Content::Query(_) => None,
        }
    }

    /// Many a webhook is one of these services' own, so all their ways to say it are known: Discord's seconds,
    /// Telegram's seconds and Matrix's milliseconds.
    fn hint(&self, reply: &Reply) -> Option<u64> {
        let forms = [
            ("/retry_after", Unit::Seconds),
            ("/parameters/retry_after", Unit::Seconds),
            ("/retry_after_ms", Unit::Milliseconds),
        ];
        let says_more = matches!(reply.status, 400..=599);
        forms.into_iter().filter(|_| says_more).find_map(|(at, unit)| hint::in_json(reply, at, unit))
    }
}

impl MimeType {
    fn syntax(self) -> Syntax {
        match self {
            Self::Json => Syntax::Json,
            Self::Form => Syntax::Form,
            Self::Text => Syntax::Text,
            Self::Xml => Syntax::Xml,
        }
    }

    /// Without a charset, text would be read as each receiver likes; the others are UTF-8 by definition, XML
    /// where its declaration says nothing else.
    fn header(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Text => "text/plain; charset=utf-8",
            Self::Xml => "application/xml",
        }
    }
}
