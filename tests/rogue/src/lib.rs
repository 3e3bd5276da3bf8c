//! A brain that misbehaves as its configuration says: each target's `mode` is what goes wrong with it.
//!
//! It keeps the contract's types and breaks its words. A mode that is not named here does nothing wrong: one
//! POST to the target's URL, which 2xx delivers; otherwise it is tried again a second later, once at level
//! info and three times at any other. What is asked before there is a configuration follows `PLAN`.

mod generated {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "notifier",
    });
}

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use generated::exports::nuncio::dispatch::dispatcher::{Dispatcher, GuestDispatcher};
use generated::exports::nuncio::dispatch::{catalog, dispatcher, ingest};
use generated::nuncio::dispatch::types::{
    self, Admission, Attempt, Choice, Class, Decision, Diagnostic, Endpoint, Envelope, Hold, Judged,
    Judgement, Level, Notification, Outcome, Place, Reply, Request, Routed, Tried, UnknownName, Verdict,
};
use serde_json::Value as Json;

mod excess;
mod requests;

struct Component;

/// What is wrong with `providers` and `untried`. Nobody passes them anything, so a test writes another word of
/// twelve letters over this one.
static PLAN: [u8; 17] = *b"plan:as-it-should";

fn plan() -> &'static [u8] {
    // Read as it is in the finished component, not as it was compiled.
    black_box(&PLAN).get(5..).unwrap_or_default()
}

// A native library has no use for the exports, and no linker that takes their names.
#[cfg(target_family = "wasm")]
generated::export!(Component with_types_in generated);

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "provider": {"const": "rogue"},
        "url": {"type": "string", "format": "uri"},
        "mode": {"type": "string"},
        "token": {"type": "string", "writeOnly": true},
        "until": {"type": "integer"}
    }
}"#;

struct Rogue(Vec<Target>);

struct Target {
    name: String,
    url: String,
    mode: String,
    /// What the host calls the secret.
    token: String,
    /// Until when `waits-in-the-past` does that.
    until: u64,
}

impl catalog::Guest for Component {
    fn providers() -> Vec<catalog::Provider> {
        match plan() {
            b"provid-traps" => std::process::abort(),
            b"provid-loops" => excess::endless(),
            b"provid-many-" => return excess::providers(),
            _ => {}
        }
        let example = "name: a\nprovider: rogue\nurl: http://localhost/\nmode: ok\n";
        vec![catalog::Provider {
            name: "rogue".to_owned(),
            summary: "Misbehaves".to_owned(),
            settings_schema: SCHEMA.to_owned(),
            example: example.to_owned(),
            origins: vec![],
            auth: String::new(),
            dialect: String::new(),
            limits: vec![],
            overflow: "split".to_owned(),
            apprise_form: String::new(),
            shoutrrr_form: String::new(),
        }]
    }

    fn from_url(
        _url: String,
        _dialect: Option<catalog::UrlDialect>,
    ) -> Result<Vec<catalog::UrlTarget>, catalog::UrlProblem> {
        Ok(vec![])
    }
}

impl ingest::Guest for Component {
    fn read(_json: String, _id: String, _at: u64) -> Result<Notification, Vec<Diagnostic>> {
        Err(vec![diagnostic("this brain reads no notifications")])
    }
}

impl dispatcher::Guest for Component {
    type Dispatcher = Rogue;

    fn untried() -> Endpoint {
        match plan() {
            b"untried-trap" => std::process::abort(),
            b"untried-loop" => excess::endless(),
            _ => {}
        }
        Endpoint {
            updated: 0,
            not_before: 0,
            spent_milli: 0,
            credited: 0,
            breaker: types::Breaker::Closed,
            consecutive_failures: 0,
            recent: types::Recent {
                since: 0,
                successes: 0,
                failures: 0,
                successes_before: 0,
                failures_before: 0,
            },
            arrivals: types::Arrivals { since: 0, latest: 0, count: 0, count_before: 0 },
            pace: types::Pace {
                is_draining: false,
                next_us: 0,
                interval_us: 0,
                since: 0,
                successes: 0,
                throttled: 0,
                in_a_row: 0,
            },
            last_success: None,
            last_failure: None,
            unreadable_hints: 0,
        }
    }
}

impl GuestDispatcher for Rogue {
    fn open(config: String) -> Result<Dispatcher, Vec<Diagnostic>> {
        let Ok(config) = serde_json::from_str::<Json>(&config) else {
            return Err(vec![diagnostic("this is no JSON")]);
        };
        let targets = config.get("targets").and_then(Json::as_array).into_iter().flatten();
        let rogue = Self(targets.map(Target::read).collect());
        if rogue.has("open-traps") {
            std::process::abort();
        }
        if rogue.has("open-loops") {
            excess::endless();
        }
        if rogue.has("many-problems") {
            return Err(excess::problems(20_000));
        }
        if rogue.has("too-many-problems") {
            return Err(excess::problems(300_000));
        }
        Ok(Dispatcher::new(rogue))
    }

