//! Checks a value against a JSON Schema and says everything that is wrong with it.
//!
//! Knows the part of draft 2020-12 that this crate's own settings come to, and adds what a person needs:
//! the nearest known name, the allowed values, the range. It never quotes a value where the schema says
//! that it is a secret.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer, did_you_mean};
use crate::duration::DurationMs;
use crate::settings::{BaseUrl, REFERENCE};

/// What is said where a value fits its schema and cannot be read, which no schema of this crate lets happen.
pub const MISFIT: &str = "this does not fit its schema";

/// Adds everything that is wrong with a value.
pub fn check(schema: &Value, value: &Value, at: &Pointer, problems: &mut Diagnostics) {
    if schema.get("writeOnly") == Some(&Value::Bool(true)) {
        if value.get(REFERENCE).is_none() && !(value.is_null() && is_optional(schema)) {
            let problem = match value {
                Value::String(_) => "a secret's value must not enter the guest".to_owned(),
                other => format!("expected text, found {}", kind(other)),
            };
            problems.value(at, problem, "put the secret, or `${NAME}`, in quotes");
        }
        return;
    }
    for branches in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(branches).and_then(Value::as_array) {
            return check_branches(branches, value, at, problems);
        }
    }
    if let Some(only) = schema.get("const") {
        if only != value {
            problems.value(at, format!("expected {only}"), format!("write {only}"));
        }
        return;
    }
    if !types(schema).is_empty() && !types(schema).iter().any(|name| is(name, value)) {
        let wanted: Vec<&str> =
            types(schema).into_iter().filter(|name| *name != "null").map(with_article).collect();
        let problem = format!("expected {}, found {}", wanted.join(" or "), kind(value));
        return problems.value(at, problem, hint(schema));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        check_allowed(allowed.iter().collect(), value, at, problems);
    }
    match value {
        Value::String(text) => check_text(schema, text, at, problems),
        Value::Number(_) => check_range(schema, value, at, problems),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (n, item) in items.iter().enumerate() {
                    check(schema, item, &at.at(n), problems);
                }
            }
        }
        Value::Object(entries) => check_entries(schema, entries, at, problems),
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_branches(branches: &[Value], value: &Value, at: &Pointer, problems: &mut Diagnostics) {
    let constants: Vec<&Value> = branches.iter().filter_map(|branch| branch.get("const")).collect();
    if !constants.is_empty() && constants.len() == branches.len() {
        return check_allowed(constants, value, at, problems);
    }
    let mut fewest: Option<Diagnostics> = None;
    for branch in branches {
        let mut found = Diagnostics::default();
        check(branch, value, at, &mut found);
        if found.is_empty() {
            return;
        }
        // A branch that takes values of this kind knows better what is wrong with this one.
        if takes(branch, value) && fewest.as_ref().is_none_or(|fewest| found.len() < fewest.len()) {
            fewest = Some(found);
        }
    }
    match fewest {
        Some(found) => problems.append(found),
        None => {
            let wanted: Vec<&str> =
                branches.iter().flat_map(types).filter(|name| *name != "null").map(with_article).collect();
            let hint = branches.iter().map(hint).find(|hint| !hint.is_empty()).unwrap_or_default();
            problems.value(at, format!("expected {}, found {}", wanted.join(" or "), kind(value)), hint);
        }
    }
}

fn check_allowed(allowed: Vec<&Value>, value: &Value, at: &Pointer, problems: &mut Diagnostics) {
    if allowed.contains(&value) {
        return;
    }
    let names: Vec<&str> = allowed.into_iter().filter_map(Value::as_str).collect();
    match value.as_str() {
        Some(text) => {
            problems.value(
                at,
                format!("`{text}` is none of {}", names.join(", ")),
                did_you_mean(text, names),
            );
        }
        None => problems.value(
            at,
            format!("expected one of {}, found {}", names.join(", "), kind(value)),
            format!("write one of {}", names.join(", ")),
        ),
    }
}

