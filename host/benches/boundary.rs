//! What does a call through the component boundary cost, against the same code without one?
//!
//! `cargo bench --bench boundary`, or `-- native`, `-- cold`, `-- limits` or `-- large` for one part:
//!
//! - `native`: route, format and judge by the component, and by the same Rust code built for this machine.
//! - `cold`: what an instance costs, against a call on one that is there.
//! - `limits`: `format` within limits of time, memory and answers, against the same in an engine without any.
//! - `large`: what the largest notifications take of the second that a call may take.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark measures time, and stops at what it does not expect"
)]

use std::hint::black_box;
use std::time::Instant;

use measure::{ROUNDS, Series, is_wanted, machine, number};
use nuncio::brain::{Brain, Dispatcher, EMBEDDED, Limits};
use nuncio::contract::{Attempt, Endpoint, Level, Notification, Outcome, Reply, Tried};
use nuncio::notification::LARGEST_NOTIFICATION;
use nuncio_guest as native;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use unfenced::nuncio::dispatch::types as raw;

mod measure;

/// The contract once more: what the library makes of it can only be called within limits.
mod unfenced {
    wasmtime::component::bindgen!({ path: "../wit", world: "notifier" });
}

/// Rounds of the comparison of limits: more, because it is of figures that are near to each other.
const PAIRS: usize = 31;

const CALLS: u32 = 2_000;

const TARGETS: &str = r#"{"targets":[
    {"name":"phone","provider":"ntfy","url":"https://ntfy.sh","topic":"t","token":{"$secret":"phone/token"}},
    {"name":"desk","provider":"gotify","url":"https://push.example","token":{"$secret":"desk/token"}},
    {"name":"chat","provider":"webhook","url":{"$secret":"chat/url"},"payload":"{\"text\":\"$title $message\"}"}]}"#;

const TITLE: &str = "❌ Service went down ❌";
const FIELDS: [(&str, &str); 3] =
    [("Service Name", "git"), ("Detail", "connection refused"), ("Last Seen", "12s ago")];

const FIRST: Attempt = measure::first(Level::Warn);

/// How many are judged or admitted in one call.
const AT_ONCE: usize = 16;

fn main() {
    println!(
        "{}; component of {} bytes; medians of {ROUNDS} rounds in turns, and their range; microseconds a call\n",
        machine(),
        EMBEDDED.len()
    );
    let brain = Brain::new(EMBEDDED).expect("the embedded component is a brain");
    if is_wanted("native") {
        against_native(&brain);
    }
    if is_wanted("cold") {
        cold(&brain);
    }
    if is_wanted("limits") {
        limits(&brain);
    }
    if is_wanted("large") {
        large();
    }
}

/// What is called, and its name.
type Kind<'a> = (String, Box<dyn FnMut() + 'a>);

