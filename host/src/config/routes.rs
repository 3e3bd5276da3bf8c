//! Where a target's requests may go and how, as far as the configuration says so.
//!
//! It decides what `allow_hosts`, `proxy` and `tls` mean. These settings are the host's: the component is not told
//! of them. No problem of it quotes a proxy's URL, which may hold a password, or a key.

use url::Origin;

use super::document::{Entry, Node, Value};
use super::findings::Findings;
use super::origin::origin;
use super::report::Problem;
use super::vault::Vault;
use super::{pointer, spelling};
use crate::egress::proxy::Proxies;
use crate::egress::route::Route;
use crate::egress::tls::{Part, Pem, Tls};

/// The settings of a target that are read here.
pub const KEYS: [&str; 3] = ["allow_hosts", "proxy", "tls"];

/// What `proxy` says where no proxy is to be used, whatever the environment says.
const DIRECT: &str = "direct";

/// The files that `tls` names: the authority, the certificate and its key.
const FILES: [&str; 3] = ["ca_file", "cert_file", "key_file"];

/// What `tls` says where any certificate will do.
const DANGER: &str = "danger_accept_invalid_certs";

/// What a target's settings say of its way.
pub struct Way {
    /// The way itself.
    pub route: Route,
    /// What changes with it, secrets and the contents of files too.
    pub inputs: Vec<Vec<u8>>,
}

impl Way {
    /// The way of a target that stands at a place and says nothing of it, where these are the proxies of all.
    #[must_use]
    pub fn of(place: String, proxies: &Proxies) -> Self {
        Self { route: Route::of(place).with_proxies(proxies.clone()), inputs: Vec::new() }
    }

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
                if let Some(proxies) = proxy(value, &at, findings) {
                    self.route = std::mem::take(&mut self.route).with_proxies(proxies);
                }
                self.inputs.extend(value.scalar().map(|scalar| scalar.text.as_bytes().to_vec()));
            }
            _ => self.tls(value, &at, vault, findings),
        }
    }

    /// One origin or a list: `https://host:port`, or `host` alone, which is https.
    fn allow_hosts(&mut self, value: &Node, at: &str, findings: &mut Findings<'_>) {
        for (at, item) in value.one_or_several(at) {
            if findings.covers(&at) {
                continue;
            }
            let found = match item.scalar().filter(|scalar| !item.is_null() && !scalar.secret) {
                Some(scalar) => allowed(&scalar.text),
                None => Err(("this is no host", "write a host, such as https://push.example:8443")),
            };
            match found {
                Ok(origin) => self.route.name(origin),
                Err((problem, hint)) => findings.refuse(item, &at, problem, hint),
            }
        }
    }

    fn tls(&mut self, value: &Node, at: &str, vault: &mut Vault<'_>, findings: &mut Findings<'_>) {
        let Value::Map(entries) = &value.value else {
            findings.hide(value.span.clone());
            return findings.refuse(value, at, "`tls` must be a mapping", "write `ca_file: PATH` below it");
        };
        let (mut files, mut accepts_invalid_certs) = ([const { None }; FILES.len()], false);
        let mut is_whole = true;
        for Entry { key, key_span, value } in entries {
            let mut at = at.to_owned();
            pointer::push(&mut at, key);
            if value.is_null() || findings.covers(&at) {
                is_whole = is_whole && value.is_null();
            } else if let Some(file) =
                FILES.iter().position(|file| file == key).and_then(|n| files.get_mut(n))
            {
                *file = vault.bytes_in(value, &at, findings);
                is_whole = is_whole && file.is_some();
            } else if key == DANGER {
                match value.scalar().and_then(|scalar| scalar.to_json().as_bool()) {
                    Some(is_on) => accepts_invalid_certs = is_on,
                    None => {
                        let hint = "write `true`, or leave it out";
                        findings.refuse(value, &at, "this is neither true nor false", hint);
                        is_whole = false;
                    }
                }
            } else {
                findings.hide(value.span.clone());
                let [ca, certificate, of_certificate] = FILES;
                let hint = spelling::hint(key, &[ca, certificate, of_certificate, DANGER]);
                findings.add(&at, Problem::at(key_span.clone(), format!("unknown key `{key}`"), hint));
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
            Ok(tls) => self.route = std::mem::take(&mut self.route).with_tls(tls),
            Err(wrong) => {
                let [ca, certificate, of_certificate] = FILES;
                let key = match wrong.part {
                    Part::Ca => ca,
                    Part::Certificate => certificate,
                    Part::Key => of_certificate,
                };
                let (node, at) = match value.get(key) {
                    Some(node) => (node, format!("{at}/{key}")),
                    None => (value, at.to_owned()),
                };
                findings.refuse(node, &at, wrong.problem, wrong.hint);
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
    findings.keep(at);
    let parsed = match value.scalar() {
        Some(scalar) if scalar.text == DIRECT => Ok(Proxies::none()),
        Some(scalar) => Proxies::parse(&scalar.text),
        None => Err(("this is no proxy", "write its URL, such as http://proxy.example:3128, or `direct`")),
    };
    parsed.map_err(|(problem, hint)| findings.refuse(value, at, problem, hint)).ok()
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
