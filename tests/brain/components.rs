//! Bytes that are no brain, and a brain that never starts.

use std::collections::HashMap;
use std::time::Duration;

use nuncio::Nuncio;
use nuncio::brain::{Brain, BrainError, EMBEDDED, Limits};
use nuncio::config::Config;

use super::{rogue, rogue_component, start, target};
use crate::command_line::nuncio;
use crate::scripted::{Receiver, reply};
use crate::stage::compiled;

/// The beginning of a component's binary form.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A type: a function without parameters and results.
const FUNCTION: &[u8] = b"\x07\x05\x01\x40\0\x01\0";

/// A type: an instance with such a function, `now`.
const INSTANCE: &[u8] = b"\x07\x10\x01\x42\x02\x01\x40\0\x01\0\x04\0\x03now\x01\0";

fn refusal(bytes: &[&[u8]]) -> BrainError {
    Brain::new(&bytes.concat()).err().expect("this is no brain")
}

#[test]
fn bytes_that_are_no_component_are_no_brain() {
    let module = b"\0asm\x01\0\0\0";
    for bytes in [&b""[..], b"#!/bin/sh\n", module, &COMPONENT[..6]] {
        let error = refusal(&[bytes]);
        assert!(matches!(error, BrainError::NotABrain(_)), "{bytes:?}: {error}");
    }
}

#[test]
fn a_component_without_the_exports_is_no_brain() {
    let error = refusal(&[COMPONENT]);
    assert!(matches!(&error, BrainError::NotABrain(why) if why.contains("nuncio:dispatch")), "{error}");
}

#[test]
fn a_component_that_imports_a_function_is_refused_by_the_name_of_the_import() {
    let error = refusal(&[COMPONENT, FUNCTION, b"\x0a\x08\x01\0\x03now\x01\0"]);
    assert!(matches!(&error, BrainError::Imports(name) if name == "now"), "{error}");
}

#[test]
fn a_component_that_imports_an_interface_with_a_function_is_refused_by_its_name() {
    let error = refusal(&[COMPONENT, INSTANCE, b"\x0a\x0a\x01\0\x05a:b/c\x05\0"]);
    assert!(matches!(&error, BrainError::Imports(name) if name == "a:b/c"), "{error}");
}

#[test]
fn code_that_was_compiled_elsewhere_is_refused() {
    // With the very engine that would run it, were it read.
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true).consume_fuel(false).max_wasm_stack(512 << 10);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let compiled = engine.precompile_component(EMBEDDED).unwrap();
    assert!(wasmtime::Engine::detect_precompiled(&compiled).is_some());
    let error = refusal(&[&compiled]);
    assert!(matches!(error, BrainError::NotABrain(_)), "{error}");
}

/// The rogue by another plan: what goes wrong before there is a configuration.
fn planned(plan: &[u8; 12]) -> Vec<u8> {
    let mut component = rogue_component().to_vec();
    let before = b"plan:as-it-should";
    let at = component.windows(before.len()).position(|bytes| bytes == before).expect("it has a plan");
    component[at + 5..at + before.len()].copy_from_slice(plan);
    component
}

/// How starting with a component and a target fails.
fn failure(brain: &Brain, mode: &str) -> String {
    let yaml =
        format!("targets:\n  - {{name: a, provider: rogue, mode: {mode}, url: \"http://localhost/\"}}\n");
    let environment = HashMap::<String, String>::new();
    let config = match Config::load("test.yml", &yaml, &environment, brain) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    let started = Nuncio::with_config(brain.clone(), config).start();
    started.err().expect("it does not start").to_string()
}

