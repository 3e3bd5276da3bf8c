use super::*;
use crate::notification::Body;
use crate::notification::tests::{items, notification};
use crate::provider::tests::{body, header, open, problems, request, target_of, wrong_part};

const ID: &str = "4513b7ea-3b91-438f-b7e4-e3e54af9147c";

fn with(more: &Value) -> Value {
    let mut settings = json!({ "key": { "$secret": "o/key" } });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn sent(settings: &Value, notification: &Notification) -> Value {
    serde_json::from_str(&body(&request(&open::<Opsgenie>(with(settings)), notification))).unwrap()
}

#[test]
fn a_notification_is_an_alert_under_its_id() {
    let mut down = notification(Level::Error, "web <is> *down*", Body::Text("**a** & b".into()));
    down.link = Some("https://x.example/".into());
    let request = request(&open::<Opsgenie>(with(&json!({}))), &down);
    assert_eq!(
        (request.method.name(), request.url.as_slice()),
        ("POST", &["https://api.opsgenie.com/v2/alerts".into()][..])
    );
    let key = Segment::Secret { name: "o/key".into(), escape: Escape::Verbatim };
    assert_eq!(header(&request, "authorization").unwrap(), ["GenieKey ".into(), key]);
    assert_eq!(
        body(&request),
        "{\"source\":\"Nuncio\",\"message\":\"web <\u{200b}is> *down*\",\"alias\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"description\":\"a & b\\n\\nhttps://x.example/\",\"priority\":\"P2\"}"
    );
}

#[test]
fn every_setting_is_sent() {
    let settings = json!({
        "responders": ["team:ops", "user:ann@x.example", format!("schedule:{ID}"), "escalation:e"],
        "visible_to": ["team:b"], "tags": ["a", "web"], "actions": ["Restart"], "details": { "k": "v" },
        "entity": "db1", "source": "s", "user": "u", "priority": { "info": "P1" },
    });
    let mut info = notification(Level::Info, "", items(&["a", "b"]));
    info.tags = vec!["web".into(), "x".repeat(51)];
    assert_eq!(
        sent(&settings, &info),
        json!({
            "source": "s", "user": "u", "message": "- a\n- b", "alias": info.id, "description": "- a\n- b",
            "responders": [
                { "type": "team", "name": "ops" },
                { "type": "user", "username": "ann@x.example" },
                { "type": "schedule", "id": ID },
                { "type": "escalation", "name": "e" },
            ],
            "visibleTo": [{ "type": "team", "name": "b" }], "tags": ["a", "web", "x".repeat(49) + "…"],
            "actions": ["Restart"], "details": { "k": "v" }, "entity": "db1", "priority": "P1",
        })
    );
}

#[test]
fn an_alert_is_closed_by_the_key_that_opened_it() {
    let target = open::<Opsgenie>(with(&json!({ "region": "eu", "user": "u" })));
    for key in ["disk/web 1?é", ".", "..", &"k".repeat(255)] {
        let mut down = notification(Level::Error, "down", Body::Text("b".into()));
        down.key = Some(key.into());
        let mut up = notification(Level::Info, "up", Body::Text("*c*".into()));
        (up.id, up.resolves) = ("other".into(), Some(key.into()));
        let opened: Value = serde_json::from_str(&body(&request(&target, &down))).unwrap();
        let closing = request(&target, &up);
        let alias = path_segment(opened["alias"].as_str().unwrap());
        assert_eq!(closing.url, [format!("https://api.eu.opsgenie.com/v2/alerts/{alias}/close").into()]);
        assert_eq!(closing.query, [("identifierType".into(), "alias".into())]);
        assert_eq!(body(&closing), r#"{"source":"Nuncio","user":"u","note":"up\n\nc"}"#);
        assert!(!alias.trim_matches('.').is_empty());
    }
}

#[test]
fn an_alert_that_is_too_long_is_cut_and_never_split() {
    let long =
        sent(&json!({}), &notification(Level::Error, &"x".repeat(131), Body::Text("word ".repeat(4000))));
    assert_eq!(long["message"], "x".repeat(129) + "…");
    assert_eq!(long["description"].as_str().map(|text| text.chars().count()), Some(15_000));
}

#[test]
fn another_service_of_the_same_api_has_a_url() {
    let settings = with(&json!({ "url": "https://api.atlassian.com/jsm/ops/integration/" }));
    let url = request(&open::<Opsgenie>(settings.clone()), &notification(Level::Info, "t", items(&[]))).url;
    assert_eq!(url, ["https://api.atlassian.com/jsm/ops/integration/v2/alerts".into()]);
    let mut both = settings;
    both["region"] = json!("us");
    for (wrong, at) in [
        (both, "/region"),
        (with(&json!({ "responders": ["team:a", "ops"] })), "/responders/1"),
        (with(&json!({ "responders": ["team:"] })), "/responders/0"),
        (with(&json!({ "visible_to": ["schedule:a"] })), "/visible_to/0"),
        (with(&json!({ "priority": "P6" })), "/priority"),
        (with(&json!({ "entity": "" })), "/entity"),
    ] {
        let found = problems::<Opsgenie>(wrong);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{at}: ")), "{found:?}");
    }
}

#[test]
fn urls_of_both_dialects_are_read() {
    for (url, settings) in [
        ("opsgenie://k-1", json!({ "key": "k-1" })),
        ("opsgenie://ann@k-1", json!({ "key": "k-1", "user": "ann" })),
        (
            "opsgenie://k-1/#ops/@ann%40x.example/*rota/%5Eesc/b%C3%A9?to=%23two,three",
            json!({ "key": "k-1", "responders": ["team:ops", "user:ann@x.example", "schedule:rota", "escalation:esc", "user:bé", "team:two", "user:three"] }),
        ),
        (
            "opsgenie://k-1?region=EU&priority=emergency&entity=db%201&tags=a,b&+k=v%2Fw&batch=yes",
            json!({ "key": "k-1", "region": "eu", "details": { "k": "v/w" }, "tags": ["a", "b"], "entity": "db 1", "priority": "P1" }),
        ),
        ("opsgenie://?apikey=k-2&priority=p5", json!({ "key": "k-2", "priority": "P5" })),
        (
            "opsgenie://k-1/#ops?alias=a&action=new",
            json!({ "key": "k-1", "responders": ["team:ops"], "left out": ["?alias: there is no such setting here", "?action: there is no such setting here"] }),
        ),
        ("opsgenie://api.opsgenie.com/k-1", json!({ "key": "k-1" })),
        (
            "opsgenie://api.eu.opsgenie.com:443/k-1?priority=P2",
            json!({ "key": "k-1", "region": "eu", "priority": "P2" }),
        ),
        (
            "opsgenie://opsgenie.example:8443/k%2F1?user=ann&source=s%20t",
            json!({ "key": "k/1", "url": "https://opsgenie.example:8443", "source": "s t", "user": "ann" }),
        ),
        (
            "opsgenie://api.opsgenie.com/k-1?responders=team:ops,user:ann@x.example&visibleTo=team:b&actions=a,b&tags=t&entity=e",
            json!({ "key": "k-1", "responders": ["team:ops", "user:ann@x.example"], "visible_to": ["team:b"], "actions": ["a", "b"], "tags": ["t"], "entity": "e" }),
        ),
        (
            "opsgenie://api.opsgenie.com/k-1?details=k:v,l:%C3%A9&note=n",
            json!({ "key": "k-1", "details": { "k": "v", "l": "é" }, "left out": ["?note: there is no such setting here"] }),
        ),
    ] {
        assert_eq!(target_of::<Opsgenie>(url), settings, "{url}");
    }
    for (url, part) in [
        ("opsgenie://", "host"),
        ("opsgenie://k/#", "path"),
        ("opsgenie://k?region=asia", "?region"),
        ("opsgenie://k?priority=p6", "?priority"),
        ("opsgenie://k?batch=some", "?batch"),
        ("opsgenie://api.opsgenie.com", "path"),
        ("opsgenie://api.opsgenie.com/k?responders=ops", "?responders"),
        ("opsgenie://api.opsgenie.com/k?details=k", "?details"),
    ] {
        assert_eq!(wrong_part(url), part, "{url}");
    }
}
