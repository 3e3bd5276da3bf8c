//! The one file that speaks WIT: converts in, calls the library, converts out.
//!
//! What is not here is not part of the contract.

mod requests;

mod generated {
    wit_bindgen::generate!({
        path: "../wit",
        world: "notifier",
    });
}

use generated::exports::nuncio::dispatch::dispatcher::{Dispatcher, GuestDispatcher};
use generated::exports::nuncio::dispatch::{catalog, dispatcher, ingest};
use generated::nuncio::dispatch::types as wit;

use crate::breaker::{Breaker, Probe, Recent};
use crate::budget::Budget;
use crate::color::Color;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place};
use crate::filter::{self, Choice, Envelope, Routed, Unknown};
use crate::judge::{self, Admission, Attempt, Endpoint, Verdict};
use crate::notification::{Body, Field, Level, Notification};
use crate::outcome::{Class, Head, Outcome, Reply, Transport};
use crate::pace::{Arrivals, Pace};
use crate::provider::{self, Occasion};
use crate::service_url::{FromUrl, UrlDialect, UrlProblem};
use crate::target::{self, Target};

struct Component;

// A native library has no use for the exports, and no linker that takes their names.
#[cfg(target_family = "wasm")]
generated::export!(Component with_types_in generated);

/// What a host gets that passes a number beyond those of `targets`.
const UNKNOWN_TARGET: &str = "no target has this number";

impl catalog::Guest for Component {
    fn providers() -> Vec<catalog::Provider> {
        let provider = |entry: &provider::Entry| catalog::Provider {
            name: entry.name.to_owned(),
            summary: entry.summary.to_owned(),
            settings_schema: target::schema_of(entry).to_string(),
            example: entry.example.to_owned(),
            origins: entry.origins.iter().map(|origin| (*origin).to_owned()).collect(),
            auth: entry.auth.to_owned(),
            dialect: entry.dialect.to_owned(),
            limits: entry
                .limits
                .iter()
                .map(|bound| catalog::Limit { name: bound.name.to_owned(), most: bound.measure.to_string() })
                .collect(),
            overflow: entry.overflow.name().to_owned(),
            apprise_form: entry.urls.apprise_form.to_owned(),
            shoutrrr_form: entry.urls.shoutrrr_form.to_owned(),
        };
        provider::ALL.iter().map(provider).collect()
    }

    fn from_url(
        url: String,
        dialect: Option<catalog::UrlDialect>,
    ) -> Result<Vec<catalog::UrlTarget>, catalog::UrlProblem> {
        let dialect = dialect.map(|dialect| match dialect {
            catalog::UrlDialect::Apprise => UrlDialect::Apprise,
            catalog::UrlDialect::Shoutrrr => UrlDialect::Shoutrrr,
        });
        let target = |target: FromUrl| catalog::UrlTarget {
            settings: serde_json::Value::Object(target.settings).to_string(),
            left_out: target.left_out,
        };
        match provider::from_url(&url, dialect) {
            Ok(targets) => Ok(targets.into_iter().map(target).collect()),
            Err(UrlProblem { part, problem, hint }) => Err(catalog::UrlProblem { part, problem, hint }),
        }
    }
}

impl ingest::Guest for Component {
    fn read(json: String, id: String, at: u64) -> Result<wit::Notification, Vec<wit::Diagnostic>> {
        crate::ingest::read(&json, id, at).map(notification_out).map_err(diagnostics_out)
    }
}

impl dispatcher::Guest for Component {
    type Dispatcher = Config;

    fn untried() -> wit::Endpoint {
        endpoint_out(Endpoint::default())
    }
}

impl GuestDispatcher for Config {
    fn open(config: String) -> Result<Dispatcher, Vec<wit::Diagnostic>> {
        Self::read(&config).map(Dispatcher::new).map_err(diagnostics_out)
    }

    fn targets(&self) -> Vec<wit::Target> {
        let target = |target: &Target| wit::Target {
            name: target.name.clone(),
            concurrency: target.concurrency,
            max_age: target.policy.max_age,
            has_condition: target.when.is_some(),
        };
        Config::targets(self).iter().map(target).collect()
    }

