//! Where a target's requests may go and how, as far as the configuration says so.
//!
//! It decides what `allow_hosts`, `proxy` and `tls` mean. These settings are the host's: the component is not told
//! of them. No problem of it quotes a proxy's URL, which may hold a password, or a key.

use url::Origin;

use super::document::{Node, Value};
use super::findings::Findings;
use super::origin::origin;
use super::position::first_line;
use super::report::Problem;
use super::vault::{Vault, Wrong, is_path};
use super::{pointer, spelling};
use crate::egress::proxy::Proxies;
use crate::egress::route::Route;
use crate::egress::tls::{Part, Pem, Tls};

/// The settings of a target that are read here.
pub const KEYS: [&str; 3] = ["allow_hosts", "proxy", "tls"];

/// What `proxy` says where no proxy is to be used, whatever the environment says.
const DIRECT: &str = "direct";

const TLS_KEYS: [&str; 4] = ["ca_file", "cert_file", "key_file", "danger_accept_invalid_certs"];

/// What a target's settings say of its way.
#[derive(Default)]
pub struct Way {
    /// The origins that `allow_hosts` names.
    pub allowed: Vec<Origin>,
    /// The proxy that `proxy` names; `None` where it says nothing.
    pub proxies: Option<Proxies>,
    /// What `tls` says.
    pub tls: Tls,
    /// Whether any certificate will do.
    pub accepts_invalid_certs: bool,
    /// What changes with it, secrets and the contents of files too.
    pub inputs: Vec<Vec<u8>>,
}

impl Way {
    /// Reads one of these settings of a target that stands at a JSON pointer. What is wrong is noted.
    pub fn read(
        &mut self,
        key: &str,
        value: &Node,
        at: &str,
        vault: &mut Vault<'_>,
        findings: &mut Findings<'_>,
    ) {
        let mut at = at.to_owned();
        pointer::push(&mut at, key);
        let written = findings.text().get(value.span.clone()).unwrap_or_default();
        if key == "proxy" || written.contains('@') {
            findings.hide(value.span.clone());
        }
        if value.is_null() || findings.covers(&at) {
            return;
        }
        match key {
            "allow_hosts" => self.allow_hosts(value, &at, findings),
            "proxy" => {
                self.proxies = proxy(value, &at, findings);
                self.inputs.extend(value.scalar().map(|scalar| scalar.text.as_bytes().to_vec()));
            }
            _ => self.tls(value, &at, vault, findings),
        }
    }

    /// The way itself, for a target that stands at a place, where `default` are the proxies of all.
    #[must_use]
    pub fn route(&self, place: String, default: &Proxies) -> Route {
        let proxies = self.proxies.clone().unwrap_or_else(|| default.clone());
        let mut route = Route::of(place).with_proxies(proxies).with_tls(self.tls.clone());
        self.allowed.iter().for_each(|origin| route.name(origin.clone()));
        route
    }

    /// One origin or a list: `https://host:port`, or `host` alone, which is https.
    fn allow_hosts(&mut self, value: &Node, at: &str, findings: &mut Findings<'_>) {
        let several = match &value.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for (index, item) in several.iter().enumerate() {
            let mut at = at.to_owned();
            if !std::ptr::eq(item, value) {
                pointer::push(&mut at, &index.to_string());
            }
            if findings.covers(&at) {
                continue;
            }
            let found = match item.scalar().filter(|scalar| !item.is_null() && !scalar.secret) {
                Some(scalar) => allowed(&scalar.text),
                None => Err(("this is no host", "write a host, such as https://push.example:8443")),
            };
            match found {
                Ok(origin) => self.allowed.push(origin),
                Err((problem, hint)) => refuse(item, &at, problem, hint, findings),
            }
        }
    }

