//! Canaries: secrets of every source in every place, and nobody who has one that should not.
//!
//! Each canary is sent, echoed by its receiver, retried, and ends in a dead letter or a crash; afterwards it is looked
//! for in everything that can be looked at, as it is and in the forms that it can take. The receiver has got it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use nuncio::Nuncio;
use nuncio::brain::Brain;
use nuncio::clock::ManualClock;
use nuncio::config::Config;
use nuncio::contract::{Level, Notification};
use nuncio::store::{Query, SqliteStore};
use tracing_subscriber::fmt::MakeWriter;

use crate::command_line;
use crate::daemon::Daemon;
use crate::memories::{self, Memories};
use crate::scripted::{Received, Receiver, answering, reply};
use crate::stage::{BEGINNING, Stage};

/// Everything that is logged, whatever the level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A receiver that echoes all it gets, in a failure that is tried again, one that is not, or a success.
fn echoing(status: u16) -> Receiver {
    let say = |request: &Received| {
        let headers: Vec<String> =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        format!("{} {}\n{}\n{body}", request.method, request.path, headers.join("\n"))
    };
    Receiver::start(answering(move |request| {
        reply(status).header("x-echo", &request.path).header("location", &request.path).body(say(request))
    }))
}

/// The canaries and where each comes from.
struct Canaries {
    folder: tempfile::TempDir,
    environment: HashMap<String, String>,
}

const SOURCES: [&str; 7] = ["inline", "env", "setting-file", "given", "given-file", "credential", "folder"];

fn canary(source: &str, place: &str) -> String {
    format!("canary-{source}-of-the-{place}")
}

/// Secrets of Standard Webhooks are base64.
fn signing_key(source: &str) -> String {
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(canary(source, "signature")))
}

impl Canaries {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for below in ["credentials", "secrets"] {
            std::fs::create_dir(folder.path().join(below)).unwrap();
        }
        let credentials = folder.path().join("credentials").display().to_string();
        let environment = HashMap::from([("CREDENTIALS_DIRECTORY".to_owned(), credentials)]);
        Self { folder, environment }
    }

    /// How a setting's secret is written that comes from a source, and what it says in the section `secrets`.
    fn setting(&mut self, name: &str, source: &str, place: &str, value: &str) -> (String, Option<String>) {
        let at = format!("{source}-{place}");
        let write = |below: &str| std::fs::write(self.folder.path().join(below).join(&at), value).unwrap();
        let referred = format!("{name}: '${{secret:{at}}}'");
        match source {
            "inline" => (format!("{name}: '{value}'"), None),
            "env" => {
                let variable = at.replace('-', "_");
                self.environment.insert(variable.clone(), value.to_owned());
                (format!("{name}: '${{{variable}}}'"), None)
            }
            "setting-file" => {
                write("");
                (format!("{name}_file: {at}"), None)
            }
            "given" => (referred, Some(format!("  {at}: '{value}'\n"))),
            "given-file" => {
                write("");
                (referred, Some(format!("  {at}: {{file: {at}}}\n")))
            }
            "credential" => {
                write("credentials");
                (referred, None)
            }
            _ => {
                write("secrets");
                (referred, None)
            }
        }
    }

    /// A configuration with a target for each source and place, all of which send to these receivers.
    fn configuration(&mut self, receivers: [&Receiver; 4]) -> String {
        let [url, bearer, basic, signed] = receivers.map(|receiver| receiver.url(""));
        let mut given = String::new();
        let mut targets = String::new();
        for source in SOURCES {
            let mut setting = |canaries: &mut Self, name: &str, place: &str, value: &str| {
                let (written, more) = canaries.setting(name, source, place, value);
                given.extend(more);
                written
            };
            let path = setting(self, "url", "url", &format!("{url}/{}", canary(source, "url")));
            let payload = "payload: '{\"t\": $title}'";
            targets += &format!("- {{name: url-{source}, provider: webhook, {path}, {payload}}}\n");
            let token = setting(self, "token", "token", &canary(source, "token"));
            targets += &format!("- {{name: token-{source}, provider: gotify, url: '{bearer}', {token}}}\n");
            let password = setting(self, "password", "password", &canary(source, "password"));
            targets += &format!(
                "- {{name: password-{source}, provider: ntfy, url: '{basic}', topic: t, user: me, {password}}}\n"
            );
            // A list of secrets has no file of its own.
            if source != "setting-file" {
                let key = setting(self, "secrets", "signature", &signing_key(source));
                targets += &format!(
                    "- {{name: signature-{source}, provider: webhook, url: '{signed}', {payload}, sign: {{{key}}}}}\n"
                );
            }
        }
        format!("retry: {{park: false}}\nsecrets_dir: secrets\nsecrets:\n{given}targets:\n{targets}")
    }

    /// Every text that would tell one of them.
    fn traces() -> Vec<String> {
        let mut traces = vec!["canary-".to_owned(), "63616e6172792d".to_owned(), "63616E6172792D".to_owned()];
        // What base64 makes of it, wherever in a longer text it stands.
        traces.extend(["canary-", "xcanary-", "xxcanary-"].map(|text| {
            let encoded = STANDARD_NO_PAD.encode(text);
            encoded.get(if text.len() == 7 { 0 } else { 4 }..encoded.len() - 2).unwrap().to_owned()
        }));
        traces
    }
}