    fn route(&self, notifications: Vec<wit::Notification>) -> Vec<wit::Routed> {
        let routed = |notification| routed_out(Config::route(self, &notification_in(notification)));
        notifications.into_iter().map(routed).collect()
    }

    fn route_envelopes(&self, envelopes: Vec<wit::Envelope>) -> Vec<wit::Routed> {
        let routed = |envelope: wit::Envelope| {
            let [to, tags] = [&envelope.to, &envelope.tags].map(|names| names.as_deref().unwrap_or_default());
            routed_out(self.route_envelope(Envelope { level: level_in(envelope.level), to, tags }))
        };
        envelopes.into_iter().map(routed).collect()
    }

    fn explain(&self, notification: wit::Notification) -> Vec<wit::Decision> {
        let decisions = Config::explain(self, &notification_in(notification));
        decisions.into_iter().map(decision_out).collect()
    }

    fn format(
        &self,
        target: u32,
        notification: wit::Notification,
        plain: bool,
        now: u64,
    ) -> Result<Vec<wit::Request>, String> {
        let target = self.numbered(target).ok_or(UNKNOWN_TARGET)?;
        let occasion = Occasion { now, is_plain: plain };
        let requests = target.format(&notification_in(notification), &occasion)?;
        requests.into_iter().map(|request| requests::out(request, target.timeout)).collect()
    }

    fn admit(
        &self,
        target: u32,
        attempts: Vec<wit::Attempt>,
        endpoint: wit::Endpoint,
        now: u64,
    ) -> wit::Admission {
        let all = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
        let Some(target) = self.numbered(target) else {
            // `judge` says what is wrong.
            return wit::Admission { count: all, hold: None, endpoint };
        };
        let mut endpoint = endpoint_in(endpoint);
        for (attempt, count) in attempts.into_iter().map(attempt_in).zip(0..) {
            let hold = match endpoint.admit(&attempt, &target.policy, target.timeout, now) {
                Admission::Send(next) => {
                    endpoint = next;
                    continue;
                }
                Admission::Wait(until) => wit::Hold::All(until),
                Admission::Later(until) => wit::Hold::Retries(until),
            };
            return wit::Admission { count, hold: Some(hold), endpoint: endpoint_out(endpoint) };
        }
        wit::Admission { count: all, hold: None, endpoint: endpoint_out(endpoint) }
    }

    fn judge(&self, target: u32, tried: Vec<wit::Tried>, endpoint: wit::Endpoint, now: u64) -> wit::Judged {
        let Some(target) = self.numbered(target) else {
            let judgement = |tried: wit::Tried| wit::Judgement {
                verdict: wit::Verdict::Dead(UNKNOWN_TARGET.to_owned()),
                class: wit::Class::Permanent,
                detail: UNKNOWN_TARGET.to_owned(),
                plain: tried.attempt.plain,
            };
            return wit::Judged { judgements: tried.into_iter().map(judgement).collect(), endpoint };
        };
        let mut endpoint = endpoint_in(endpoint);
        let mut judgements = Vec::with_capacity(tried.len());
        for wit::Tried { attempt, outcome, entropy } in tried {
            let (attempt, outcome) = (attempt_in(attempt), outcome_in(outcome));
            let understood = target.understand(&outcome, now);
            let judgement = judge::judge(&target.policy, &attempt, &understood, endpoint, now, entropy);
            endpoint = judgement.endpoint;
            judgements.push(judgement_out(judgement));
        }
        wit::Judged { judgements, endpoint: endpoint_out(endpoint) }
    }
}

impl Config {
    fn numbered(&self, target: u32) -> Option<&Target> {
        self.targets().get(usize::try_from(target).ok()?)
    }
}

// === in ===

fn level_in(level: wit::Level) -> Level {
    match level {
        wit::Level::Trace => Level::Trace,
        wit::Level::Debug => Level::Debug,
        wit::Level::Info => Level::Info,
        wit::Level::Warn => Level::Warn,
        wit::Level::Error => Level::Error,
        wit::Level::Fatal => Level::Fatal,
    }
}

