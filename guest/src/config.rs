//! Reads a configuration, completely or not at all.
//!
//! Takes the targets in Nuncio's own form (`targets`) and in GoDoxy's (`providers.notification`), which
//! differ in one thing: there a target without a name has its provider's. Finds everything that is wrong
//! before it gives up. Refuses to know where the text came from, and what a secret is.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Diagnostics, Pointer, did_you_mean};
use crate::duration::DurationMs;
use crate::filter::Filter;
use crate::hint::{self, Hint};
use crate::judge::Understood;
use crate::limit::Overflow;
use crate::outcome::{Class, Outcome};
use crate::policy::{Policy, RetrySettings};
use crate::provider::{self, Entry, Service};
use crate::schema;
use crate::settings::declare::{Setting, Within, settings};

/// How long a request may take where the configuration says nothing, in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u64 = 10_000;

/// How many deliveries of a target may be under way at once where the configuration says nothing.
pub const DEFAULT_CONCURRENCY: u32 = 4;

/// No request may take longer, in milliseconds.
const LONGEST_TIMEOUT_MS: u64 = 300_000;

/// A configuration that was read.
pub struct Config {
    targets: Vec<Target>,
}

/// One configured provider.
pub struct Target {
    /// Unique among the targets.
    pub name: String,
    /// Which notifications it gets.
    pub filter: Filter,
    /// How its failed deliveries are tried again.
    pub policy: Policy,
    /// How long a request may take, in milliseconds.
    pub timeout: u64,
    /// How many of its deliveries may be under way at once; at least 1.
    pub concurrency: u32,
    /// What formats for it and knows its replies.
    pub service: Box<dyn Service>,
}

/// In which form of list a target stands.
struct Form<'a> {
    /// Whether a target without a name has its provider's.
    has_default_name: bool,
    /// What holds for all targets.
    policy: &'a Policy,
}

settings! {
    /// What every target has, whatever its provider.
    #[expect(dead_code, reason = "`provider` is read before the rest, to find the schema of the rest")]
    struct Common {
        /// What the target is called; unique.
        #[length(1, 100)]
        name: String,
        /// The kind of service.
        provider: String,
        /// Which notifications it gets, of those that name no targets.
        filter: Filter = Filter::default(),
        /// How failed deliveries are tried again.
        retry: RetrySettings = RetrySettings::default(),
        /// How long a request may take, from resolving the name to the last byte of the reply: 10s.
        timeout: Option<DurationMs>,
        /// How many of its deliveries may be under way at once: 4. 1 sends them one after another.
        concurrency: Option<Within<1, 1000>>,
        /// What becomes of a text that is longer than the service takes: split (several messages, numbered),
        /// truncate (it ends in `…`) or upstream (it is sent as it is, and the service decides). Each provider has
        /// its own default.
        overflow: Option<Overflow>,
    }
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
                targets.extend(Target::read(settings, &form, &mut names, &at, &mut problems));
            }
        }
        for name in config.keys().filter(|name| !["targets", "retry", "providers"].contains(&name.as_str())) {
            let hint = did_you_mean(name, ["targets", "retry", "providers"]);
            problems.key(&root.at(name), format!("unknown key `{name}`"), hint);
        }
        if problems.is_empty() { Ok(Self { targets }) } else { Err(problems.into_vec()) }
    }

    /// The targets, in the order of the configuration.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The target of a name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }
}

/// The schema of a whole target of a provider: what every target has, and the provider's own settings.
#[must_use]
pub fn target_schema(entry: &Entry) -> Value {
    let mut common = Common::schema();
    let own = (entry.schema)();
    for member in ["properties", "required"] {
        match (common.get_mut(member), own.get(member)) {
            (Some(Value::Object(all)), Some(Value::Object(own))) => all.extend(own.clone()),
            (Some(Value::Array(all)), Some(Value::Array(own))) => all.extend(own.iter().cloned()),
            _ => {}
        }
    }
    if let Some(provider) = common.pointer_mut("/properties/provider").and_then(Value::as_object_mut) {
        provider.insert("const".to_owned(), entry.name.into());
    }
    if let Some(schema) = common.as_object_mut() {
        schema.insert("title".to_owned(), entry.name.into());
        schema.insert("description".to_owned(), entry.summary.into());
    }
    common
}

impl Target {
    fn read(
        settings: &Value,
        form: &Form<'_>,
        names: &mut Vec<String>,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
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
        let schema = target_schema(entry);
        schema::check(&schema, &Value::Object(settings.clone()), at, problems);
        // What does not fit is stood in for, so that the checks beyond the schema find the rest too.
        let (settings, mended) = schema::mend(&schema, settings);
        let mut found = Diagnostics::default();
        let target = Self::open(entry, settings, form.policy, at, &mut found);
        found.leave_out(at, &mended);
        problems.append(found);
        target
    }

    /// Makes settings that fit their schema into a target.
    fn open(
        entry: &Entry,
        settings: Map<String, Value>,
        policy: &Policy,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let of_all = Common::schema();
        let is_common = |name: &str| of_all.pointer("/properties").is_some_and(|all| all.get(name).is_some());
        let (common, own): (Map<_, _>, Map<_, _>) =
            settings.into_iter().partition(|(name, _)| is_common(name));
        let Some(common) = Common::read(&Value::Object(common)) else {
            problems.value(at, schema::MISFIT, "");
            return None;
        };
        let policy = match policy.with(&common.retry) {
            Ok(policy) => policy,
            Err(wrong) => {
                problems.value(&at.at("retry").at(wrong.key), wrong.problem, wrong.hint);
                return None;
            }
        };
        let timeout = common.timeout.map_or(DEFAULT_TIMEOUT_MS, |timeout| timeout.0);
        if !(1..=LONGEST_TIMEOUT_MS).contains(&timeout) {
            problems.value(&at.at("timeout"), "this timeout is out of range", "allowed is from 1ms to 5m");
        }
        let service = (entry.open)(Value::Object(own), common.overflow, at, problems)?;
        let concurrency =
            common.concurrency.and_then(|most| u32::try_from(most.0).ok()).unwrap_or(DEFAULT_CONCURRENCY);
        Some(Self { name: common.name, filter: common.filter, policy, timeout, concurrency, service })
    }

    /// What an outcome means for this target: the provider's word, or else HTTP's in general.
    #[must_use]
    pub fn understand<'a>(&self, outcome: &'a Outcome, now: u64) -> Understood<'a> {
        let (class, hint, refuses_markup) = match outcome {
            Outcome::Reply(reply) => (
                self.service.classify(reply).unwrap_or_else(|| Class::of_status(reply.status)),
                hint::of(reply, self.service.hint(reply), self.policy.max_hint, now),
                self.service.refuses_markup(reply),
            ),
            Outcome::Failed(transport) => (Class::of_transport(*transport), Hint::default(), false),
        };
        let knows_repeats = self.service.knows_repeats();
        Understood { outcome, class, hint, knows_repeats, refuses_markup }
    }
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
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::notification::Level;
    use crate::policy::Limit;

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
}
