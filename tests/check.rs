//! `nuncio check`: what will disappoint, a try of every target, and the schema for editors.

use serde_json::{Value, json};

use crate::command_line::{file, run};
use crate::scripted::{Receiver, reply};

async fn warnings(name: &str, targets: &str, more: &[&str]) -> Vec<String> {
    let path = file(name, &format!("targets:\n{targets}")).display().to_string();
    let ran = run(&[&["check", "-c", &path, "--json"], more].concat(), "").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("canary"), "{}", ran.out);
    let warnings = ran.json()["warnings"].clone();
    warnings
        .as_array()
        .expect("a list")
        .iter()
        .map(|warning| warning.as_str().expect("text").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_will_disappoint_is_told_and_nothing_else() {
    let fine = "  - { name: a, provider: ntfy, url: https://ntfy.sh, topic: t, filter: { tags: { any: [prod] } } }
  - { name: b, provider: gotify, url: http://192.168.1.9, token: canary, filter: { tags: { any: [prod, db] } } }
";
    assert_eq!(warnings("fine.yml", fine, &[]).await, [""; 0]);
    let odd = format!(
        "{fine}  - {{ name: c, provider: gotify, url: http://push.example, token: canary, retry: {{ max_age: 30s }} }}
  - {{ name: d, provider: webhook, url: \"https://x.example/?token=canary\", payload: $title }}
  - {{ name: e, provider: ntfy, url: https://ntfy.sh, topic: t, filter: {{ tags: {{ any: [prdo] }} }} }}
"
    );
    let found = warnings("odd.yml", &odd, &[]).await;
    for (n, (target, what)) in [
        ("c", "given up after 30 s"),
        ("c", "what it sends to push.example, secrets too, is not encrypted"),
        ("d", "a secret is in the query of its URL (`?token=`)"),
        ("e", "did you mean `prod`?"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            found[n].starts_with(&format!("target `{target}`: ")) && found[n].contains(what),
            "{found:?}"
        );
    }
    assert_eq!(found.len(), 4, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_shows_what_a_service_has_no_room_for() {
    let fields: serde_json::Map<String, Value> = (0..30).map(|n| (format!("f{n}"), json!("x"))).collect();
    let sample =
        file("sample.json", &json!({ "title": "t", "body": fields }).to_string()).display().to_string();
    let targets = "  - { name: chat, provider: discord, url: https://discord.com/api/webhooks/1/canary }\n";
    let found = warnings("sample.yml", targets, &["--sample", &sample]).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("the sample has 30 fields, and a message has room for 25"), "{found:?}");
    assert!(found[1].contains("the sample is sent as 2 messages"), "{found:?}");
    let wrong = file("wrong.json", r#"{"titel": "t"}"#).display().to_string();
    let path = file("sample.yml", &format!("targets:\n{targets}")).display().to_string();
    let ran = run(&["check", "-c", &path, "--sample", &wrong], "").await;
    assert!(ran.code == 2 && ran.err.contains("/titel: unknown key"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_check_tries_every_target_whatever_its_filter_and_reports() {
    let (good, bad) = (Receiver::start([reply(200)]), Receiver::start([reply(401)]));
    let text = format!(
        "targets:\n  - {{ name: good, provider: ntfy, url: \"{}\", topic: t, filter: {{ level: fatal }} }}\n  - {{ name: bad, provider: ntfy, url: \"{}\", topic: t }}\n",
        good.url("/"),
        bad.url("/")
    );
    let path = file("live.yml", &text).display().to_string();
    let ran = run(&["check", "-c", &path, "--live"], "").await;
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("good  delivered") && ran.out.contains("bad   dead"), "{}", ran.out);
    let sent = good.seen().requests.remove(0).json();
    assert!(sent["title"].as_str().is_some_and(|title| title.contains("a test")), "{sent}");
}

/// The targets of an example in YAML.
fn examples(example: &Value) -> Vec<Value> {
    let text = format!("targets:\n{}", example.as_str().expect("text"));
    let Ok(document) = nuncio::config::document::Document::parse(&text) else { panic!("no YAML: {text}") };
    document.root.to_json()["targets"].as_array().expect("a list").clone()
}

/// What the schema says of a configuration.
fn problems(validator: &jsonschema::Validator, configuration: &Value) -> Vec<String> {
    validator.iter_errors(configuration).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_takes_every_example_and_refuses_what_check_refuses() {
    let schema = run(&["schema"], "").await.json();
    let validator = jsonschema::options().build(&schema).expect("it is a schema");
    let catalog = run(&["providers", "--json"], "").await.json();
    for provider in catalog.as_array().expect("a list") {
        for target in examples(&provider["example"]) {
            let configuration = json!({ "targets": [target] });
            assert_eq!(problems(&validator, &configuration), [""; 0], "{configuration}");
        }
    }
    let ntfy = |more: Value| {
        let mut target = json!({ "name": "a", "provider": "ntfy", "url": "https://ntfy.sh", "topic": "t" });
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "targets": [target], "queue": { "path": "memory" }, "server": { "listen": "[::1]:1" } })
    };
    for good in [
        json!({}),
        json!({ "token_file": "/x" }),
        json!({ "concurrency": "${N}" }),
        json!({ "tls": { "ca_file": "x" } }),
    ] {
        assert_eq!(problems(&validator, &ntfy(good.clone())), [""; 0], "{good}");
    }
    for bad in [
        json!({ "tpoic": "t" }),
        json!({ "priority": 9 }),
        json!({ "format": "html" }),
        json!({ "topic": 1 }),
    ] {
        assert!(!problems(&validator, &ntfy(bad.clone())).is_empty(), "{bad}");
    }
    for good in [
        json!(["ntfy://a"]),
        json!({ "targets": ["ntfy://a", { "url": "discord://1/x", "dialect": "apprise" }] }),
    ] {
        assert_eq!(problems(&validator, &good), [""; 0], "{good}");
    }
}
