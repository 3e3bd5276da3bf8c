//! What the component answers, held in two files that other hosts read too (`hosts/node`, `hosts/python`).
//!
//! `golden/cases.json` is what it is asked. A text there is handed over as it stands, anything else as JSON.
//! Each notification goes to the targets that `explain` chooses, and to those in `ask`, where the endpoint is
//! untried but for what the case says; each outcome comes at the instant that the verdict before it named,
//! with the endpoint that `admit` left.
//!
//! `golden/expected.json` is what it answers, with WIT's names in WIT's order: a record is an object; a
//! variant or a result is `{case: value}`, or `case` where it has no value, as an enum has; an option
//! without a value is `null`; a `u64` is text, because a number in JSON has 53 bits in many languages. Of the
//! catalogue it holds only what a new provider or another sentence does not change.
//!
//! `NUNCIO_BLESS=1 cargo test --package nuncio golden` writes it anew; read the difference before you keep it.

use std::fs;

use nuncio::brain::{Dispatcher, EMBEDDED};
use nuncio::contract::{
    Admission, Atom, Attempt, Body, Breaker, Decision, Diagnostic, Ed25519, Endpoint, Hidden, Hmac, Hold,
    Insertion, Judged, Judgement, Notification, Outcome, Parameter, Passage, Probe, Reply, Request, Routed,
    Secret, Transport, Tried, UnknownName, Verdict,
};
use serde::Serialize;
use serde_json::{Value, json};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/cases.json");
const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/expected.json");

#[test]
fn every_answer_is_the_one_that_other_hosts_get() {
    let cases = serde_json::from_str(&fs::read_to_string(CASES).unwrap()).unwrap();
    let answers = text_of(&answers_to(&cases));
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, and no setting of Nuncio's")]
    let is_blessing = std::env::var_os("NUNCIO_BLESS").is_some();
    if is_blessing {
        fs::write(EXPECTED, answers).unwrap();
        return;
    }
    let expected = fs::read_to_string(EXPECTED).unwrap();
    if let Some(difference) = first_difference(&expected, &answers) {
        panic!("{difference}\nif the new answer is right: NUNCIO_BLESS=1 cargo test --package nuncio golden");
    }
}

// Brain::new refuses a component with imports. This does not take its word for it.
#[test]
fn the_component_imports_nothing_but_the_names_of_types() {
    let engine = Engine::default();
    let component = Component::from_binary(&engine, EMBEDDED).unwrap();
    for (name, import) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            panic!("{name} is more than an interface")
        };
        assert_eq!(name, "nuncio:dispatch/types@0.1.0");
        for (member, item) in instance.exports(&engine) {
            assert!(matches!(item.ty, ComponentItem::Type(_)), "{name} has {member}, which is no type");
        }
    }
}

// === asking ===

