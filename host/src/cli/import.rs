//! `nuncio import`: what other programs were told, as a configuration of Nuncio's own.
//!
//! Reads configurations of Apprise, text and YAML, GoDoxy's files, and notification URLs. Decides what becomes a
//! target and what has no place; what a URL means is the component's to say. No message shows a URL: any part of one
//! can be a secret.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use nuncio::contract::{UrlDialect, UrlProblem, UrlTarget};
use serde_json::{Map, Value};

use super::{Component, Failure, LARGEST_CONFIG};

mod apprise;
mod yaml;

/// No more URLs are taken at once.
const MOST_URLS: usize = 1_000;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A configuration of Apprise (text or YAML) or GoDoxy, `-` for standard input, or a notification URL; several
    #[arg(value_name = "FILE|URL", required = true)]
    from: Vec<String>,
    /// Whose the URLs are, where a scheme is both programs'
    #[arg(long, value_name = "DIALECT", value_parser = UrlDialect::ALL.map(UrlDialect::name))]
    dialect: Option<String>,
}

/// Something that was found: a URL, or a target as it was written.
pub(super) struct Found {
    /// Where, for people: a file and a line.
    pub(super) place: String,
    pub(super) what: What,
    /// What filters select it by.
    pub(super) tags: BTreeSet<String>,
}

pub(super) enum What {
    Url(String),
    Target(Map<String, Value>),
}

/// What is found in all that is read, and what has no place, a line each.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) found: Vec<Found>,
    pub(super) left_out: Vec<String>,
    pub(super) wrong: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let mut findings = Findings::default();
    for (n, from) in arguments.from.iter().enumerate() {
        if from.contains("://") {
            let (place, what) = (format!("URL {}", n.saturating_add(1)), What::Url(from.clone()));
            findings.found.push(Found { place, what, tags: BTreeSet::new() });
        } else {
            let text = read(from)?;
            apprise::read(if from == "-" { "standard input" } else { from }, &text, &mut findings);
        }
    }
    if findings.found.len() > MOST_URLS {
        return Err(Failure::Usage(format!("there are more than {MOST_URLS} URLs; import them in parts")));
    }
    let brain = component.load_embedded()?;
    let dialect = arguments.dialect.as_deref().and_then(UrlDialect::parse);
    let Findings { found, mut left_out, mut wrong } = findings;
    let (mut targets, mut names) = (Vec::new(), BTreeSet::new());
    for Found { place, what, tags } in found {
        let settings = match what {
            What::Target(settings) => vec![settings],
            What::Url(url) => match brain.from_url(&url, dialect)? {
                Ok(of_url) => {
                    of_url.into_iter().map(|target| settings_of(target, &place, &mut left_out)).collect()
                }
                Err(UrlProblem { part, problem, hint }) => {
                    let help = if hint.is_empty() { hint } else { format!("\n  help: {hint}") };
                    wrong.push(format!("{place}: in this URL the {part} {problem}{help}"));
                    continue;
                }
            },
        };
        targets.extend(settings.into_iter().map(|settings| named(settings, &tags, &mut names)));
    }
    if !wrong.is_empty() {
        return Err(Failure::Usage(wrong.join("\nerror: ")));
    }
    if targets.is_empty() {
        return Err(Failure::Usage("there is no notification URL and no target in it".to_owned()));
    }
    left_out.iter().for_each(|what| eprintln!("left out: {}", super::harmless(what)));
    let from: Vec<String> = arguments.from.iter().map(|from| shown(from)).collect();
    let head = format!("# Made by `nuncio import` from {}. It holds secrets.\ntargets:\n", from.join(", "));
    super::print(&(head + &yaml::list(&targets)))?;
    Ok(ExitCode::SUCCESS)
}

/// A source as a comment names it.
fn shown(from: &str) -> String {
    if from.contains("://") { "a URL".to_owned() } else { super::harmless(from) }
}

fn read(from: &str) -> Result<String, Failure> {
    let bytes = if from == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().take(LARGEST_CONFIG + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
        if bytes.len() as u64 > LARGEST_CONFIG {
            return Err(Failure::Usage("standard input is larger than 1 MiB".to_owned()));
        }
        bytes
    } else {
        super::read_file(Path::new(from), LARGEST_CONFIG)?
    };
    String::from_utf8(bytes).map_err(|_| Failure::Usage(format!("{from} is not UTF-8")))
}

fn settings_of(target: UrlTarget, place: &str, left_out: &mut Vec<String>) -> Map<String, Value> {
    left_out.extend(target.left_out.iter().map(|what| format!("{place}: {what}")));
    match serde_json::from_str(&target.settings) {
        Ok(Value::Object(settings)) => settings,
        _ => Map::new(),
    }
}

/// A target with a name of its own, and a filter for its tags.
fn named(
    settings: Map<String, Value>,
    tags: &BTreeSet<String>,
    names: &mut BTreeSet<String>,
) -> Map<String, Value> {
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let base = text("name").or_else(|| text("provider")).unwrap_or("target").to_owned();
    let numbered = (2_u32..).map(|n| format!("{base}-{n}"));
    let mut free = std::iter::once(base.clone()).chain(numbered).filter(|name| !names.contains(name));
    let name = free.next().unwrap_or_default();
    names.insert(name.clone());
    let mut target = Map::new();
    target.insert("name".to_owned(), name.into());
    target.extend(settings.into_iter().filter(|(key, _)| key != "name"));
    if !tags.is_empty() && !target.contains_key("filter") {
        let any: Vec<&String> = tags.iter().collect();
        target.insert("filter".to_owned(), serde_json::json!({ "tags": { "any": any } }));
    }
    target
}
