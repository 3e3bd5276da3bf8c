//! Reads a configuration, completely or not at all.
//!
//! Takes the targets in Nuncio's own form (`targets`) and in GoDoxy's (`providers.notification`), which
//! differ in one thing: there a target without a name has its provider's. Finds everything that is wrong
//! before it gives up. Refuses to know where the text came from, and what a secret is.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Diagnostics, Pointer, did_you_mean};
use crate::filter::{Choice, Decision, Envelope, Index, Routed, Unknown};
use crate::notification::Notification;
use crate::policy::{Policy, RetrySettings};
use crate::provider::{self, Entry};
use crate::schema;
use crate::settings::declare::Setting;
use crate::target::{self, Target};

/// A configuration that was read.
pub struct Config {
    targets: Vec<Target>,
    index: Index,
}

/// In which form of list a target stands.
struct Form<'a> {
    /// Whether a target without a name has its provider's.
    has_default_name: bool,
    /// What holds for all targets.
    policy: &'a Policy,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the text.
    pub fn read(json: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Diagnostics::default();
        let root = Pointer::default();
        let config = match serde_json::from_str(json) {
            Ok(Value::Object(config)) => config,
            Ok(other) => {
                problems.value(
                    &root,
                    format!("expected a mapping, found {}", schema::kind(&other)),
                    "begin with `targets:`",
                );
                return Err(problems.into_vec());
            }
            Err(error) => {
                problems.value(&root, format!("this is no JSON: {error}"), "");
                return Err(problems.into_vec());
            }
        };
        let policy = read_policy(&Policy::default(), config.get("retry"), &root.at("retry"), &mut problems);
        let (mut targets, mut names) = (Vec::new(), Vec::new());
        let native = (config.get("targets"), root.at("targets"), false);
        let godoxy = config.get("providers").and_then(|providers| providers.get("notification"));
        let godoxy = (godoxy, root.at("providers").at("notification"), true);
        for (list, at, has_default_name) in [native, godoxy] {
            let list = match list {
                None | Some(Value::Null) => continue,
                Some(Value::Array(list)) => list,
                Some(other) => {
                    let problem = format!("expected a list of targets, found {}", schema::kind(other));
                    problems.value(&at, problem, "begin each target with `- name: …`");
                    continue;
                }
            };
            for (n, settings) in list.iter().enumerate() {
                let at = at.at(n);
                let form = Form { has_default_name, policy: &policy };
                targets.extend(read_target(settings, &form, &mut names, &at, &mut problems));
            }
        }
        for name in config.keys().filter(|name| !["targets", "retry", "providers"].contains(&name.as_str())) {
            let hint = did_you_mean(name, ["targets", "retry", "providers"]);
            problems.key(&root.at(name), format!("unknown key `{name}`"), hint);
        }
        if !problems.is_empty() {
            return Err(problems.into_vec());
        }
        let index = Index::new(targets.iter().map(Target::wants));
        Ok(Self { targets, index })
    }

    /// The targets, in the order of the configuration.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The target of a name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.get(self.index.number(name)?)
    }

    /// Decides which targets get a notification.
    #[must_use]
    pub fn route(&self, notification: &Notification) -> Routed {
        self.routed(notification.into(), Some(notification))
    }

    /// The same of an envelope; conditions are taken to hold.
    #[must_use]
    pub fn route_envelope(&self, envelope: Envelope<'_>) -> Routed {
        self.routed(envelope, None)
    }

    fn routed(&self, envelope: Envelope<'_>, whole: Option<&Notification>) -> Routed {
        let mut targets = self.index.candidates(envelope);
        targets.retain(|number| {
            self.targets.get(*number).is_some_and(|target| target.wants().decide(envelope, whole).sends())
        });
        Routed { targets, unknown: self.index.unknown(envelope.to) }
    }

    /// Says of every target whether it gets a notification and why, then of each name in `to` that no target has.
    #[must_use]
    pub fn explain(&self, notification: &Notification) -> Vec<Decision> {
        let decisions = self.targets.iter().map(|target| target.wants().explain(notification));
        let unknown =
            self.index.unknown(&notification.to).into_iter().filter_map(|Unknown { at, because }| {
                let target = notification.to.get(at)?.clone();
                Some(Decision { target, choice: Choice::Unknown, because })
            });
        decisions.chain(unknown).collect()
    }
}

fn read_target(
    settings: &Value,
    form: &Form<'_>,
    names: &mut Vec<String>,
    at: &Pointer,
    problems: &mut Diagnostics,
) -> Option<Target> {
    let Value::Object(settings) = settings else {
        problems.value(
            at,
            format!("expected a target, found {}", schema::kind(settings)),
            "begin it with `- name: …`",
        );
        return None;
    };
    let entry = find_provider(settings, at, problems)?;
    let mut settings = settings.clone();
    if form.has_default_name && settings.get("name").is_none_or(Value::is_null) {
        settings.insert("name".to_owned(), entry.name.into());
    }
    if let Some(name) = settings.get("name").and_then(Value::as_str) {
        if names.iter().any(|other| other == name) {
            let problem = format!("another target is called `{name}` already");
            problems.value(&at.at("name"), problem, "give each target a `name` of its own");
        }
        names.push(name.to_owned());
    }
    let schema = target::schema_of(entry);
    schema::check(&schema, &Value::Object(settings.clone()), at, problems);
    // What does not fit is stood in for, so that the checks beyond the schema find the rest too.
    let (settings, mended) = schema::mend(&schema, settings);
    let mut found = Diagnostics::default();
    let target = Target::open(entry, settings, form.policy, at, &mut found);
    found.leave_out(at, &mended);
    problems.append(found);
    target
}

fn find_provider(
    settings: &Map<String, Value>,
    at: &Pointer,
    problems: &mut Diagnostics,
) -> Option<&'static Entry> {
    let names = provider::ALL.iter().map(|entry| entry.name);
    match settings.get("provider") {
        None | Some(Value::Null) => {
            let known = names.collect::<Vec<_>>().join(", ");
            problems.value(at, "`provider` is missing", format!("add `provider`, one of: {known}"));
            None
        }
        Some(Value::String(name)) => {
            let entry = provider::find(name);
            if entry.is_none() {
                let problem = format!("no provider is called `{name}`");
                problems.value(&at.at("provider"), problem, did_you_mean(name, names));
            }
            entry
        }
        Some(other) => {
            let problem = format!("expected a provider's name, found {}", schema::kind(other));
            problems.value(&at.at("provider"), problem, "write its name as text");
            None
        }
    }
}

fn read_policy(
    default: &Policy,
    settings: Option<&Value>,
    at: &Pointer,
    problems: &mut Diagnostics,
) -> Policy {
    let Some(settings) = settings.filter(|settings| !settings.is_null()) else { return default.clone() };
    let before = problems.len();
    schema::check(&RetrySettings::schema(), settings, at, problems);
    if problems.len() > before {
        return default.clone();
    }
    let Some(settings) = RetrySettings::read(settings) else {
        problems.value(at, schema::MISFIT, "");
        return default.clone();
    };
    default.with(&settings).unwrap_or_else(|wrong| {
        problems.value(&at.at(wrong.key), wrong.problem, wrong.hint);
        default.clone()
    })
}

#[cfg(test)]
mod tests;