#[tokio::test]
async fn a_component_that_never_says_what_it_is_does_not_start() {
    for (plan, why) in [
        (b"provid-traps", "wasm trap: wasm `unreachable`"),
        (b"provid-loops", "it took more than 1000 ms"),
        (b"provid-many-", "too much data"),
        (b"untried-trap", "wasm trap: wasm `unreachable`"),
        (b"untried-loop", "it took more than 1000 ms"),
    ] {
        let limits = Limits { call: Duration::from_secs(1), ..Limits::default() };
        let brain = compiled(&planned(plan), limits).expect("it is a brain");
        let failure = failure(&brain, "fine");
        assert!(failure.starts_with("the guest broke off: ") && failure.contains(why), "{failure}");
    }
}

#[test]
fn the_command_line_sets_memory_and_deadline() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("loops.wasm");
    std::fs::write(&path, planned(b"provid-loops")).unwrap();
    let said = |arguments: &[&str]| {
        let output = nuncio().arg("providers").args(arguments).output().expect("it starts");
        assert!(!output.status.success());
        (output.status.code(), String::from_utf8(output.stderr).expect("it prints UTF-8"))
    };
    let loops = ["--component", path.to_str().unwrap(), "--component-deadline", "20ms"];
    assert_eq!(said(&loops), (Some(1), "error: the guest broke off: it took more than 20 ms\n".to_owned()));
    for (option, value, hint) in [
        ("--component-memory", "1MiB", "write a size from 4MiB to 4GiB, such as 64MiB"),
        ("--component-deadline", "2h", "write a time from 10ms to 1m, such as 250ms"),
    ] {
        let (code, text) = said(&[option, value]);
        assert!(code == Some(2) && text.contains(option) && text.contains(hint), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn the_command_line_keeps_compiled_code_where_nobody_else_can_write() {
    use std::os::unix::fs::PermissionsExt as _;

    let within = tempfile::tempdir().unwrap();
    let folder = within.path().join("cache");
    let run = |folder: &str| {
        let output = nuncio().args(["schema", "--component-cache", folder]).output().expect("it starts");
        (output.status.code(), output.stdout, String::from_utf8(output.stderr).expect("it prints UTF-8"))
    };
    let (code, schema, _) = run("none");
    assert!(code == Some(0) && !folder.exists());
    let name = folder.to_str().expect("it is UTF-8");
    for _ in 0..2 {
        assert_eq!(run(name), (Some(0), schema.clone(), String::new()));
        assert!(folder.join("compiled/modules").is_dir());
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let (code, _, told) = run(name);
    assert!(code == Some(2) && told.contains("--component-cache") && told.contains("none"), "{told}");
}

#[tokio::test]
async fn a_component_that_breaks_off_over_its_configuration_does_not_start() {
    let limits =
        Limits { open: Duration::from_millis(50), call: Duration::from_millis(50), ..Limits::default() };
    let brain = compiled(rogue_component(), limits).unwrap();
    for (mode, why) in [
        ("open-traps", "wasm trap: wasm `unreachable`"),
        ("open-loops", "it took more than 50 ms"),
        ("targets-trap", "wasm trap: wasm `unreachable`"),
        ("targets-loop", "it took more than 50 ms"),
    ] {
        let failure = failure(&brain, mode);
        assert!(failure.starts_with("the guest broke off: ") && failure.contains(why), "{mode}: {failure}");
    }
    for mode in ["too-many-problems", "too-many-targets"] {
        let failure = failure(&rogue(), mode);
        assert!(failure.starts_with("the guest broke off: too much data"), "{mode}: {failure}");
    }
}

#[test]
fn of_many_problems_the_first_are_told_and_the_number_of_the_others() {
    let config = r#"{"targets":[{"mode":"many-problems"}]}"#;
    let problems = rogue().check(config).unwrap().unwrap_err();
    assert_eq!(
        (problems.len(), problems.last().unwrap().problem.as_str()),
        (1_001, "and 19000 more problems")
    );
}

#[tokio::test]
async fn a_target_that_the_component_invents_has_no_lane() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("many-targets", &receiver)]);
    let targets = stage.nuncio.targets().await.expect("it runs");
    assert_eq!(
        targets.iter().map(|target| target.health.target.as_str()).collect::<Vec<_>>(),
        ["many-targets"]
    );
}
