//! The lists of targets.
//!
//! It decides which provider's schema a target's settings are read by, what a target is called, and which
//! secrets are whose. It refuses to know what a setting is for. The settings of a provider that nobody knows
//! are kept back: nobody can tell which of them are secrets.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::OnceLock;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::document::{Entry, Node, Value};
use super::findings::Findings;
use super::position::Lines;
use super::references::References;
use super::report::Problem;
use super::routes::{KEYS as OF_THE_WAY, Way};
use super::settings::Catalog;
use super::vault::Vault;
use crate::egress::proxy::Proxies;
use crate::egress::route::Route;
use crate::secrets::Secrets;

/// How a target without a name is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// It has to have one.
    Required,
    /// After its provider.
    AfterProvider,
}

/// The targets of a configuration, while they are read.
pub struct Targets<'c, 'p> {
    catalog: &'c Catalog<'p>,
    /// What the file is called, for people.
    source: &'c str,
    /// Which proxies there are for those that name none.
    proxies: &'c Proxies,
    count: usize,
    names: BTreeSet<String>,
    collected: Collected,
    /// The secrets of targets without a name of their own. They are known by the same names, and belong to
    /// nobody: should the component take such a target, nothing is revealed to it.
    orphans: Secrets,
}

/// What the host keeps of targets.
#[derive(Default)]
pub struct Collected {
    /// Their secrets.
    pub secrets: Secrets,
    /// How the requests of each leave, by its name.
    pub routes: HashMap<String, Route>,
    /// What changes with the settings of each, by its name.
    pub fingerprints: HashMap<String, Fingerprint>,
}

impl<'c, 'p> Targets<'c, 'p> {
    /// No targets yet.
    #[must_use]
    pub fn new(catalog: &'c Catalog<'p>, source: &'c str, proxies: &'c Proxies) -> Self {
        let (collected, orphans) = (Collected::default(), Secrets::default());
        Self { catalog, source, proxies, count: 0, names: BTreeSet::new(), collected, orphans }
    }

    /// How many were read, good or bad.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether one has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// What is kept of those that were read.
    #[must_use]
    pub fn collected(self) -> Collected {
        self.collected
    }

    /// Reads the list of targets at a JSON pointer, and returns what the component is told of it. What is
    /// wrong is noted.
    pub fn read(
        &mut self,
        list: &Node,
        at: &str,
        naming: Naming,
        vault: &mut Vault<'_>,
        findings: &mut Findings<'_>,
    ) -> Json {
        let items = match &list.value {
            Value::List(items) => items.as_slice(),
            _ if list.is_null() => &[],
            _ => {
                let hint = "start each target with a dash: `- name: …`";
                refuse(list, at, "this must be a list of targets", hint, findings);
                &[]
            }
        };
        self.count = self.count.saturating_add(items.len());
        let target = |(index, item)| self.target(item, &format!("{at}/{index}"), naming, vault, findings);
        let told = items.iter().enumerate().map(target).collect();
        findings.refuse_secrets(list, &mut at.to_owned());
        told
    }

