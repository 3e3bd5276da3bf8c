//! What configurations are read, and what is said of the others.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::notification::tests::notification;
use crate::notification::{Body, Level};
use crate::policy::Limit;
use crate::provider::Occasion;

fn problems(config: &Value) -> Vec<(String, String, String)> {
    let found = Config::read(&config.to_string()).err().unwrap_or_default();
    found.into_iter().map(|d| (d.path, d.problem, d.hint)).collect()
}

fn ntfy() -> Value {
    json!({ "name": "phone", "provider": "ntfy", "url": "https://ntfy.sh", "topic": "t" })
}

fn with(mut target: Value, key: &str, value: Value) -> Value {
    target[key] = value;
    target
}

#[test]
fn settings_for_all_targets_and_for_one_go_over_the_documented() {
    let one = with(ntfy(), "retry", json!({ "limits": { "info": 9 } }));
    let config = json!({ "retry": { "interval": "3s", "limits": { "warn": 7 } }, "targets": [one] });
    let config = Config::read(&config.to_string()).unwrap_or_else(|p| panic!("{p:?}"));
    let target = config.target("phone").unwrap();
    let limits = [Level::Info, Level::Warn, Level::Error].map(|level| target.policy.limits.get(level));
    assert_eq!((target.policy.backoff.base(0), limits), (3_000, [9, 7, 3].map(Limit::of)));
    assert_eq!((target.timeout, target.concurrency, target.policy.max_age), (10_000, 4, 86_400_000));
}

#[test]
fn a_target_has_a_concurrency_and_an_age_of_its_own() {
    let one = with(with(ntfy(), "concurrency", json!(1)), "retry", json!({ "max_age": "1h" }));
    let config = Config::read(&json!({ "retry": { "max_age": "2h" }, "targets": [one] }).to_string());
    let config = config.unwrap_or_else(|p| panic!("{p:?}"));
    let target = config.target("phone").unwrap();
    assert_eq!((target.concurrency, target.policy.max_age), (1, 3_600_000));
    let config = json!({ "targets": [with(ntfy(), "concurrency", json!(0))] });
    assert_eq!(problems(&config)[0].0, "/targets/0/concurrency");
    for max_age in ["0s", "999ms", "366d"] {
        let config = json!({ "targets": [with(ntfy(), "retry", json!({ "max_age": max_age }))] });
        assert_eq!(problems(&config)[0].0, "/targets/0/retry/max_age");
    }
}

#[test]
fn godoxys_list_is_read_and_a_missing_name_is_the_providers() {
    let mut unnamed = ntfy();
    unnamed.as_object_mut().unwrap().remove("name");
    let config = json!({ "providers": { "notification": [unnamed] } }).to_string();
    let config = Config::read(&config).unwrap_or_else(|p| panic!("{p:?}"));
    assert!(config.target("ntfy").is_some());
    let native = json!({ "targets": [{ "provider": "ntfy", "url": "https://ntfy.sh", "topic": "t" }] });
    assert_eq!(problems(&native)[0].1, "`name` is missing");
}

#[test]
fn two_targets_of_one_name_are_refused_also_across_the_forms() {
    let config = json!({ "targets": [ntfy()], "providers": { "notification": [ntfy()] } });
    let found = problems(&config);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "/providers/notification/0/name");
}

#[test]
fn every_problem_is_said_at_once() {
    let config = json!({
        "retry": { "intervall": "1s" },
        "targets": [
            with(ntfy(), "tpoic", json!("x")),
            { "name": "a", "provider": "ntfi" },
            { "name": "b" },
            with(with(ntfy(), "timeout", json!("0s")), "name", json!("c")),
            "nonsense",
        ],
    });
    let found: Vec<String> = problems(&config).into_iter().map(|(path, _, _)| path).collect();
    assert_eq!(
        found,
        [
            "/retry/intervall",
            "/targets/0/tpoic",
            "/targets/1/provider",
            "/targets/2",
            "/targets/3/timeout",
            "/targets/4"
        ]
    );
}

#[test]
fn what_the_schema_refuses_does_not_hide_what_only_the_provider_knows() {
    let config = json!({ "targets": [
        { "name": "a", "provider": "ntfy", "url": "ntfy.sh", "topic": "no topic", "user": "u" },
        { "name": "a", "provider": "webhook", "template": "discord", "payload": "x", "metod": "PUT" },
        { "name": "b", "provider": "gotify", "url": "x", "token": ["canary"], "retry": { "interval": "0s" } },
    ] });
    let found: Vec<String> = problems(&config).into_iter().map(|(path, _, _)| path).collect();
    assert_eq!(
        found,
        [
            "/targets/0/url",
            "/targets/0/topic",
            "/targets/0/user",
            "/targets/1/name",
            "/targets/1/metod",
            "/targets/1",
            "/targets/1/payload",
            "/targets/2/url",
            "/targets/2/token",
            "/targets/2/retry/interval",
        ]
    );
}

