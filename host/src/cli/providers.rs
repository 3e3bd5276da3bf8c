//! `nuncio providers`: what the brain knows how to talk to.

use std::process::ExitCode;

use nuncio::contract::{Limit, Provider};
use serde_json::{Value, json};

use super::{Component, Failure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Show this provider's settings and an example
    name: Option<String>,
    /// Print the catalog, schemas and all
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let mut providers: Vec<Provider> = component.load()?.providers()?.into_iter().map(harmless).collect();
    if let Some(name) = &arguments.name {
        let known = providers.iter().map(|provider| provider.name.clone()).collect::<Vec<_>>().join(", ");
        providers.retain(|provider| provider.name == *name);
        if providers.is_empty() {
            return Err(Failure::Usage(format!(
                "no provider is called `{name}`\n  help: known are: {known}"
            )));
        }
    }
    if arguments.json {
        super::print_json(&providers.iter().map(to_json).collect::<Vec<_>>())?;
    } else if arguments.name.is_some() {
        super::print(&providers.iter().map(describe).collect::<String>())?;
    } else {
        super::print(&list(&providers))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a component says of itself, without what could steer a terminal.
fn harmless(provider: Provider) -> Provider {
    let lines = |text: &str| text.split('\n').map(super::harmless).collect::<Vec<_>>().join("\n");
    Provider {
        name: super::harmless(&provider.name),
        summary: super::harmless(&provider.summary),
        example: lines(&provider.example),
        auth: super::harmless(&provider.auth),
        dialect: super::harmless(&provider.dialect),
        overflow: super::harmless(&provider.overflow),
        apprise_form: super::harmless(&provider.apprise_form),
        shoutrrr_form: super::harmless(&provider.shoutrrr_form),
        limits: provider
            .limits
            .iter()
            .map(|limit| Limit { name: super::harmless(&limit.name), most: super::harmless(&limit.most) })
            .collect(),
        ..provider
    }
}

fn list(providers: &[Provider]) -> String {
    let mut table = super::table(&["provider", "login", "limits", "text", "Apprise, shoutrrr"]);
    for provider in providers {
        let forms = [&provider.apprise_form, &provider.shoutrrr_form];
        let forms: Vec<&str> =
            forms.into_iter().filter(|form| !form.is_empty()).map(String::as_str).collect();
        table.add_row([
            provider.name.clone(),
            provider.auth.clone(),
            limits(provider).join(", "),
            provider.dialect.clone(),
            forms.join("\n"),
        ]);
    }
    format!("{table}\n\n`nuncio providers NAME` shows one with its settings and an example.\n")
}

/// What is limited, and to what.
fn limits(provider: &Provider) -> Vec<String> {
    provider.limits.iter().map(|limit| format!("{} {}", limit.name, limit.most)).collect()
}

fn describe(provider: &Provider) -> String {
    let mut table = super::table(&["setting", "kind", "what it does"]);
    for setting in settings(provider) {
        let name = if setting.is_required { setting.name + "*" } else { setting.name };
        table.add_row([name, setting.kind, setting.description]);
    }
    let mut facts = format!("login: {}\ntext: {}\n", provider.auth, provider.dialect);
    let limits = limits(provider);
    if !limits.is_empty() {
        facts += &format!("limits: {}; beyond them: {}\n", limits.join(", "), provider.overflow);
    }
    for (whose, form) in [("Apprise", &provider.apprise_form), ("shoutrrr", &provider.shoutrrr_form)] {
        if !form.is_empty() {
            facts += &format!("{whose}: {form}\n");
        }
    }
    format!(
        "{}: {}\n\n{facts}\n{table}\n* required; secrets are kept from the brain\n\ntargets:\n{}\n",
        provider.name,
        provider.summary,
        indent(&provider.example)
    )
}

struct Setting {
    name: String,
    kind: String,
    description: String,
    is_required: bool,
}

/// The settings as the schema has them: the provider's own after those that every target has.
fn settings(provider: &Provider) -> Vec<Setting> {
    let schema: Value = serde_json::from_str(&provider.settings_schema).unwrap_or_default();
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let setting = |(name, property): (&String, &Value)| Setting {
        name: name.clone(),
        kind: kind(property),
        description: property["description"].as_str().unwrap_or_default().replace('\n', " "),
        is_required: required.contains(&name.as_str()),
    };
    schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(setting).collect()
}

/// What a setting's value is, for people.
fn kind(property: &Value) -> String {
    for branches in ["anyOf", "oneOf"] {
        if let Some(branches) = property[branches].as_array() {
            let mut kinds: Vec<String> = branches.iter().map(kind).filter(|kind| kind != "null").collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
    }
    if let Some(only) = property["const"].as_str() {
        return only.to_owned();
    }
    if let Some(allowed) = property["enum"].as_array() {
        return allowed.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ");
    }
    let name = match &property["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    };
    let kind = match (name, property["format"].as_str()) {
        (_, Some("uri")) => "URL",
        (_, Some("duration")) => "duration",
        (Some("string"), _) => "text",
        (Some("integer" | "number"), _) => "number",
        (Some("boolean"), _) => "true or false",
        (Some("array"), _) => "list",
        (Some("object"), _) => "mapping",
        (other, _) => other.unwrap_or_default(),
    };
    if property["writeOnly"] == true { format!("{kind}, secret") } else { kind.to_owned() }
}

fn to_json(provider: &Provider) -> Value {
    let schema: Value = serde_json::from_str(&provider.settings_schema).unwrap_or_default();
    json!({
        "name": provider.name, "summary": provider.summary, "origins": provider.origins,
        "auth": provider.auth, "dialect": provider.dialect, "overflow": provider.overflow,
        "limits": provider.limits.iter().map(|limit| json!({ "name": limit.name, "most": limit.most })).collect::<Vec<_>>(),
        "apprise_form": provider.apprise_form, "shoutrrr_form": provider.shoutrrr_form,
        "example": provider.example, "schema": schema,
    })
}

fn indent(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect()
}