#[track_caller]
fn assert_untold(what: &str, bytes: &[u8]) {
    for trace in Canaries::traces() {
        let found = bytes.windows(trace.len()).position(|window| window == trace.as_bytes());
        if let Some(at) = found {
            let around = bytes.get(at.saturating_sub(80)..(at + 80).min(bytes.len())).unwrap();
            panic!("{trace} in {what}: {}", String::from_utf8_lossy(around));
        }
    }
}

/// Every file of a folder that is named after the queue's.
fn assert_untold_in_files(folder: &Path, name: &str) {
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with(name) {
            assert_untold(&path.display().to_string(), &std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    assert!(files > 0, "there is a queue to look into");
}

fn assert_untold_to(memories: &Memories) {
    assert!(memories.count() > 0);
    assert!(memories.contains(b"title-that-is-told"), "the memories are those of the guest");
    for trace in Canaries::traces() {
        assert!(!memories.contains(trace.as_bytes()), "{trace} stands in a guest's memory");
    }
}

/// Holds that each receiver got the canary of each source in its place.
fn assert_received(receivers: [&Receiver; 4]) {
    let all = |receiver: &Receiver, find: &dyn Fn(&Received) -> Vec<u8>| -> Vec<Vec<u8>> {
        receiver.seen().requests.iter().map(find).collect()
    };
    let header = |name: &'static str| {
        move |request: &Received| request.header(name).unwrap_or_default().as_bytes().to_vec()
    };
    let [url, bearer, basic, signed] = receivers;
    let paths = all(url, &|request| request.path.as_bytes().to_vec());
    let (tokens, passwords) = (all(bearer, &header("authorization")), all(basic, &header("authorization")));
    for source in SOURCES {
        assert!(paths.contains(&format!("/{}", canary(source, "url")).into_bytes()), "{source}");
        assert!(
            tokens.contains(&format!("Bearer {}", canary(source, "token")).into_bytes()),
            "{source}: {tokens:?}"
        );
        let login = format!("me:{}", canary(source, "password"));
        let login = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login));
        assert!(passwords.contains(&login.into_bytes()), "{source}");
    }
    assert!(signed.seen().requests.iter().all(|request| request.header("webhook-signature").is_some()));
    assert!(signed.seen().requests.len() >= SOURCES.len() - 1);
}

fn configured(brain: &Brain, canaries: &Canaries, yaml: &str) -> Config {
    let source = canaries.folder.path().join("nuncio.yml").display().to_string();
    Config::load(&source, yaml, &canaries.environment, brain).unwrap_or_else(|error| panic!("{error}"))
}