#[test]
fn contradictory_retry_settings_are_a_problem_where_they_stand() {
    let config = json!({ "targets": [with(ntfy(), "retry", json!({ "max_delay": "1ms" }))] });
    assert_eq!(problems(&config)[0].0, "/targets/0/retry/max_delay");
}

#[test]
fn what_is_no_configuration_is_refused() {
    for json in ["", "{", "[]", "null", "7"] {
        assert!(Config::read(json).is_err(), "{json}");
    }
    assert_eq!(problems(&json!({ "targets": {} }))[0].0, "/targets");
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Config::read(&text);
    }

    #[test]
    fn no_value_in_the_place_of_a_setting_panics(n in 0_usize..6, value in prop_oneof![
        Just(json!(null)), Just(json!([])), Just(json!({})), any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)), any::<String>().prop_map(|s| json!(s)), Just(json!({"$secret": 1})),
    ]) {
        let keys = ["name", "provider", "url", "retry", "priority", "token"];
        let _ = Config::read(&json!({ "targets": [with(ntfy(), keys[n], value)] }).to_string());
    }
}

#[test]
fn templates_and_conditions_are_read_with_the_target() {
    let mut target = ntfy();
    target["title"] = json!("[{{ level }}] {{ title }}");
    target["body"] = json!("{{ message }}");
    target["when"] = json!("level >= 'warn'");
    let config = Config::read(&json!({ "targets": [target] }).to_string()).unwrap();
    let down = notification(Level::Error, "down", Body::Text("b".into()));
    let requests = config.target("phone").unwrap().format(&down, &Occasion { now: 0, is_plain: false });
    let body = crate::provider::tests::body(&requests.unwrap()[0]);
    assert!(body.contains(r#""title":"[error] down","message":"b""#), "{body}");
    assert!(config.target("phone").unwrap().when.is_some());
}

#[test]
fn an_envelope_is_routed_as_its_notification_but_for_conditions() {
    let filtered = |name: &str, filter: Value| with(with(ntfy(), "name", json!(name)), "filter", filter);
    let every = with(ntfy(), "when", json!("title == 'down'"));
    let targets = json!([
        every,
        filtered("grave", json!({ "level": "error" })),
        filtered("db", json!({ "tags": { "any": ["db", "web", "db"], "none": ["test"] } })),
        filtered("all", json!({ "tags": { "all": ["db", "web"] } })),
    ]);
    let config = Config::read(&json!({ "targets": targets }).to_string()).unwrap();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for (level, tags, to, title, targets, taken) in [
        (Level::Info, &[][..], &[][..], "up", &[][..], &[0][..]),
        (Level::Info, &[], &[], "down", &[0], &[0]),
        (Level::Error, &["web", "web", "db"], &[], "up", &[1, 2, 3], &[0, 1, 2, 3]),
        (Level::Error, &["web", "test"], &[], "down", &[0, 1], &[0, 1]),
        (Level::Info, &["test"], &["db", "phone", "db", "nobody", "nobody"], "up", &[0, 2], &[0, 2]),
    ] {
        let (tags, to) = (words(tags), words(to));
        let asked = Notification { tags, to, ..notification(level, title, Body::Text("b".into())) };
        let (routed, envelope) = (config.route(&asked), config.route_envelope((&asked).into()));
        assert_eq!((&*routed.targets, &*envelope.targets), (targets, taken), "{asked:?}");
        assert_eq!(routed.unknown, envelope.unknown);
        assert_eq!(routed.unknown.iter().map(|name| name.at).collect::<Vec<_>>(), [3][..asked.to.len() / 5]);
    }
}

#[test]
fn a_template_that_is_wrong_is_refused_where_it_stands() {
    let mut target = ntfy();
    target["title"] = json!("{{ titel }}");
    target["when"] = json!("level >=");
    target["payload"] = json!("{{");
    let found: Vec<String> =
        problems(&json!({ "targets": [target] })).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(found, ["/targets/0/title", "/targets/0/payload", "/targets/0/when"]);
}

#[test]
fn a_payload_of_ones_own_takes_the_place_of_the_services_unless_that_holds_a_secret() {
    let mut target = ntfy();
    target["payload"] = json!(r#"{"topic": "t", "message": {{ title | tojson }}, "actions": []}"#);
    let config = Config::read(&json!({ "targets": [target] }).to_string()).unwrap();
    let down = notification(Level::Error, "a \"b\"", Body::Text("b".into()));
    let requests =
        config.target("phone").unwrap().format(&down, &Occasion { now: 0, is_plain: false }).unwrap();
    assert_eq!(
        crate::provider::tests::body(&requests[0]),
        r#"{"topic": "t", "message": "a \"b\"", "actions": []}"#
    );
    let secret = |name: &str| json!({ "$secret": name });
    let pushover = json!({
        "name": "p", "provider": "pushover", "token": secret("t"), "user": secret("u"), "payload": "{{ title }}"
    });
    let found = problems(&json!({ "targets": [pushover] }));
    assert!(found[0].0 == "/targets/0/payload" && found[0].1.contains("secret in the body"), "{found:?}");
}
