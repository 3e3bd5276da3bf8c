//! The settings of one target: secrets out, references in.
//!
//! It decides what the component is told of each setting: everything but the secrets, each of which is
//! replaced by `{"$secret": NAME}` and kept for this target alone; and where these may go: to the origins
//! that the target's own URLs name. A secret can lie in a file: `token_file` is the path of what `token` is. What
//! stands where secrets were expected, and is not what was expected, is emptied: the component sees that it is
//! wrong and no more.

use std::ops::Range;

use secrecy::SecretString;
use serde_json::{Map, Value as Json, json};

use super::document::{Entry, Node, Value};
use super::findings::Findings;
use super::origin::{credentials, origin};
use super::pointer;
use super::report::Problem;
use super::scalar::Scalar;
use super::settings::Rules;
use super::substitute::is_reference;
use super::vault::Vault;
use crate::egress::route::Route;
use crate::secrets::Secrets;

/// What the component is told in the place of a URL that is wrong, so that it has nothing to add.
const STAND_IN: &str = "https://stand-in.invalid/";

/// What follows the name of a secret's setting where it lies in a file.
const IN_A_FILE: &str = "_file";

/// The way through the settings of one target.
pub struct References<'w, 't, 'e> {
    vault: &'w mut Vault<'e>,
    secrets: &'w mut Secrets,
    route: &'w mut Route,
    findings: &'w mut Findings<'t>,
    target: &'w str,
    pointer: String,
    /// The pointer's steps below the target, as the secrets' names have them.
    setting: String,
}

impl<'w, 't, 'e> References<'w, 't, 'e> {
    /// For the settings of a target that stands at a JSON pointer.
    pub fn new(
        target: &'w str,
        at: &str,
        vault: &'w mut Vault<'e>,
        secrets: &'w mut Secrets,
        route: &'w mut Route,
        findings: &'w mut Findings<'t>,
    ) -> Self {
        Self { vault, secrets, route, findings, target, pointer: at.to_owned(), setting: String::new() }
    }

    /// What the component is told of the entries of a mapping.
    pub fn entries(&mut self, entries: &[&Entry], rules: &Rules<'_>) -> Map<String, Json> {
        let mut told = Map::new();
        for Entry { key, key_span, value } in entries {
            let Some(setting) = in_a_file(key, rules) else {
                told.insert(key.clone(), self.entry(key, value, rules));
                continue;
            };
            if entries.iter().any(|entry| entry.key == setting) {
                let (problem, at) = (format!("`{setting}` and `{key}` are both set"), self.below(setting));
                self.findings.add(&at, Problem::at(key_span.clone(), problem, "keep one of them"));
                continue;
            }
            told.insert(setting.to_owned(), self.file(setting, key, value, &rules.member(setting)));
        }
        told
    }

    /// What the component is told of a secret that lies in a file.
    fn file(&mut self, setting: &str, key: &str, path: &Node, rules: &Rules<'_>) -> Json {
        let at = self.below(key);
        let text = match path.is_null() || self.findings.covers(&at) {
            true => None,
            false => self.vault.text_in(path, &at, self.findings),
        };
        if let Some(text) = text {
            let scalar = Scalar { text, plain: false, secret: true };
            let node = Node { span: path.span.clone(), value: Value::Scalar(scalar) };
            return self.step(setting, &node, rules);
        }
        if !path.is_null() {
            // Why it is missing was said.
            let at = self.below(setting);
            self.findings.cover(&at);
        }
        Json::Null
    }

    fn below(&self, key: &str) -> String {
        let mut below = self.pointer.clone();
        pointer::push(&mut below, key);
        below
    }

    /// What the component is told of one setting.
    fn entry(&mut self, key: &str, value: &Node, rules: &Rules<'_>) -> Json {
        if rules.is_unknown(key) {
            self.findings.hide(value.span.clone());
        }
        if rules.is_refused(key) {
            // Perhaps a secret under a misspelled key; the component complains about the key alone.
            return Json::Null;
        }
        self.step(key, value, &rules.member(key))
    }

    fn step(&mut self, step: &str, node: &Node, rules: &Rules<'_>) -> Json {
        let pointer = pointer::push(&mut self.pointer, step);
        let setting = self.setting.len();
        if setting > 0 {
            self.setting.push('/');
        }
        self.setting.push_str(step);
        let told = self.node(node, rules);
        self.setting.truncate(setting);
        self.pointer.truncate(pointer);
        told
    }