    fn targets(&self) -> Vec<types::Target> {
        if self.has("targets-trap") {
            std::process::abort();
        }
        if self.has("targets-loop") {
            excess::endless();
        }
        let concurrency = if self.has("concurrency-0") { 0 } else { 4 };
        let has_condition = ["route-traps-at-one", "has-a-condition"].iter().any(|mode| self.has(mode));
        let named = |name: String| types::Target { name, concurrency, max_age: u64::MAX, has_condition };
        let again = self.0.iter().filter(|target| target.mode == "is-there-twice");
        let own = self.0.iter().chain(again).map(|target| target.name.clone());
        let invented = if self.has("many-targets") { 50_000 } else { 0 };
        let nameless = if self.has("too-many-targets") { 500_000 } else { 0 };
        let nameless = (0..nameless).map(|_| String::new());
        own.chain((0..invented).map(excess::name)).chain(nameless).map(named).collect()
    }

    fn route(&self, notifications: Vec<Notification>) -> Vec<Routed> {
        // One message takes the others with it, where they are asked about together.
        let has_poison = notifications.iter().any(|notification| notification.title == "poison");
        if self.has("route-traps-at-one") && has_poison || self.has("has-no-condition") {
            std::process::abort();
        }
        self.routed(notifications.iter().map(|notification| notification.to.as_slice()))
    }

    fn route_envelopes(&self, envelopes: Vec<Envelope>) -> Vec<Routed> {
        if self.has("has-a-condition") {
            std::process::abort();
        }
        self.routed(envelopes.iter().map(|envelope| envelope.to.as_deref().unwrap_or_default()))
    }

    fn explain(&self, notification: Notification) -> Vec<Decision> {
        let decision = |target: &Target| Decision {
            target: target.name.clone(),
            choice: Choice::Send,
            because: notification.title.clone(),
        };
        self.0.iter().map(decision).collect()
    }

    fn format(
        &self,
        target: u32,
        notification: Notification,
        _plain: bool,
        _now: u64,
    ) -> Result<Vec<Request>, String> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let target = self.target(target).ok_or("no target has this number")?;
        match target.mode.as_str() {
            "traps" => std::process::abort(),
            "second-traps" if CALLS.fetch_add(1, Ordering::Relaxed) % 2 == 1 => std::process::abort(),
            "loops" => excess::endless(),
            "allocates" => excess::allocate(),
            "takes-handles" => loop {
                std::mem::forget(Dispatcher::new(Rogue(vec![])));
            },
            "long-reason" => Err(excess::text()),
            _ => Ok(requests::of(target, self.0.iter().find(|other| other.name == "ok"), &notification)),
        }
    }

    fn admit(&self, target: u32, attempts: Vec<Attempt>, endpoint: Endpoint, now: u64) -> Admission {
        let all = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
        let none = |hold| Admission { count: 0, hold, endpoint };
        match self.target(target) {
            Some(target) if target.mode == "admit-traps" => std::process::abort(),
            Some(target) if target.mode == "admit-traps-at-several" && attempts.len() > 1 => {
                std::process::abort()
            }
            Some(target) if target.mode == "waits-in-the-past" && now < target.until => {
                none(Some(Hold::All(0)))
            }
            Some(target) if target.mode == "waits-for-no-reason" && now < target.until => none(None),
            Some(target) if target.mode == "waits-for-ever" && now < target.until => {
                none(Some(Hold::All(u64::MAX)))
            }
            Some(target) if target.mode == "holds-what-is-no-retry" && now < target.until => {
                none(Some(Hold::Retries(0)))
            }
            // It counts what it admits.
            Some(target) if target.mode == "admits-half" => {
                let count = all.div_ceil(2);
                let unreadable_hints = endpoint.unreadable_hints.saturating_add(count);
                let hold = (count < all).then(|| Hold::Retries(now.saturating_add(1_000)));
                Admission { count, hold, endpoint: Endpoint { unreadable_hints, ..endpoint } }
            }
            Some(target) if target.mode == "tells-how-many" => {
                let most = endpoint.unreadable_hints.max(all);
                Admission {
                    count: all,
                    hold: None,
                    endpoint: Endpoint { unreadable_hints: most, ..endpoint },
                }
            }
            Some(target) if target.mode == "slow-at-several" && attempts.len() > 2 => excess::endless(),
            Some(target) if target.mode == "admits-more-than-there-are" => {
                Admission { count: u32::MAX, hold: Some(Hold::All(u64::MAX)), endpoint }
            }
            Some(target) if target.mode == "endpoint-at-max" => {
                Admission { count: all, hold: None, endpoint: excess::endpoint(endpoint) }
            }
            _ => Admission { count: all, hold: None, endpoint },
        }
    }

    fn judge(&self, target: u32, tried: Vec<Tried>, mut endpoint: Endpoint, now: u64) -> Judged {
        let mode = self.target(target).map_or("", |target| target.mode.as_str());
        let (count, is_one) = (tried.len(), tried.len() == 1);
        let mut judgements: Vec<Judgement> =
            tried.into_iter().map(|tried| judge(mode, is_one, tried, &mut endpoint, now)).collect();
        match mode {
            "tells-how-many" => {
                judgements.iter_mut().for_each(|judgement| judgement.detail = count.to_string())
            }
            "judges-none" => judgements.clear(),
            "judges-twice" => judgements.extend(judgements.clone()),
            "judges-none-of-several" if !is_one => judgements.clear(),
            _ => {}
        }
        Judged { judgements, endpoint }
    }
}