fn check_text(schema: &Value, text: &str, at: &Pointer, problems: &mut Diagnostics) {
    match schema.get("format").and_then(Value::as_str) {
        Some("uri") => {
            if let Some((problem, hint)) = BaseUrl::problem(text) {
                problems.value(at, format!("this {problem}"), hint);
            }
        }
        Some("duration") if DurationMs::parse(text).is_none() => {
            problems.value(
                at,
                format!("`{text}` is no length of time"),
                "write it with a unit, as `500ms`, `10s` or `5m`",
            );
        }
        _ => {}
    }
    let length = text.chars().count() as u64;
    if schema.get("minLength").and_then(Value::as_u64).is_some_and(|least| length < least) {
        problems.value(at, "must not be empty", "give it a value");
    }
    if let Some(most) = schema.get("maxLength").and_then(Value::as_u64).filter(|most| length > *most) {
        let problem = format!("has {length} characters; at most {most} are allowed");
        problems.value(at, problem, "make it shorter");
    }
}

fn check_range(schema: &Value, value: &Value, at: &Pointer, problems: &mut Diagnostics) {
    let bound = |name| schema.get(name).filter(|bound: &&Value| bound.is_number());
    let number = value.as_f64().unwrap_or(f64::NAN);
    let below = bound("minimum").is_some_and(|least| least.as_f64().is_some_and(|least| number < least));
    let above = bound("maximum").is_some_and(|most| most.as_f64().is_some_and(|most| number > most));
    if below || above {
        let range = match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("at least {least}"),
            (_, most) => format!("at most {}", most.unwrap_or(&Value::Null)),
        };
        problems.value(at, format!("{value} is out of range"), format!("allowed is {range}"));
    }
}

fn check_entries(schema: &Value, entries: &Map<String, Value>, at: &Pointer, problems: &mut Diagnostics) {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (name, value) in entries {
        match (properties.get(name), schema.get("additionalProperties")) {
            (Some(property), _) => check(property, value, &at.at(name), problems),
            (None, Some(Value::Bool(false))) => {
                let known = properties.keys().map(String::as_str);
                problems.key(&at.at(name), format!("unknown key `{name}`"), did_you_mean(name, known));
            }
            (None, Some(others)) => check(others, value, &at.at(name), problems),
            (None, None) => {}
        }
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = name.as_str().filter(|name| !entries.contains_key(*name)) else { continue };
        let about =
            properties.get(name).and_then(|property| property.get("description")).and_then(Value::as_str);
        let about = about.map(|about| format!(": {}", about.replace('\n', " "))).unwrap_or_default();
        problems.value(at, format!("`{name}` is missing"), format!("add `{name}`{about}"));
    }
}

/// Whether a schema, or a branch of it, is about values of this kind.
fn takes(schema: &Value, value: &Value) -> bool {
    match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        Some(branches) => branches.iter().any(|branch| takes(branch, value)),
        None => types(schema).is_empty() || types(schema).iter().any(|name| is(name, value)),
    }
}

/// The entries of a mapping with a value that fits in the place of each that does not, and without those that
/// are unknown; and the names of all that were changed. What is wrong is [`check`]'s to say.
#[must_use]
pub fn mend(schema: &Value, entries: Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &String| required.is_some_and(|names| names.iter().any(|other| other == name));
    let (mut whole, mut mended) = (Map::new(), Vec::new());
    for (name, property) in properties {
        let mut problems = Diagnostics::default();
        match entries.get(name) {
            Some(value) => {
                check(property, value, &Pointer::default(), &mut problems);
                if problems.is_empty() {
                    whole.insert(name.clone(), value.clone());
                    continue;
                }
            }
            None if is_required(name) => {}
            None => continue,
        }
        whole.insert(name.clone(), stand_in(property));
        mended.push(name.clone());
    }
    mended.extend(entries.into_iter().map(|(name, _)| name).filter(|name| !properties.contains_key(name)));
    (whole, mended)
}

/// A value that fits a schema, if only just.
fn stand_in(schema: &Value) -> Value {
    if schema.get("writeOnly") == Some(&Value::Bool(true)) {
        return json!({ REFERENCE: "stand-in" });
    }
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|branches| branches.first());
    if let Some(branch) = first("anyOf").or_else(|| first("oneOf")) {
        return stand_in(branch);
    }
    if let Some(only) = schema.get("const").or_else(|| first("enum")) {
        return only.clone();
    }
    match (types(schema).first(), schema.get("format").and_then(Value::as_str)) {
        (_, Some("uri")) => json!("https://stand-in.invalid/"),
        (_, Some("duration")) => json!("1s"),
        (Some(&"string"), _) => json!("stand-in"),
        (Some(&("integer" | "number")), _) => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        (Some(&"boolean"), _) => json!(false),
        (Some(&"array"), _) => json!([]),
        (Some(&"object"), _) => json!({}),
        _ => Value::Null,
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    }
}

