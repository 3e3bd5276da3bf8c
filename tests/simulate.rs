//! What the policy does with outages, limits and poison: whole runs in virtual time, by the binary.
//!
//! Each says first what the scenario is, then what must come of it; the numbers are in the design.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::command_line::{file, nuncio};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(arguments: &[&str]) -> Ran {
    let output = nuncio().arg("simulate").args(arguments).output().expect("the binary starts");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        err: String::from_utf8(output.stderr).expect("it prints UTF-8"),
    }
}

/// A run of a scenario that is right.
fn simulated(arguments: &[&str]) -> Value {
    let ran = run(&[arguments, &["--json"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut runs: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out));
    runs[0].take()
}

/// A run of a scenario's text, which a test calls by a name of its own.
fn played(name: &str, text: &str) -> Value {
    simulated(&[&scenario(name, text)])
}

fn scenario(name: &str, text: &str) -> String {
    file(&format!("simulate-{name}.yml"), text).display().to_string()
}

fn targets(run: &Value) -> impl Iterator<Item = &Value> {
    run["targets"].as_array().expect("a list").iter()
}

fn target<'r>(run: &'r Value, name: &str) -> &'r Value {
    targets(run).find(|target| target["name"] == name).expect("the target is there")
}

fn total(target: &Value, what: &str) -> u64 {
    target["totals"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {}", target["totals"]))
}

/// Everything that came has arrived.
fn assert_all_arrived(run: &Value) {
    for target in targets(run) {
        let of = |what| total(target, what);
        assert_eq!((of("lost"), of("dead"), of("waiting")), (0, 0, 0), "{}", target["totals"]);
        assert_eq!(of("delivered"), of("arrivals"));
    }
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_one_another() {
    let text = "
duration: 20m
targets:
  - name: phone
    arrivals: 0.5/s
    levels: {info: 2, error: 1}
    endpoint:
      latency: {min: 20ms, max: 200ms}
      failures: 0.05
      outages: [{from: 5m, until: 10m, as: 503}]
";
    let scenario = scenario("seed", text);
    let report = |seed: &str, out: &str| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(out).display().to_string();
        let ran = run(&[&scenario, "--seed", seed, "--out", &path, "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains(" decisions in "), "{}", ran.err);
        (ran.out, std::fs::read_to_string(&path).expect("the report is there"))
    };
    let (first, second) = (report("7", "simulate-a.html"), report("7", "simulate-b.html"));
    assert!(first == second, "the same seed gave two reports");
    let other = report("8", "simulate-c.html");
    assert!(first.0 != other.0 && first.1 != other.1, "another seed gave the same report");
    assert!(first.1.contains("phone") && first.1.contains("<svg"));
}

/// The picture in the README is of this program; `NUNCIO_BLESS` puts it there.
fn the_readme_shows(picture: &str) {
    let shown = concat!(env!("CARGO_MANIFEST_DIR"), "/simulations/outage.svg");
    let drawn = std::fs::read_to_string(picture).expect("the picture is there");
    #[expect(clippy::disallowed_methods, reason = "how a person asks for the picture to be written")]
    if std::env::var("NUNCIO_BLESS").is_ok() {
        std::fs::write(shown, drawn).expect("the picture can be written");
    } else {
        let is_same = std::fs::read_to_string(shown).is_ok_and(|shown| shown == drawn);
        assert!(is_same, "the README's picture is another one; run the tests with NUNCIO_BLESS=1");
    }
}

/// Half an hour of an outage in two, at 0.02, 0.5 and 5 notifications a second.
#[test]
fn an_outage_loses_nothing_costs_little_and_ends_gently() {
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outage.svg").display().to_string();
    let run = simulated(&["outage", "--svg", &picture]);
    assert_all_arrived(&run);
    the_readme_shows(&picture);
    for (name, rate_milli, most_in_outage) in
        [("slow", 20_u32, 3_000), ("steady", 500, 1_200), ("busy", 5_000, 1_200)]
    {
        let target = target(&run, name);
        let in_outage = total(target, "attempts_per_arrival_in_outage_milli");
        assert!(in_outage <= most_in_outage, "{name}: {in_outage} attempts for a thousand arrivals");
        let peak = total(target, "peak_per_second_milli");
        assert!(peak <= (5 * u64::from(rate_milli)).max(1_000), "{name}: {peak} in a thousand seconds");
        let drain = total(target, "drain_ms");
        assert!(drain <= 15 * 60_000, "{name}: {drain} ms until the backlog was gone");
    }
}

/// An endpoint that fails a third of every minute.
#[test]
fn an_endpoint_that_flaps_gets_everything() {
    let run = simulated(&["flapping"]);
    assert_all_arrived(&run);
    let attempts = total(target(&run, "phone"), "attempts_per_arrival_milli");
    assert!(attempts <= 1_500, "{attempts} attempts for a thousand arrivals");
}

/// A thousand at once, and one request in a hundred fails.
#[test]
fn a_burst_is_delivered_without_a_loss() {
    let run = simulated(&["burst"]);
    assert_all_arrived(&run);
    assert!(total(target(&run, "phone"), "drain_ms") <= 5 * 60_000);
}

/// Two notifications in a hundred are never taken.
#[test]
fn poison_dies_at_its_limit_and_delays_nobody() {
    let of = |share: &str| {
        let text = format!(
            "
duration: 2h
targets:
  - name: phone
    arrivals: 0.5/s
    levels: {{info: 6, warn: 2, error: 1}}
    endpoint: {{latency: {{min: 20ms, max: 200ms}}, poison: {share}}}
"
        );
        played(&format!("poison-{share}"), &text)
    };
    let (with, without) = (of("0.02"), of("0"));
    let (with, without) = (target(&with, "phone"), target(&without, "phone"));
    let of = |what| total(with, what);
    assert!(of("dead") >= 10 && of("lost") + of("waiting") == 0, "{}", with["totals"]);
    assert_eq!(of("delivered") + of("dead"), of("arrivals"));
    for death in with["totals"]["deaths"].as_array().expect("a list") {
        let reason = death[0].as_str().expect("a reason");
        let is_limit = [("1 retry", "info"), ("2 retries", "warn"), ("3 retries", "error")]
            .iter()
            .any(|(limit, level)| reason.contains(limit) && reason.ends_with(level));
        assert!(is_limit, "{reason}");
    }
    let (slowed, usual) = (total(with, "p99_ms"), total(without, "p99_ms"));
    assert!(slowed * 10 <= usual * 11, "{slowed} ms instead of {usual}");
}

/// A little less comes than an endpoint takes, and once a hundred at once; it counts in each of three ways.
#[test]
fn a_rate_limit_is_learned_and_used() {
    let run = simulated(&["rate-limited"]);
    assert_all_arrived(&run);
    let bin_ms = run["bin_ms"].as_u64().expect("a number");
    for target in targets(&run) {
        let (name, bins) = (&target["name"], target["bins"].as_array().expect("a list"));
        let of = |bin: &Value, what: &str| bin[what].as_u64().expect("a number");
        let skipped = usize::try_from(60_000 / bin_ms).expect("it is small");
        let sum = |what| bins.iter().skip(skipped).map(|bin| of(bin, what)).sum::<u64>();
        let (refused, attempts) = (sum("refused_429"), sum("attempts"));
        assert!(refused * 20 <= attempts, "{name}: {refused} of {attempts} were answered 429");
        let is_backlog = |pair: &&[Value]| of(&pair[0], "depth") > 2 && of(&pair[1], "depth") > 2;
        let busy: Vec<&[Value]> = bins.windows(2).filter(is_backlog).collect();
        let taken: u64 = busy.iter().map(|pair| of(&pair[1], "successes")).sum();
        let limit = 20 * bin_ms * busy.len() as u64 / 60_000;
        assert!(taken * 10 >= limit * 9, "{name}: {taken} of {limit} while something waited");
    }
}

/// Ten targets, of which one takes requests and never answers.
#[test]
fn one_that_hangs_holds_nobody_else_up() {
    let of = |fault: &str| {
        let mut text = format!(
            "
duration: 20m
targets:
  - {{name: hangs, arrivals: 1/s, endpoint: {{latency: {{min: 20ms, max: 200ms}}, outages: [{fault}]}}}}
"
        );
        for n in 1..10 {
            let endpoint = "{latency: {min: 20ms, max: 200ms}}";
            writeln!(text, "  - {{name: well {n}, arrivals: 1/s, endpoint: {endpoint}}}").expect("it fits");
        }
        played(if fault.is_empty() { "all-well" } else { "one-hangs" }, &text)
    };
    let (with, without) = (of("{from: 5m, until: 15m, as: timeout}"), of(""));
    assert_all_arrived(&with);
    for n in 1..10 {
        let name = format!("well {n}");
        let (slowed, usual) =
            (total(target(&with, &name), "p99_ms"), total(target(&without, &name), "p99_ms"));
        assert!(slowed * 10 <= usual * 11, "{name}: {slowed} ms instead of {usual}");
    }
}

/// What nobody takes for longer than it may wait dies of age, and the run goes on until it has.
#[test]
fn what_waits_for_too_long_dies_and_is_seen_to() {
    let text = "
duration: 10m
retry: {max_age: 1h}
targets:
  - {name: gone, arrivals: 1/min, endpoint: {outages: [{from: 0s, until: 30d, as: 410}]}}
  - {name: locked, arrivals: 1/min, endpoint: {outages: [{from: 0s, until: 30d, as: 401}]}}
";
    let run = played("age", text);
    for target in targets(&run) {
        let of = |what| total(target, what);
        assert!(of("dead") == of("arrivals") && of("lost") + of("waiting") == 0, "{}", target["totals"]);
    }
    let until = run["duration_ms"].as_u64().expect("a number");
    assert!((60 * 60_000..75 * 60_000).contains(&until), "{until}");
}

#[test]
fn two_runs_are_put_side_by_side() {
    let text = |interval: &str| {
        format!(
            "title: At {interval}\nduration: 5m\nretry: {{interval: {interval}}}\ntargets: [{{name: phone, arrivals: 1/s, endpoint: {{failures: 0.2}}}}]\n"
        )
    };
    let (one, other) = (scenario("one", &text("1s")), scenario("other", &text("9s")));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simulate-compared.html");
    let svg = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simulate-compared.svg");
    let (out, svg) = (out.display().to_string(), svg.display().to_string());
    let ran = run(&[&one, "--compare", &other, "--out", &out, "--svg", &svg]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("A: At 1s") && ran.out.contains("phone B"), "{}", ran.out);
    let page = std::fs::read_to_string(out).expect("the report is there");
    assert!(page.contains("At 1s vs. At 9s") && page.contains("retry.interval"));
    assert!(std::fs::read_to_string(svg).expect("the picture is there").starts_with("<svg"));
}

#[test]
fn what_is_wrong_with_a_scenario_is_said_all_at_once_with_lines_and_hints() {
    let text = "\
titel: A
duration: 31d
bin: 5
seed: -1
retry: {intervall: 1s}
targets:
  - name: a
    arrivals: 5
    levels: {loud: 1}
    timeout: 1h
    endpoint: {latency: {min: 2s, max: 1s}, failures: 2}
  - name: a
    bursts: [{at: 2h}]
    endpoint:
      outages:
        - {from: 1m, until: 30s, as: refused}
        - {from: 1m, until: 2m, as: tired}
        - {from: 3m, until: 5m, as: 503}
        - {from: 4m, until: 6m, as: 200}
      rate_limit: {requests: 0, per: 1m, kind: leaky}
";
    let path = scenario("wrong", text);
    let ran = run(&[&path]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    for (place, says) in [
        ("1:1", "did you mean `title`?"),
        ("2:11", "up to 30d"),
        ("3:6", "from 1s on"),
        ("4:7", "a whole number"),
        ("5:9", "did you mean `interval`?"),
        ("8:15", "0.5/s"),
        ("9:14", "known here: `trace`"),
        ("10:14", "allowed is from 1ms to 5m"),
        ("11:25", "`max` is shorter than `min`"),
        ("11:55", "a share from 0 to 1"),
        ("12:11", "another target has this name"),
        ("13:19", "before `duration` is over"),
        ("13:14", "`count` is missing"),
        ("16:29", "this outage never is"),
        ("17:37", "refused, unreachable, timeout"),
        ("19:37", "from 400 to 599"),
        ("20:30", "1 to 1000000"),
        ("20:48", "fixed, sliding or bucket"),
    ] {
        assert!(ran.err.contains(&format!("{path}:{place}\n")), "nothing at {place}:\n{}", ran.err);
        assert!(ran.err.contains(says), "{says} is not in:\n{}", ran.err);
    }
}

#[test]
fn a_scenario_that_would_eat_the_machine_or_says_nothing_is_refused() {
    let many = (0..1_001).map(|n| format!("  - {{name: t{n}}}\n")).collect::<String>();
    let often = "outages: [{from: 0s, until: 30d, every: 2ms, for: 1ms, as: 503}]";
    for (name, text, says) in [
        ("empty", String::new(), "`targets` is missing"),
        ("none", "duration: 1h\ntargets: []\n".into(), "1 to 1000 targets"),
        ("list", "duration: 1h\ntargets: {a: b}\n".into(), "must be a list"),
        ("scalar", "duration: 1h\ntargets: [a]\n".into(), "must be a mapping"),
        ("many", format!("duration: 1h\ntargets:\n{many}"), "1 to 1000 targets"),
        ("much", "duration: 30d\ntargets: [{name: a, arrivals: 100/s}]\n".into(), "259200000 notifications"),
        ("fast", "duration: 1h\ntargets: [{name: a, arrivals: 1e9/s}]\n".into(), "at most 1000 a second"),
        ("never", "duration: 1h\ntargets: [{name: a, arrivals: nan/s}]\n".into(), "0.5/s"),
        ("often", format!("duration: 1h\ntargets: [{{name: a, endpoint: {{{often}}}}}]\n"), "10000 outages"),
        ("odd", "duration: 1h\ntargets: [{name: '${HOME}'}]\n".into(), "letters, digits"),
        ("variable", "duration: 1h\nretry: {interval: '${HOME}'}\ntargets: [{name: a}]\n".into(), "HOME"),
        ("yaml", "duration: [1h\n".into(), "error"),
    ] {
        let ran = run(&[&scenario(name, &text)]);
        assert_eq!(ran.code, Some(2), "{name}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(says) && !ran.err.contains("panicked"), "{name}: {}", ran.err);
    }
}

#[test]
fn a_name_that_is_none_is_answered_with_those_there_are() {
    let ran = run(&["outrage"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("outage, flapping, rate-limited"), "{}", ran.err);
    let ran = run(&["./missing.yml"]);
    assert!(ran.code == Some(2) && ran.err.contains("cannot read ./missing.yml"), "{}", ran.err);
}

#[test]
fn a_scenario_that_is_there_can_be_had_as_a_file() {
    let shown = run(&["outage", "--show"]);
    assert!(shown.code == Some(0) && shown.out.starts_with("title: A 30-minute outage"), "{}", shown.err);
}
