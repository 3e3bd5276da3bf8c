//! From text to a scenario: completely, or not at all with everything that is wrong.
//!
//! The text may be hostile: how long its scenario runs and how much comes in it is bounded. What it says of
//! `retry`, `concurrency` and `timeout` is passed over here; that is the component's to check.

use std::time::Duration;

use nuncio::config::document::{Document, Node};
use nuncio::config::report::Problem;
use nuncio::config::scalar::Scalar;
use nuncio::contract::Level;

use super::part::Part;
use super::scenario::{
    Arrivals, Behaviour, Burst, Fault, LimitKind, Outage, Plan, RateLimit, Scenario, Spacing,
};

/// The most targets of a scenario.
const MOST_TARGETS: usize = 1_000;

/// The most notifications of a scenario; each takes a kilobyte or two until the end.
const MOST_ARRIVALS: f64 = 1_000_000.0;

/// The most outages of a target, each repetition counted, and the most bursts.
const MOST_OUTAGES: usize = 10_000;

/// The longest title and name, and the longest text about a scenario, in characters.
const LONGEST_NAME: usize = 100;
const LONGEST_TEXT: usize = 1_000;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Notifications come for no longer.
const LONGEST: u64 = 30 * DAY;

/// It goes on without new ones for no longer.
const LONGEST_DRAIN: u64 = 366 * DAY;

/// In how many parts a run is looked at where the scenario says nothing, and at most.
const BINS: u64 = 240;
const MOST_BINS: u64 = 10_000;

/// No endpoint takes longer to answer.
const SLOWEST: u64 = HOUR;

const KEYS: [&str; 8] = ["title", "about", "duration", "drain", "bin", "seed", "retry", "targets"];
const TARGET: [&str; 8] =
    ["name", "arrivals", "bursts", "levels", "concurrency", "timeout", "retry", "endpoint"];
const ENDPOINT: [&str; 5] = ["latency", "failures", "outages", "rate_limit", "poison"];

/// Reads a scenario. What is noted as wrong is read as if nothing were said.
///
/// # Errors
///
/// What leaves nothing to read.
pub(super) fn read(source: &str, text: &str) -> Result<(Scenario, Node, Vec<Problem>), Problem> {
    let Document { root, mut problems } = Document::parse(text)?;
    let scenario = scenario(source, Part::new(&root, &mut problems));
    Ok((scenario, root, problems))
}

fn scenario(source: &str, mut part: Part<'_, '_>) -> Scenario {
    part.is_mapping(&KEYS);
    let title =
        part.take("title", "write a name of 1 to 100 characters", |scalar| text(scalar, LONGEST_NAME));
    let about = part.take("about", "write at most 1000 characters", |scalar| text(scalar, LONGEST_TEXT));
    let within = |most| move |scalar: &Scalar| length(scalar).filter(|ms| (1..=most).contains(ms));
    let duration = part.need(
        "duration",
        "write for how long notifications come, up to 30d, such as 2h",
        within(LONGEST),
    );
    let drain = part.take("drain", "write a length of time up to 366d", within(LONGEST_DRAIN));
    let known = duration.unwrap_or(HOUR);
    let shortest = SECOND.max(known.div_ceil(MOST_BINS));
    let bin = part.take(
        "bin",
        "write a length of time from 1s on; at most 10000 of them fit `duration`",
        |scalar| length(scalar).filter(|ms| (shortest..=LONGEST).contains(ms)),
    );
    let seed = part.take("seed", "write a whole number from 0 on", |scalar| scalar.to_json().as_u64());
    let mut names = Vec::new();
    let targets =
        part.list("targets", "begin each target with `- name: …`", |part| target(part, known, &mut names));
    if targets.is_empty() && !part.has("targets") {
        part.complain("`targets` is missing", "begin each target with `- name: …` below it");
    } else if targets.is_empty() || names.len() > MOST_TARGETS {
        part.complain_of("targets", "a scenario has 1 to 1000 targets", "begin each with `- name: …`");
    }
    let scenario = Scenario {
        title: title.unwrap_or_else(|| source.to_owned()),
        about: about.unwrap_or_default(),
        duration: known,
        drain,
        bin: bin.unwrap_or_else(|| shortest.max(known / BINS)),
        seed: seed.unwrap_or(1),
        targets,
        policy: Vec::new(),
    };
    if scenario.expected() > MOST_ARRIVALS {
        let problem = format!("{:.0} notifications come in all", scenario.expected());
        part.complain_of("targets", problem, "at most 1000000 may; shorten `duration`, or have fewer come");
    }
    scenario
}