fn judge(mode: &str, is_alone: bool, tried: Tried, endpoint: &mut Endpoint, now: u64) -> Judgement {
    let Tried { attempt, outcome, .. } = tried;
    let body = match &outcome {
        Outcome::Reply(reply) => String::from_utf8_lossy(&reply.body).into_owned(),
        Outcome::Failed(_) => String::new(),
    };
    match mode {
        "judge-traps" => std::process::abort(),
        "judge-traps-at-several" if !is_alone => std::process::abort(),
        // One message takes the others with it, where they are asked for together.
        "judge-traps-at-one" if body == "poison" => std::process::abort(),
        _ => {}
    }
    let detail = match mode {
        "echo" => body,
        "long-detail" => excess::text(),
        _ => String::new(),
    };
    let failures = endpoint.consecutive_failures;
    let limit = if attempt.level == Level::Info { 1 } else { 3 };
    let (verdict, class) = match outcome {
        _ if mode == "parks" && failures < 2 => (Verdict::Park, Class::Transient),
        _ if mode == "long-death" => (Verdict::Dead(excess::text()), Class::Permanent),
        _ if mode == "retries-at-max" && attempt.number < limit => {
            (Verdict::Retry(u64::MAX), Class::Transient)
        }
        Outcome::Reply(Reply { status: 200..=299, .. }) => (Verdict::Delivered, Class::Delivered),
        _ if attempt.number < limit => (Verdict::Retry(now.saturating_add(1_000)), Class::Transient),
        _ => (Verdict::Dead("gave up".to_owned()), Class::Transient),
    };
    endpoint.consecutive_failures = if class == Class::Delivered { 0 } else { failures.saturating_add(1) };
    if mode == "endpoint-at-max" {
        *endpoint = excess::endpoint(*endpoint);
    }
    Judgement { verdict, class, detail, plain: false }
}

fn unknown_name(at: u32) -> UnknownName {
    UnknownName { at, because: excess::text() }
}

impl Rogue {
    fn routed<'a>(&self, all: impl ExactSizeIterator<Item = &'a [String]>) -> Vec<Routed> {
        let count = all.len();
        let are_several = count > 1;
        if self.has("route-traps-at-several") && are_several || self.has("routes-up-to-four") && count > 4 {
            std::process::abort();
        }
        if self.has("route-loops-at-several") && are_several {
            excess::endless();
        }
        let mut routed: Vec<Routed> = all.map(|to| self.routed_one(to)).collect();
        if self.has("routes-none") || self.has("routes-none-of-several") && are_several {
            routed.clear();
        }
        // What it is asked about with others goes nowhere, so that it shows.
        if self.has("routes-up-to-four") && are_several {
            routed.iter_mut().for_each(|routed| routed.targets.clear());
        }
        if self.has("routes-twice") {
            routed.extend(routed.clone());
        }
        routed
    }

    fn routed_one(&self, to: &[String]) -> Routed {
        let mut targets = Vec::new();
        let mut unknown = Vec::new();
        for (number, target) in (0..).zip(&self.0) {
            if !to.is_empty() && !to.contains(&target.name) {
                continue;
            }
            targets.push(number);
            match target.mode.as_str() {
                "invents" => targets.extend([u32::MAX, 7_000]),
                "invents-many" => targets.extend(1_000..11_000),
                "names-twice" => targets.push(number),
                "is-there-twice" => targets.push(1),
                "too-many-targets-chosen" => targets.extend(0..3_000_000),
                "knows-not-what-nobody-asked" => unknown.push(unknown_name(u32::MAX)),
                "knows-not-what-it-knows" => unknown.extend([unknown_name(0), unknown_name(0)]),
                _ => {}
            }
        }
        Routed { targets, unknown }
    }

    fn has(&self, mode: &str) -> bool {
        self.0.iter().any(|target| target.mode == mode)
    }

    fn target(&self, number: u32) -> Option<&Target> {
        self.0.get(usize::try_from(number).ok()?)
    }
}

impl Target {
    fn read(json: &Json) -> Self {
        let text = |pointer| json.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        Self {
            name: text("/name"),
            url: text("/url"),
            mode: text("/mode"),
            token: text("/token/$secret"),
            until: json.get("until").and_then(Json::as_u64).unwrap_or_default(),
        }
    }
}

fn diagnostic(problem: &str) -> Diagnostic {
    Diagnostic { path: String::new(), place: Place::Value, problem: problem.into(), hint: String::new() }
}