fn answers_to(cases: &Value) -> Value {
    let brain = crate::stage::brain();
    let dispatcher = brain.dispatcher(&cases["config"].to_string()).unwrap();
    let config = &cases["config"];
    let used = list(&config["targets"]).iter().chain(list(&config["providers"]["notification"]));
    let used: Vec<&str> = used.map(|target| text(&target["provider"])).collect();
    let catalog = brain.providers().unwrap().into_iter().filter(|provider| used.contains(&&*provider.name));
    json!({
        "catalog": each(catalog, |provider| json!({ "name": provider.name, "origins": provider.origins })),
        "targets": each(dispatcher.targets().unwrap(), |target| json!({
            "name": target.name,
            "concurrency": target.concurrency,
            "max-age": target.max_age.to_string(),
            "has-condition": target.has_condition,
        })),
        "bad-configs": each(list(&cases["bad-configs"]), |bad| {
            let opened = brain.check(&json_text(&bad["config"])).unwrap();
            json!({ "name": bad["name"], "opened": result(opened.map(|()| Value::Null).map_err(diagnostics)) })
        }),
        "ingest": each(list(&cases["ingest"]), |asked| {
            let read = brain.read(text(&asked["json"]), text(&asked["id"]), number(&asked["at"])).unwrap();
            json!({ "name": asked["name"], "read": result(read.map(notification).map_err(diagnostics)) })
        }),
        "cases": each(list(&cases["cases"]), |asked| {
            let json = json_text(&asked["notification"]);
            let read = brain.read(&json, text(&asked["id"]), number(&asked["at"])).unwrap().unwrap();
            let decisions = each(dispatcher.explain(&read).unwrap(), decision);
            let chosen = list(&decisions).iter().filter(|decision| decision["choice"] == "send");
            let asked_too = asked["ask"].as_array().into_iter().flatten();
            let targets = chosen.map(|decision| &decision["target"]).chain(asked_too);
            let names: Vec<String> = dispatcher.targets().unwrap().into_iter().map(|target| target.name).collect();
            // Nobody has the last of all numbers.
            let number = |name: &str| (0..).zip(&names).find(|(_, other)| *other == name).map_or(u32::MAX, |(n, _)| n);
            let endpoint = endpoint_of(dispatcher.untried().unwrap(), asked.get("endpoint"));
            let deliveries =
                each(targets, |target| {
                    let requests = delivery(&dispatcher, number(text(target)), &read, endpoint, asked);
                    json!({ "target": target, "requests": requests.0, "attempts": requests.1 })
                });
            let routed = routed(dispatcher.route(std::slice::from_ref(&read)).unwrap().remove(0));
            let sent = (0..).zip(list(&decisions)).filter(|(_, decision)| decision["choice"] == "send");
            assert!(sent.map(|(number, _)| Value::from(number)).eq(list(&routed["targets"]).iter().cloned()));
            json!({
                "name": asked["name"],
                "routed": routed,
                "notification": notification(read),
                "decisions": decisions,
                "deliveries": deliveries,
            })
        }),
    })
}

fn delivery(
    dispatcher: &Dispatcher,
    target: u32,
    notification: &Notification,
    mut endpoint: Endpoint,
    asked: &Value,
) -> (Value, Value) {
    let attempt = |n, began| Attempt {
        number: number_32(&asked["attempt"]["number"]) + n,
        sent: number_32(&asked["attempt"]["number"]) + n,
        queued_at: notification.at,
        first_tried: number(&asked["attempt"]["first-tried"]),
        began,
        level: notification.level,
        plain: asked["attempt"]["plain"] == true,
    };
    let mut now = number(&asked["now"]);
    let requests = dispatcher.format(target, notification, attempt(0, now).plain, now).unwrap();
    let attempts = each((0..).zip(list(&asked["outcomes"])), |(n, outcome)| {
        let (at, attempt) = (now, attempt(n, now));
        let (outcome, entropy) = (outcome_of(outcome), number(&asked["entropy"]));
        let admission = dispatcher.admit(target, &[attempt], endpoint, now).unwrap();
        let tried = [Tried { attempt, outcome, entropy }];
        let judged = dispatcher.judge(target, &tried, admission.endpoint, now).unwrap();
        endpoint = judged.endpoint;
        if let [Judgement { verdict: Verdict::Retry(later), .. }] = judged.judgements[..] {
            now = later;
        }
        json!({ "now": at.to_string(), "admission": admission_out(admission), "judged": judged_out(judged) })
    });
    (result(requests.map(|requests| each(requests, request)).map_err(Value::from)), attempts)
}

fn outcome_of(asked: &Value) -> Outcome {
    let all = [
        Transport::Refused,
        Transport::Dns,
        Transport::Tls,
        Transport::TimeoutBeforeSend,
        Transport::TimeoutAfterSend,
        Transport::Reset,
        Transport::Blocked,
    ];
    if let Some(failed) = asked.get("failed") {
        return Outcome::Failed(all.into_iter().find(|transport| name(transport) == *failed).unwrap());
    }
    let reply = &asked["reply"];
    let headers = list(&reply["headers"]).iter();
    Outcome::Reply(Reply {
        status: number_32(&reply["status"]).try_into().unwrap(),
        head: Reply::head_of(headers.map(|pair| (text(&pair[0]), text(&pair[1])))),
        body: match &reply["body"] {
            Value::String(text) => text.as_bytes().to_vec(),
            bytes => list(bytes).iter().map(|byte| number_32(byte).try_into().unwrap()).collect(),
        },
    })
}