/// The time of so many calls each, in microseconds a call, in turns.
fn in_turns(calls: u32, kinds: &mut [Kind<'_>]) -> Vec<Series> {
    let mut measured = vec![Series::default(); kinds.len()];
    for round in 0..=ROUNDS {
        for ((_, call), series) in kinds.iter_mut().zip(&mut measured) {
            let start = Instant::now();
            (0..calls).for_each(|_| call());
            if round > 0 {
                series.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
            }
        }
    }
    measured
}

// === native ===

fn notification() -> Notification {
    Notification::new(Level::Warn, TITLE).fields(FIELDS)
}

fn against_native(brain: &Brain) {
    let dispatcher = brain.dispatcher(TARGETS).expect("the configuration is right");
    let config = native::config::Config::read(TARGETS).expect("the configuration is right");
    let endpoint = dispatcher.untried().expect("the brain answers");
    let notification = notification();
    let same = native_notification();
    let reply = Reply {
        status: 200,
        head: Reply::head_of([("content-type", "application/json")]),
        body: br#"{"id":"x","time":1}"#.to_vec(),
    };
    let same_reply = native::outcome::Outcome::Reply(native::outcome::Reply {
        status: reply.status,
        head: native::outcome::Head(reply.head.clone()),
        body: reply.body.clone(),
    });
    let (delivered, failed) =
        (Outcome::Reply(reply), Outcome::Reply(Reply { status: 503, head: String::new(), body: vec![] }));
    println!("| call | component | native | component / native |");
    println!("|---|---|---|---|");
    let mut of_all = [0.0; 3];
    for (target, name) in (0..).zip(["phone", "desk", "chat"]) {
        let (alone, failure) = ([tried(&delivered)], [tried(&failed)]);
        let notifications = vec![notification.clone(); AT_ONCE];
        let (at_once, attempts) = (vec![tried(&delivered); AT_ONCE], vec![FIRST; AT_ONCE]);
        let mut kinds: Vec<Kind<'_>> = vec![
            (
                "route to three targets".into(),
                Box::new(|| route(&dispatcher, std::slice::from_ref(&notification))),
            ),
            ("".into(), Box::new(|| native_route(&config, &same))),
            (format!("format for `{name}`"), Box::new(|| format(&dispatcher, target, &notification))),
            ("".into(), Box::new(|| native_format(&config, name, &same))),
            ("judge a success".into(), Box::new(|| judge(&dispatcher, target, &alone, endpoint))),
            ("".into(), Box::new(|| native_judge(&config, name, &same_reply))),
            (format!("route {AT_ONCE}"), Box::new(|| route(&dispatcher, &notifications))),
            ("judge a failure".into(), Box::new(|| judge(&dispatcher, target, &failure, endpoint))),
            (
                format!("judge {AT_ONCE} successes"),
                Box::new(|| judge(&dispatcher, target, &at_once, endpoint)),
            ),
            ("admit".into(), Box::new(|| admit(&dispatcher, target, &[FIRST], endpoint))),
            (format!("admit {AT_ONCE}"), Box::new(|| admit(&dispatcher, target, &attempts, endpoint))),
        ];
        let measured = in_turns(CALLS, &mut kinds);
        let names: Vec<String> = kinds.iter().map(|(name, _)| name.clone()).collect();
        let mut rows = names.iter().zip(&measured).peekable();
        let mut sums = [0.0; 3];
        while let Some((name, component)) = rows.next() {
            match rows.next_if(|(name, _)| name.is_empty()) {
                Some((_, native)) => {
                    println!(
                        "| {name} | {} | {} | {} |",
                        component.shown(2),
                        native.shown(2),
                        component.per(native).shown(2)
                    );
                    sums[0] += component.median();
                    sums[2] += native.median();
                    // With many in flight, several are routed and judged at once.
                    sums[1] += if name.starts_with("format") { component.median() } else { 0.0 };
                }
                None => {
                    println!("| {name} | {} | | |", component.shown(2));
                    let counts =
                        [format!("route {AT_ONCE}"), format!("judge {AT_ONCE} successes")].contains(name);
                    sums[1] += if counts { component.median() / number(AT_ONCE as u64) } else { 0.0 };
                }
            }
        }
        show_sums("route, format and judge", sums);
        of_all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
    }
    show_sums("all three targets", of_all);
    println!();
}

/// The component asked one by one, the same with several routed and judged at once, and native code.
fn show_sums(what: &str, [alone, at_once, native]: [f64; 3]) {
    println!("| **{what}** | {alone:.2} | {native:.2} | **{:.2}** |", alone / native);
    println!("| **{what}, {AT_ONCE} at once** | {at_once:.2} | {native:.2} | **{:.2}** |", at_once / native);
}

fn tried(outcome: &Outcome) -> Tried {
    Tried { attempt: FIRST, outcome: outcome.clone(), entropy: 7 }
}

fn admit(dispatcher: &Dispatcher, target: u32, attempts: &[Attempt], endpoint: Endpoint) {
    black_box(dispatcher.admit(target, attempts, endpoint, 0).unwrap());
}

