//! What every provider keeps, whatever it is: tried on each entry of the table with its own example.
//!
//! A provider has nothing to add here. Its example gives the settings, their schema the variants of them, its
//! limits are found in its requests, and the vendor's schema lies in the folder that `NUNCIO_PROVIDER_SCHEMAS`
//! names.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tests::notifications;
use super::webhook::form;
use super::*;
use crate::limit::{Limit, Measure};
use crate::request::Segment;
use crate::vendor_schemas;

/// A target, and what the test knows about it.
struct Target {
    entry: &'static Entry,
    settings: Value,
    overflow: Overflow,
    is_plain: bool,
    service: Box<dyn Service>,
}

/// Every target of every example, in every format, with each way to treat long texts.
fn targets() -> Vec<Target> {
    let mut targets = Vec::new();
    for entry in ALL {
        let schema = (entry.schema)();
        for example in examples(entry) {
            let own = own_settings(&example, &schema);
            let formats: &[(&str, bool)] = match schema["properties"]["format"].is_object() {
                true => &[("markdown", false), ("markdown", true), ("plain", false)],
                false => &[("", false)],
            };
            for (format, is_plain) in formats {
                for overflow in [Overflow::Split, Overflow::Truncate, Overflow::Upstream] {
                    let mut settings = own.clone();
                    if !format.is_empty() {
                        settings["format"] = json!(*format);
                    }
                    let mut problems = Diagnostics::default();
                    let at = Pointer::default();
                    let service = (entry.open)(settings.clone(), Some(overflow), &at, &mut problems);
                    let service =
                        service.unwrap_or_else(|| panic!("{}: {:?}", entry.name, problems.into_vec()));
                    targets.push(Target { entry, settings, overflow, is_plain: *is_plain, service });
                }
            }
        }
    }
    targets
}

/// The provider's own settings in an example, as the host hands them over: secrets are names.
fn own_settings(example: &Value, schema: &Value) -> Value {
    let common = ["name", "provider", "filter", "retry", "timeout", "concurrency", "overflow"];
    let own = example.as_object().unwrap().iter().filter(|(name, _)| !common.contains(&name.as_str()));
    own.map(|(name, value)| {
        let property = &schema["properties"][name];
        let value = if property["writeOnly"] == true {
            json!({ "$secret": name })
        } else if property["additionalProperties"]["writeOnly"] == true {
            value.as_object().unwrap().keys().map(|key| (key.clone(), json!({ "$secret": key }))).collect()
        } else {
            value.clone()
        };
        (name.clone(), value)
    })
    .collect()
}

fn examples(entry: &Entry) -> Vec<Value> {
    let examples = yaml::read(entry.example);
    let examples = examples.as_array().unwrap_or_else(|| panic!("{}: no list", entry.name)).clone();
    assert!(!examples.is_empty());
    examples.iter().for_each(|example| assert_eq!(example["provider"], entry.name));
    examples
}

impl Target {
    fn requests(&self, notification: &Notification) -> Vec<Request> {
        let occasion = Occasion { now: notification.at, is_plain: self.is_plain };
        let requests = self.service.format(notification, &occasion);
        let requests = requests.unwrap_or_else(|why| panic!("{}: {why}", self.entry.name));
        assert!(!requests.is_empty(), "{}", self.entry.name);
        requests
    }

    /// Holds every limit of the provider against a request.
    fn check_limits(&self, request: &Request) {
        if self.overflow == Overflow::Upstream {
            return;
        }
        let (text, body) = (text_of(&request.body), body(request));
        for bound in self.entry.limits {
            let found: Vec<&Value> = bound.at.iter().flat_map(|at| find(&body, at)).collect();
            let what = format!("{}: {} in {body}", self.entry.name, bound.name);
            let length = |limit: Limit, value: &Value| match value {
                Value::String(text) => limit.length(text),
                Value::Null => 0,
                other => limit.length(&other.to_string()),
            };
            match bound.measure {
                Measure::Each(limit) => {
                    found.iter().for_each(|value| assert!(length(limit, value) <= limit.most, "{what}"));
                }
                Measure::Sum(limit) => {
                    assert!(
                        found.iter().map(|value| length(limit, value)).sum::<usize>() <= limit.most,
                        "{what}"
                    );
                }
                Measure::Items(most) => {
                    let items = |value: &Value| value.as_array().map_or(0, Vec::len);
                    found.iter().for_each(|value| assert!(items(value) <= most, "{what}"));
                }
                Measure::Body(limit) => assert!(limit.length(&text) <= limit.most, "{what}"),
            }
        }
    }
}

