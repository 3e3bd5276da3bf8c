//! What the tests of providers share.

use proptest::prelude::*;

use super::*;
use crate::color::Color;
use crate::notification::{Body, Field, Level};
use crate::request::Segment;

/// A target of a provider, from its settings in JSON.
pub(crate) fn open<P: Provider>(settings: Value) -> P {
    let mut problems = Diagnostics::default();
    let settings = P::Settings::read(&settings).expect("the settings fit");
    P::check(settings, P::OVERFLOW, &Pointer::default(), &mut problems)
        .unwrap_or_else(|| panic!("refused: {:?}", problems.into_vec()))
}

/// What is wrong with settings in JSON: `path: problem (hint)`.
pub(crate) fn problems<P: Provider>(settings: Value) -> Vec<String> {
    let (root, mut problems) = (Pointer::default(), Diagnostics::default());
    schema::check(&P::Settings::schema(), &settings, &root, &mut problems);
    if problems.is_empty() {
        let settings = P::Settings::read(&settings).expect("what fits the schema is read");
        let target = P::check(settings, P::OVERFLOW, &root, &mut problems);
        assert_eq!(target.is_some(), problems.is_empty(), "a target, or what is wrong");
    }
    problems.into_vec().into_iter().map(|d| format!("{}: {} ({})", d.path, d.problem, d.hint)).collect()
}

/// The settings that a URL stands for, one object for each target; they are those of a target that opens. What
/// is left out stands in each under `left out`.
pub(crate) fn targets_of<P: Provider>(url: &str, dialect: Option<UrlDialect>) -> Vec<Value> {
    let targets = from_url(url, dialect).unwrap_or_else(|problem| panic!("{url}: {problem:?}"));
    let target = |FromUrl { settings, left_out }: FromUrl| {
        assert_eq!(settings["provider"], P::NAME, "{url}");
        let mut own = settings.clone();
        own.shift_remove("provider");
        let mut shown = Value::Object(own.clone());
        own.shift_remove("overflow");
        for (name, property) in P::Settings::schema()["properties"].as_object().unwrap() {
            if property["writeOnly"] == true && own.get(name).is_some_and(Value::is_string) {
                own.insert(name.clone(), serde_json::json!({ "$secret": name }));
            }
            if property["additionalProperties"]["writeOnly"] == true {
                let members = own.get_mut(name).and_then(Value::as_object_mut);
                for (key, value) in members.into_iter().flatten() {
                    assert!(value.is_string(), "{url}");
                    *value = serde_json::json!({ "$secret": key });
                }
            }
        }
        assert_eq!(problems::<P>(Value::Object(own)), [""; 0], "{url}");
        if !left_out.is_empty() {
            shown["left out"] = serde_json::json!(left_out);
        }
        shown
    };
    targets.into_iter().map(target).collect()
}

/// The one target that a URL stands for.
pub(crate) fn target_of<P: Provider>(url: &str) -> Value {
    let mut targets = targets_of::<P>(url, None);
    assert_eq!(targets.len(), 1, "{url}");
    targets.remove(0)
}

/// Which part of a URL is wrong.
pub(crate) fn wrong_part(url: &str) -> String {
    from_url(url, None).map_or_else(|problem| problem.part, |targets| panic!("{url}: {targets:?}"))
}

/// When the tests' requests are formatted: 12.345 s past a whole minute.
pub(crate) const OCCASION: Occasion = Occasion { now: 1_700_000_052_345, is_plain: false };

/// The requests that deliver a notification.
pub(crate) fn requests(target: &impl Provider, notification: &Notification) -> Vec<Request> {
    target.format(notification, &OCCASION).expect("it can be delivered")
}

/// The one request that delivers a notification.
pub(crate) fn request(target: &impl Provider, notification: &Notification) -> Request {
    let mut requests = requests(target, notification);
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

/// The body of a request that has no secret in it.
pub(crate) fn body(request: &Request) -> String {
    match request.body.as_slice() {
        [] => String::new(),
        [Segment::Text(text)] => text.clone(),
        other => panic!("more than text: {other:?}"),
    }
}

/// The value of a request's header; there is at most one of a name.
pub(crate) fn header(request: &Request, name: &str) -> Option<&'static [Segment]> {
    let headers = request.head.headers().into_iter();
    let mut values = headers.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    // Of a test, where it is no loss.
    let value = values.next().map(|(_, value)| &*value.leak());
    assert!(values.next().is_none(), "two headers called {name}");
    value
}

/// Notifications of every kind, with any text.
pub(crate) fn notifications() -> impl Strategy<Value = Notification> {
    let text = || prop_oneof![any::<String>(), r#"[ -~\n"\\$&%+=]{0,40}"#];
    let field = (text(), text()).prop_map(|(name, value)| Field { name, value });
    let body = prop_oneof![
        text().prop_map(Body::Text),
        prop::collection::vec(text(), 0..30).prop_map(Body::Items),
        prop::collection::vec(field, 0..30).prop_map(Body::Fields),
    ];
    let level = prop::sample::select(Level::ALL.as_slice());
    let color = prop::option::of((0_u32..=0xff_ffff).prop_map(|rgb| Color::from_rgb(rgb).unwrap()));
    let tags = prop::collection::vec(text(), 0..4);
    let link = prop::option::of(prop_oneof![any::<String>(), Just("https://status.example/web".to_owned())]);
    let key = prop::option::of("\\PC{1,255}");
    let parts = (level, text(), body, color, tags, link, key, any::<bool>());
    parts.prop_map(|(level, title, body, color, tags, link, key, opens)| {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        let (key, resolves) = if opens { (key, None) } else { (None, key) };
        let (at, to) = (1_700_000_000_000, vec![]);
        Notification { id, at, level, title, body, color, to, tags, link, key, resolves }
    })
}

#[test]
fn names_are_kebab_case_unique_and_sorted() {
    let names: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for name in names {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
    }
}

#[test]
fn every_setting_of_every_provider_is_described() {
    for entry in ALL {
        let schema = (entry.schema)();
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{}", entry.name);
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{}: {name}", entry.name);
        }
    }
}