fn route(dispatcher: &Dispatcher, notifications: &[Notification]) {
    drop(black_box(dispatcher.route(notifications).unwrap()));
}

fn format(dispatcher: &Dispatcher, target: u32, notification: &Notification) {
    black_box(dispatcher.format(target, notification, false, 0).unwrap().unwrap());
}

fn judge(dispatcher: &Dispatcher, target: u32, tried: &[Tried], endpoint: Endpoint) {
    black_box(dispatcher.judge(target, tried, endpoint, 0).unwrap());
}

fn native_notification() -> native::notification::Notification {
    use native::notification::{Body, Field, Level, Notification};
    let field = |(name, value): (&str, &str)| Field { name: name.into(), value: value.into() };
    Notification {
        id: String::new(),
        at: 0,
        level: Level::Warn,
        title: TITLE.into(),
        body: Body::Fields(FIELDS.map(field).into()),
        color: None,
        to: vec![],
        tags: vec![],
        link: None,
        key: None,
        resolves: None,
    }
}

fn native_route(config: &native::config::Config, notification: &native::notification::Notification) {
    drop(black_box(config.route(black_box(notification))));
}

fn native_format(
    config: &native::config::Config,
    target: &str,
    notification: &native::notification::Notification,
) {
    let target = config.target(target).unwrap();
    let occasion = native::provider::Occasion { now: 0, is_plain: false };
    drop(black_box(target.format(black_box(notification), &occasion).unwrap()));
}

fn native_judge(config: &native::config::Config, target: &str, outcome: &native::outcome::Outcome) {
    let target = config.target(target).unwrap();
    let attempt = native::judge::Attempt {
        number: 0,
        sent: 0,
        queued_at: 0,
        first_tried: 0,
        began: 0,
        level: native::notification::Level::Warn,
        is_plain: false,
    };
    let understood = target.understand(black_box(outcome), 0);
    let endpoint = native::judge::Endpoint::default();
    black_box(native::judge::judge(&target.policy, &attempt, &understood, endpoint, 0, 7));
}

// === cold ===

fn cold(brain: &Brain) {
    let dispatcher = brain.dispatcher(TARGETS).expect("the configuration is right");
    let (notification, instantiate) = (notification(), instantiation());
    let json =
        r#"{"level":"warn","title":"Service went down","body":{"Service Name":"git","Last Seen":"12s ago"}}"#;
    let mut kinds: Vec<Kind<'_>> = vec![
        ("instantiate".into(), Box::new(instantiate)),
        (
            "instantiate and read a notification".into(),
            Box::new(|| drop(black_box(brain.read(json, "id", 0).unwrap().unwrap()))),
        ),
        ("instantiate and open three targets".into(), Box::new(|| brain.check(TARGETS).unwrap().unwrap())),
        ("format, on an instance that is there".into(), Box::new(|| format(&dispatcher, 0, &notification))),
    ];
    let measured = in_turns(CALLS, &mut kinds);
    println!("| call | microseconds |");
    println!("|---|---|");
    for ((name, _), series) in kinds.iter().zip(measured) {
        println!("| {name} | {} |", series.shown(2));
    }
    println!();
}

/// Making an instance, without anything that is called on it.
fn instantiation() -> impl Fn() {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).expect("the engine starts");
    let component = Component::from_binary(&engine, EMBEDDED).expect("it is a component");
    let linker = linker(&engine, &component);
    let pre = linker.instantiate_pre(&component).expect("nothing is missing");
    move || {
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        black_box(pre.instantiate(&mut store).expect("it starts"));
    }
}

fn linker(engine: &Engine, component: &Component) -> Linker<()> {
    let mut linker = Linker::<()>::new(engine);
    for (name, _) in component.component_type().imports(engine) {
        linker.instance(name).expect("only types are imported");
    }
    linker
}

// === limits ===