fn routed_out(Routed { targets, unknown }: Routed) -> wit::Routed {
    let name = |Unknown { at, because }| wit::UnknownName { at: number_out(at), because };
    wit::Routed {
        targets: targets.into_iter().map(number_out).collect(),
        unknown: unknown.into_iter().map(name).collect(),
    }
}

fn notification_in(notification: wit::Notification) -> Notification {
    let field = |field: wit::Field| Field { name: field.name, value: field.value };
    Notification {
        id: notification.id,
        at: notification.at,
        level: level_in(notification.level),
        title: notification.title,
        body: match notification.body {
            wit::Body::Text(text) => Body::Text(text),
            wit::Body::Items(items) => Body::Items(items),
            wit::Body::Fields(fields) => Body::Fields(fields.into_iter().map(field).collect()),
        },
        // The upper eight bits mean nothing in the contract.
        color: notification.color.and_then(|rgb| Color::from_rgb(rgb & 0xff_ffff)),
        to: notification.to,
        tags: notification.tags,
        link: notification.link,
        key: notification.key,
        resolves: notification.resolves,
    }
}

fn outcome_in(outcome: wit::Outcome) -> Outcome {
    match outcome {
        wit::Outcome::Reply(reply) => {
            Outcome::Reply(Reply { status: reply.status, head: Head(reply.head), body: reply.body })
        }
        wit::Outcome::Failed(transport) => Outcome::Failed(match transport {
            wit::Transport::Refused => Transport::Refused,
            wit::Transport::Dns => Transport::Dns,
            wit::Transport::Tls => Transport::Tls,
            wit::Transport::TimeoutBeforeSend => Transport::TimeoutBeforeSend,
            wit::Transport::TimeoutAfterSend => Transport::TimeoutAfterSend,
            wit::Transport::Reset => Transport::Reset,
            wit::Transport::Blocked => Transport::Blocked,
        }),
    }
}

fn attempt_in(attempt: wit::Attempt) -> Attempt {
    Attempt {
        number: attempt.number,
        sent: attempt.sent,
        queued_at: attempt.queued_at,
        first_tried: attempt.first_tried,
        began: attempt.began,
        level: level_in(attempt.level),
        is_plain: attempt.plain,
    }
}

fn endpoint_in(endpoint: wit::Endpoint) -> Endpoint {
    let probe = |probe: wit::Probe| Probe { at: probe.at, number: probe.number, is_held: probe.is_held };
    let wit::Endpoint { recent, arrivals, pace, .. } = endpoint;
    Endpoint {
        updated: endpoint.updated,
        not_before: endpoint.not_before,
        budget: Budget { spent_milli: endpoint.spent_milli, credited: endpoint.credited },
        breaker: match endpoint.breaker {
            wit::Breaker::Closed => Breaker::Closed,
            wit::Breaker::Open(next) => Breaker::Open(probe(next)),
            wit::Breaker::HalfOpen(under_way) => Breaker::HalfOpen(probe(under_way)),
            wit::Breaker::Held(next) => Breaker::Held(probe(next)),
            wit::Breaker::Gone => Breaker::Gone,
        },
        consecutive_failures: endpoint.consecutive_failures,
        recent: Recent {
            since: recent.since,
            successes: recent.successes,
            failures: recent.failures,
            successes_before: recent.successes_before,
            failures_before: recent.failures_before,
        },
        arrivals: Arrivals {
            since: arrivals.since,
            latest: arrivals.latest,
            count: arrivals.count,
            count_before: arrivals.count_before,
        },
        pace: Pace {
            is_draining: pace.is_draining,
            next_us: pace.next_us,
            interval_us: pace.interval_us,
            since: pace.since,
            successes: pace.successes,
            throttled: pace.throttled,
            in_a_row: pace.in_a_row,
        },
        last_success: endpoint.last_success,
        last_failure: endpoint.last_failure,
        unreadable_hints: endpoint.unreadable_hints,
    }
}

// === out ===