fn is_optional(schema: &Value) -> bool {
    types(schema).contains(&"null")
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn with_article(name: &str) -> &'static str {
    match name {
        "boolean" => "true or false",
        "string" => "text",
        "number" => "a number",
        "integer" => "a whole number",
        "array" => "a list",
        _ => "a mapping",
    }
}

/// What a value is, for people.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// How a value of the wanted kind is written.
fn hint(schema: &Value) -> String {
    let format = schema.get("format").and_then(Value::as_str);
    let hint = match (types(schema).into_iter().find(|name| *name != "null"), format) {
        (_, Some("duration")) => "write it with a unit, as `500ms`, `10s` or `5m`",
        (Some("string"), _) => "put quotes around what is meant as text",
        (Some("integer" | "number"), _) => "write a number, without quotes",
        (Some("boolean"), _) => "write true or false, without quotes",
        (Some("array"), _) => "write it as `[one, two]`, or one entry a line, each after `- `",
        (Some("object"), _) => "write it as `{name: value}`, or one `name: value` a line, indented",
        _ => "",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(schema: &Value, value: &Value) -> Vec<String> {
        let mut problems = Diagnostics::default();
        check(schema, value, &Pointer::default(), &mut problems);
        let show = |d: crate::diagnostic::Diagnostic| format!("{}: {} ({})", d.path, d.problem, d.hint);
        problems.into_vec().into_iter().map(show).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["url", "topic"],
            "properties": {
                "url": { "type": "string", "format": "uri" },
                "topic": { "type": "string", "description": "What to publish under." },
                "priority": { "type": ["integer", "null"], "minimum": 1, "maximum": 5 },
            },
        });
        let value = json!({ "url": "ntfy.sh", "tpoic": "x", "priority": 9 });
        assert_eq!(
            problems(&schema, &value),
            [
                "/url: this is no http or https URL (it must start with `https://` or `http://`)",
                "/tpoic: unknown key `tpoic` (did you mean `topic`?)",
                "/priority: 9 is out of range (allowed is from 1 to 5)",
                ": `topic` is missing (add `topic`: What to publish under.)",
            ]
        );
    }

    #[test]
    fn a_choice_among_names_offers_the_nearest() {
        let schema = json!({ "oneOf": [{ "const": "markdown" }, { "const": "plain" }] });
        assert_eq!(
            problems(&schema, &json!("plian")),
            [": `plian` is none of markdown, plain (did you mean `plain`?)"]
        );
        assert_eq!(
            problems(&schema, &json!(1)),
            [": expected one of markdown, plain, found a number (write one of markdown, plain)"]
        );
    }

    #[test]
    fn the_branch_that_fits_best_speaks() {
        let schema = json!({ "anyOf": [
            { "type": "integer", "maximum": 10 },
            { "type": "object", "additionalProperties": false, "properties": { "warn": { "type": "integer" } } },
        ] });
        assert_eq!(problems(&schema, &json!(11)), [": 11 is out of range (allowed is at most 10)"]);
        assert_eq!(
            problems(&schema, &json!({ "wran": 1 })),
            ["/wran: unknown key `wran` (did you mean `warn`?)"]
        );
        assert_eq!(
            problems(&schema, &json!("x")),
            [": expected a whole number or a mapping, found text (write a number, without quotes)"]
        );
        let nested = json!({ "anyOf": [{ "anyOf": [{ "type": "integer" }, { "type": "string" }] }, schema] });
        assert_eq!(problems(&nested, &json!({ "wran": 1 })), problems(&schema, &json!({ "wran": 1 })));
    }

    #[test]
    fn a_secret_is_never_quoted() {
        let schema = json!({ "type": "string", "writeOnly": true });
        assert_eq!(problems(&schema, &json!({ "$secret": "x/token" })), [""; 0]);
        assert_eq!(
            problems(&schema, &json!("canary")),
            [": a secret's value must not enter the guest (put the secret, or `${NAME}`, in quotes)"]
        );
    }

    #[test]
    fn a_duration_needs_a_unit() {
        let schema = <DurationMs as crate::settings::declare::Setting>::schema();
        assert!(problems(&schema, &json!(5))[0].contains("write it with a unit"));
        assert!(problems(&schema, &json!("5"))[0].contains("write it with a unit"));
    }
}