fn limits(brain: &Brain) {
    let dispatcher = brain.dispatcher(TARGETS).expect("the configuration is right");
    let notification = notification();
    println!("| format for | limits on / off |");
    println!("|---|---|");
    for (target, name) in (0..).zip(["phone", "desk", "chat"]) {
        let mut bare = bare(target);
        let time = |call: &mut dyn FnMut()| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed().as_secs_f64()
        };
        let mut ratios = Series::default();
        for pair in 0..=PAIRS {
            // Each goes first as often as the other.
            let (with, without) = if pair % 2 == 0 {
                let with = time(&mut || format(&dispatcher, target, &notification));
                (with, time(&mut bare))
            } else {
                let without = time(&mut bare);
                (time(&mut || format(&dispatcher, target, &notification)), without)
            };
            if pair > 0 {
                ratios.push(with / without);
            }
        }
        println!("| `{name}` | {} |", ratios.shown(2));
    }
    println!();
}

/// Formatting in an engine without epochs, limits on memory, answers and handles, and with wasmtime's own stack.
fn bare(target: u32) -> impl FnMut() {
    let engine = Engine::new(&Config::new()).expect("the engine starts");
    let component = Component::from_binary(&engine, EMBEDDED).expect("it is a component");
    let linker = linker(&engine, &component);
    let mut store = Store::new(&engine, ());
    store.set_hostcall_fuel(usize::MAX);
    let bindings = unfenced::Notifier::instantiate(&mut store, &component, &linker).expect("it starts");
    let guest = bindings.nuncio_dispatch_dispatcher().clone();
    let dispatcher = guest.dispatcher().call_open(&mut store, TARGETS).unwrap().unwrap();
    let field = |(name, value): (&str, &str)| raw::Field { name: name.into(), value: value.into() };
    let notification = raw::Notification {
        id: String::new(),
        at: 0,
        level: raw::Level::Warn,
        title: TITLE.into(),
        body: raw::Body::Fields(FIELDS.map(field).into()),
        color: None,
        to: vec![],
        tags: vec![],
        link: None,
        key: None,
        resolves: None,
    };
    move || {
        let requests =
            guest.dispatcher().call_format(&mut store, dispatcher, target, &notification, false, 0);
        black_box(requests.unwrap().unwrap());
    }
}

// === large ===

const LARGE: &str = r#"{"targets":[
    {"name":"telegram","provider":"telegram","token":{"$secret":"telegram/token"},"chat":"1"},
    {"name":"matrix","provider":"matrix","url":"https://m.example","token":{"$secret":"matrix/token"},"room":"!a:b"},
    {"name":"chat","provider":"webhook","url":{"$secret":"chat/url"},"payload":"{\"text\":\"$title $message\"}"}]}"#;

fn large() {
    let patient = Limits { call: std::time::Duration::from_secs(60), ..Limits::default() };
    let brain = Brain::with_limits(EMBEDDED, patient).expect("the embedded component is a brain");
    let dispatcher = brain.dispatcher(LARGE).expect("the configuration is right");
    let log = "2026-11-27T12:00:00Z web-1 nginx: upstream timed out (110: Connection timed out)\n";
    println!("| {} kB of | telegram, ms | matrix, ms | webhook, ms |", LARGEST_NOTIFICATION >> 10);
    println!("|---|---|---|---|");
    for (shape, pattern) in [
        ("log lines", log),
        ("words", "some words "),
        ("marks", "*a* "),
        ("a list", "- a\n"),
        ("paragraphs", "a\n\n"),
    ] {
        let text = pattern.repeat((LARGEST_NOTIFICATION - 100) / pattern.len());
        let notification = Notification::new(Level::Warn, "x").text(text);
        let kind = |target| -> Kind<'_> {
            let (dispatcher, notification) = (&dispatcher, &notification);
            (String::new(), Box::new(move || format(dispatcher, target, notification)))
        };
        let measured = in_turns(1, &mut [kind(0), kind(1), kind(2)]);
        let times: Vec<String> =
            measured.iter().map(|series| format!("{:.1}", series.median() / 1e3)).collect();
        println!("| {shape} | {} |", times.join(" | "));
    }
}
