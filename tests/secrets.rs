//! Secrets as operators have them: in files that change, with systemd, in a folder.

use crate::command_line;
use crate::daemon::Daemon;
use crate::scripted::{Receiver, reply};

/// A folder of secrets that is as Kubernetes makes one: `token` is a link through `..data` to a folder that is
/// swapped as a whole.
fn swap(folder: &std::path::Path, version: &str, token: &str) {
    std::fs::create_dir_all(folder.join(version)).unwrap();
    std::fs::write(folder.join(version).join("token"), token).unwrap();
    let link = |to: &str, name: &str| {
        let beside = folder.join("..beside");
        let _ = std::fs::remove_file(&beside);
        std::os::unix::fs::symlink(to, &beside).unwrap();
        std::fs::rename(&beside, folder.join(name)).unwrap();
    };
    link(version, "..data");
    if !folder.join("token").is_symlink() {
        link("..data/token", "token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_whose_file_changes_is_sent_without_a_restart() {
    let receiver = Receiver::start([reply(200)]);
    let folder = tempfile::tempdir().unwrap();
    let (plain, linked) = (folder.path().join("plain"), folder.path().join("linked"));
    std::fs::write(&plain, "plain-1\n").unwrap();
    swap(&linked, "..1", "linked-1\n");
    let yaml = format!(
        "secrets_dir: {}\nsecrets: {{plain: {{file: {}}}}}\ntargets:\n- {{name: one, provider: webhook, url: '{}', \
         payload: '{{}}', headers: {{X-Plain: '${{secret:plain}}', X-Linked: '${{secret:token}}'}}}}\n",
        linked.display(),
        plain.display(),
        receiver.url("/"),
    );
    let mut daemon = Daemon::start(&yaml, "rotation.yml", &[]).await;
    let sent = async |daemon: &Daemon| {
        assert!(daemon.hand_in(r#"{"title":"x"}"#).await);
        let request = receiver.next().await;
        ["x-plain", "x-linked"].map(|name| request.header(name).unwrap().to_owned())
    };
    assert_eq!(sent(&daemon).await, ["plain-1", "linked-1"]);
    std::fs::write(&plain, "plain-2\n").unwrap();
    daemon.says("goes on by the new").await;
    assert_eq!(sent(&daemon).await, ["plain-2", "linked-1"]);
    swap(&linked, "..2", "linked-2\n");
    daemon.says("goes on by the new").await;
    assert_eq!(sent(&daemon).await, ["plain-2", "linked-2"]);
    // One that is gone is no reason to stop; when it is there again it is taken.
    std::fs::remove_file(&plain).unwrap();
    daemon.says("cannot read").await;
    daemon.says("goes on by the configuration that it has").await;
    assert_eq!(sent(&daemon).await, ["plain-2", "linked-2"]);
    std::fs::write(&plain, "plain-3\n").unwrap();
    daemon.says("goes on by the new").await;
    assert_eq!(sent(&daemon).await, ["plain-3", "linked-2"]);
    daemon.terminate().await;
}

#[test]
fn a_service_of_systemd_finds_its_credentials() {
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("ntfy"), "canary\n").unwrap();
    let config = command_line::file(
        "credentials.yml",
        "targets: [{name: a, provider: ntfy, url: 'https://ntfy.example', topic: t, token: '${secret:ntfy}'}]\n",
    );
    let check = |folder: &std::path::Path| {
        let mut command = command_line::nuncio();
        command.arg("explain").arg("-c").arg(&config).arg("hi").env("CREDENTIALS_DIRECTORY", folder);
        let output = command.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let shown = check(credentials.path());
    assert!(shown.contains("authorization: Bearer ***") && !shown.contains("canary"), "{shown}");
    let shown = check(tempfile::tempdir().unwrap().path());
    assert!(shown.contains("there is no secret `ntfy`") && shown.contains("1:"), "{shown}");
}
