//! The real daemon, killed, with a full disk, and beside another one.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nuncio::store::{LARGEST_PAGE, Query, Reader, SqliteReader};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::process::Command;

use crate::command_line::{self, nuncio};
use crate::daemon::Daemon;
use crate::scripted::{Received, Receiver, answering, hang, reply};

/// A folder of a test's own, empty.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
    path
}

/// A number from the environment, for runs that are longer than those of every day.
fn number(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, and no setting of Nuncio's")]
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// Successes by id, as a receiver knows them.
type Successes = Arc<Mutex<HashMap<String, u64>>>;

/// A receiver that fails every third request.
fn flaky(successes: &Successes) -> Receiver {
    let successes = Arc::clone(successes);
    Receiver::start(answering(move |request: &Received| {
        if request.index % 3 == 2 {
            return reply(503);
        }
        let id = request.header("idempotency-key").expect("an id").to_owned();
        *successes.lock().unwrap().entry(id).or_default() += 1;
        reply(200)
    }))
}

fn hook(name: &str, receiver: &Receiver) -> String {
    format!(
        "  - {{name: {name}, provider: webhook, url: \"{}\", payload: '{{\"t\": $title}}'}}\n",
        receiver.url(&format!("/{name}"))
    )
}

/// Ids and targets of the deliveries that the file has as not ended, and every id that it knows.
fn on_disk(path: &Path) -> (HashSet<(String, String)>, HashSet<String>) {
    let (mut reader, mut open, mut all) =
        (SqliteReader::new(path.to_owned()), HashSet::new(), HashSet::new());
    let mut query = Query { limit: LARGEST_PAGE, ..Query::default() };
    loop {
        let page = reader.list(&query).expect("the file can be read");
        for entry in page.entries {
            if !entry.delivery.progress.state.has_ended() {
                open.insert((entry.id.clone(), entry.delivery.target.to_string()));
            }
            all.insert(entry.id);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return (open, all),
        }
    }
}

// The long run: NUNCIO_KILLS=200 cargo test --test scenarios crash
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whenever_the_daemon_is_killed() {
    /// Two targets, each with four requests under way and four whose end is on its way to disk.
    const MOST_IN_FLIGHT: usize = 2 * (4 + 4);
    const POINTS: [&str; 5] = ["at random", "after-enqueue", "before-send", "after-reply", "before-settle"];
    let (kills, seed) = (number("NUNCIO_KILLS", 15), number("NUNCIO_SEED", 20_261_124));
    println!("{kills} kills, seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let queue = folder("crash").join("queue.db");
    let names = ["one", "two"];
    let successes: [Successes; 2] = Default::default();
    let receivers = [flaky(&successes[0]), flaky(&successes[1])];
    let targets: String = names.iter().zip(&receivers).map(|(name, receiver)| hook(name, receiver)).collect();
    let yaml = format!(
        "retry: {{interval: 5ms, limits: {{info: 1000}}}}\nqueue: {{path: \"{}\"}}\ntargets:\n{targets}",
        queue.display()
    );
    let config = command_line::file("crash.yml", &yaml);

    let (mut acknowledged, mut seen_in_flight) = (HashSet::new(), 0);
    for round in 0..kills {
        let point = POINTS[usize::try_from(round).unwrap() % POINTS.len()];
        let mut command = Daemon::command(&config);
        if point != POINTS[0] {
            command.env("NUNCIO_CRASH_AT", format!("{point}:{}", random.random_range(1..40)));
        }
        // It may come to the point with what it finds, before it listens.
        let Some(mut daemon) = Daemon::spawn_or_end(command).await else { continue };
        // A build without the points is killed all the same.
        let kill_after = if point == POINTS[0] { random.random_range(1..60) } else { 400 };
        let mut handed_in = 0;
        loop {
            // Four at a time, so that groups form.
            let ids: [String; 4] = std::array::from_fn(|n| format!("{round}-{}", handed_in + n as u64));
            let bodies = ids.clone().map(|id| format!(r#"{{"id":"{id}","title":"x"}}"#));
            let [a, b, c, d] = bodies.each_ref().map(|body| daemon.hand_in(body));
            let taken: [bool; 4] = tokio::join!(a, b, c, d).into();
            handed_in += 4;
            acknowledged.extend(ids.into_iter().zip(taken).filter(|(_, is)| *is).map(|(id, _)| id));
            if handed_in >= kill_after {
                daemon.child.start_kill().expect("it runs");
            }
            if taken != [true; 4] {
                break;
            }
        }
        daemon.child.wait().await.expect("it ends");
        let (open, all) = on_disk(&queue);
        assert!(acknowledged.is_subset(&all), "round {round}, killed {point}: acknowledged, and not on disk");
        let has_it = |(id, target): &&(String, String)| {
            let n = names.iter().position(|name| name == target).expect("a target");
            successes[n].lock().unwrap().contains_key(id)
        };
        // What the receiver has and the file does not know of was in flight: under way, or on its way to disk.
        let in_flight = open.iter().filter(has_it).count();
        assert!(in_flight <= MOST_IN_FLIGHT, "{in_flight}");
        seen_in_flight += in_flight;
    }

    let daemon = Daemon::spawn(Daemon::command(&config)).await;
    daemon.drained().await;
    let mut repeated = 0;
    for (name, successes) in names.iter().zip(&successes) {
        let successes = successes.lock().unwrap();
        let lost: Vec<&String> = acknowledged.iter().filter(|id| !successes.contains_key(*id)).collect();
        assert!(lost.is_empty(), "{name} never got {lost:?}");
        repeated += successes.values().map(|count| count - 1).sum::<u64>();
    }
    let accepted = acknowledged.len();
    println!("{accepted} acknowledged, 0 lost, {repeated} repeated; {seen_in_flight} in flight at a kill");
    assert!(repeated <= kills * MOST_IN_FLIGHT as u64, "{repeated} repeated");
    assert!(accepted > usize::try_from(kills).unwrap() * 2, "{accepted} acknowledged");
    daemon.terminate().await;
}

// A limit on the size of files fails writes as a full disk does.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_loses_nothing_and_recovers() {
    let queue = folder("full").join("queue.db");
    let successes = Successes::default();
    let receiver = flaky(&successes);
    let yaml =
        format!("retry: {{interval: 5ms, limits: {{info: 1000}}}}\ntargets:\n{}", hook("one", &receiver));
    let config = command_line::file("full-disk.yml", &yaml);
    let serve = Daemon::command(&config);
    let mut limited = Command::new("sh");
    // Without the signal that would end the process, as a full disk sends none.
    limited.args(["-c", "trap '' XFSZ; exec prlimit --fsize=400000:unlimited \"$@\"", "sh"]);
    limited.arg(serve.as_std().get_program()).args(serve.as_std().get_args());
    limited.arg("--queue").arg(&queue).env_remove("NUNCIO_CONFIG").env_remove("NUNCIO_QUEUE");
    let daemon = Daemon::spawn(limited).await;

    let mut acknowledged = Vec::new();
    let refused = loop {
        let id = format!("n-{}", acknowledged.len());
        let answer = daemon.post(format!(r#"{{"id":"{id}","title":"x"}}"#).as_bytes()).await;
        match answer.status {
            202 => acknowledged.push(id),
            _ => break answer,
        }
        assert!(acknowledged.len() < 10_000, "the disk is never full");
    };
    assert_eq!((refused.status, refused.json["error"]["code"].as_str()), (503, Some("queue-unavailable")));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    let id = daemon.child.id().expect("it runs").to_string();
    let health = daemon.get("/healthz").await;
    assert_eq!((health.status, health.json["status"].as_str()), (503, Some("queue-unavailable")));
    let raised = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status().await;
    assert!(raised.expect("prlimit starts").success());
    while daemon.post(br#"{"id":"after","title":"x"}"#).await.status != 202 {}
    // What could not be written until then is written with the next probe; so long it is not healthy.
    daemon.drained().await;
    let successes = successes.lock().unwrap().clone();
    for id in acknowledged.iter().map(String::as_str).chain(["after"]) {
        assert!(successes.contains_key(id), "{id} of {} is lost", acknowledged.len());
    }
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sigterm_leaves_is_delivered_by_the_next_start() {
    let queue = folder("left").join("queue.db").display().to_string();
    let (hanging, healthy) = (Receiver::start([hang()]), Receiver::start([reply(200)]));
    let arguments = ["--queue", &queue, "--grace", "50ms"];
    let daemon =
        Daemon::start(&format!("targets:\n{}", hook("one", &hanging)), "left-1.yml", &arguments).await;
    for n in 0..6 {
        assert!(daemon.hand_in(&format!(r#"{{"id":"n-{n}","title":"x"}}"#)).await);
    }
    hanging.until("four requests", |seen| seen.requests.len() == 4).await;
    let (code, last) = daemon.terminate().await;
    assert_eq!(code, Some(0));
    assert!(last.contains("stay in the queue for the next start: 2 waiting, 4 broken off"), "{last}");
    let daemon =
        Daemon::start(&format!("targets:\n{}", hook("one", &healthy)), "left-2.yml", &arguments).await;
    daemon.drained().await;
    let seen: HashSet<String> = healthy
        .seen()
        .requests
        .iter()
        .map(|request| request.header("idempotency-key").expect("an id").to_owned())
        .collect();
    assert_eq!(seen.len(), 6);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_for_one_daemon_and_must_be_a_queue() {
    let folder = folder("one");
    let queue = folder.join("queue.db").display().to_string();
    let receiver = Receiver::start([reply(200)]);
    let yaml = format!("targets:\n{}", hook("one", &receiver));
    let daemon = Daemon::start(&yaml, "one.yml", &["--queue", &queue]).await;
    let config = command_line::file("one.yml", &yaml);
    let refused = async |queue: &Path| {
        let mut second = Daemon::command(&config);
        let output = second.arg("--queue").arg(queue).output().await.expect("the binary starts");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("it says UTF-8")
    };
    let said = refused(Path::new(&queue)).await;
    let by = format!(
        "in use by process {}, which listens on http://{}",
        daemon.child.id().unwrap(),
        daemon.address
    );
    assert!(said.contains(&by) && said.contains("name another file"), "{said}");

    let foreign = folder.join("foreign.db");
    std::fs::write(&foreign, "SQLite format 3, but not really: a text of somebody's").unwrap();
    let before = std::fs::read(&foreign).unwrap();
    let said = refused(&foreign).await;
    assert!(said.contains("is no queue of Nuncio's"), "{said}");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
    let said = refused(&folder).await;
    assert!(said.contains("cannot be opened"), "{said}");
    daemon.terminate().await;
}

// The long run: NUNCIO_DEAD=10000 cargo test --test scenarios crash
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_and_steer_beside_a_daemon_and_without_one() {
    let dead = number("NUNCIO_DEAD", 300);
    let queue = folder("steer").join("queue.db").display().to_string();
    let is_well = Arc::new(Mutex::new(false));
    let mood = Arc::clone(&is_well);
    let receiver = Receiver::start(answering(move |_: &Received| {
        if *mood.lock().unwrap() { reply(200) } else { reply(400).body("no thanks") }
    }));
    let yaml = format!("targets:\n{}", hook("one", &receiver));
    let daemon = Daemon::start(&yaml, "steer.yml", &["--queue", &queue]).await;
    for n in 0..dead {
        assert!(daemon.hand_in(&format!(r#"{{"id":"n-{n}","title":"number {n}"}}"#)).await);
    }
    daemon.drained().await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::from(nuncio());
        let output = command.args(arguments).args(["--queue", &queue]).output().await.expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let json = |(code, out, err): (Option<i32>, String, String)| -> Value {
        assert_eq!(code, Some(0), "{out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    };
    let stats = json(run(&["queue", "stats", "--json"]).await);
    assert_eq!(stats["targets"][0]["deliveries"], dead);
    assert_eq!((stats["open"].as_u64(), stats["targets"][0]["state"].as_str()), (Some(0), Some("dead")));
    let (_, list, _) = run(&["dead", "ls", "--limit", "2"]).await;
    assert!(list.contains("n-0") && list.contains("no thanks") && list.contains("2 deliveries; "), "{list}");
    let (code, shown, _) = run(&["dead", "show", "n-1"]).await;
    assert!(code == Some(0) && shown.contains("number 1") && shown.contains("last reply: 400"), "{shown}");
    let (code, _, err) = run(&["dead", "replay"]).await;
    assert!(code == Some(2) && err.contains("--all"), "{err}");
    let (code, out, err) = run(&["dead", "drop", "nobody", "n-0"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("the id nobody") && out.contains("1 delivery dropped"), "{out}{err}");
    let (code, _, err) = run(&["queue", "show", "nobody"]).await;
    assert!(code == Some(1) && err.contains("no notification here has the id nobody"), "{err}");

    *is_well.lock().unwrap() = true;
    let dropped = json(run(&["dead", "drop", "n-1", "--json"]).await);
    assert_eq!(dropped["changed"], 1);
    let replayed = json(run(&["dead", "replay", "--target", "one", "--reason", "no thanks", "--json"]).await);
    assert_eq!(replayed["changed"], dead - 2);
    daemon.drained().await;
    let delivered = json(run(&["queue", "ls", "--state", "delivered", "--limit", "0", "--json"]).await);
    assert_eq!(delivered.as_array().map(Vec::len), usize::try_from(dead - 2).ok());
    daemon.terminate().await;

    // Nobody has the file now.
    let again = json(run(&["dead", "replay", "--all", "--json"]).await.with_code_1());
    assert_eq!(again["changed"], 0);
}

/// What a command did that had nothing to do.
trait NothingToDo {
    fn with_code_1(self) -> Self;
}

impl NothingToDo for (Option<i32>, String, String) {
    fn with_code_1(mut self) -> Self {
        assert_eq!(self.0, Some(1));
        self.0 = Some(0);
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_configuration_takes_over_and_a_wrong_one_does_not() {
    let (old, new) = (Receiver::start([reply(200)]), Receiver::start([reply(200)]));
    let yaml = |receiver: &Receiver| format!("targets:\n{}", hook("one", receiver));
    let mut daemon = Daemon::start(&yaml(&old), "reload.yml", &[]).await;
    assert!(daemon.hand_in(r#"{"title":"before"}"#).await);
    old.next().await;
    let config = command_line::file("reload.yml", "targets: [{name: one, provider: wbhook}]");
    daemon.says("did you mean `webhook`?").await;
    daemon.says("goes on by the configuration that it has").await;
    assert!(daemon.hand_in(r#"{"title":"between"}"#).await);
    old.next().await;
    // As editors do it: another file in its place.
    let beside = command_line::file("reload.yml.new", &yaml(&new));
    std::fs::rename(beside, &config).unwrap();
    daemon.says("goes on by the new").await;
    assert!(daemon.hand_in(r#"{"title":"after"}"#).await);
    assert_eq!(new.next().await.json()["t"], "after");
    daemon.signal("-HUP").await;
    daemon.says("goes on by the new").await;
    assert_eq!(old.seen().requests.len(), 2);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_shown_and_enabled_beside_a_daemon_and_without_one() {
    let queue = folder("targets").join("queue.db").display().to_string();
    let receiver = Receiver::start([reply(410).body("moved out"), reply(410), reply(200)]);
    let yaml = format!("targets:\n{}", hook("one", &receiver));
    let run = async |arguments: &[&str]| {
        let mut command = Command::from(nuncio());
        let output = command.args(arguments).args(["--queue", &queue]).output().await.expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let daemon = Daemon::start(&yaml, "targets.yml", &["--queue", &queue]).await;
    assert!(daemon.hand_in(r#"{"id":"n-0","title":"x"}"#).await);
    receiver.until("the first request", |seen| seen.requests.len() == 1).await;
    let shown = loop {
        let (_, shown, _) = run(&["targets"]).await;
        if shown.contains("gone") {
            break shown;
        }
    };
    assert!(shown.contains("moved out") && shown.contains("when enabled"), "{shown}");
    let (code, _, err) = run(&["targets", "enable", "two"]).await;
    assert!(code == Some(2) && err.contains("no target is called `two`"), "{err}");
    assert_eq!(daemon.get("/v1/targets").await.status, 401);
    let (code, out, _) = run(&["targets", "enable", "one"]).await;
    assert_eq!((code, out.as_str()), (Some(0), "one is enabled\n"));
    receiver.until("the second request", |seen| seen.requests.len() == 2).await;
    daemon.terminate().await;

    let (_, json, _) = run(&["targets", "--json"]).await;
    let targets: Value = serde_json::from_str(&json).expect("it prints JSON");
    assert_eq!((&targets[0]["target"], &targets[0]["state"]), (&"one".into(), &"gone".into()));
    assert_eq!(targets[0]["waiting"], 1);
    assert_eq!(run(&["targets", "enable", "one"]).await.0, Some(0));
    let daemon = Daemon::start(&yaml, "targets.yml", &["--queue", &queue]).await;
    daemon.drained().await;
    assert_eq!(receiver.seen().requests.len(), 3);
    daemon.terminate().await;
}