    fn node(&mut self, node: &Node, rules: &Rules<'_>) -> Json {
        match &node.value {
            Value::Scalar(scalar)
                if rules.takes_scalars() || rules.is_secret() || rules.is_uri() || scalar.is_null() =>
            {
                self.scalar(node, scalar, rules)
            }
            Value::List(items) if rules.takes_lists() => {
                let rules = rules.item();
                let step = |(index, item): (usize, _)| self.step(&index.to_string(), item, &rules);
                items.iter().enumerate().map(step).collect()
            }
            Value::Map(entries) if rules.takes_maps() => {
                Json::Object(self.entries(&entries.iter().collect::<Vec<_>>(), rules))
            }
            _ if !rules.holds_secrets() => node.to_json(),
            // Not what is expected, and it may hold what is: the component sees that it is wrong, no more.
            wrong => {
                self.findings.hide(node.span.clone());
                match wrong {
                    Value::Scalar(_) => json!(""),
                    Value::List(_) => json!([]),
                    Value::Map(_) => json!({}),
                }
            }
        }
    }

    fn scalar(&mut self, node: &Node, scalar: &Scalar, rules: &Rules<'_>) -> Json {
        if rules.is_secret() {
            self.findings.keep(&self.pointer);
        }
        if rules.is_secret() && scalar.text.is_empty() && self.is_meant(node, scalar) {
            let hint =
                "give it a value or leave it out, which ${NAME:-} without quotes does if NAME is empty";
            self.findings.refuse(node, &self.pointer, "this secret is empty", hint);
            return Json::Null;
        }
        if scalar.is_null() || scalar.text.is_empty() {
            return scalar.to_json();
        }
        let is_wrong = rules.is_uri() && !self.allow(node, scalar);
        if rules.is_secret() {
            self.findings.hide(node.span.clone());
            self.hold_to_form(node, scalar, rules);
            let name = self.secrets.keep(self.target, &self.setting, SecretString::from(scalar.text.clone()));
            return json!({ "$secret": name });
        }
        if is_wrong { json!(STAND_IN) } else { scalar.to_json() }
    }

    /// Notes a secret that cannot be what it should be. The component sees no value, so it cannot say so.
    fn hold_to_form(&mut self, node: &Node, secret: &Scalar, rules: &Rules<'_>) {
        let Some(form) = rules.missed_form(&secret.text).filter(|_| !self.findings.covers(&self.pointer))
        else {
            return;
        };
        let hint = match rules.missed_form(secret.text.trim()) {
            None => "remove the white space around it".to_owned(),
            Some(_) => format!("expected is {form}"),
        };
        self.findings.refuse(node, &self.pointer, "this secret does not have the expected form", hint);
    }

    /// Whether an empty value is one that somebody meant to give: it has quotes, or is a variable that is set
    /// to nothing.
    fn is_meant(&self, node: &Node, scalar: &Scalar) -> bool {
        !scalar.plain || self.findings.text().get(node.span.clone()).is_some_and(is_reference)
    }

    fn hide_credentials(&mut self, node: &Node) {
        let written = self.findings.text().get(node.span.clone()).unwrap_or_default();
        if let Some(Range { start, end }) = credentials(written) {
            let at = |offset: usize| node.span.start.saturating_add(offset);
            self.findings.hide(at(start)..at(end));
        }
    }

    /// Lets the target's requests go where a URL points. Where it is none, that is noted.
    fn allow(&mut self, node: &Node, url: &Scalar) -> bool {
        if self.findings.covers(&self.pointer) {
            self.hide_credentials(node);
            return false;
        }
        match origin(&url.text) {
            Ok(origin) => {
                self.route.name(origin);
                true
            }
            Err((problem, hint)) => {
                self.hide_credentials(node);
                self.findings.refuse(node, &self.pointer, problem, hint);
                false
            }
        }
    }
}

