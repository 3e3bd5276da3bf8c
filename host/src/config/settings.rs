//! What the providers' schemas say about a target's settings.
//!
//! It decides which values are secret and which are URLs, from nothing but the JSON Schemas that the
//! component hands out. It refuses to know any provider or setting by name, and to check a value: that is
//! the component's, but for the form of a secret, which the component never sees.
//!
//! A schema is read so that a mistake hides too much rather than too little: a place is secret if any
//! branch of its schema is, and whatever stands where the schema expects secrets inside is secret as well. The
//! schemas of a component that somebody else built are not trusted to tell secrets: what the embedded one keeps secret
//! in the provider of that name is kept secret from them too, and so is a setting of a provider that the embedded one
//! does not have, where every setting of that name there is a secret.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use regex::RegexBuilder;
use serde_json::{Map, Value as Json, json};
use url::{Origin, Url};

use crate::contract::Provider;

#[cfg(test)]
mod tests;

/// The keys that no schema has to name: the file's own, and the two that every target has.
const COMMON: [&str; 14] = [
    "targets",
    "retry",
    "server",
    "listen",
    "queue",
    "path",
    "alerts_to",
    "secrets_dir",
    "allow_hosts",
    "tls",
    "providers",
    "notification",
    "name",
    "provider",
];

/// How large a compiled pattern may be, in bytes: some hundred times what the form of a key takes. A component
/// can ask for anything.
const LARGEST_PATTERN: usize = 1024 * 1024;

/// How much of what a component says about a form is shown, in characters.
const LONGEST_FORM: usize = 200;

/// The longest schema that is read, and all of them together, in bytes: a component may be hostile, and every setting
/// may refer to all others.
const LARGEST_SCHEMA: usize = 64 << 10;
const LARGEST_SCHEMAS: usize = 1 << 20;

/// The schemas of every provider.
pub struct Catalog<'p> {
    schemas: HashMap<&'p str, Option<Schema>>,
    is_foreign: bool,
    harmless: HashSet<String>,
    secret: HashSet<String>,
}

/// The schema of one provider.
pub struct Schema {
    root: Json,
    /// Where requests may go whatever the settings say.
    pub origins: Vec<Origin>,
}

/// What the schema says about one place: every branch that may apply there.
pub struct Rules<'s> {
    root: &'s Json,
    branches: Vec<&'s Json>,
    is_secret: bool,
}

impl<'p> Catalog<'p> {
    /// Reads the schemas. `embedded` is what the embedded component says about itself, where these are another's.
    #[must_use]
    pub fn new(providers: &'p [Provider], embedded: Option<&[Provider]>) -> Self {
        let (mut harmless, mut secret) = (HashSet::new(), HashSet::from(["tokens".to_owned()]));
        let trusted: Vec<(&str, Schema)> = embedded
            .into_iter()
            .flatten()
            .filter_map(|provider| Some((provider.name.as_str(), Schema::read(provider)?)))
            .collect();
        for (_, schema) in &trusted {
            names(&schema.root, &schema.root, &mut harmless, &mut secret);
        }
        let kept = secret.difference(&harmless).map(|name| (name.clone(), json!({ "writeOnly": true })));
        let kept = json!({ "properties": kept.collect::<Map<_, _>>() });
        let mut room = LARGEST_SCHEMAS;
        let read = |provider: &'p Provider| {
            let fits = room.checked_sub(provider.settings_schema.len());
            room = fits.unwrap_or(room);
            let mut schema = fits.and_then(|_| Schema::read(provider));
            if let Some(schema) = schema.as_mut().filter(|_| embedded.is_some()) {
                let same = trusted.iter().find(|(name, _)| *name == provider.name);
                let also = same.map_or(&kept, |(_, trusted)| &trusted.root);
                schema.root = both(&schema.root, also);
            }
            (provider.name.as_str(), schema)
        };
        let schemas: HashMap<_, _> = providers.iter().map(read).collect();
        for schema in schemas.values().flatten() {
            names(&schema.root, &schema.root, &mut harmless, &mut secret);
        }
        harmless.extend(COMMON.map(str::to_owned));
        harmless.retain(|name| !secret.contains(name));
        Self { schemas, is_foreign: embedded.is_some(), harmless, secret }
    }

    /// Whether the component is not the embedded one, so that where it would send counts for nothing.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// The schema of a provider: `None` where there is no such provider, `Some(None)` where what it says
    /// about itself cannot be read.
    #[must_use]
    pub fn schema(&self, provider: &str) -> Option<Option<&Schema>> {
        self.schemas.get(provider).map(Option::as_ref)
    }

    /// Whether no provider has a secret setting of this name, and some have a setting of it.
    #[must_use]
    pub fn is_harmless(&self, name: &str) -> bool {
        self.harmless.contains(name)
    }

    /// What to hide of a line in a text that is no YAML: nothing where its key is harmless and nothing after
    /// it looks like a secret, else all that follows the key.
    #[must_use]
    pub fn doubtful(&self, line: &str) -> Range<usize> {
        let end = line.trim_end().len();
        let skip = |from: usize, blank: &[char]| {
            let rest = line.get(from..end).unwrap_or_default();
            end.saturating_sub(rest.trim_start_matches(blank).len())
        };
        let start = skip(0, &[' ', '\t', '-']);
        let entry = line.get(start..end).unwrap_or_default();
        let Some((key, value)) = entry.split_once(':') else { return start..end };
        let is_harmless = self.is_harmless(key.trim().trim_matches(['"', '\'']))
            && !value.contains('@')
            && !self.secret.iter().any(|name| value.contains(name.as_str()));
        if is_harmless { end..end } else { skip(end.saturating_sub(value.len()), &[' ', '\t'])..end }
    }
}

