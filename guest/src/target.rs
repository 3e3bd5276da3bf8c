//! A target: a provider with its settings, and what every target has whatever its provider.
//!
//! Decides what a notification says there (templates go over what was handed in), and what the provider's word
//! for an outcome comes to. Refuses to know how a service is talked to.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::duration::DurationMs;
use crate::filter::{Filter, Wants};
use crate::hint::{self, Hint};
use crate::judge::Understood;
use crate::limit::Overflow;
use crate::notification::{Body, Format, Notification};
use crate::outcome::{Class, Outcome};
use crate::policy::{Policy, RetrySettings};
use crate::provider::{Entry, Occasion, Service};
use crate::request::{Request, Segment};
use crate::schema;
use crate::settings::declare::{Setting, Within, settings};
use crate::template::{Condition, Template};

/// How long a request may take where the configuration says nothing, in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u64 = 10_000;

/// How many deliveries of a target may be under way at once where the configuration says nothing.
pub const DEFAULT_CONCURRENCY: u32 = 4;

/// No request may take longer, in milliseconds.
const LONGEST_TIMEOUT_MS: u64 = 300_000;

/// One configured provider.
pub struct Target {
    /// Unique among the targets.
    pub name: String,
    /// Which notifications it gets.
    pub filter: Filter,
    /// What it wants beside its filter.
    pub when: Option<Condition>,
    /// How its failed deliveries are tried again.
    pub policy: Policy,
    /// How long a request may take, in milliseconds.
    pub timeout: u64,
    /// How many of its deliveries may be under way at once; at least 1.
    pub concurrency: u32,
    templates: Templates,
    service: Box<dyn Service>,
}

/// How a target writes what a notification says, where it does not leave that to its provider.
struct Templates {
    title: Option<Template>,
    body: Option<Template>,
    payload: Option<Template>,
    format: Format,
}

settings! {
    /// What every target has, whatever its provider.
    #[expect(dead_code, reason = "`provider` is read before the rest, to find the schema of the rest")]
    struct Common {
        /// What the target is called; unique.
        #[length(1, 100)]
        name: String,
        /// The kind of service.
        provider: String,
        /// Which notifications it gets, of those that name no targets.
        filter: Filter = Filter::default(),
        /// How failed deliveries are tried again.
        retry: RetrySettings = RetrySettings::default(),
        /// How long a request may take, from resolving the name to the last byte of the reply: 10s.
        timeout: Option<DurationMs>,
        /// How many of its deliveries may be under way at once: 4. 1 sends them one after another.
        concurrency: Option<Within<1, 1000>>,
        /// What becomes of a text that is longer than the service takes: split (several messages, numbered),
        /// truncate (it ends in `…`) or upstream (it is sent as it is, and the service decides). Each provider has
        /// its own default.
        overflow: Option<Overflow>,
        /// A condition that a notification must fulfil, of those that name no targets, beside the filter:
        /// `level >= "warn" and "db" in tags`.
        when: Option<String>,
        /// A template for the title: `{{ title | upper }}`.
        title: Option<String>,
        /// A template for the body, which is running text then: `{{ message }} ({{ tags | join(", ") }})`.
        body: Option<String>,
        /// A template for the whole body of the request, in place of the service's own form:
        /// `{"content": {{ title | tojson }}}`.
        payload: Option<String>,
    }
}

/// The schema of a whole target of a provider: what every target has, and the provider's own settings.
#[must_use]
pub fn schema_of(entry: &Entry) -> Value {
    let mut common = Common::schema();
    let own = (entry.schema)();
    for member in ["properties", "required"] {
        match (common.get_mut(member), own.get(member)) {
            (Some(Value::Object(all)), Some(Value::Object(own))) => all.extend(own.clone()),
            (Some(Value::Array(all)), Some(Value::Array(own))) => all.extend(own.iter().cloned()),
            _ => {}
        }
    }
    if let Some(provider) = common.pointer_mut("/properties/provider").and_then(Value::as_object_mut) {
        provider.insert("const".to_owned(), entry.name.into());
    }
    if let Some(schema) = common.as_object_mut() {
        schema.insert("title".to_owned(), entry.name.into());
        schema.insert("description".to_owned(), entry.summary.into());
    }
    common
}

