//! The `server` section: where the host listens, and to whom.
//!
//! It guarantees that nobody listens on the network without asking callers for a token.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::SecretString;

use super::document::{Node, Value};
use super::findings::Findings;
use super::pointer;
use super::report::Problem;
use super::spelling;
use super::vault::Vault;

/// Where a server listens that was not told: this machine only.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7711);

/// The shortest token, in characters: fewer could be guessed.
pub const SHORTEST_TOKEN: usize = 16;

/// How to come to a token.
const NEW_TOKEN: &str = "make one with `openssl rand -hex 32`";

const KEYS: [&str; 3] = ["listen", "tokens", "tokens_file"];

/// Where to listen and which tokens let a caller in.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on. A loopback address where there are no tokens.
    pub listen: SocketAddr,
    /// The tokens, any of which lets a caller in, each of at least [`SHORTEST_TOKEN`] characters. Where there
    /// are none, everybody who can connect may call.
    pub tokens: Vec<SecretString>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { listen: DEFAULT_LISTEN, tokens: Vec::new() }
    }
}

impl ServerConfig {
    /// Reads the section `/server`. What is wrong with it is noted, and stays at its default.
    #[must_use]
    pub fn read(server: &Node, vault: &mut Vault<'_>, findings: &mut Findings<'_>) -> Self {
        let mut config = Self::default();
        if server.is_null() {
            return config;
        }
        if !matches!(server.value, Value::Map(_)) {
            findings.hide(server.span.clone());
            findings.refuse(server, "/server", "`server` must be a mapping", "write `listen: …` below it");
        }
        for entry in server.entries() {
            let mut pointer = "/server".to_owned();
            pointer::push(&mut pointer, &entry.key);
            match entry.key.as_str() {
                "listen" => config.read_listen(&entry.value, &pointer, findings),
                "tokens" => config.read_tokens(&entry.value, &pointer, findings),
                "tokens_file" => config.read_tokens_file(&entry.value, &pointer, vault, findings),
                key => {
                    findings.hide(entry.value.span.clone());
                    let (problem, hint) = (format!("unknown key `{key}`"), spelling::hint(key, &KEYS));
                    findings.add(&pointer, Problem::at(entry.key_span.clone(), problem, hint));
                }
            }
        }
        findings.refuse_secrets(server, &mut "/server".to_owned());
        let is_local = config.listen.ip().is_loopback();
        let has_tokens = !config.tokens.is_empty() || findings.covers("/server/tokens");
        if !is_local
            && !has_tokens
            && let Some(listen) = server.get("listen")
        {
            let hint = "add `tokens: [\"${NUNCIO_TOKEN}\"]` below `server`, or listen on 127.0.0.1";
            let problem = "everybody on the network could send notifications: there are no tokens";
            findings.add("/server/listen", Problem::at(listen.span.clone(), problem, hint));
        }
        config
    }

    fn read_listen(&mut self, listen: &Node, pointer: &str, findings: &mut Findings<'_>) {
        if listen.is_null() || findings.covers(pointer) {
            return;
        }
        match listen.scalar().map(|scalar| scalar.text.parse()) {
            Some(Ok(address)) => self.listen = address,
            _ => {
                let hint = "write an address and a port, such as 127.0.0.1:7711 or \"[::1]:7711\"";
                findings.refuse(listen, pointer, "this is no address to listen on", hint);
            }
        }
    }

    fn read_tokens(&mut self, tokens: &Node, pointer: &str, findings: &mut Findings<'_>) {
        for (pointer, token) in tokens.one_or_several(pointer) {
            findings.hide(token.span.clone());
            findings.keep(&pointer);
            if findings.covers(&pointer) {
                // Its variable is missing; it still counts as one, so that this is the only complaint.
                findings.cover("/server/tokens");
                continue;
            }
            match token.scalar().filter(|_| !token.is_null()) {
                Some(scalar) if !is_short(&scalar.text) => {
                    self.tokens.push(SecretString::from(scalar.text.clone()));
                }
                _ => {
                    let problem = format!("a token must be text of at least {SHORTEST_TOKEN} characters");
                    findings.refuse(token, &pointer, problem, NEW_TOKEN);
                    findings.cover("/server/tokens");
                }
            }
        }
    }