/// One schema for what two say, each of which refers to itself.
fn both(one: &Json, other: &Json) -> Json {
    let inside = |schema: &Json, index: usize| {
        let text = schema.to_string().replace("\"$ref\":\"#", &format!("\"$ref\":\"#/allOf/{index}"));
        serde_json::from_str(&text).unwrap_or(Json::Null)
    };
    json!({ "allOf": [inside(one, 0), inside(other, 1)] })
}

impl Schema {
    fn read(provider: &Provider) -> Option<Self> {
        if provider.settings_schema.len() > LARGEST_SCHEMA {
            return None;
        }
        let root: Json = serde_json::from_str(&provider.settings_schema).ok()?;
        let origins = provider.origins.iter().map(|origin| Url::parse(origin).map(|url| url.origin()));
        let origins = origins.collect::<Result<_, _>>().ok()?;
        root.is_object().then_some(Self { root, origins })
    }

    /// What it says about the settings as a whole.
    #[must_use]
    pub fn rules(&self) -> Rules<'_> {
        Rules::new(&self.root, [&self.root], false)
    }
}

impl<'s> Rules<'s> {
    fn new(root: &'s Json, start: impl IntoIterator<Item = &'s Json>, is_secret: bool) -> Self {
        let mut branches: Vec<&Json> = Vec::new();
        let mut open: Vec<&Json> = start.into_iter().collect();
        let mut seen: HashSet<*const Json> = HashSet::new();
        while let Some(schema) = open.pop() {
            if !seen.insert(schema) {
                continue;
            }
            branches.push(schema);
            let reference = schema.get("$ref").and_then(Json::as_str).and_then(|to| to.strip_prefix('#'));
            open.extend(reference.and_then(|to| root.pointer(to)));
            for word in ["anyOf", "oneOf", "allOf"] {
                open.extend(schema.get(word).and_then(Json::as_array).into_iter().flatten());
            }
            open.extend(["then", "else"].iter().filter_map(|word| schema.get(word)));
        }
        let is_marked = |branch: &&Json| branch.get("writeOnly") == Some(&Json::Bool(true));
        let is_secret = is_secret || branches.iter().any(is_marked);
        Self { root, branches, is_secret }
    }

    /// Whether what stands here is a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Whether what stands here is a URL.
    #[must_use]
    pub fn is_uri(&self) -> bool {
        self.branches.iter().any(|branch| branch.get("format").and_then(Json::as_str) == Some("uri"))
    }

    /// Whether text, a number or a boolean may stand here.
    #[must_use]
    pub fn takes_scalars(&self) -> bool {
        self.branches
            .iter()
            .any(|branch| takes(branch, &["string", "integer", "number", "boolean"], &["enum", "const"]))
    }