/// A target; the names are those of all before it, and its own from then on.
fn target(mut part: Part<'_, '_>, duration: u64, names: &mut Vec<String>) -> Option<Plan> {
    if !part.is_mapping(&TARGET) {
        return None;
    }
    let name = part.need("name", "write 1 to 100 letters, digits, spaces and `-_.`", |scalar| {
        let is_plain = |c: char| c.is_alphanumeric() || " -_.".contains(c);
        text(scalar, LONGEST_NAME).filter(|name| name.chars().all(is_plain) && name.trim() == name)
    });
    if name.as_ref().is_some_and(|name| names.contains(name)) {
        part.complain_of("name", "another target has this name", "give each target a name of its own");
    }
    // One that has no name still counts.
    names.push(name.clone().unwrap_or_default());
    let arrivals = part.inside("arrivals", arrivals).flatten();
    let mut bursts =
        part.list("bursts", "write `bursts: [{at: 10m, count: 1000}]`", |part| burst(part, duration));
    bursts.sort_by_key(|burst| burst.at);
    let levels = part.inside("levels", levels).filter(|levels| !levels.is_empty());
    let behaviour = part.inside("endpoint", |part| behaviour(part, duration)).unwrap_or_default();
    Some(Plan {
        name: name.unwrap_or_default(),
        arrivals,
        bursts,
        levels: levels.unwrap_or_else(|| vec![(Level::Info, 1)]),
        behaviour,
    })
}

fn arrivals(mut part: Part<'_, '_>) -> Option<Arrivals> {
    const HINT: &str = "write how many, as 0.5/s, 20/min or 3/h; at most 1000 a second";
    if let Some(scalar) = part.node().scalar() {
        let arrivals = rate(scalar);
        if arrivals.is_none() {
            part.complain("this is no value for `arrivals`", HINT);
        }
        return arrivals;
    }
    if !part.is_mapping(&["rate", "spacing"]) {
        return None;
    }
    let arrivals = part.need("rate", HINT, rate);
    let spacing = part.take("spacing", "write random or even", |scalar| match scalar.text.as_str() {
        "random" => Some(Spacing::Random),
        "even" => Some(Spacing::Even),
        _ => None,
    });
    arrivals.map(|arrivals| Arrivals { spacing: spacing.unwrap_or_default(), ..arrivals })
}

fn burst(mut part: Part<'_, '_>, duration: u64) -> Option<Burst> {
    if !part.is_mapping(&["at", "count"]) {
        return None;
    }
    let at = part.need("at", "write when, before `duration` is over, such as 10m", |scalar| {
        length(scalar).filter(|at| *at < duration)
    });
    let count = part.need("count", "write how many come at once, 1 to 1000000", |scalar| {
        whole(scalar).filter(|count| (1..=1_000_000).contains(count))
    });
    Some(Burst { at: at?, count: count? })
}

fn levels(mut part: Part<'_, '_>) -> Vec<(Level, u32)> {
    let names = Level::ALL.map(Level::name);
    if !part.is_mapping(&names) {
        return Vec::new();
    }
    let weight = |level: Level| {
        let hint = "write a weight, a whole number from 0 to 1000000";
        let weight =
            part.take(level.name(), hint, |scalar| whole(scalar).filter(|weight| *weight <= 1_000_000));
        weight.filter(|weight| *weight > 0).map(|weight| (level, weight))
    };
    let levels: Vec<(Level, u32)> = Level::ALL.into_iter().filter_map(weight).collect();
    let is_known = |key: &String| names.contains(&key.as_str());
    if levels.is_empty() && part.node().entries().iter().all(|entry| is_known(&entry.key)) {
        part.complain("no level has a weight", "write `levels: {info: 6, warn: 2, error: 1}`");
    }
    levels
}

fn behaviour(mut part: Part<'_, '_>, duration: u64) -> Behaviour {
    if !part.is_mapping(&ENDPOINT) {
        return Behaviour::default();
    }
    let default = Behaviour::default();
    let (fastest, slowest) =
        part.inside("latency", latency).flatten().unwrap_or((default.fastest, default.slowest));
    let share_hint = "write a share from 0 to 1, such as 0.01";
    let failures = part.take("failures", share_hint, share).unwrap_or_default();
    let poison = part.take("poison", share_hint, share).unwrap_or_default();
    let hint = "write `outages: [{from: 30m, until: 60m, as: refused}]`";
    let mut outages: Vec<Outage> =
        part.list("outages", hint, |part| Some(outage(part, duration))).into_iter().flatten().collect();
    outages.sort_by_key(|outage| outage.from);
    let overlap = outages.windows(2).any(|pair| matches!(pair, [one, next] if next.from < one.until));
    if overlap {
        part.complain_of("outages", "two outages overlap", "have one begin where the other has ended");
    }
    if outages.len() > MOST_OUTAGES {
        part.complain_of("outages", "there are more than 10000 outages", "repeat them less often");
    }
    let rate_limit = part.inside("rate_limit", rate_limit).flatten();
    Behaviour { fastest, slowest, failures, poison, outages, rate_limit }
}

fn latency(mut part: Part<'_, '_>) -> Option<(u64, u64)> {
    const HINT: &str = "write a length of time up to 1h, such as 50ms, or {min: 20ms, max: 200ms}";
    let parse = |scalar: &Scalar| length(scalar).filter(|ms| *ms <= SLOWEST);
    if let Some(scalar) = part.node().scalar() {
        let latency = parse(scalar);
        if latency.is_none() {
            part.complain("this is no value for `latency`", HINT);
        }
        return latency.map(|latency| (latency, latency));
    }
    if !part.is_mapping(&["min", "max"]) {
        return None;
    }
    let (min, max) = (part.need("min", HINT, parse)?, part.need("max", HINT, parse)?);
    if max < min {
        part.complain("`max` is shorter than `min`", "make `max` at least as long as `min`");
    }
    (min <= max).then_some((min, max))
}

