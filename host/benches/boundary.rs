//! What does one call through the component boundary cost?
//!
//! Prints, for each kind of call, the median over interleaved rounds and their range, in microseconds. Figures
//! of one run can be compared with each other; those of two runs cannot, because machines are shared.
//!
//! Then what the fence costs: `format` within limits against the same component in an engine without any, as the
//! ratio of rounds that follow one another.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark measures time"
)]

use std::hint::black_box;
use std::time::Instant;

use nuncio::brain::{Brain, EMBEDDED};
use nuncio::contract::{Attempt, Level, Notification, Outcome, Reply};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use unfenced::nuncio::dispatch::types as raw;

/// The contract once more: what the library makes of it can only be called within limits.
mod unfenced {
    wasmtime::component::bindgen!({ path: "../wit", world: "notifier" });
}

/// Rounds of the comparison: more, because it is of figures that are near to each other.
const PAIRS: usize = 31;

/// What the fence may cost at most, as a ratio.
const MOST: f64 = 1.4;

const ROUNDS: usize = 9;
const CALLS: u32 = 2_000;

const TARGETS: &str = r#"{"targets":[
    {"name":"phone","provider":"ntfy","url":"https://ntfy.sh","topic":"t","token":{"$secret":"phone/token"}},
    {"name":"desk","provider":"gotify","url":"https://push.example","token":{"$secret":"desk/token"}},
    {"name":"chat","provider":"webhook","url":{"$secret":"chat/url"},"payload":"{\"text\":\"$title $message\"}"}]}"#;

const TITLE: &str = "❌ Service went down ❌";
const FIELDS: [(&str, &str); 3] =
    [("Service Name", "git"), ("Detail", "connection refused"), ("Last Seen", "12s ago")];

fn main() {
    let brain = Brain::new(EMBEDDED).expect("the embedded component is a brain");
    let dispatcher = brain.dispatcher(TARGETS).expect("the configuration is right");
    let instantiate = instantiation();
    let notification = Notification::new(Level::Warn, TITLE).fields(FIELDS);
    let json =
        r#"{"level":"warn","title":"Service went down","body":{"Service Name":"git","Last Seen":"12s ago"}}"#;
    let attempt = Attempt {
        number: 1,
        sent: 1,
        queued_at: 0,
        first_tried: 0,
        began: 0,
        level: Level::Warn,
        plain: false,
    };
    let endpoint = dispatcher.untried().expect("the brain answers");
    let delivered = Outcome::Reply(Reply { status: 200, headers: vec![], body: vec![] });
    let headers =
        vec![("content-type".into(), "text/plain".into()), ("date".into(), "Sun, 22 Nov 2026".into())];
    let failed = Outcome::Reply(Reply { status: 503, headers, body: b"down for a moment".to_vec() });
    let format = |target: &str| {
        black_box(dispatcher.format(target, &notification, attempt, 0).unwrap().unwrap());
    };
    let judge = |outcome: &Outcome| {
        black_box(dispatcher.judge("phone", attempt, outcome, endpoint, 0, 7).unwrap());
    };
    let admit = || {
        black_box(dispatcher.admit("phone", attempt, endpoint, 0).unwrap());
    };
    let kinds: [(&str, &dyn Fn()); 10] = [
        ("instantiate", &instantiate),
        ("instantiate and read a notification", &|| {
            black_box(brain.read(json, "id", 0).unwrap().unwrap());
        }),
        ("instantiate and open three targets", &|| brain.check(TARGETS).unwrap().unwrap()),
        ("route to three targets", &|| {
            black_box(dispatcher.route(&notification).unwrap());
        }),
        ("admit a retry", &admit),
        ("format for ntfy", &|| format("phone")),
        ("format for gotify", &|| format("desk")),
        ("format for a webhook", &|| format("chat")),
        ("judge a success", &|| judge(&delivered)),
        ("judge a failure", &|| judge(&failed)),
    ];
    let mut measured = vec![Vec::with_capacity(ROUNDS); kinds.len()];
    // The first round warms up and is left out.
    for round in 0..=ROUNDS {
        for ((_, call), rounds) in kinds.iter().zip(&mut measured) {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            let microseconds = start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS);
            if round > 0 {
                rounds.push(microseconds);
            }
        }
    }
    println!("component: {} bytes; {ROUNDS} rounds of {CALLS} calls; microseconds a call", EMBEDDED.len());
    println!("{:38} {:>8} {:>8} {:>8}", "", "median", "least", "most");
    for ((name, _), rounds) in kinds.iter().zip(&mut measured) {
        rounds.sort_by(f64::total_cmp);
        let at = |n: usize| rounds.get(n).copied().unwrap_or(f64::NAN);
        println!("{name:38} {:8.2} {:8.2} {:8.2}", at(ROUNDS / 2), at(0), at(ROUNDS - 1));
    }
    for target in ["phone", "desk", "chat"] {
        compare(target, &|| format(target), &mut bare(target));
    }
}

/// Formats for a target within limits and without, in turns, and prints the ratio.
fn compare(target: &str, fenced: &dyn Fn(), bare: &mut dyn FnMut()) {
    let time = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_secs_f64()
    };
    let mut ratios = Vec::with_capacity(PAIRS);
    for pair in 0..=PAIRS {
        // Each goes first as often as the other.
        let (with, without) = if pair % 2 == 0 {
            let with = time(&mut || fenced());
            (with, time(bare))
        } else {
            let without = time(bare);
            (time(&mut || fenced()), without)
        };
        if pair > 0 {
            ratios.push(with / without);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let at = |n: usize| ratios.get(n).copied().unwrap_or(f64::NAN);
    let verdict = if at(PAIRS / 2) <= MOST { "within" } else { "ABOVE" };
    println!(
        "format for {target}, limits on against off: {:.2} ({:.2} to {:.2}), {verdict} {MOST}",
        at(PAIRS / 2),
        at(0),
        at(PAIRS - 1)
    );
}

/// Formatting in an engine without epochs, limits on memory, answers and handles, and with wasmtime's own stack.
fn bare(target: &'static str) -> impl FnMut() {
    let engine = Engine::new(&Config::new()).expect("the engine starts");
    let component = Component::from_binary(&engine, EMBEDDED).expect("it is a component");
    let mut linker = Linker::<()>::new(&engine);
    for (name, _) in component.component_type().imports(&engine) {
        linker.instance(name).expect("only types are imported");
    }
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
    let attempt = raw::Attempt {
        number: 1,
        sent: 1,
        queued_at: 0,
        first_tried: 0,
        began: 0,
        level: raw::Level::Warn,
        plain: false,
    };
    move || {
        let requests =
            guest.dispatcher().call_format(&mut store, dispatcher, target, &notification, attempt, 0);
        black_box(requests.unwrap().unwrap());
    }
}

/// Making an instance, without anything that is called on it.
fn instantiation() -> impl Fn() {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).expect("the engine starts");
    let component = Component::from_binary(&engine, EMBEDDED).expect("it is a component");
    let mut linker = Linker::<()>::new(&engine);
    for (name, _) in component.component_type().imports(&engine) {
        linker.instance(name).expect("only types are imported");
    }
    let pre = linker.instantiate_pre(&component).expect("nothing is missing");
    move || {
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        black_box(pre.instantiate(&mut store).expect("it starts"));
    }
}