    /// What is said about the form that a text must have here and this one does not have. `None` where any
    /// branch takes it; a pattern that cannot be read takes everything.
    #[must_use]
    pub fn missed_form(&self, text: &str) -> Option<String> {
        let mut missed = None;
        for branch in self.branches.iter().filter(|branch| takes(branch, &["string"], &["pattern"])) {
            let pattern = branch.get("pattern").and_then(Json::as_str)?;
            let compiled = RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).build().ok()?;
            if compiled.is_match(text) {
                return None;
            }
            missed = missed.or_else(|| {
                let about = branch.get("description").and_then(Json::as_str);
                about.map(ToOwned::to_owned).or_else(|| Some(format!("what matches `{pattern}`")))
            });
        }
        missed.map(|form: String| form.replace('\n', " ").chars().take(LONGEST_FORM).collect())
    }

    /// Whether a list may stand here.
    #[must_use]
    pub fn takes_lists(&self) -> bool {
        self.branches.iter().any(|branch| takes(branch, &["array"], &["items", "prefixItems"]))
    }

    /// Whether a mapping may stand here.
    #[must_use]
    pub fn takes_maps(&self) -> bool {
        self.branches.iter().any(|branch| {
            takes(branch, &["object"], &["properties", "additionalProperties", "patternProperties"])
        })
    }

    /// Whether there are secrets here, or anywhere inside.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        let mut seen: HashSet<*const Json> = HashSet::new();
        let mut open = vec![Self::new(self.root, self.branches.iter().copied(), self.is_secret)];
        while let Some(rules) = open.pop() {
            if rules.is_secret {
                return true;
            }
            for branch in rules.branches {
                if seen.insert(branch) {
                    open.extend(parts(branch).map(|part| Self::new(self.root, [part], false)));
                }
            }
        }
        false
    }

    /// What is said about an entry of a mapping.
    #[must_use]
    pub fn member(&self, key: &str) -> Self {
        let of = |branch: &'s Json| {
            let named = branch.get("properties").and_then(|properties| properties.get(key));
            // Patterns are not matched: any of them may apply.
            let patterns = branch.get("patternProperties").and_then(Json::as_object);
            let other = branch.get("additionalProperties").filter(|_| named.is_none());
            named.into_iter().chain(patterns.into_iter().flat_map(|all| all.values())).chain(other)
        };
        Self::new(self.root, self.branches.iter().flat_map(|branch| of(branch)), self.is_secret)
    }

    /// What is said about the items of a list.
    #[must_use]
    pub fn item(&self) -> Self {
        let of = |branch: &'s Json| {
            let first = branch.get("prefixItems").and_then(Json::as_array).into_iter().flatten();
            first.chain(branch.get("items"))
        };
        Self::new(self.root, self.branches.iter().flat_map(|branch| of(branch)), self.is_secret)
    }

    /// Whether a mapping here has described entries and this is none of them, so that nobody can tell what it
    /// holds.
    #[must_use]
    pub fn is_unknown(&self, key: &str) -> bool {
        let has_described = self.branches.iter().any(|branch| branch.get("properties").is_some());
        has_described && self.member(key).branches.iter().all(|branch| **branch == Json::Bool(false))
    }

    /// Whether an entry is unknown, and every branch that takes mappings refuses what it does not describe.
    #[must_use]
    pub fn is_refused(&self, key: &str) -> bool {
        let refuses = |branch: &&Json| {
            let of_others = |word: &str| branch.get(word).is_some();
            let takes_no_maps = branch.get("type").is_some() && !takes(branch, &["object"], &["properties"]);
            branch.get("additionalProperties") == Some(&Json::Bool(false))
                || takes_no_maps
                || ["$ref", "anyOf", "oneOf", "allOf"].into_iter().any(of_others)
        };
        self.is_unknown(key) && self.branches.iter().all(refuses)
    }
}

/// Whether a schema names one of some types, or has one of some keywords.
fn takes(schema: &Json, types: &[&str], words: &[&str]) -> bool {
    let is_one = |name: &Json| name.as_str().is_some_and(|name| types.contains(&name));
    let named = schema.get("type");
    named.is_some_and(|named| is_one(named) || named.as_array().is_some_and(|all| all.iter().any(is_one)))
        || words.iter().any(|word| schema.get(word).is_some())
}

/// The schemas of what may stand inside of a place.
fn parts(schema: &Json) -> impl Iterator<Item = &Json> {
    let maps =
        ["properties", "patternProperties"].into_iter().filter_map(|word| schema.get(word)?.as_object());
    let lists = schema.get("prefixItems").and_then(Json::as_array);
    let single = ["additionalProperties", "items"].into_iter().filter_map(|word| schema.get(word));
    maps.flat_map(|map| map.values()).chain(lists.into_iter().flatten()).chain(single)
}

/// Sorts the names of all settings, wherever a schema describes them, into harmless ones and secrets.
fn names(root: &Json, schema: &Json, harmless: &mut HashSet<String>, secret: &mut HashSet<String>) {
    let inside = match schema {
        Json::Object(object) => {
            for (name, setting) in object.get("properties").and_then(Json::as_object).into_iter().flatten() {
                let rules = Rules::new(root, [setting], false);
                let names = if rules.holds_secrets() { &mut *secret } else { &mut *harmless };
                names.insert(name.clone());
            }
            object.values().collect()
        }
        Json::Array(array) => array.iter().collect(),
        _ => Vec::new(),
    };
    inside.into_iter().for_each(|inside| names(root, inside, harmless, secret));
}