/// The setting of which a key names the file, where it is a secret that can be text, and the key is no setting.
fn in_a_file<'k>(key: &'k str, rules: &Rules<'_>) -> Option<&'k str> {
    let setting = key.strip_suffix(IN_A_FILE).filter(|_| rules.is_unknown(key))?;
    let of = rules.member(setting);
    (!rules.is_unknown(setting) && of.is_secret() && of.takes_scalars()).then_some(setting)
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::super::settings::Catalog;
    use super::*;
    use crate::contract::Provider;
    use crate::environment::ProcessEnvironment;

    const SCHEMA: &str = r#"{
        "type": "object", "additionalProperties": false,
        "properties": {
            "url": {"type": "string", "format": "uri"},
            "hook": {"type": "string", "format": "uri", "writeOnly": true},
            "token": {"type": ["string", "null"], "writeOnly": true},
            "headers": {"type": "object", "additionalProperties": {"type": "string", "writeOnly": true}},
            "keys": {"type": "array", "items": {"type": "string", "writeOnly": true}},
            "mirrors": {"type": "array", "items": {"format": "uri"}},
            "seal": {"type": "string", "writeOnly": true, "pattern": "^k_[a-z]+$", "description": "`k_` and letters"},
            "tags": {"type": "array", "items": {"type": "string"}}
        }
    }"#;

    struct Read {
        told: Json,
        secrets: Secrets,
        route: Route,
        report: String,
    }

    fn read_one(settings: &str) -> Read {
        let provider = Provider::of("post", SCHEMA, &[]);
        let catalog = Catalog::new(std::slice::from_ref(&provider), None);
        let rules = catalog.schema("post").unwrap().unwrap().rules();
        let text = format!("{{{settings}}}\n");
        let root = Document::parse(&text).unwrap().root;
        let (mut secrets, mut route, mut findings) =
            (Secrets::default(), Route::default(), Findings::new(&text));
        let mut vault = Vault::new("f", &ProcessEnvironment);
        let mut references =
            References::new("a", "/targets/0", &mut vault, &mut secrets, &mut route, &mut findings);
        let told = Json::Object(references.entries(&root.entries().iter().collect::<Vec<_>>(), &rules));
        findings.extend([Problem::at(0..1, "to see the line", "")]);
        let report = findings.into_report("f").map(|report| report.to_string()).unwrap_or_default();
        assert!(!format!("{report}{told}").contains("canary"), "{report}\n{told}");
        Read { told, secrets, route, report }
    }

    #[test]
    fn every_secret_becomes_a_reference() {
        let read = read_one(
            "token: tk_canary, headers: {X/Y: canary, Z: 007}, keys: [canary], tags: [b], url: 'http://h/'",
        );
        assert_eq!(
            read.told,
            json!({
                "token": {"$secret": "a/token"},
                "headers": {"X/Y": {"$secret": "a/headers/X/Y"}, "Z": {"$secret": "a/headers/Z"}},
                "keys": [{"$secret": "a/keys/0"}], "tags": ["b"], "url": "http://h/",
            })
        );
        assert_eq!(read.secrets.reveal("a", "a/token"), Some("tk_canary"));
        assert_eq!(read.secrets.reveal("a", "a/headers/Z"), Some("007"), "as it was written");
        assert_eq!(read.report.matches("error: ").count(), 1);
    }

    #[test]
    fn a_secret_of_another_form_is_a_problem_that_shows_nothing_of_it() {
        for (seal, hint) in [
            ("Canary", "expected is `k_` and letters"),
            ("007", "expected is `k_` and letters"),
            ("'k_canary '", "remove the white space around it"),
            ("\"k_canary\\n\"", "remove the white space around it"),
        ] {
            let Read { told, report, .. } = read_one(&format!("tags: [b], seal: {seal}"));
            assert!(report.contains("this secret does not have the expected form"), "{report}");
            assert!(report.contains("f:1:19") && report.contains(hint), "{report}");
            assert!(!report.to_lowercase().contains("canary"), "{report}");
            assert_eq!(told["seal"], json!({"$secret": "a/seal"}));
        }
        let Read { report, secrets, .. } = read_one("seal: k_canary");
        assert_eq!(report.matches("error: ").count(), 1);
        assert_eq!(secrets.reveal("a", "a/seal"), Some("k_canary"));
    }

    #[test]
    fn nothing_is_no_secret() {
        let read = read_one("token: , keys: ~, headers: {X: null}");
        assert_eq!(read.told["token"], json!(null));
        assert_eq!(read.told["headers"]["X"], json!(null));
        assert_eq!(read.told["keys"], json!(null));
        assert_eq!(read.report.matches("error: ").count(), 1);
        let read = read_one("token: '', headers: {X: \"\"}");
        assert_eq!(read.report.matches("this secret is empty").count(), 2);
    }

    #[test]
    fn what_stands_in_a_wrong_place_is_emptied() {
        let read = read_one("token: {a: canary}, headers: canary, keys: {a: [canary]}, hook: [canary]");
        let told = json!({"token": {}, "headers": "", "keys": {}, "hook": []});
        assert_eq!(read.told, told);
        assert_eq!(
            read_one("tags: {b: [1]}").told["tags"],
            json!({"b": [1]}),
            "nothing secret is expected there"
        );
    }

    #[test]
    fn a_misspelled_secret_is_neither_told_nor_shown() {
        let read = read_one("tokn: canary, url: none");
        assert_eq!(read.told["tokn"], json!(null));
        assert!(read.report.contains("tokn: ***"), "{}", read.report);
    }

    #[test]
    fn a_url_that_cannot_be_used_is_a_problem_and_is_not_told() {
        for (url, words) in [
            ("example.com", "http://"),
            ("https://me:canary@example.com/", "user or a password"),
            ("htps://me:canary@example.com/", "http://"),
            ("me:canary@example.com/", "http://"),
        ] {
            let Read { told, report, .. } = read_one(&format!("url: '{url}'"));
            assert!(report.contains(words) && told["url"] == STAND_IN, "{url}: {report}");
        }
        let Read { told, report, route, .. } = read_one("hook: 'https://me:canary@example.com/canary'");
        assert!(report.contains("user or a password") && report.contains("{hook: ***}"));
        assert_eq!(told["hook"], json!({"$secret": "a/hook"}));
        assert!(!route.leads_to(&url::Url::parse("https://example.com").unwrap().origin()));
    }
}
