//! `nuncio import`: configurations of other programs, and what becomes of them.

use crate::command_line::{file, run};

async fn imported(name: &str, text: &str) -> (String, String) {
    let path = file(name, text).display().to_string();
    let ran = run(&["import", &path], "").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let made = file(&format!("{name}.made.yml"), &ran.out).display().to_string();
    let check = run(&["check", "-c", &made], "").await;
    assert_eq!(check.code, 0, "{}\n{}", ran.out, check.err);
    let (_, targets) = ran.out.split_once("targets:\n").expect("it has targets");
    (targets.to_owned(), ran.err.replace(&path, "FILE"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_of_apprise_becomes_targets_with_tags() {
    let (targets, err) = imported(
        "apprise.conf",
        "# mine\nfamily=ops, dev\nops, db=ntfys://ann:p%40ss%24%7BX%7D@ntfy.example/a/b?verify=no\ndiscord://1/canary?x=a=b\nnobody=x\ninclude other.conf\n",
    )
    .await;
    assert_eq!(
        targets,
        "  - name: ntfy\n    provider: ntfy\n    url: \"https://ntfy.example\"\n    topic: a\n    user: ann\n    password: \"p@ss$${X}\"\n    filter: { tags: { any: [db, family, ops] } }\n  - name: \"ntfy-2\"\n    provider: ntfy\n    url: \"https://ntfy.example\"\n    topic: b\n    user: ann\n    password: \"p@ss$${X}\"\n    filter: { tags: { any: [db, family, ops] } }\n  - name: discord\n    provider: discord\n    url: \"https://discord.com/api/webhooks/1/canary\"\n"
    );
    for said in ["FILE:3: ?verify", "FILE:4: ?x", "FILE:6: `include`", "the group `nobody` names no URL"] {
        assert!(err.contains(said), "{said}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yaml_of_apprise_and_godoxys_file_become_targets() {
    let (targets, err) = imported(
        "apprise.yml",
        "version: 1\ntag: home\ngroups: [{ all: home }]\nasset: { app_id: x }\nurls:\n  - gotify://push.example/canary\n  - ntfy://t:\n      - { tag: dev, priority: high }\n      - priority: low\n  - { url: \"json://hook.example/x\", tag: [a, b] }\n",
    )
    .await;
    for part in [
        "name: gotify",
        "priority: 4",
        "priority: 2",
        "any: [all, dev, home]",
        "any: [a, all, b, home]",
        "name: webhook",
    ] {
        assert!(targets.contains(part), "{part} is not in:\n{targets}");
    }
    assert!(err.contains("`asset` has no place here"), "{err}");
    let (targets, _) = imported(
        "godoxy.yml",
        "providers:\n  notification:\n    - provider: gotify\n      name: push\n      url: https://push.example\n      token: canary\nentrypoint: { x: 1 }\n",
    )
    .await;
    assert!(targets.starts_with("  - name: push\n    provider: gotify\n"), "{targets}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_are_imported_and_a_wrong_one_is_told_without_showing_it() {
    let url = "pushover://shoutrrr:TTTTTTTTTTTTTTTTTTTTTTTTTTTTTT@UUUUUUUUUUUUUUUUUUUUUUUUUUUUUU/?devices=a";
    let ran = run(&["import", url, "ntfy://ntfy.example/t", "--dialect", "shoutrrr"], "").await;
    assert!(ran.code == 0 && ran.out.contains("https://ntfy.example"), "{}{}", ran.out, ran.err);
    let ran = run(&["import", "gotify://canary.example", "-", "ntfy://good"], "nfty://canary/x\n").await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    for said in [
        "URL 1: in this URL the path is missing",
        "standard input:1: in this URL the scheme is of no provider",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert!(!ran.err.contains("canary"), "{}", ran.err);
}
