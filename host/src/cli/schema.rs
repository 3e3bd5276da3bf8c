//! `nuncio schema`: the JSON Schema of the whole configuration, for editors.
//!
//! The targets' part is the component's; this is the host's: what it reads itself, and that a secret can be in a file.

use std::process::ExitCode;

use nuncio::contract::{Provider, UrlDialect};
use serde_json::{Map, Value, json};

use super::{Component, Failure};

pub(super) fn run(component: &Component) -> Result<ExitCode, Failure> {
    let providers = component.load()?.providers()?;
    super::print_json(&of(&providers))?;
    Ok(ExitCode::SUCCESS)
}

/// The schema of a configuration for these providers.
fn of(providers: &[Provider]) -> Value {
    let targets = |naming| {
        let names: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
        let each: Vec<Value> = providers.iter().map(|provider| one(provider, naming)).collect();
        let target = json!({
            "type": "object",
            "required": ["provider"],
            "properties": { "provider": { "description": "The kind of service.", "enum": names } },
            "allOf": each,
        });
        json!({ "type": ["array", "null"], "items": { "anyOf": [url(), target] } })
    };
    let first = providers.first().map(|provider| serde_json::from_str(&provider.settings_schema));
    let first: Value = first.and_then(Result::ok).unwrap_or_default();
    let mut retry = first.pointer("/properties/retry").cloned().unwrap_or_else(|| json!({}));
    describe(&mut retry, "How failed deliveries are tried again, for all targets.");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Nuncio",
        "description": "A configuration of Nuncio.",
        "anyOf": [
            { "type": "array", "items": url() },
            {
                "type": "object",
                "properties": {
                    "targets": targets(true),
                    "retry": retry,
                    "server": server(),
                    "queue": queue(),
                    "secrets": secrets(),
                    "secrets_dir": text("The folder in which `${secret:NAME}` is looked up last: /run/secrets."),
                    "proxy": proxy(),
                    "alerts_to": {
                        "description": "The targets that are told when deliveries to another one die.",
                        "type": "array", "items": { "type": "string" },
                    },
                    "providers": {
                        "description": "GoDoxy's own section, of which `notification` is read.",
                        "type": "object",
                        "properties": { "notification": targets(false) },
                    },
                },
            },
        ],
    })
}

/// A target that is a notification URL of Apprise or shoutrrr.
fn url() -> Value {
    let about = "A notification URL of Apprise or shoutrrr.";
    let form = json!({ "type": "string", "pattern": "://", "description": about });
    json!({ "anyOf": [
        form,
        {
            "type": "object",
            "required": ["url"],
            "not": { "required": ["provider"] },
            "properties": { "url": form, "dialect": { "description": "Whose it is.", "enum": UrlDialect::ALL.map(UrlDialect::name) } },
        },
    ] })
}

/// What holds for the targets of a provider.
fn one(provider: &Provider, is_name_required: bool) -> Value {
    let mut schema: Value = serde_json::from_str(&provider.settings_schema).unwrap_or_default();
    let mut either = Vec::new();
    let mut in_files = Map::new();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties.iter_mut() {
            if property.get("writeOnly") == Some(&Value::Bool(true)) {
                in_files.insert(format!("{name}_file"), text(&format!("The file that `{name}` is in.")));
            }
            // A variable of the environment can stand in the place of anything.
            let is_text = property.get("type").is_some_and(|kind| kind == "string");
            if !is_text && property.get("const").is_none() {
                let description = property.get("description").cloned().unwrap_or_default();
                let variable = json!({ "type": "string", "pattern": "\\$\\{" });
                *property = json!({ "description": description, "anyOf": [property.take(), variable] });
            }
        }
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        let is_in_file =
            |name: &Value| name.as_str().is_some_and(|name| in_files.contains_key(&format!("{name}_file")));
        either.extend(required.iter().filter(|name| is_in_file(name)).filter_map(Value::as_str).map(
            |name| json!({ "anyOf": [{ "required": [name] }, { "required": [format!("{name}_file")] }] }),
        ));
        required.retain(|name| !is_in_file(name) && (is_name_required || name != "name"));
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend(in_files);
        properties.insert(
            "allow_hosts".to_owned(),
            json!({
                "description": "Origins that its requests may go to beside its own.",
                "type": ["array", "string"], "items": { "type": "string" },
            }),
        );
        properties.insert("proxy".to_owned(), proxy());
        properties.insert("tls".to_owned(), tls());
    }
    if let Some(schema) = schema.as_object_mut().filter(|_| !either.is_empty()) {
        schema.insert("allOf".to_owned(), either.into());
    }
    let is_this =
        json!({ "required": ["provider"], "properties": { "provider": { "const": provider.name } } });
    json!({ "if": is_this, "then": schema })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn describe(schema: &mut Value, description: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), description.into());
    }
}

fn proxy() -> Value {
    text("direct, or http://, socks5:// or socks5h://HOST:PORT; otherwise what https_proxy and the like say.")
}

fn tls() -> Value {
    json!({
        "description": "How connections are secured.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "ca_file": text("Trust the authorities in this file and no others."),
            "cert_file": text("The certificate that says who sends."),
            "key_file": text("Its private key."),
            "danger_accept_invalid_certs": { "description": "Trust everybody.", "type": "boolean" },
        },
    })
}

fn secrets() -> Value {
    json!({
        "description": "Secrets by name, for `${secret:NAME}`.",
        "type": "object",
        "additionalProperties": { "anyOf": [
            { "type": "string", "writeOnly": true },
            { "type": "object", "additionalProperties": false, "required": ["file"],
              "properties": { "file": text("The file that it is in.") } },
        ] },
    })
}

fn server() -> Value {
    json!({
        "description": "Where `nuncio serve` listens, and to whom.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "listen": text("The address: 127.0.0.1:7711."),
            "tokens": {
                "description": "Bearer tokens of callers, of at least 16 characters.",
                "type": ["array", "null"], "items": { "type": "string", "writeOnly": true },
            },
            "tokens_file": text("The file that they are in, one a line."),
        },
    })
}

fn queue() -> Value {
    let count = |description: &str| json!({ "type": ["integer", "string"], "description": description });
    json!({
        "description": "Where the queue is and what it may hold.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "path": text("The file, or memory."),
            "max_messages": count("How many notifications may wait."),
            "max_bytes": count("How much they may take, as 1GiB."),
            "reserve_for": {
                "description": "The last tenth of both is for this level and above.",
                "enum": ["trace", "debug", "info", "warn", "error", "fatal"],
            },
            "keep": text("How long what arrived is kept: 24h."),
            "keep_dead": text("How long what was given up is kept: 30d."),
            "concurrency": count("How many attempts may be under way in all: 256."),
        },
    })
}
