use super::*;
use crate::notification::Body;
use crate::notification::tests::{items, notification};
use crate::provider::tests::{header, open, problems, request, requests, target_of, targets_of, wrong_part};
use crate::request::Escape;

fn with(more: &Value) -> Value {
    let mut settings = json!({ "key": { "$secret": "b/key" } });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

/// The message, with a word for the key.
fn sent(request: &Request) -> Value {
    match request.body.as_slice() {
        [Segment::Text(before), Segment::Secret { .. }, Segment::Text(after)] => {
            serde_json::from_str(&format!("{before}KEY{after}")).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_has_the_key_and_the_id() {
    let mut down = notification(Level::Error, "web is *down*", Body::Text("**x** \"y\"".into()));
    down.link = Some("https://x.example/".into());
    let request = request(&open::<Bark>(with(&json!({}))), &down);
    assert_eq!(request.url, ["https://api.day.app/push".into()]);
    assert_eq!(header(&request, "authorization"), None);
    let key = Segment::Secret { name: "b/key".into(), escape: Escape::Json };
    let rest = r#"","title":"web is *down*","markdown":"**x** \"y\"","level":"timeSensitive","url":"https://x.example/","id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#;
    assert_eq!(request.body, [r#"{"device_key":""#.into(), key, rest.into()]);
}

#[test]
fn each_setting_has_its_member() {
    let settings = json!({
        "url": "https://bark.example/sub/", "user": "me", "password": { "$secret": "b/password" }, "format": "plain",
        "level": { "info": "critical" }, "volume": 7, "sound": "alarm", "call": true, "icon": "https://x.example/i.png",
        "group": "g", "subtitle": "s", "badge": 3, "link": "https://l.example/", "copy": "c", "action": "none",
        "archive": false, "ttl": 60, "category": "k",
    });
    let one = notification(Level::Info, "t", Body::Text("*a*".into()));
    let request = request(&open::<Bark>(with(&settings)), &one);
    assert_eq!(request.url, ["https://bark.example/sub/push".into()]);
    assert_eq!(header(&request, "authorization").unwrap()[0], "Basic ".into());
    let expected = json!({
        "device_key": "KEY", "title": "t", "subtitle": "s", "body": "*a*", "level": "critical", "volume": 7,
        "sound": "alarm", "call": "1", "icon": "https://x.example/i.png", "group": "g", "badge": 3,
        "url": "https://l.example/", "copy": "c", "action": "none", "isArchive": "0", "ttl": "60", "category": "k",
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    });
    assert_eq!(sent(&request), expected);
}

#[test]
fn a_title_alone_is_the_text_and_a_long_id_is_left_out() {
    let mut one = notification(Level::Info, "t", items(&[]));
    one.id = "i".repeat(64);
    let target = open::<Bark>(with(&json!({})));
    let message = sent(&request(&target, &one));
    assert_eq!((message.get("title"), &message["markdown"]), (None, &json!("t")));
    assert_eq!(message["id"], one.id);
    one.id.push('i');
    assert_eq!(sent(&request(&target, &one)).get("id"), None);
}

#[test]
fn long_text_is_several_messages_with_ids_of_their_own() {
    let long = notification(Level::Info, &"x".repeat(101), Body::Text("\"word\" ".repeat(600)));
    let sent: Vec<Value> = requests(&open::<Bark>(with(&json!({}))), &long).iter().map(sent).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|one| one["title"] == format!("{}…", "x".repeat(99))));
    assert_eq!(sent[0]["id"], long.id);
    assert_eq!(sent[1]["id"], format!("{}-1", long.id));
    assert!(sent[1]["markdown"].as_str().unwrap().starts_with("2/2"));
}

#[test]
fn what_is_wrong_is_said() {
    assert!(problems::<Bark>(json!({}))[0].contains("key"));
    for (wrong, at) in [
        (json!({ "user": "me" }), "/user"),
        (json!({ "volume": 11 }), "/volume"),
        (json!({ "copy": "\"".repeat(800) }), ": these settings leave no room"),
        (json!({ "level": "loud" }), "/level"),
        (json!({ "url": "bark.example" }), "/url"),
    ] {
        let found = problems::<Bark>(with(&wrong));
        assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
    }
}

#[test]
fn what_a_reply_means() {
    let target = open::<Bark>(with(&json!({})));
    for (status, body, class) in [
        (200, r#"{"code":200,"message":"success","timestamp":1}"#, Some(Class::Delivered)),
        (200, r#"{"code":500,"message":"push failed: x"}"#, Some(Class::Permanent)),
        (200, "<html>", Some(Class::Ambiguous)),
        (400, r#"{"code":400,"message":"failed to get device token: no"}"#, Some(Class::Credentials)),
        (400, r#"{"code":400,"message":"request bind failed: x"}"#, None),
        (500, r#"{"code":500,"message":"push failed: APNS push failed: BadDeviceToken"}"#, Some(Class::Gone)),
        (
            500,
            r#"{"code":500,"message":"push failed: APNS push failed: PayloadTooLarge"}"#,
            Some(Class::Permanent),
        ),
        (500, r#"{"code":500,"message":"push failed: timeout"}"#, None),
    ] {
        let reply = Reply { status, head: Default::default(), body: body.into() };
        assert_eq!(Provider::classify(&target, &reply), class, "{body}");
    }
}

#[test]
fn urls_of_both_dialects_are_read() {
    let with = |more: &Value| {
        let mut settings = json!({ "url": "https://b.example", "key": "K" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    for (url, more) in [
        ("barks://b.example/K", json!({})),
        ("bark://b.example:8080/K", json!({ "url": "http://b.example:8080" })),
        ("barks://me:p%40ss@b.example/K", json!({ "user": "me", "password": "p@ss" })),
        (
            "barks://b.example/K?level=timesensitive&volume=3&badge=2&sound=bell.caf&group=a%20b&call=yes&archive=no",
            json!({ "level": "timeSensitive", "volume": 3, "sound": "bell.caf", "call": true, "group": "a b", "badge": 2, "archive": false }),
        ),
        (
            "barks://b.example/K?click=https%3A%2F%2Fx.example%2F&icon=i&subtitle=%C3%A9&copy=c&action=none&ttl=60&category=k",
            json!({ "icon": "i", "subtitle": "é", "link": "https://x.example/", "copy": "c", "action": "none", "ttl": 60, "category": "k" }),
        ),
        (
            "barks://b.example/K?image=no&id=1&format=text",
            json!({ "format": "plain", "left out": ["?image: there is no such setting here", "?id: there is no such setting here"] }),
        ),
        ("bark://:K@b.example", json!({})),
        (
            "bark://:K@b.example:8443/sub%20path/?scheme=https",
            json!({ "url": "https://b.example:8443/sub%20path" }),
        ),
        (
            "bark://:K@b.example/?scheme=http&sound=alarm&badge=1",
            json!({ "url": "http://b.example", "sound": "alarm", "badge": 1 }),
        ),
        (
            "bark://:K@b.example?group=g&url=https://x.example/&copy=c&icon=i&category=k",
            json!({ "icon": "i", "group": "g", "link": "https://x.example/", "copy": "c", "category": "k" }),
        ),
        (
            "bark://u:K@b.example?title=t",
            json!({ "left out": ["user: this kind of URL has no use for it", "?title: there is no such setting here"] }),
        ),
    ] {
        assert_eq!(target_of::<Bark>(url), with(&more), "{url}");
    }
    let several = targets_of::<Bark>("barks://b.example/K/%C3%A9%2F?to=L", None);
    let keys: Vec<&Value> = several.iter().map(|settings| &settings["key"]).collect();
    assert_eq!(keys, ["K", "é/", "L"]);
    for (url, part) in [
        ("barks://", "host"),
        ("barks://b.example", "path"),
        ("barks://b.example/K?key=0123456789abcdef", "?key"),
        ("barks://b.example/K?volume=11", "?volume"),
        ("barks://b.example/K?level=loud", "?level"),
        ("bark://:K@b.example?scheme=ftp", "?scheme"),
        ("bark://:K@", "host"),
    ] {
        assert_eq!(wrong_part(url), part, "{url}");
    }
}