/// What stands for every secret: of a form that all vendors' patterns allow.
const SECRET: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn text_of(segments: &[Segment]) -> String {
    let text = |segment: &Segment| match segment {
        Segment::Text(text) => text.clone(),
        Segment::Secret { .. } => SECRET[..30].to_owned(),
        Segment::Base64(_) | Segment::HmacSha256(_) | Segment::Ed25519(_) => SECRET.to_owned(),
    };
    segments.iter().map(text).collect()
}

/// The body of a request: its JSON, or its form as an object of texts, or its query where it has no body.
fn body(request: &Request) -> Value {
    let text = text_of(&request.body);
    let media_type = super::tests::header(request, "content-type").map(text_of).unwrap_or_default();
    let pairs = |pairs: Vec<(String, String)>| -> Value {
        pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect::<Map<_, _>>().into()
    };
    match media_type.as_str() {
        "application/json" | "application/cloudevents+json" => {
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
        }
        "application/x-www-form-urlencoded" => pairs(form::pairs(&text)),
        _ if text.is_empty() => pairs(request.query.clone()),
        _ => Value::from(text),
    }
}

/// The values at a pointer in which `*` is every item.
fn find<'a>(value: &'a Value, at: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in at.split('/').skip(1) {
        let inside = |value: &'a Value| -> Vec<&'a Value> {
            match (step, value) {
                ("*", Value::Array(items)) => items.iter().collect(),
                ("*", Value::Object(members)) => members.values().collect(),
                (name, value) => value.get(name).into_iter().collect(),
            }
        };
        found = found.into_iter().flat_map(inside).collect();
    }
    found
}

/// In shares, because tests run side by side.
fn check_requests(share: usize) {
    const SHARES: usize = 4;
    let mut validators = BTreeMap::new();
    for target in targets().iter().skip(share).step_by(SHARES) {
        let notifications = match target.overflow {
            Overflow::Upstream => vendor_schemas::short_notifications(),
            Overflow::Split | Overflow::Truncate => vendor_schemas::notifications(),
        };
        for notification in notifications {
            for request in target.requests(&notification) {
                target.check_limits(&request);
                let url = text_of(&request.url);
                let name = vendor_schemas::name(target.entry.name, &target.settings, &url);
                let Some(name) = name else { continue };
                let validator = validators.entry(name).or_insert_with(|| vendor_schemas::schema(name));
                if let Some(validator) = validator {
                    vendor_schemas::accept(validator, &body(&request));
                }
            }
        }
    }
}

#[test]
fn every_request_is_as_its_vendor_says_and_within_its_limits_1() {
    check_requests(0);
}

#[test]
fn every_request_is_as_its_vendor_says_and_within_its_limits_2() {
    check_requests(1);
}

#[test]
fn every_request_is_as_its_vendor_says_and_within_its_limits_3() {
    check_requests(2);
}

#[test]
fn every_request_is_as_its_vendor_says_and_within_its_limits_4() {
    check_requests(3);
}

#[test]
fn the_same_notification_is_the_same_request() {
    for target in targets() {
        for notification in vendor_schemas::short_notifications() {
            assert_eq!(
                target.requests(&notification),
                target.requests(&notification),
                "{}",
                target.entry.name
            );
        }
    }
}

#[test]
fn an_id_makes_requests_differ_in_nothing_but_the_id() {
    let notification = vendor_schemas::short_notifications().remove(0);
    // Some services take nothing but a UUID.
    let id = "0190b8f3-52d1-7e40-9c1a-6f0d2b7a4e91";
    for target in targets() {
        let other = Notification { id: id.into(), ..notification.clone() };
        let text = |notification: &Notification| format!("{:?}", target.requests(notification));
        assert_eq!(text(&notification).replace(&notification.id, id), text(&other));
    }
}

