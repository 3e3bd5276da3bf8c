//! Reading the configuration: completely, or not at all with everything that is wrong.
//!
//! It decides what a file means for the host: which part of it is Nuncio's, where the server listens, and
//! which values are secrets. What a target's settings mean is the component's to say; this module hands it
//! the file as JSON without a secret in it, and shows its complaints where they stand in the file.
//!
//! The text may be hostile: its size, nesting and what it expands to are bounded, no text makes it panic, and
//! no report shows a secret.
//!
//! ```text
//! text ─▶ document ─▶ substitute ─▶ targets, server ─▶ the component ─▶ Config
//!            └────────────┴───────────────┴────────────────┴─▶ findings ─▶ Report
//! ```

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value as Json, json};

use self::document::{Document, Value};
use self::findings::Findings;
use self::parts::{NOTIFICATION, Parts};
use self::queue::QueueConfig;
use self::report::Problem;
use self::server::ServerConfig;
use self::settings::Catalog;
pub(crate) use self::targets::Fingerprint;
use self::targets::{Collected, Naming, Targets};
use self::urls::ReadUrl;
use self::vault::Vault;
use crate::contract::{Diagnostic, Provider};
use crate::egress::proxy::Proxies;
use crate::egress::route::Route;
use crate::environment::Environment;
use crate::secrets::Secrets;

mod alerts;
mod build;
pub mod document;
mod findings;
mod load;
mod origin;
mod parts;
pub mod pointer;
mod position;
pub mod queue;
mod references;
pub mod report;
mod routes;
pub mod scalar;
pub mod server;
mod settings;
pub mod spelling;
mod substitute;
mod syntax;
mod targets;
#[cfg(test)]
mod tests;
mod urls;
mod vault;

pub use self::report::Report;
pub use self::vault::Files;

/// A configuration that the host and the component both accept.
#[derive(Debug)]
pub struct Config {
    pub(crate) guest_config: String,
    pub(crate) secrets: Secrets,
    /// How the requests of a target leave, by its name.
    pub(crate) routes: HashMap<String, Route>,
    pub(crate) alerts_to: Vec<String>,
    /// What changes with a target's settings, secrets and all, by its name.
    pub(crate) fingerprints: HashMap<String, Fingerprint>,
    server: ServerConfig,
    queue: QueueConfig,
    files: Files,
    /// What of notification URLs has no place here.
    notes: Vec<String>,
}

/// The component that a configuration is for.
pub struct Component<'a> {
    /// What it says about itself.
    pub providers: &'a [Provider],
    /// What the embedded component says about itself, where this is another one. It is not trusted then: what the
    /// embedded one keeps secret is kept from it, and its requests go only where `allow_hosts` says.
    pub embedded: Option<&'a [Provider]>,
    /// Asks it to check the JSON that it would be given.
    pub open: &'a dyn Fn(&str) -> Result<(), Vec<Diagnostic>>,
    /// Asks the embedded component which targets a notification URL of Apprise or shoutrrr stands for.
    pub from_url: &'a ReadUrl<'a>,
}

impl Config {
    /// Reads a configuration in YAML.
    ///
    /// `source` names it in reports; paths in it are from the folder of this path on.
    ///
    /// A file with `providers` may be GoDoxy's: there only what a file of Nuncio's own has and
    /// `providers.notification` are looked at, and everything else may be anything.
    ///
    /// # Errors
    ///
    /// Everything that is wrong: with the YAML (a syntax error stands alone), with variables that are not
    /// set, with secrets that cannot be read or stand where they would not be kept, with the host's own settings
    /// and URLs, and what the component says. Where the host and the component complain about the same value,
    /// the host's word stands.
    pub fn read(
        source: &str,
        text: &str,
        environment: &dyn Environment,
        component: &Component<'_>,
    ) -> Result<Self, Report> {
        let Component { providers, embedded, open, from_url } = component;
        let catalog = Catalog::new(providers, *embedded);
        let Document { mut root, problems } =
            Document::parse(text).map_err(|problem| unread(source, text, problem, &catalog))?;
        let mut findings = Findings::new(text);

        let mut vault = Vault::new(source, environment);
        let parts = Parts::prepare(&mut root, &mut vault, &mut findings);
        findings.extend(problems.into_iter().filter(|problem| parts.concerns(problem)));

        root.get("proxy").into_iter().for_each(|proxy| findings.hide(proxy.span.clone()));
        let proxies = root.get("proxy").filter(|proxy| !proxy.is_null() && !findings.covers("/proxy"));
        let proxies = match proxies {
            Some(proxy) => routes::proxy(proxy, "/proxy", &mut findings).unwrap_or_default(),
            None => Proxies::from_environment(environment),
        };
        let mut targets = Targets::new(&catalog, source, &proxies);
        let mut told = Map::new();
        let mut notes = Vec::new();
        if let Value::Map(entries) = &mut root.value {
            for entry in entries.iter_mut().filter(|entry| entry.key == "targets") {
                notes.extend(urls::expand(&mut entry.value, "/targets", from_url, &mut findings));
            }
        }
        if let Some(list) = root.get("targets") {
            told.insert(
                "targets".to_owned(),
                targets.read(list, "/targets", Naming::Required, &mut vault, &mut findings),
            );
        }
        if let Some(retry) = root.get("retry").filter(|retry| !retry.is_null()) {
            told.insert("retry".to_owned(), retry.to_json());
        }
        if let Some(list) = root.get("providers").and_then(|providers| providers.get("notification")) {
            let list = targets.read(list, NOTIFICATION, Naming::AfterProvider, &mut vault, &mut findings);
            told.insert("providers".to_owned(), json!({ "notification": list }));
        }
        // What is wrong otherwise is most likely why there is none.
        if targets.count() == 0 && findings.is_empty() {
            parts::refuse_nothing(&root, providers, &mut findings);
        }
        let server = root
            .get("server")
            .map(|server| ServerConfig::read(server, &mut vault, &mut findings))
            .unwrap_or_default();
        let queue =
            root.get("queue").map(|queue| QueueConfig::read(queue, &mut findings)).unwrap_or_default();
        let alerts_to = root.get("alerts_to").map(|list| alerts::read(list, &targets, &mut findings));

        let guest_config = Json::Object(told).to_string();
        if let Err(diagnostics) = open(&guest_config) {
            if diagnostics.is_empty() {
                findings
                    .extend([Problem::general("the component refuses the file and does not say why", "")]);
            }
            let theirs: Vec<Problem> = diagnostics
                .into_iter()
                .filter(|diagnostic| !findings.covers(&diagnostic.path))
                .map(|Diagnostic { path, place, problem, hint }| Problem {
                    span: pointer::locate(&root, text, &path, place),
                    problem,
                    hint,
                })
                .collect();
            findings.extend(theirs);
        }
        match findings.into_report(source) {
            Some(report) => Err(report.of_files(vault.into_files())),
            None => {
                let (Collected { secrets, routes, fingerprints }, alerts_to) =
                    (targets.collected(), alerts_to.unwrap_or_default());
                let files = vault.into_files();
                let notes = notes.into_iter().map(|note| format!("{source}: {note}")).collect();
                Ok(Self {
                    guest_config,
                    secrets,
                    routes,
                    alerts_to,
                    fingerprints,
                    server,
                    queue,
                    files,
                    notes,
                })
            }
        }
    }