    fn target(
        &mut self,
        node: &Node,
        at: &str,
        naming: Naming,
        vault: &mut Vault<'_>,
        findings: &mut Findings<'_>,
    ) -> Json {
        if !matches!(node.value, Value::Map(_)) {
            let hint = "write `name: …`, `provider: …` and its settings, each on a line";
            refuse(node, at, "a target must be a mapping", hint, findings);
            return json!({});
        }
        let text = |key: &str| {
            let scalar = node.get(key).and_then(Node::scalar);
            let scalar = scalar.filter(|scalar| !scalar.is_null() && !scalar.secret);
            scalar.map(|scalar| scalar.text.as_str())
        };
        let provider = text("provider");
        let has_no_name = node.get("name").is_none_or(Node::is_null);
        let default = provider.filter(|_| naming == Naming::AfterProvider && has_no_name);
        let name = text("name").or(default);
        let is_own = name.is_some_and(|name| self.names.insert(name.to_owned()));
        let schema = provider.and_then(|provider| self.catalog.schema(provider));
        if let (Some(None), Some(provider)) = (schema, node.get("provider")) {
            let hint = "this is a mistake in the component that Nuncio runs, not in the file";
            let problem = "the component describes this provider in a way that cannot be read";
            findings.add(at, Problem::at(provider.span.clone(), problem, hint));
        }

        let line = Lines::of(findings.text()).number(node.span.start);
        let (own, rest): (Vec<_>, Vec<_>) =
            node.entries().iter().partition(|entry| OF_THE_WAY.contains(&entry.key.as_str()));
        let mut way = Way::of(format!("{}:{line}", self.source), self.proxies);
        own.into_iter().for_each(|entry| way.read(&entry.key, &entry.value, at, vault, findings));
        let mut told = Map::new();
        if let Some(default) = default {
            told.insert("name".to_owned(), default.into());
        }
        let (common, settings): (Vec<_>, Vec<_>) = rest.into_iter().partition(|entry| is_common(entry));
        let common = common.into_iter().filter(|entry| default.is_none() || entry.key != "name");
        told.extend(common.map(|entry| (entry.key.clone(), entry.value.to_json())));
        if let Some(schema) = schema.flatten() {
            let (name, rules) = (name.unwrap_or_default(), schema.rules());
            let secrets = if is_own { &mut self.collected.secrets } else { &mut self.orphans };
            // Where another component says that it sends to counts for nothing.
            let mut ignored = Route::default();
            let trusted = if self.catalog.is_foreign() { &mut ignored } else { &mut way.route };
            schema.origins.iter().for_each(|origin| trusted.fix(origin.clone()));
            let mut references = References::new(name, at, vault, secrets, trusted, findings);
            told.extend(references.entries(&settings, &rules));
        } else {
            for Entry { key, value, .. } in settings {
                if value.scalar().is_some() && self.catalog.is_harmless(key) {
                    told.insert(key.clone(), value.to_json());
                } else {
                    findings.hide(value.span.clone());
                }
            }
        }
        let told = Json::Object(told);
        if let Some(name) = name.filter(|_| is_own) {
            let secrets = self.collected.secrets.of(name);
            let whole = (node.to_json().to_string(), secrets, &way.inputs);
            let fingerprint = Fingerprint::of(&whole, &told.to_string());
            self.collected.fingerprints.insert(name.to_owned(), fingerprint);
            self.collected.routes.insert(name.to_owned(), way.route);
        }
        told
    }
}

/// What changes with a target's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// With all of them, secrets too. It means nothing to another process, so that nobody can find out a secret by
    /// it.
    pub whole: u64,
    /// With those that are no secrets. The same in every process.
    pub open: u64,
}

impl Fingerprint {
    fn of(whole: &impl Hash, open: &str) -> Self {
        static KEYS: OnceLock<RandomState> = OnceLock::new();
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(open));
        Self {
            whole: KEYS.get_or_init(RandomState::new).hash_one(whole),
            open: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        }
    }
}

/// Whether an entry is one of the two that every target has, and as it should be.
fn is_common(entry: &Entry) -> bool {
    matches!(entry.key.as_str(), "name" | "provider") && entry.value.scalar().is_some()
}

