//! A brain that misbehaves as its configuration says: each target's `mode` is what goes wrong with it.
//!
//! It keeps the contract's types and breaks its words. A mode that is not named here does nothing wrong: one
//! POST to the target's URL, which 2xx delivers; otherwise it is tried again a second later, once at level
//! info and three times at any other.

mod generated {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "notifier",
    });
}

use std::hint::black_box;

use generated::exports::nuncio::dispatch::dispatcher::{Dispatcher, GuestDispatcher};
use generated::exports::nuncio::dispatch::{catalog, dispatcher, ingest};
use generated::nuncio::dispatch::types::{
    self, Admission, Attempt, Choice, Class, Decision, Diagnostic, Endpoint, Escape, Header, Judgement,
    Level, Notification, Outcome, Place, Reply, Request, Secret, Segment, Verdict,
};
use serde_json::Value as Json;

struct Component;

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

/// An origin that no target names.
const ELSEWHERE: &str = "http://elsewhere.example:81/";

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
        let example = "name: a\nprovider: rogue\nurl: http://localhost/\nmode: ok\n";
        vec![catalog::Provider {
            name: "rogue".to_owned(),
            summary: "Misbehaves".to_owned(),
            settings_schema: SCHEMA.to_owned(),
            example: example.to_owned(),
            origins: vec![],
        }]
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
        Ok(Dispatcher::new(Self(targets.map(Target::read).collect())))
    }

    fn targets(&self) -> Vec<types::Target> {
        let target =
            |target: &Target| types::Target { name: target.name.clone(), concurrency: 4, max_age: u64::MAX };
        self.0.iter().map(target).collect()
    }

    fn route(&self, notification: Notification) -> Vec<Decision> {
        let wanted: Vec<&Target> = self
            .0
            .iter()
            .filter(|target| notification.to.is_empty() || notification.to.contains(&target.name))
            .collect();
        let invented = wanted.iter().filter(|target| target.mode == "invents").map(|_| "nobody");
        let names = wanted.iter().map(|target| target.name.as_str()).chain(invented);
        names.map(|name| Decision { target: name.into(), choice: Choice::Send, because: "".into() }).collect()
    }

    fn format(
        &self,
        target: String,
        notification: Notification,
        _attempt: Attempt,
        _now: u64,
    ) -> Result<Vec<Request>, String> {
        let target = self.target(&target).ok_or("no target has this name")?;
        let request = |url: &str| Request {
            method: "POST".into(),
            url: vec![text(url)],
            query: vec![],
            headers: vec![],
            body: vec![text(&notification.title)],
            timeout: 10_000,
        };
        let ok = request(&target.url);
        Ok(match target.mode.as_str() {
            "traps" => std::process::abort(),
            "loops" => loop {
                black_box(());
            },
            "allocates" => allocate(),
            "recurses" => vec![request(&recurse(black_box(1)).to_string())],
            "twice" => vec![request(&format!("{}1", target.url)), request(&format!("{}2", target.url))],
            "nothing" => vec![],
            "header" => vec![Request { headers: vec![header("a\r\nx-smuggled: b")], ..ok }],
            "method" => vec![Request { method: "BREW".into(), ..ok }],
            "other-origin" => {
                let secret = Secret { name: target.token.clone(), escape: Escape::Verbatim };
                vec![Request { body: vec![Segment::Secret(secret)], ..request(ELSEWHERE) }]
            }
            _ => vec![ok],
        })
    }

    fn admit(&self, target: String, _attempt: Attempt, endpoint: Endpoint, now: u64) -> Admission {
        match self.target(&target) {
            Some(target) if target.mode == "admit-traps" => std::process::abort(),
            Some(target) if target.mode == "waits-in-the-past" && now < target.until => Admission::Wait(0),
            _ => Admission::Send(endpoint),
        }
    }

    fn judge(
        &self,
        target: String,
        attempt: Attempt,
        outcome: Outcome,
        endpoint: Endpoint,
        now: u64,
        _entropy: u64,
    ) -> Judgement {
        let mode = self.target(&target).map_or("", |target| target.mode.as_str());
        if mode == "judge-traps" {
            std::process::abort();
        }
        let failures = endpoint.consecutive_failures;
        let limit = if attempt.level == Level::Info { 1 } else { 3 };
        let (verdict, class) = match outcome {
            _ if mode == "parks" && failures < 2 => (Verdict::Park, Class::Transient),
            Outcome::Reply(Reply { status: 200..=299, .. }) => (Verdict::Delivered, Class::Delivered),
            _ if attempt.number < limit => (Verdict::Retry(now.saturating_add(1_000)), Class::Transient),
            _ => (Verdict::Dead("gave up".to_owned()), Class::Transient),
        };
        let consecutive_failures = if class == Class::Delivered { 0 } else { failures.saturating_add(1) };
        let endpoint = Endpoint { consecutive_failures, ..endpoint };
        Judgement { verdict, class, detail: String::new(), endpoint }
    }
}

impl Rogue {
    fn target(&self, name: &str) -> Option<&Target> {
        self.0.iter().find(|target| target.name == name)
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

/// Takes memory until there is none.
fn allocate() -> ! {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(black_box(vec![1; 1 << 20]));
    }
}

/// Calls itself until the stack ends.
fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { black_box(recurse(black_box(depth.saturating_add(1)))).wrapping_add(depth) }
}

fn text(text: &str) -> Segment {
    Segment::Text(text.to_owned())
}

fn header(value: &str) -> Header {
    Header { name: "x-rogue".to_owned(), value: vec![text(value)] }
}

fn diagnostic(problem: &str) -> Diagnostic {
    Diagnostic { path: String::new(), place: Place::Value, problem: problem.into(), hint: String::new() }
}