async fn in_the_library(status: u16) {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let (brain, memories) = memories::watched();
    let receivers = [(); 4].map(|()| echoing(status));
    let receivers = receivers.each_ref();
    let mut canaries = Canaries::new();
    let yaml = canaries.configuration(receivers);
    let config = configured(&brain, &canaries, &yaml);
    assert_untold("Debug of the configuration", format!("{config:?}").as_bytes());
    assert_untold("what the guest is told", config.guest_config().as_bytes());

    let queue = canaries.folder.path().join("queue.db");
    let clock = ManualClock::at(BEGINNING);
    let store = SqliteStore::open(&queue).unwrap();
    let builder = Nuncio::with_config(brain, config).clock(clock.clone()).seed(7).store(store);
    let stage = Stage { clock, nuncio: builder.start().unwrap() };
    let mut events = stage.nuncio.events();
    let id = stage.hand_in(Notification::new(Level::Info, "title-that-is-told")).await.id;
    stage.drive().await;

    assert_received(receivers);
    assert_untold_to(&memories);
    assert!(!log.0.lock().unwrap().is_empty(), "something was logged");
    assert_untold("the log", &log.0.lock().unwrap());
    assert_untold_in_files(canaries.folder.path(), "queue.db");
    let record = stage.nuncio.find(&id).await.unwrap().unwrap();
    assert!(record.deliveries.iter().all(|delivery| delivery.progress.attempts > 0));
    let mut shown = format!("{record:?} {:?} {:?}", stage.nuncio.stats().await, stage.nuncio.targets().await);
    shown += &format!("{:?}", stage.nuncio.list(Query::default()).await.unwrap());
    while let Ok(event) = events.try_recv() {
        shown += &format!("{event:?}");
    }
    assert_untold("what the library shows", shown.as_bytes());
}

#[tokio::test]
async fn after_deliveries_nobody_has_a_canary_but_the_receiver() {
    in_the_library(200).await;
}

#[tokio::test]
async fn after_failures_nobody_has_a_canary_but_the_receiver() {
    in_the_library(503).await;
}

#[tokio::test]
async fn after_dead_letters_nobody_has_a_canary_but_the_receiver() {
    in_the_library(400).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_nobody_has_a_canary_but_the_receiver() {
    let receivers = [(); 4].map(|()| echoing(400));
    let receivers = receivers.each_ref();
    let mut canaries = Canaries::new();
    let yaml = canaries.configuration(receivers);
    let (config, queue) =
        (canaries.folder.path().join("nuncio.yml"), canaries.folder.path().join("queue.db"));
    std::fs::write(&config, yaml).unwrap();
    let daemon = async |crash: Option<&str>| {
        let mut command = Daemon::command(&config);
        command.arg("-vv").arg("--queue").arg(&queue).envs(&canaries.environment);
        if let Some(point) = crash {
            command.env("NUNCIO_CRASH_AT", point);
        }
        Daemon::spawn(command).await
    };
    let mut said = String::new();
    for crash in [Some("before-send:5"), Some("after-reply:9"), None] {
        let mut daemon = daemon(crash).await;
        said += &daemon.before;
        let body = r#"{"level":"info","title":"title-that-is-told","id":"n-0"}"#;
        daemon.hand_in(body).await;
        if crash.is_none() {
            daemon.drained().await;
            for path in ["/healthz", "/v1/notifications/n-0"] {
                let answer = daemon.get(path).await;
                assert_eq!(answer.status, 200, "{path}");
                assert_untold(path, format!("{}{}", answer.head, answer.json).as_bytes());
            }
            daemon.signal("-TERM").await;
        }
        while let Some(line) = daemon.said.recv().await {
            said += &line;
        }
    }
    assert_received(receivers);
    assert!(said.contains("n-0"), "{said}");
    assert_untold("what the daemon says", said.as_bytes());
    assert_untold_in_files(canaries.folder.path(), "queue.db");
    for arguments in
        [&["explain", "hi"][..], &["dead", "ls"], &["dead", "show", "n-0"], &["targets"], &["queue", "stats"]]
    {
        for more in [&[][..], &["--json"]] {
            let mut command = command_line::nuncio();
            command.args(arguments).args(more).envs(&canaries.environment);
            match arguments {
                ["explain", ..] => command.arg("-c").arg(&config),
                _ => command.arg("--queue").arg(&queue),
            };
            let output = command.output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_untold(&arguments.join(" "), &[output.stdout, output.stderr].concat());
        }
    }
}