    /// What the component is told: JSON with `targets`, `retry` and `providers`, as far as the file has them,
    /// and a reference in the place of each secret.
    #[must_use]
    pub fn guest_config(&self) -> &str {
        &self.guest_config
    }

    /// The same, where no delivery waits for an endpoint that does not work, unless its target says so: for
    /// whoever waits for the end.
    #[must_use]
    pub fn without_parking(mut self) -> Self {
        if let Ok(Json::Object(mut told)) = serde_json::from_str(&self.guest_config) {
            let retry = told.entry("retry").or_insert_with(|| Json::Object(Map::new()));
            if retry.is_null() {
                *retry = Json::Object(Map::new());
            }
            if let Json::Object(retry) = retry {
                retry.insert("park".to_owned(), Json::Bool(false));
            }
            self.guest_config = Json::Object(told).to_string();
        }
        self
    }

    /// The secrets of all targets.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// How the requests of a target leave; `None` where there is no such target.
    #[must_use]
    pub fn route(&self, target: &str) -> Option<&Route> {
        self.routes.get(target)
    }

    /// What whoever starts with it should know, a line each: what of notification URLs has no place here, and the
    /// targets whose receivers may show any certificate.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let unverified = self.routes.iter().filter(|(_, route)| route.accepts_any_certificate());
        let unverified: BTreeSet<&String> = unverified.map(|(target, _)| target).collect();
        let notes = self.notes.iter().cloned();
        notes.chain(unverified.into_iter().map(|target| {
            format!(
                "target `{target}` accepts any certificate: whoever is on the way can read and change what is sent, its \
                 secrets too; `tls: {{ ca_file: … }}` trusts one"
            )
        }))
    }

    /// The files that it was read from beside its own, or would be if they were there: secrets and certificates. When
    /// one of them changes it is to be read anew.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Where the server listens, and to whom.
    #[must_use]
    pub fn server(&self) -> &ServerConfig {
        &self.server
    }

    /// Where the queue is and what it may hold.
    #[must_use]
    pub fn queue(&self) -> &QueueConfig {
        &self.queue
    }

    /// The names of the targets that are told when deliveries to another one die.
    #[must_use]
    pub fn alerts_to(&self) -> &[String] {
        &self.alerts_to
    }
}

/// The report on a text that has no tree, so that nobody can tell what in it is secret.
fn unread(source: &str, text: &str, problem: Problem, catalog: &Catalog<'_>) -> Report {
    let line = position::Lines::of(text).range(problem.span.as_ref().map_or(0, |span| span.start));
    let written = text.get(line.clone()).unwrap_or_default();
    let before = text.get(..line.start).unwrap_or_default();
    // Below `secrets` every value is one, whatever it is called.
    let is_below = written.starts_with([' ', '\t']) || !written.contains(':');
    let section = before.lines().rev().find(|line| !line.starts_with([' ', '\t', '#']) && !line.is_empty());
    let is_secret = is_below && section.is_some_and(|section| section.starts_with("secrets"));
    let hidden = if is_secret { 0..written.len() } else { catalog.doubtful(written) };
    let hidden = line.start.saturating_add(hidden.start)..line.start.saturating_add(hidden.end);
    Report::new(source, text, vec![problem], vec![hidden])
}