    fn tls(&mut self, value: &Node, at: &str, vault: &mut Vault<'_>, findings: &mut Findings<'_>) {
        let Value::Map(entries) = &value.value else {
            findings.hide(value.span.clone());
            return refuse(value, at, "`tls` must be a mapping", "write `ca_file: PATH` below it", findings);
        };
        let (mut files, mut accepts_invalid_certs) = ([const { None }; 3], false);
        let mut is_whole = true;
        for entry in entries {
            let mut at = at.to_owned();
            pointer::push(&mut at, &entry.key);
            if entry.value.is_null() || findings.covers(&at) {
                is_whole = is_whole && entry.value.is_null();
                continue;
            }
            let read = match TLS_KEYS.iter().position(|key| *key == entry.key) {
                Some(3) => switch(&entry.value).map(|is_on| accepts_invalid_certs = is_on),
                Some(file) => content(&entry.value, vault).map(|content| {
                    if let Some(place) = files.get_mut(file) {
                        *place = Some(content);
                    }
                }),
                None => {
                    findings.hide(entry.value.span.clone());
                    let hint = spelling::hint(&entry.key, &TLS_KEYS);
                    let problem = format!("unknown key `{}`", entry.key);
                    findings.add(&at, Problem::at(entry.key_span.clone(), problem, hint));
                    is_whole = false;
                    continue;
                }
            };
            if let Err((problem, hint)) = read {
                if entry.value.scalar().is_none_or(|path| !is_path(&path.text)) {
                    findings.hide(entry.value.span.clone());
                }
                refuse(&entry.value, &at, &problem, &hint, findings);
                is_whole = false;
            }
        }
        if !is_whole {
            return;
        }
        let [ca, certificate, key] = &files;
        let pem = Pem {
            ca: ca.as_deref(),
            certificate: certificate.as_deref(),
            key: key.as_deref(),
            accepts_invalid_certs,
        };
        match Tls::new(pem) {
            Ok(tls) => (self.tls, self.accepts_invalid_certs) = (tls, accepts_invalid_certs),
            Err(wrong) => {
                let key = match wrong.part {
                    Part::Ca => "ca_file",
                    Part::Certificate => "cert_file",
                    Part::Key => "key_file",
                };
                let (node, at) = match value.get(key) {
                    Some(node) => (node, format!("{at}/{key}")),
                    None => (value, at.to_owned()),
                };
                refuse(node, &at, wrong.problem, wrong.hint, findings);
            }
        }
        self.inputs.extend(files.into_iter().flatten());
    }
}

fn allowed(text: &str) -> Result<Origin, (&'static str, &'static str)> {
    let host = text.split_once("://").map_or(text, |(_, host)| host);
    if host.strip_suffix('/').unwrap_or(host).contains(['/', '?', '#', '*']) {
        return Err(("an origin is a scheme, a host and a port", "write it as https://push.example:8443"));
    }
    if text.contains("://") { origin(text) } else { origin(&format!("https://{text}")) }
}

/// Reads one setting `proxy`: a URL, or `direct`. `None` where it is wrong, which is noted.
#[must_use]
pub fn proxy(value: &Node, at: &str, findings: &mut Findings<'_>) -> Option<Proxies> {
    findings.hide(value.span.clone());
    findings.keep(at);
    let parsed = match value.scalar() {
        Some(scalar) if scalar.text == DIRECT => Ok(Proxies::none()),
        Some(scalar) => Proxies::parse(&scalar.text),
        None => Err(("this is no proxy", "write its URL, such as http://proxy.example:3128, or `direct`")),
    };
    parsed.map_err(|(problem, hint)| refuse(value, at, problem, hint, findings)).ok()
}

fn content(path: &Node, vault: &mut Vault<'_>) -> Result<Vec<u8>, Wrong> {
    match path.scalar().filter(|path| !path.secret) {
        Some(path) => vault.read_bytes_of(&path.text),
        None => Err(("this is no path".to_owned(), "write the path of a file in PEM form".to_owned())),
    }
}

fn switch(value: &Node) -> Result<bool, Wrong> {
    let is_on = value.scalar().and_then(|scalar| scalar.to_json().as_bool());
    is_on.ok_or_else(|| {
        ("this is neither true nor false".to_owned(), "write `true`, or leave it out".to_owned())
    })
}