/// An outage and its repetitions.
fn outage(mut part: Part<'_, '_>, duration: u64) -> Vec<Outage> {
    if !part.is_mapping(&["from", "until", "as", "every", "for"]) {
        return Vec::new();
    }
    let when = "write when, from the start of the run on, such as 30m";
    let instant = |scalar: &Scalar| length(scalar).filter(|ms| *ms <= LONGEST);
    let from = part.need("from", when, instant);
    let until = part.need("until", when, instant);
    let fault =
        part.need("as", "write refused, unreachable, timeout, reset, or a status from 400 to 599", fault);
    let length_hint = "write a length of time up to 30d, such as 20s";
    let some = |scalar: &Scalar| instant(scalar).filter(|ms| *ms > 0);
    let every = part.take("every", length_hint, some);
    let lasts = part.take("for", length_hint, some);
    if part.has("every") != part.has("for") {
        part.complain("`every` and `for` go together", "write `every: 5m, for: 20s`, or neither");
        return Vec::new();
    }
    let (Some(from), Some(until), Some(fault)) = (from, until, fault) else { return Vec::new() };
    if until <= from || duration < from {
        let hint = "have it begin before `duration` is over and end after it began";
        part.complain_of("until", "this outage never is", hint);
        return Vec::new();
    }
    let (Some(every), Some(lasts)) = (every, lasts) else { return vec![Outage { from, until, fault }] };
    if every <= lasts {
        part.complain_of("for", "`for` is as long as `every`, or longer", "make `for` shorter than `every`");
        return Vec::new();
    }
    let starts =
        (0..).map_while(|n: u64| Some(from + n.checked_mul(every)?)).take_while(|start| *start < until);
    let one = |start: u64| Outage { from: start, until: (start + lasts).min(until), fault };
    starts.take(MOST_OUTAGES + 1).map(one).collect()
}

fn rate_limit(mut part: Part<'_, '_>) -> Option<RateLimit> {
    if !part.is_mapping(&["requests", "per", "kind", "retry_after"]) {
        return None;
    }
    let requests = part.need("requests", "write how many requests it takes, 1 to 1000000", |scalar| {
        whole(scalar).filter(|requests| (1..=1_000_000).contains(requests))
    });
    let per = part.need("per", "write in what time, from 1ms to 1d, such as 1m", |scalar| {
        length(scalar).filter(|ms| (1..=DAY).contains(ms))
    });
    let kind = part.take("kind", "write fixed, sliding or bucket", |scalar| match scalar.text.as_str() {
        "fixed" => Some(LimitKind::Fixed),
        "sliding" => Some(LimitKind::Sliding),
        "bucket" => Some(LimitKind::Bucket),
        _ => None,
    });
    let retry_after = part.take("retry_after", "write true or false", |scalar| scalar.to_json().as_bool());
    let (kind, retry_after) = (kind.unwrap_or_default(), retry_after.unwrap_or(true));
    Some(RateLimit { requests: requests?, per: per?, kind, retry_after })
}

// === scalars ===

fn text(scalar: &Scalar, most: usize) -> Option<String> {
    let is_fit = !scalar.text.trim().is_empty() && scalar.text.chars().count() <= most;
    is_fit.then(|| scalar.text.trim().to_owned())
}

/// In milliseconds.
fn length(scalar: &Scalar) -> Option<u64> {
    let length: Duration = humantime::parse_duration(&scalar.text).ok()?;
    u64::try_from(length.as_millis()).ok()
}

fn whole(scalar: &Scalar) -> Option<u32> {
    scalar.to_json().as_u64().and_then(|number| u32::try_from(number).ok())
}

fn share(scalar: &Scalar) -> Option<f64> {
    scalar.to_json().as_f64().filter(|share| (0.0..=1.0).contains(share))
}

fn rate(scalar: &Scalar) -> Option<Arrivals> {
    let (number, unit) = scalar.text.split_once('/')?;
    let per = match unit.trim() {
        "s" => SECOND,
        "min" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    let arrivals = Arrivals { number, per, spacing: Spacing::default() };
    // At least one in the longest run.
    let gap = 1.0..=LONGEST as f64;
    (number > 0.0 && gap.contains(&arrivals.gap())).then_some(arrivals)
}

fn fault(scalar: &Scalar) -> Option<Fault> {
    match scalar.text.as_str() {
        "refused" => Some(Fault::Refused),
        "unreachable" => Some(Fault::Unreachable),
        "timeout" => Some(Fault::Timeout),
        "reset" => Some(Fault::Reset),
        _ => whole(scalar)
            .and_then(|status| u16::try_from(status).ok())
            .filter(|s| (400..=599).contains(s))
            .map(Fault::Status),
    }
}
