//! Notification URLs of Apprise and shoutrrr: on the command line, and in configurations.

use serde_json::Value;

use crate::command_line::{file, run};
use crate::scripted::{Receiver, reply};

fn place(receiver: &Receiver) -> String {
    receiver.url("/").trim_start_matches("http://").trim_end_matches('/').to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_needs_no_configuration() {
    let receiver = Receiver::start([reply(200)]);
    let place = place(&receiver);
    let (ntfy, gotify) =
        (format!("ntfy://ann:p%40ss$%7BHOME%7D@{place}/alerts"), format!("gotify://{place}/sub/gt_canary"));
    let ran = run(&["send", "--url", &ntfy, "--url", &gotify, "-t", "Disk", "full"], "").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("ntfy    delivered") && ran.out.contains("gotify  delivered"), "{}", ran.out);
    let requests = receiver.seen().requests;
    let find = |path: &str| requests.iter().find(|request| request.path == path).expect("it was sent");
    // What stands in a URL is no variable of the environment: `ann:p@ss${HOME}`.
    assert_eq!(find("/").header("authorization"), Some("Basic YW5uOnBAc3Mke0hPTUV9"));
    assert_eq!(find("/").json()["topic"], "alerts");
    assert_eq!(find("/sub/message").header("authorization"), Some("Bearer gt_canary"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_url_says_which_part_is_wrong_and_shows_nothing_of_it() {
    for (url, said) in [
        ("gotify://canary.example", "in this URL the path is missing"),
        ("ntfy://canary.example:99999/t", "in this URL the port is no number"),
        ("nfty://canary/t", "did you mean `ntfy`?"),
    ] {
        let ran = run(&["send", "--url", url, "x"], "").await;
        assert_eq!(ran.code, 2, "{}", ran.out);
        assert!(ran.err.contains(said) && !ran.err.contains("canary"), "{}", ran.err);
    }
    let both = run(&["send", "-c", "x.yml", "--url", "ntfy://t", "x"], "").await;
    assert!(both.code == 2 && both.err.contains("cannot be used with"), "{}", both.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_both_dialects_have_a_scheme_somebody_can_say_whose_it_is() {
    let config = |dialect: &str| {
        let text = format!("targets:\n  - url: ntfy://ntfy.example/alerts\n{dialect}");
        file(&format!("dialect-{}.yml", dialect.len()), &text).display().to_string()
    };
    for (dialect, url) in
        [("", "POST http://ntfy.example/"), ("    dialect: shoutrrr\n", "POST https://ntfy.example/")]
    {
        let ran = run(&["explain", "-c", &config(dialect), "x"], "").await;
        assert!(ran.code == 0 && ran.out.contains(url), "{}{}", ran.out, ran.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_urls_is_a_configuration_and_what_has_no_place_is_told() {
    let text = "- ntfys://ntfy.example/a/b?verify=no\n- discord://1/canary?tts=yes\n";
    let path = file("list.yml", text).display().to_string();
    let ran = run(&["check", "-c", &path, "--json"], "").await;
    let said: Value = ran.json();
    assert_eq!(said["targets"], serde_json::json!(["ntfy", "ntfy-2", "discord"]));
    let warnings = said["warnings"].to_string();
    assert!(warnings.contains("line 1: ?verify") && warnings.contains("line 2: ?tts"), "{warnings}");
    assert!(!ran.out.contains("canary") && !ran.err.contains("canary"));
}
