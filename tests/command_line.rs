//! The binary, as a person uses it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::scripted::{Receiver, reply};

/// A file of a test's own.
pub fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder for temporary files can be written");
    path
}

/// The binary, without anybody's configuration.
pub fn nuncio() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nuncio"));
    command.env_remove("NUNCIO_CONFIG").env_remove("NUNCIO_LOG").env("NO_COLOR", "1");
    command.env_remove("CACHE_DIRECTORY").env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ends by itself"),
            out: String::from_utf8(output.stdout).expect("it prints UTF-8"),
            err: String::from_utf8(output.stderr).expect("it prints UTF-8"),
        }
    }
}

pub async fn run(arguments: &[&str], input: &str) -> Ran {
    let mut child = nuncio()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let input = input.to_owned();
    // The receivers run on this runtime, so the waiting must not be done on it.
    tokio::task::spawn_blocking(move || {
        // A program that does not read its input closes it.
        let _ = child.stdin.take().expect("it has an input").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends").into()
    })
    .await
    .expect("waiting does not panic")
}

fn config(name: &str, receiver: &Receiver) -> String {
    let yaml = format!(
        "targets:\n  - {{name: phone, provider: ntfy, url: \"{0}\", topic: t, token: tk_canary}}\n  - {{name: loud, provider: gotify, url: \"{0}\", token: gt_canary, filter: {{level: error}}}}\n",
        receiver.url("/")
    );
    file(name, &yaml).display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_delivers_prints_a_line_a_target_and_exits_with_0() {
    let receiver = Receiver::start([reply(200)]);
    let config = config("send.yml", &receiver);
    let ran =
        run(&["send", "-c", &config, "-l", "error", "-t", "Disk", "--field", "Free=1 %", "--tag", "db"], "")
            .await;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "phone  delivered  1 attempt\nloud   delivered  1 attempt\n"),
        "{}",
        ran.err
    );
    let request = receiver.next().await;
    assert!(request.json()["message"].as_str().unwrap().contains("Free"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_prints_json_and_exits_with_1_where_a_target_refuses() {
    let receiver = Receiver::start([reply(401)]);
    let config = config("refused.yml", &receiver);
    let ran = run(&["send", "-c", &config, "--json", "text from an argument"], "").await;
    let json = ran.json();
    assert_eq!((ran.code, json["deliveries"][0]["target"].as_str()), (1, Some("phone")));
    assert_eq!(json["deliveries"][0]["state"], "dead");
    assert_eq!(json["deliveries"][0]["attempts"], 1);
    assert!(json["deliveries"][0]["detail"].as_str().unwrap().contains("401"));
    assert_eq!(json["id"].as_str().map(str::len), Some(36));
    assert_eq!(json["deliveries"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_reads_its_body_from_standard_input() {
    let receiver = Receiver::start([reply(200)]);
    let config = config("stdin.yml", &receiver);
    let ran = run(&["send", "-c", &config, "-"], "two\nlines\n").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(receiver.next().await.json()["message"], "two\nlines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_says_what_it_waits_for_and_gives_up_when_told_to() {
    let receiver = Receiver::start([reply(429).header("retry-after", "3600")]);
    let config = config("patience.yml", &receiver);
    let ran = run(&["send", "-c", &config, "--timeout", "5s", "x"], "").await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("phone: status 429; trying again in 36"), "{}", ran.err);
    assert!(ran.out.contains("phone  waiting    1 attempt: status 429"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_says_so_where_no_target_matches() {
    let receiver = Receiver::start([reply(200)]);
    let yaml = format!(
        "targets: [{{name: loud, provider: ntfy, url: \"{}\", topic: t, filter: {{level: fatal}}}}]",
        receiver.url("/")
    );
    let config = file("unmatched.yml", &yaml).display().to_string();
    let ran = run(&["send", "-c", &config, "x"], "").await;
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("no target matched"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_use_exits_with_2_and_says_what_to_do() {
    let receiver = Receiver::start([reply(200)]);
    let config = config("usage.yml", &receiver);
    for (arguments, says) in [
        (&["send", "-c", &config][..], "give it a `title` or a `body`"),
        (&["send", "-c", &config, "-l", "loud", "x"], "--level: no level is called `loud`"),
        (&["send", "-c", &config, "--color", "reddish", "x"], "--color: this is no colour"),
        (&["send", "-c", &config, "--field", "novalue"], "write `--field NAME=VALUE`"),
        (&["send", "-c", &config, "--item", "a", "--field", "b=c"], "cannot be used with"),
        (&["send", "-c", "/does/not/exist.yml", "x"], "cannot read /does/not/exist.yml"),
        (
            &["send", "--component", "/does/not/exist.wasm", "-c", &config, "x"],
            "cannot read /does/not/exist.wasm",
        ),
        (&["send", "--component", &config, "-c", &config, "x"], "nuncio:dispatch/notifier"),
        (&["serve", "-c", &config, "--listen", "0.0.0.0:0"], "set `server.tokens`"),
        (&["providers", "carrier-pigeon"], "known are: alertmanager, apprise, "),
        (&["sned"], "send"),
    ] {
        let ran = run(arguments, "").await;
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(says), "{arguments:?} does not say {says:?}:\n{}", ran.err);
    }
    assert!(receiver.seen().requests.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_accepts_and_refuses_with_positions() {
    let receiver = Receiver::start([reply(200)]);
    let good = config("good.yml", &receiver);
    let ran = run(&["check", "-c", &good], "").await;
    assert_eq!((ran.code, ran.out), (0, format!("{good}: 2 targets: phone, loud\n")));

    let bad = file(
        "bad.yml",
        "targets:\n  - name: phone\n    provider: ntfy\n    url: https://ntfy.sh\n    tpoic: t\n",
    );
    let bad = bad.display().to_string();
    let ran = run(&["check", "-c", &bad], "").await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains(":5:5") && ran.err.contains("did you mean `topic`?"), "{}", ran.err);
    let ran = run(&["check", "-c", &bad, "--json"], "").await;
    let problem = &ran.json()["problems"][0];
    assert_eq!((ran.code, ran.json()["ok"].as_bool()), (2, Some(false)));
    assert!(problem["line"].is_u64() && problem["column"].is_u64(), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_shows_where_and_why_and_the_requests_without_secrets_and_sends_nothing() {
    let receiver = Receiver::start([reply(200)]);
    let config = config("explain.yml", &receiver);
    let ran = run(&["explain", "-c", &config, "--to", "phone", "--to", "fone", "-t", "Hello"], "").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    for shown in [
        "phone: send",
        "loud: skip",
        "fone: unknown",
        "POST http://127.0.0.1",
        "authorization: Bearer ***",
        "\"title\":\"Hello\"",
    ] {
        assert!(ran.out.contains(shown), "{shown} is not in:\n{}", ran.out);
    }
    let json = run(&["explain", "-c", &config, "--json", "x"], "").await;
    assert_eq!(json.json()[0]["choice"], "send");
    assert_eq!(json.json()[0]["requests"][0]["method"], "POST");
    assert!(!(ran.out + &json.out).contains("canary"));
    assert!(receiver.seen().requests.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_are_listed_and_shown() {
    let list = run(&["providers"], "").await;
    assert_eq!(list.code, 0);
    for name in ["gotify", "ntfy", "webhook"] {
        assert!(list.out.contains(name), "{}", list.out);
        let one = run(&["providers", name], "").await;
        assert!(one.code == 0 && one.out.contains(&format!("provider: {name}")), "{}", one.out);
    }
    let json = run(&["providers", "--json"], "").await.json();
    let gotify = json.as_array().unwrap().iter().find(|provider| provider["name"] == "gotify").unwrap();
    assert_eq!(gotify["schema"]["properties"]["token"]["writeOnly"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_passes_check() {
    let catalog = run(&["providers", "--json"], "").await.json();
    for provider in catalog.as_array().expect("a list") {
        let example = provider["example"].as_str().expect("text");
        let name = provider["name"].as_str().expect("text");
        let path = file(&format!("example-{name}.yml"), &format!("targets:\n{example}"));
        let mut check = nuncio();
        for name in example.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next()) {
            check.env(name, "https://example.org/secret");
        }
        let output = check.arg("check").arg("-c").arg(&path).output().expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_is_exported_and_runs_in_place_of_the_embedded_one() {
    let receiver = Receiver::start([reply(200)]);
    let config = config("exported.yml", &receiver);
    let wasm = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exported.wasm").display().to_string();
    assert_eq!(run(&["component", "export", &wasm], "").await.code, 0);
    assert_eq!(std::fs::read(&wasm).expect("it is there"), nuncio::brain::EMBEDDED);
    let ran = run(&["send", "--component", &wasm, "-c", &config, "x"], "").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell], "").await;
        assert!(ran.code == 0 && ran.out.contains("explain"), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_ends_well() {
    let ran = run(&["demo"], "").await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains("18 of 18 deliveries arrived, 1 of them after a retry"), "{}", ran.out);
    assert!(ran.out.contains("status 503"), "{}", ran.out);
}