// The value of a secret never enters, so there is nothing that `Debug` could show but what it is called.
#[test]
fn a_secret_that_is_no_name_is_refused_without_a_word_of_it() {
    for entry in ALL {
        let schema = (entry.schema)();
        for example in examples(entry) {
            let own = own_settings(&example, &schema);
            let secrets = schema["properties"].as_object().unwrap().iter();
            let secrets = secrets.filter(|(_, property)| property["writeOnly"] == true);
            for (name, _) in secrets.filter(|(name, _)| own.get(*name).is_some()) {
                let mut settings = own.clone();
                settings[name] = json!("canary");
                let mut problems = Diagnostics::default();
                let at = Pointer::default();
                schema::check(&schema, &settings, &at, &mut problems);
                assert!((entry.open)(settings, None, &at, &mut problems).is_none(), "{}/{name}", entry.name);
                assert!(!format!("{problems:?}").contains("canary"), "{}/{name}", entry.name);
            }
        }
    }
}

#[test]
fn a_scheme_is_of_one_provider_and_every_form_has_one() {
    for (dialect, schemes) in [
        (
            UrlDialect::Apprise,
            ALL.iter().map(|entry| (entry.urls.apprise, entry.urls.apprise_form)).collect::<Vec<_>>(),
        ),
        (
            UrlDialect::Shoutrrr,
            ALL.iter().map(|entry| (entry.urls.shoutrrr, entry.urls.shoutrrr_form)).collect(),
        ),
    ] {
        let mut all: Vec<&str> = schemes.iter().flat_map(|(schemes, _)| *schemes).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{dialect:?}: {all:?}");
        for (schemes, form) in schemes {
            assert_eq!(schemes.is_empty(), form.is_empty(), "{form}");
            let scheme = form.split("://").next().unwrap_or_default();
            assert!(schemes.is_empty() || schemes.contains(&scheme), "{form}");
        }
    }
}

#[test]
fn every_example_fits_its_schema_and_every_bound_is_found() {
    let long = vendor_schemas::notifications();
    for entry in ALL {
        let schema = (entry.schema)();
        for example in examples(entry) {
            let mut problems = Diagnostics::default();
            schema::check(&schema, &own_settings(&example, &schema), &Pointer::default(), &mut problems);
            assert!(problems.is_empty(), "{}: {:?}", entry.name, problems.into_vec());
        }
        let targets: Vec<Target> =
            targets().into_iter().filter(|target| target.entry.name == entry.name).collect();
        for bound in entry.limits {
            let is_in = |request: &Request| bound.at.iter().all(|at| !find(&body(request), at).is_empty());
            let is_found =
                long.iter().any(|one| targets.iter().any(|target| target.requests(one).iter().any(is_in)));
            assert!(is_found, "{}: nothing is ever at {:?}", entry.name, bound.at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_limit_is_exceeded(mut notification in notifications(), times in 1_usize..600, twice: bool) {
        use crate::notification::Body;
        notification.title = notification.title.repeat(if twice { times } else { 1 });
        match &mut notification.body {
            Body::Text(text) => *text = text.repeat(times),
            Body::Items(items) => items.iter_mut().take(3).for_each(|item| *item = item.repeat(times / 3 + 1)),
            Body::Fields(fields) => fields.iter_mut().for_each(|field| field.value = field.value.repeat(times / 16 + 1)),
        }
        for target in targets() {
            for request in target.requests(&notification) {
                target.check_limits(&request);
            }
        }
    }
}

/// As much of YAML as examples have.
mod yaml {
    use saphyr_parser::{Event, Parser};
    use serde_json::{Map, Value};

    pub(super) fn read(text: &str) -> Value {
        let mut events = Parser::new_from_str(text).map(|event| event.expect("YAML").0);
        loop {
            if let Event::SequenceStart(..) = events.next().expect("a document") {
                break list(&mut events);
            }
        }
    }

    fn list<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Value {
        let mut items = Vec::new();
        while let Some(item) = value(events) {
            items.push(item);
        }
        Value::Array(items)
    }

    fn value<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Option<Value> {
        match events.next()? {
            Event::SequenceStart(..) => Some(list(events)),
            Event::MappingStart(..) => {
                let mut entries = Map::new();
                while let Some(name) = value(events) {
                    let name = name.as_str().map_or_else(|| name.to_string(), ToOwned::to_owned);
                    entries.insert(name, value(events).expect("a value"));
                }
                Some(Value::Object(entries))
            }
            Event::Scalar(text, style, ..) => {
                let plain = matches!(style, saphyr_parser::ScalarStyle::Plain);
                let parsed =
                    serde_json::from_str(&text).ok().filter(|value: &Value| plain && !value.is_string());
                Some(parsed.unwrap_or_else(|| Value::from(text.into_owned())))
            }
            _ => None,
        }
    }
}