fn endpoint_of(untried: Endpoint, asked: Option<&Value>) -> Endpoint {
    let Some(asked) = asked else { return untried };
    Endpoint {
        not_before: number(&asked["not-before"]),
        consecutive_failures: number_32(&asked["consecutive-failures"]),
        last_success: Some(&asked["last-success"]).filter(|success| !success.is_null()).map(number),
        ..untried
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn number(value: &Value) -> u64 {
    text(value).parse().unwrap()
}

fn number_32(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn json_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

// === writing ===

fn each<T>(items: impl IntoIterator<Item = T>, write: impl FnMut(T) -> Value) -> Value {
    items.into_iter().map(write).collect()
}

fn result(result: Result<Value, Value>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "err": error }),
    }
}

/// The name of an enum's case, as WIT writes it.
fn name(case: &impl Serialize) -> String {
    let mut name = String::new();
    for letter in text(&serde_json::to_value(case).unwrap()).chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn notification(notification: Notification) -> Value {
    let Notification { id, at, level, title, body, color, to, tags, link, key, resolves } = notification;
    let body = match body {
        Body::Text(text) => json!({ "text": text }),
        Body::Items(items) => json!({ "items": items }),
        Body::Fields(fields) => {
            json!({ "fields": each(fields, |field| json!({ "name": field.name, "value": field.value })) })
        }
    };
    json!({
        "id": id, "at": at.to_string(), "level": name(&level), "title": title, "body": body, "color": color,
        "to": to, "tags": tags, "link": link, "key": key, "resolves": resolves,
    })
}

fn diagnostics(diagnostics: Vec<Diagnostic>) -> Value {
    let diagnostic = |found: Diagnostic| {
        let Diagnostic { path, place, problem, hint } = found;
        json!({ "path": path, "place": name(&place), "problem": problem, "hint": hint })
    };
    each(diagnostics, diagnostic)
}

fn decision(Decision { target, choice, because }: Decision) -> Value {
    json!({ "target": target, "choice": name(&choice), "because": because })
}

fn routed(Routed { targets, unknown }: Routed) -> Value {
    json!({ "targets": targets, "unknown": each(unknown, |UnknownName { at, because }| {
        json!({ "at": at, "because": because })
    }) })
}

fn request(Request { method, url, query, head, headers, body, timeout }: Request) -> Value {
    json!({
        "method": name(&method),
        "url": passage(url),
        "query": each(query, |Parameter { name, value }| json!({ "name": name, "value": value })),
        "head": passage(head),
        "headers": headers,
        "body": passage(body),
        "timeout": timeout.to_string(),
    })
}

fn passage(Passage { text, insertions }: Passage) -> Value {
    let insertion = |Insertion { at, what }| json!({ "at": at, "what": hidden(what) });
    json!({ "text": text, "insertions": each(insertions, insertion) })
}

fn hidden(hidden: Hidden) -> Value {
    match hidden {
        Hidden::Secret(Secret { name: secret, escape }) => {
            json!({ "secret": { "name": secret, "escape": name(&escape) } })
        }
        Hidden::Base64(atoms) => json!({ "base64": each(atoms, atom) }),
        Hidden::HmacSha256(Hmac { key, key_form, message, hex }) => json!({ "hmac-sha256": {
            "key": each(key, atom), "key-form": name(&key_form), "message": each(message, atom), "hex": hex,
        } }),
        Hidden::Ed25519(Ed25519 { key, message }) => {
            json!({ "ed25519": { "key": each(key, atom), "message": each(message, atom) } })
        }
    }
}

fn atom(atom: Atom) -> Value {
    match atom {
        Atom::Text(text) => json!({ "text": text }),
        Atom::Secret(secret) => json!({ "secret": secret }),
        Atom::RequestBody => json!("request-body"),
    }
}

fn admission_out(Admission { count, hold, endpoint }: Admission) -> Value {
    let hold = hold.map(|hold| match hold {
        Hold::All(until) => json!({ "all": until.to_string() }),
        Hold::Retries(until) => json!({ "retries": until.to_string() }),
    });
    json!({ "count": count, "hold": hold, "endpoint": endpoint_out(endpoint) })
}

fn judged_out(Judged { judgements, endpoint }: Judged) -> Value {
    json!({ "judgements": each(judgements, judgement), "endpoint": endpoint_out(endpoint) })
}

fn judgement(Judgement { verdict, class, detail, plain }: Judgement) -> Value {
    let verdict = match verdict {
        Verdict::Delivered => json!("delivered"),
        Verdict::Retry(at) => json!({ "retry": at.to_string() }),
        Verdict::Park => json!("park"),
        Verdict::Dead(reason) => json!({ "dead": reason }),
    };
    json!({ "verdict": verdict, "class": name(&class), "detail": detail, "plain": plain })
}

fn endpoint_out(endpoint: Endpoint) -> Value {
    let probe = |probe: Probe| json!({ "at": probe.at.to_string(), "number": probe.number, "is-held": probe.is_held });
    let breaker = match endpoint.breaker {
        Breaker::Closed => json!("closed"),
        Breaker::Open(next) => json!({ "open": probe(next) }),
        Breaker::HalfOpen(under_way) => json!({ "half-open": probe(under_way) }),
        Breaker::Held(next) => json!({ "held": probe(next) }),
        Breaker::Gone => json!("gone"),
    };
    let Endpoint { recent, arrivals, pace, .. } = endpoint;
    json!({
        "updated": endpoint.updated.to_string(),
        "not-before": endpoint.not_before.to_string(),
        "spent-milli": endpoint.spent_milli,
        "credited": endpoint.credited.to_string(),
        "breaker": breaker,
        "consecutive-failures": endpoint.consecutive_failures,
        "recent": {
            "since": recent.since.to_string(),
            "successes": recent.successes,
            "failures": recent.failures,
            "successes-before": recent.successes_before,
            "failures-before": recent.failures_before,
        },
        "arrivals": {
            "since": arrivals.since.to_string(),
            "latest": arrivals.latest.to_string(),
            "count": arrivals.count,
            "count-before": arrivals.count_before,
        },
        "pace": {
            "is-draining": pace.is_draining,
            "next-us": pace.next_us.to_string(),
            "interval-us": pace.interval_us.to_string(),
            "since": pace.since.to_string(),
            "successes": pace.successes,
            "throttled": pace.throttled.to_string(),
            "in-a-row": pace.in_a_row,
        },
        "last-success": endpoint.last_success.map(|at| at.to_string()),
        "last-failure": endpoint.last_failure.map(|at| at.to_string()),
        "unreadable-hints": endpoint.unreadable_hints,
    })
}

/// JSON as `JSON.stringify(value, null, 1)` and `json.dumps(value, indent=1, ensure_ascii=False)` write it.
fn text_of(answers: &Value) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    answers.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter)).unwrap();
    String::from_utf8(text).unwrap() + "\n"
}

/// The first line that is another one, with what it belongs to.
fn first_difference(expected: &str, answered: &str) -> Option<String> {
    let (expected, answered): (Vec<_>, Vec<_>) =
        (expected.split('\n').collect(), answered.split('\n').collect());
    let lines = expected.len().max(answered.len());
    let line = (0..lines).find(|line| expected.get(*line) != answered.get(*line))?;
    let entry = answered.iter().take(line).rev().find(|text| text.starts_with("   \"name\": "));
    let show = |lines: &[&str]| lines.get(line).map_or("(the end)", |text| text.trim_start()).to_owned();
    Some(format!(
        "golden/expected.json, line {}, in {}\nexpected: {}\nanswered: {}",
        line + 1,
        entry.map_or("the beginning", |entry| entry.trim_start()),
        show(&expected),
        show(&answered),
    ))
}