impl Target {
    /// Makes settings that fit their schema into a target.
    pub(crate) fn open(
        entry: &Entry,
        settings: Map<String, Value>,
        policy: &Policy,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let (of_all, of_own) = (Common::schema(), (entry.schema)());
        let has =
            |schema: &Value, name: &str| schema.get("properties").is_some_and(|all| all.get(name).is_some());
        // A provider's own setting goes over one that every target has: a webhook's payload is all there is to it.
        let is_common = |name: &str| has(&of_all, name) && !has(&of_own, name);
        let (common, own): (Map<_, _>, Map<_, _>) =
            settings.into_iter().partition(|(name, _)| is_common(name));
        let format = own.get("format").and_then(Format::read).unwrap_or(Format::Markdown);
        let Some(common) = Common::read(&Value::Object(common)) else {
            problems.value(at, schema::MISFIT, "");
            return None;
        };
        let policy = match policy.with(&common.retry) {
            Ok(policy) => policy,
            Err(wrong) => {
                problems.value(&at.at("retry").at(wrong.key), wrong.problem, wrong.hint);
                return None;
            }
        };
        let timeout = common.timeout.map_or(DEFAULT_TIMEOUT_MS, |timeout| timeout.0);
        if !(1..=LONGEST_TIMEOUT_MS).contains(&timeout) {
            problems.value(&at.at("timeout"), "this timeout is out of range", "allowed is from 1ms to 5m");
        }
        let mut template = |name: &str, source: &Option<String>| match Template::read(source.as_deref()?) {
            Ok(template) => Some(template),
            Err((problem, hint)) => {
                problems.value(&at.at(name), problem, hint);
                None
            }
        };
        let templates = Templates {
            title: template("title", &common.title),
            body: template("body", &common.body),
            payload: template("payload", &common.payload),
            format,
        };
        let when = match common.when.as_deref().map(Condition::read).transpose() {
            Ok(when) => when,
            Err((problem, hint)) => {
                problems.value(&at.at("when"), problem, hint);
                None
            }
        };
        let service = (entry.open)(Value::Object(own), common.overflow, at, problems)?;
        let concurrency =
            common.concurrency.and_then(|most| u32::try_from(most.0).ok()).unwrap_or(DEFAULT_CONCURRENCY);
        let target = Self {
            name: common.name,
            filter: common.filter,
            when,
            policy,
            timeout,
            concurrency,
            templates,
            service,
        };
        target.check_payload(at, problems);
        Some(target)
    }

    /// A payload of one's own cannot hold what the host puts into the service's.
    fn check_payload(&self, at: &Pointer, problems: &mut Diagnostics) {
        if self.templates.payload.is_none() {
            return;
        }
        let sample = crate::template::sample(Body::Text("text".to_owned()));
        let requests =
            self.service.format(&sample, &Occasion { now: 0, is_plain: false }).unwrap_or_default();
        let is_text = |segment: &Segment| matches!(segment, Segment::Text(_));
        if requests.iter().any(|request| !request.body.iter().all(is_text)) {
            let problem =
                "this service takes a secret in the body of the request, which a template cannot write";
            problems.value(&at.at("payload"), problem, "use `title` and `body`");
        } else if requests.iter().any(|request| request.body.is_empty()) {
            let problem = "this service is sent no body";
            problems.value(&at.at("payload"), problem, "use `title` and `body`");
        }
    }

    /// Which notifications it gets.
    #[must_use]
    pub fn wants(&self) -> Wants<'_> {
        Wants { name: &self.name, filter: &self.filter, when: self.when.as_ref() }
    }

    /// The requests that deliver a notification: see [`Service::format`].
    ///
    /// # Errors
    ///
    /// As there, and where a template fails on this notification.
    pub fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Templates { title, body, payload, format } = &self.templates;
        if title.is_none() && body.is_none() && payload.is_none() {
            return self.service.format(notification, occasion);
        }
        let write = |name: &str, template: &Option<Template>| {
            let written =
                template.as_ref().map(|template| template.write(notification, occasion.format(*format)));
            written.transpose().map_err(|problem| format!("the template `{name}`: {problem}"))
        };
        if let Some(payload) = write("payload", payload)? {
            let mut requests = self.service.format(notification, occasion)?;
            requests.truncate(1);
            requests.iter_mut().for_each(|request| request.body = vec![payload.as_str().into()]);
            return Ok(requests);
        }
        let mut written = notification.clone();
        if let Some(title) = write("title", title)? {
            written.title = title;
        }
        if let Some(body) = write("body", body)? {
            written.body = Body::Text(body);
        }
        self.service.format(&written, occasion)
    }

    /// What an outcome means for this target: the provider's word, or else HTTP's in general.
    #[must_use]
    pub fn understand<'a>(&self, outcome: &'a Outcome, now: u64) -> Understood<'a> {
        let (class, hint, refuses_markup) = match outcome {
            Outcome::Reply(reply) => (
                self.service.classify(reply).unwrap_or_else(|| Class::of_status(reply.status)),
                hint::of(reply, self.service.hint(reply), self.policy.max_hint, now),
                self.service.refuses_markup(reply),
            ),
            Outcome::Failed(transport) => (Class::of_transport(*transport), Hint::default(), false),
        };
        let knows_repeats = self.service.knows_repeats();
        Understood { outcome, class, hint, knows_repeats, refuses_markup }
    }
}
