//! The filters and tests of templates, as Jinja names them.
//!
//! All have one signature, so that one code turns arguments into values.

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

/// The filters that there are.
pub(super) const NAMES: [&str; 12] = [
    "default",
    "first",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "tojson",
    "trim",
    "truncate",
    "upper",
    "urlencode",
];

type Filter = fn(&[Value]) -> Result<Value, Error>;

/// Adds them all.
pub(super) fn add_to(engine: &mut Environment<'static>) {
    let filters: [(&'static str, Filter); 12] = [
        ("default", default),
        ("first", first),
        ("join", join),
        ("last", last),
        ("length", length),
        ("lower", lower),
        ("replace", replace),
        ("tojson", to_json),
        ("trim", trim),
        ("truncate", truncate),
        ("upper", upper),
        ("urlencode", url_encode),
    ];
    for (name, filter) in filters {
        engine.add_filter(name, move |arguments: Rest<Value>| filter(&arguments));
    }
    let tests: [(&'static str, Filter); 5] = [
        ("defined", |arguments| Ok((!value(arguments, 0).is_undefined()).into())),
        ("undefined", |arguments| Ok(value(arguments, 0).is_undefined().into())),
        ("none", |arguments| Ok(value(arguments, 0).is_none().into())),
        ("startingwith", |arguments| Ok(text(arguments, 0).starts_with(&text(arguments, 1)).into())),
        ("endingwith", |arguments| Ok(text(arguments, 0).ends_with(&text(arguments, 1)).into())),
    ];
    for (name, test) in tests {
        engine.add_test(name, move |arguments: Rest<Value>| test(&arguments).map(|value| value.is_true()));
    }
}

fn value(arguments: &[Value], n: usize) -> Value {
    arguments.get(n).cloned().unwrap_or_default()
}

fn text(arguments: &[Value], n: usize) -> String {
    arguments.get(n).map(ToString::to_string).unwrap_or_default()
}

fn refused(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// `x | default("y")`: where there is no x, or it is none or empty text.
fn default(arguments: &[Value]) -> Result<Value, Error> {
    let first = value(arguments, 0);
    let is_nothing = first.is_undefined() || first.is_none() || first.as_str() == Some("");
    Ok(if is_nothing { value(arguments, 1) } else { first })
}

fn first(arguments: &[Value]) -> Result<Value, Error> {
    let first = value(arguments, 0);
    if let Some(text) = first.as_str() {
        return Ok(text.chars().next().map(String::from).unwrap_or_default().into());
    }
    Ok(first.try_iter()?.next().unwrap_or_default())
}

fn last(arguments: &[Value]) -> Result<Value, Error> {
    let first = value(arguments, 0);
    if let Some(text) = first.as_str() {
        return Ok(text.chars().last().map(String::from).unwrap_or_default().into());
    }
    Ok(first.try_iter()?.last().unwrap_or_default())
}

/// `list | join(", ")`.
fn join(arguments: &[Value]) -> Result<Value, Error> {
    let first = value(arguments, 0);
    if first.kind() == ValueKind::String {
        return Ok(first);
    }
    let items: Vec<String> = first.try_iter()?.map(|item| item.to_string()).collect();
    Ok(items.join(&text(arguments, 1)).into())
}

fn length(arguments: &[Value]) -> Result<Value, Error> {
    value(arguments, 0)
        .len()
        .map(Value::from)
        .ok_or_else(|| refused("only texts, lists and mappings have a length"))
}

fn lower(arguments: &[Value]) -> Result<Value, Error> {
    Ok(text(arguments, 0).to_lowercase().into())
}

fn upper(arguments: &[Value]) -> Result<Value, Error> {
    Ok(text(arguments, 0).to_uppercase().into())
}

fn trim(arguments: &[Value]) -> Result<Value, Error> {
    Ok(text(arguments, 0).trim().into())
}

/// `text | replace("a", "b")`.
fn replace(arguments: &[Value]) -> Result<Value, Error> {
    let (text, from, to) = (text(arguments, 0), text(arguments, 1), text(arguments, 2));
    let count = if from.is_empty() { 0 } else { text.matches(&from).count() };
    if count.saturating_mul(to.len()) > super::LONGEST_TEXT {
        return Err(refused("the replaced text is longer than 256 KiB"));
    }
    Ok(if count == 0 { text } else { text.replace(&from, &to) }.into())
}

/// `text | truncate(80)`: at most so many characters, the last of which is `…` where something is left out.
fn truncate(arguments: &[Value]) -> Result<Value, Error> {
    let most =
        value(arguments, 1).as_usize().ok_or_else(|| refused("`truncate` takes a number of characters"))?;
    Ok(crate::limit::Limit::characters(most).cut(&text(arguments, 0)).into())
}

/// JSON, as a script in a page may hold it too is not the aim: quotes and escapes only as JSON has them.
fn to_json(arguments: &[Value]) -> Result<Value, Error> {
    let json = serde_json::to_string(&value(arguments, 0)).map_err(|_| refused("this has no JSON form"))?;
    Ok(Value::from_safe_string(json))
}

/// Percent-encoded, as part of a URL.
fn url_encode(arguments: &[Value]) -> Result<Value, Error> {
    Ok(crate::settings::path_segment(&text(arguments, 0)).into())
}