/// Notes that a node is not what it should be, and shows nothing of it.
fn refuse(node: &Node, at: &str, problem: &str, hint: &str, findings: &mut Findings<'_>) {
    findings.hide(node.span.clone());
    findings.refuse(node, at, problem, hint);
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use url::Url;

    use super::*;
    use crate::contract::Provider;
    use crate::environment::ProcessEnvironment;

    const SCHEMA: &str = r#"{
        "type": "object", "additionalProperties": false,
        "properties": {
            "name": {"type": "string"},
            "provider": {"const": "post"},
            "url": {"type": "string", "format": "uri"},
            "hook": {"type": "string", "format": "uri", "writeOnly": true},
            "token": {"type": ["string", "null"], "writeOnly": true},
            "mirrors": {"type": "array", "items": {"format": "uri"}},
            "tags": {"type": "array", "items": {"type": "string"}}
        }
    }"#;

    struct Read {
        told: Json,
        secrets: Secrets,
        routes: HashMap<String, Route>,
        report: String,
    }

    fn read(list: &str, naming: Naming) -> Read {
        let provider = |name: &str, schema: &str| Provider::of(name, schema, &["https://fixed.example:8443"]);
        let providers = [provider("post", SCHEMA), provider("broken", "[")];
        let catalog = Catalog::new(&providers, None);
        let text = format!("targets:\n{list}\n");
        let root = Document::parse(&text).unwrap().root;
        let mut findings = Findings::new(&text);
        let none = Proxies::none();
        let mut targets = Targets::new(&catalog, "f", &none);
        let mut vault = Vault::new("f", &ProcessEnvironment);
        let list = root.get("targets").unwrap();
        let told = targets.read(list, "/targets", naming, &mut vault, &mut findings);
        let report = findings.into_report("f").map(|report| report.to_string()).unwrap_or_default();
        assert!(!format!("{report}{told}").contains("canary"), "{report}\n{told}");
        let Collected { secrets, routes, .. } = targets.collected();
        Read { told, secrets, routes, report }
    }

    fn one(settings: &str) -> Read {
        read(&format!("- {{name: a, provider: post, {settings}}}"), Naming::Required)
    }

    #[test]
    fn a_target_may_go_where_its_urls_and_its_provider_point() {
        let route = &one("url: 'https://One.example/x', mirrors: ['http://two.example:81'], \
             hook: 'https://canary.example'")
        .routes["a"];
        let origin = |url: &str| Url::parse(url).unwrap().origin();
        let may = |url: &str| route.leads_to(&origin(url));
        assert!(!route.names(&origin("https://fixed.example:8443")) && route.place() == "f:2");
        for url in [
            "https://one.example",
            "http://two.example:81",
            "https://canary.example",
            "https://fixed.example:8443",
        ] {
            assert!(may(url), "{url}");
        }
        for url in ["http://one.example", "https://two.example:81", "https://fixed.example"] {
            assert!(!may(url), "{url}");
        }
    }

    #[test]
    fn the_settings_of_an_unknown_provider_are_kept_back() {
        for provider in ["Post", "broken", "[canary]", "~"] {
            let target =
                format!("- {{name: a, provider: {provider}, token: canary, tokn: canary, tags: [canary]}}");
            let read = read(&target, Naming::Required);
            let told = read.told[0].as_object().unwrap();
            assert!(told.keys().all(|key| ["name", "provider"].contains(&key.as_str())), "{told:?}");
            assert_eq!(read.report.contains("cannot be read"), provider == "broken");
        }
    }

    #[test]
    fn in_godoxys_form_a_target_is_named_after_its_provider() {
        for missing in ["", "name: ,", "name: null,"] {
            let list = format!("- {{{missing} provider: post, token: canary}}");
            let after = read(&list, Naming::AfterProvider);
            assert_eq!(after.told[0]["name"], json!("post"));
            assert_eq!(after.secrets.reveal("post", "post/token"), Some("canary"));
            let required = read(&list, Naming::Required);
            assert!(required.told[0].get("name").is_none_or(Json::is_null));
            assert_eq!(required.secrets.reveal("", "/token"), None);
        }
    }

    #[test]
    fn two_targets_of_one_name_share_no_secret_and_no_origin() {
        let target = |token: &str, host: &str| {
            format!("- {{name: a, provider: post, token: {token}, url: 'https://{host}'}}\n")
        };
        let read =
            read(&(target("canary1", "one.example") + &target("canary2", "two.example")), Naming::Required);
        assert_eq!(read.secrets.reveal("a", "a/token"), Some("canary1"));
        assert!(!read.routes["a"].leads_to(&Url::parse("https://two.example").unwrap().origin()));
    }

    #[test]
    fn what_is_no_list_of_mappings_is_refused_and_not_shown() {
        for (list, words) in [
            ("  tgram://canary/chat", "must be a list"),
            ("  {a: canary}", "must be a list"),
            ("- tgram://canary/chat", "must be a mapping"),
            ("- [canary]", "must be a mapping"),
        ] {
            let report = read(list, Naming::Required).report;
            assert!(report.contains(words), "{list}: {report}");
        }
    }
}