fn notification_out(notification: Notification) -> wit::Notification {
    let field = |field: Field| wit::Field { name: field.name, value: field.value };
    wit::Notification {
        id: notification.id,
        at: notification.at,
        level: match notification.level {
            Level::Trace => wit::Level::Trace,
            Level::Debug => wit::Level::Debug,
            Level::Info => wit::Level::Info,
            Level::Warn => wit::Level::Warn,
            Level::Error => wit::Level::Error,
            Level::Fatal => wit::Level::Fatal,
        },
        title: notification.title,
        body: match notification.body {
            Body::Text(text) => wit::Body::Text(text),
            Body::Items(items) => wit::Body::Items(items),
            Body::Fields(fields) => wit::Body::Fields(fields.into_iter().map(field).collect()),
        },
        color: notification.color.map(Color::rgb),
        to: notification.to,
        tags: notification.tags,
        link: notification.link,
        key: notification.key,
        resolves: notification.resolves,
    }
}

fn diagnostics_out(diagnostics: Vec<Diagnostic>) -> Vec<wit::Diagnostic> {
    let diagnostic = |diagnostic: Diagnostic| wit::Diagnostic {
        path: diagnostic.path,
        place: match diagnostic.place {
            Place::Key => wit::Place::Key,
            Place::Value => wit::Place::Value,
        },
        problem: diagnostic.problem,
        hint: diagnostic.hint,
    };
    diagnostics.into_iter().map(diagnostic).collect()
}

fn decision_out(decision: filter::Decision) -> wit::Decision {
    let choice = match decision.choice {
        Choice::Send => wit::Choice::Send,
        Choice::Skip => wit::Choice::Skip,
        Choice::Unknown => wit::Choice::Unknown,
    };
    wit::Decision { target: decision.target, choice, because: decision.because }
}

/// A place in a list of this configuration's or of the host's, neither of which is that long.
fn number_out(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn endpoint_out(endpoint: Endpoint) -> wit::Endpoint {
    let probe = |probe: Probe| wit::Probe { at: probe.at, number: probe.number, is_held: probe.is_held };
    let Endpoint { recent, arrivals, pace, .. } = endpoint;
    wit::Endpoint {
        updated: endpoint.updated,
        not_before: endpoint.not_before,
        spent_milli: endpoint.budget.spent_milli,
        credited: endpoint.budget.credited,
        breaker: match endpoint.breaker {
            Breaker::Closed => wit::Breaker::Closed,
            Breaker::Open(next) => wit::Breaker::Open(probe(next)),
            Breaker::HalfOpen(under_way) => wit::Breaker::HalfOpen(probe(under_way)),
            Breaker::Held(next) => wit::Breaker::Held(probe(next)),
            Breaker::Gone => wit::Breaker::Gone,
        },
        consecutive_failures: endpoint.consecutive_failures,
        recent: wit::Recent {
            since: recent.since,
            successes: recent.successes,
            failures: recent.failures,
            successes_before: recent.successes_before,
            failures_before: recent.failures_before,
        },
        arrivals: wit::Arrivals {
            since: arrivals.since,
            latest: arrivals.latest,
            count: arrivals.count,
            count_before: arrivals.count_before,
        },
        pace: wit::Pace {
            is_draining: pace.is_draining,
            next_us: pace.next_us,
            interval_us: pace.interval_us,
            since: pace.since,
            successes: pace.successes,
            throttled: pace.throttled,
            in_a_row: pace.in_a_row,
        },
        last_success: endpoint.last_success,
        last_failure: endpoint.last_failure,
        unreadable_hints: endpoint.unreadable_hints,
    }
}

fn judgement_out(judgement: judge::Judgement) -> wit::Judgement {
    wit::Judgement {
        verdict: match judgement.verdict {
            Verdict::Delivered => wit::Verdict::Delivered,
            Verdict::Retry(at) => wit::Verdict::Retry(at),
            Verdict::Park => wit::Verdict::Park,
            Verdict::Dead(reason) => wit::Verdict::Dead(reason),
        },
        class: match judgement.class {
            Class::Delivered => wit::Class::Delivered,
            Class::Transient => wit::Class::Transient,
            Class::Ambiguous => wit::Class::Ambiguous,
            Class::Throttled => wit::Class::Throttled,
            Class::Credentials => wit::Class::Credentials,
            Class::Permanent => wit::Class::Permanent,
            Class::Gone => wit::Class::Gone,
        },
        detail: judgement.detail,
        plain: judgement.is_plain,
    }
}