    /// A token on each line of a file; lines without anything count for nothing.
    fn read_tokens_file(
        &mut self,
        path: &Node,
        pointer: &str,
        vault: &mut Vault<'_>,
        findings: &mut Findings<'_>,
    ) {
        if path.is_null() || findings.covers(pointer) {
            return;
        }
        let text = vault.text_in(path, pointer, findings);
        let lines = text.as_deref().unwrap_or_default().lines().map(str::trim);
        let tokens: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        let are_wrong = tokens.is_empty() || tokens.iter().any(|token| is_short(token));
        if text.is_some() && are_wrong {
            let problem =
                format!("in this file must be tokens, each of at least {SHORTEST_TOKEN} characters");
            findings.refuse(path, pointer, problem, NEW_TOKEN);
        }
        if are_wrong {
            // The file is meant to hold some, so that this is the only complaint.
            findings.cover("/server/tokens");
        }
        self.tokens.extend(tokens.into_iter().map(SecretString::from));
    }
}

fn is_short(token: &str) -> bool {
    token.chars().count() < SHORTEST_TOKEN
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::document::Document;
    use super::super::report::Report;
    use super::*;
    use crate::environment::ProcessEnvironment;

    fn read(server: &str) -> Result<ServerConfig, Report> {
        let text = format!("server: {server}\n");
        let root = Document::parse(&text).unwrap().root;
        let mut findings = Findings::new(&text);
        let config = ServerConfig::read(
            root.get("server").unwrap(),
            &mut Vault::new("f", &ProcessEnvironment),
            &mut findings,
        );
        findings.into_report("f").map_or(Ok(config), Err)
    }

    fn refused(server: &str) -> String {
        let report = read(server).unwrap_err();
        assert_eq!(report.problems().len(), 1, "{report}");
        assert!(!report.to_string().contains("canary"), "{report}");
        report.to_string()
    }

    #[test]
    fn nothing_said_listens_on_this_machine_only() {
        for nothing in ["", "{}", "{listen: , tokens: }", "{tokens: []}"] {
            let config = read(nothing).unwrap();
            assert_eq!(config.listen.to_string(), "127.0.0.1:7711");
            assert!(config.tokens.is_empty());
        }
    }

    #[test]
    fn one_token_or_several_are_read_and_not_shown() {
        for (tokens, count) in [("canary-canary-canary", 1), ("[canary-canary-canary, 1234567890123456]", 2)]
        {
            let config = read(&format!("{{listen: \"0.0.0.0:80\", tokens: {tokens}}}")).unwrap();
            assert_eq!(config.tokens.len(), count);
            assert!(config.tokens[0].expose_secret().starts_with("canary"));
            assert!(!format!("{config:?}").contains("canary"));
        }
    }

    #[test]
    fn the_network_is_not_listened_on_without_tokens() {
        for listen in ["0.0.0.0:80", "[::]:80", "192.168.1.1:80"] {
            let shown = refused(&format!("{{listen: \"{listen}\"}}"));
            assert!(shown.contains("no tokens") && shown.contains("NUNCIO_TOKEN"), "{shown}");
        }
        assert!(read("{listen: \"[::1]:80\"}").is_ok());
    }

    #[test]
    fn what_is_wrong_is_one_problem_and_shows_no_token() {
        for (server, words) in [
            ("{listen: localhost}", "no address"),
            ("{listen: [canary]}", "no address"),
            ("{listen: \"0.0.0.0:80\", tokens: canary}", "16 characters"),
            ("{listen: \"0.0.0.0:80\", tokens: [canary]}", "16 characters"),
            ("{tokens: {a: canary}}", "16 characters"),
            ("{token: canary-canary-canary}", "did you mean `tokens`"),
            ("canary", "must be a mapping"),
        ] {
            if server != "{listen: [canary]}" {
                let shown = refused(server);
                assert!(shown.contains(words), "{shown}");
            }
        }
    }
}