fn refuse(node: &Node, at: &str, problem: &str, hint: &str, findings: &mut Findings<'_>) {
    let span = first_line(findings.text(), node.span.clone());
    findings.add(at, Problem::at(span, problem, hint));
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::tests::{Folder, problems_of, read_in};
    use super::*;

    fn origin(url: &str) -> Origin {
        Url::parse(url).unwrap().origin()
    }

    fn target(settings: &str) -> String {
        format!("targets:\n- {{name: a, provider: post, {settings}}}\n")
    }

    /// A folder with a certificate of an authority, one for a client, its key and another key.
    fn folder() -> Folder {
        let folder = Folder::new();
        let [key, other] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        folder.write("ca.pem", certificate.as_bytes());
        folder.write("client.pem", certificate.as_bytes());
        folder.write("client.key", key.serialize_pem().as_bytes());
        folder.write("other.key", other.serialize_pem().as_bytes());
        folder
    }

    #[test]
    fn a_host_that_is_allowed_is_one_more_that_requests_go_to() {
        for (hosts, url) in [
            ("push.example", "https://push.example"),
            ("['push.example:8443']", "https://push.example:8443"),
            ("[other.example, 'http://10.0.0.1:81/']", "http://10.0.0.1:81"),
        ] {
            let text = target(&format!("url: 'https://own.example', allow_hosts: {hosts}"));
            let config = read_in(&folder(), &text).unwrap();
            let route = config.route("a").unwrap();
            assert!(
                route.leads_to(&origin(url)) && route.leads_to(&origin("https://own.example")),
                "{hosts}"
            );
            assert!(!config.guest_config().contains("allow_hosts"), "it is the host's");
        }
    }

    #[test]
    fn a_component_of_somebody_else_sends_where_the_configuration_allows_and_nowhere_else() {
        let text = target("url: 'https://own.example', allow_hosts: push.example");
        let config = super::super::tests::read_for_a_foreign_component(&text);
        let route = config.route("a").unwrap();
        assert!(route.leads_to(&origin("https://push.example")));
        assert!(!route.leads_to(&origin("https://own.example")), "that it is a URL is the component's word");
        assert!(
            !route.leads_to(&origin("https://fixed.example")),
            "so is what its service's own origins are"
        );
    }

    #[test]
    fn what_is_wrong_has_its_line_and_shows_no_password() {
        for (settings, problem) in [
            ("allow_hosts: [[x]]", "no host"),
            ("allow_hosts: {a: b}", "no host"),
            ("allow_hosts: 'https://me:canary@h'", "user or a password"),
            ("allow_hosts: 'h:25'", "another service"),
            ("allow_hosts: 'https://h/path'", "a scheme, a host and a port"),
            ("allow_hosts: '*.example'", "a scheme, a host and a port"),
            ("allow_hosts: 'me:canary@${NOPE}'", "`NOPE` is not set"),
            ("proxy: 'http://me:canary@${NOPE}:1'", "`NOPE` is not set"),
            ("url: 'http://me:canary@${NOPE}/'", "`NOPE` is not set"),
            ("tls: {key: canary}", "unknown key `key`"),
            ("tls: {key_file: '-----BEGIN PRIVATE KEY----- canary'}", "no path"),
            ("token_file: '-----BEGIN canary'", "no path"),
            ("token_file: 'x${NOPE}'", "`NOPE` is not set"),
            ("proxy: 'https://me:canary@p:1'", "proxy"),
            ("proxy: [canary]", "no proxy"),
            ("tls: canary", "must be a mapping"),
            ("tls: {ca: ca.pem}", "unknown key `ca`"),
            ("tls: {ca_file: nowhere}", "cannot read"),
            ("tls: {ca_file: client.key}", "certificate"),
            ("tls: {cert_file: client.pem}", "without its key"),
            ("tls: {cert_file: client.pem, key_file: other.key}", "key"),
            ("tls: {cert_file: client.pem, key_file: ca.pem}", "key"),
            ("tls: {danger_accept_invalid_certs: maybe}", "neither true nor false"),
        ] {
            let (_folder, lines) = problems_of(folder(), &target(settings));
            assert!(lines.len() == 1 && lines[0].line == Some(2), "{settings}: {lines:?}");
            assert!(lines[0].problem.contains(problem) && !lines[0].hint.is_empty(), "{settings}: {lines:?}");
        }
        let (_folder, lines) =
            problems_of(folder(), &("proxy: 'ftp://me:canary@p'\n".to_owned() + &target("")));
        assert!(lines.len() == 1 && lines[0].line == Some(1), "{lines:?}");
    }

    #[test]
    fn what_is_right_is_taken_and_a_switch_that_is_dangerous_is_warned_of() {
        let folder = folder();
        folder.write("secret", b"http://me:canary@p:3128\n");
        let text = "proxy: 'socks5://p'\nsecrets: {proxy: {file: secret}}\ntargets:\n\
             - {name: a, provider: post, proxy: '${secret:proxy}', tls: {ca_file: ca.pem, cert_file: client.pem, key_file: client.key}}\n\
             - {name: b, provider: post, proxy: direct, tls: {danger_accept_invalid_certs: true}}\n\
             - {name: c, provider: post, tls: {danger_accept_invalid_certs: false}}\n";
        let config = read_in(&folder, text).unwrap();
        let warnings: Vec<String> = config.warnings().collect();
        assert!(
            warnings.len() == 1 && warnings[0].contains("target `b` accepts any certificate"),
            "{warnings:?}"
        );
        assert!(!format!("{config:?}").contains("canary"));
        assert_eq!(config.files().paths().filter(|file| file.ends_with("ca.pem")).count(), 1);
        let before = config.fingerprints["a"].whole;
        folder.write("secret", b"http://me:canary2@p:3128\n");
        assert_ne!(read_in(&folder, text).unwrap().fingerprints["a"].whole, before);
    }
}
