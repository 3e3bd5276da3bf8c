//! What is right in a configuration and will disappoint.
//!
//! It decides what is worth a word: where a secret stands in a URL's query, where a request goes over plain HTTP to
//! the Internet, where deliveries are given up in less than a minute, which tag of a filter nobody else knows, and
//! what of a sample a service has no room for. It sends nothing, and no warning shows a secret.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;
use url::{Host, Url};

use crate::brain::{Brain, Fault};
use crate::config::Config;
use crate::config::spelling;
use crate::contract::{Body, Level, Notification, Request};
use crate::egress::addresses::Kind;
use crate::egress::assemble::masked;

/// Deliveries that are given up sooner than this, in milliseconds, do not outlive a restart of their receiver.
const SHORT_LIFE_MS: u64 = 60_000;

/// Names of parameters that hold secrets.
const SECRET_NAMES: [&str; 14] = [
    "access_token",
    "accesskey",
    "api_key",
    "apikey",
    "auth",
    "key",
    "pass",
    "passwd",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
    "pushkey",
];

/// Ends of names that no public server has (RFC 6762, RFC 8375, RFC 9476, and what routers hand out).
const LOCAL_NAMES: [&str; 9] =
    [".alt", ".home", ".home.arpa", ".internal", ".intranet", ".lan", ".local", ".localdomain", ".localhost"];

impl Config {
    /// Says what will disappoint, a line each, the targets' in their order. Where there is a sample, also what its
    /// services have no room for.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off.
    pub fn lint(&self, brain: &Brain, sample: Option<&Notification>) -> Result<Vec<String>, Fault> {
        let dispatcher = brain.dispatcher(self.guest_config())?;
        let told: Value = serde_json::from_str(self.guest_config()).unwrap_or_default();
        let targets = told.get("targets").and_then(Value::as_array).cloned().unwrap_or_default();
        let catalog = brain.providers()?;
        let plain = Notification::new(Level::Info, "Sample").text("A sample.");
        let mut warnings = Vec::new();
        for (number, target) in (0..).zip(dispatcher.targets()?) {
            let name = &target.name;
            let mut warn = |what: String| warnings.push(format!("target `{name}`: {what}"));
            if target.max_age < SHORT_LIFE_MS {
                warn(format!(
                    "deliveries are given up after {} s; a receiver that restarts takes longer (`retry.max_age`)",
                    target.max_age / 1_000
                ));
            }
            let format = |notification: &Notification| -> Result<Vec<Request>, Fault> {
                Ok(dispatcher.format(number, notification, false, 0)?.unwrap_or_default())
            };
            for request in format(&plain)?.iter().take(1) {
                self.look_at(name, request).into_iter().for_each(&mut warn);
            }
            let Some(sample) = sample else { continue };
            let settings =
                targets.iter().find(|settings| settings.get("name").and_then(Value::as_str) == Some(name));
            let provider = settings.and_then(|settings| settings.get("provider")).and_then(Value::as_str);
            let limits = catalog.iter().find(|entry| Some(entry.name.as_str()) == provider);
            let fields = match &sample.body {
                Body::Fields(fields) => fields.len(),
                Body::Text(_) | Body::Items(_) => 0,
            };
            let room =
                limits.into_iter().flat_map(|entry| &entry.limits).find(|limit| limit.name == "fields");
            if let Some(room) =
                room.and_then(|limit| limit.most.parse::<usize>().ok()).filter(|room| fields > *room)
            {
                warn(format!("the sample has {fields} fields, and a message has room for {room}"));
            }
            match dispatcher.format(number, sample, false, 0)? {
                Ok(requests) if requests.len() > 1 => {
                    warn(format!("the sample is sent as {} messages (`overflow`)", requests.len()));
                }
                Ok(_) => {}
                Err(why) => warn(format!("the sample cannot be sent: {why}")),
            }
        }
        warnings.extend(odd_tags(&targets));
        Ok(warnings)
    }

    /// What is odd about where a request goes.
    fn look_at(&self, target: &str, request: &Request) -> Vec<String> {
        let mut odd = Vec::new();
        let Some(route) = self.route(target) else { return odd };
        let Ok(masked) = masked(request, target, self.secrets(), route) else { return odd };
        let Ok(url) = Url::parse(&masked.url) else { return odd };
        if url.scheme() == "http" && url.host().is_some_and(|host| !is_local(&host)) {
            let host = url.host_str().unwrap_or_default();
            odd.push(format!("what it sends to {host}, secrets too, is not encrypted: use `https://`"));
        }
        let of_url = self.secrets.of(target).into_iter().filter_map(|(_, value)| Url::parse(value).ok());
        let is_secret = |name: &str| SECRET_NAMES.contains(&name.to_ascii_lowercase().as_str());
        let named = of_url.flat_map(|url| {
            let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
            names.into_iter().filter(|name| is_secret(name))
        });
        let masked_ones = url.query_pairs().filter(|(_, value)| value.contains("***"));
        let mut names: Vec<String> = named.chain(masked_ones.map(|(name, _)| name.into_owned())).collect();
        names.dedup();
        if let Some(name) = names.first() {
            odd.push(format!(
                "a secret is in the query of its URL (`?{name}=`), which servers and proxies write into their logs; \
                 use a header where the receiver takes one"
            ));
        }
        odd
    }
}

/// Whether a host is this machine, or one on the local network.
fn is_local(host: &Host<&str>) -> bool {
    let is_private = |address| Kind::of(address) == Kind::Private;
    match host {
        Host::Ipv4(address) => is_private(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_private(IpAddr::V6(*address)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            !name.contains('.') || LOCAL_NAMES.iter().any(|end| name.ends_with(end))
        }
    }
}

/// Tags that stand in one filter only and are nearly another one.
fn odd_tags(targets: &[Value]) -> Vec<String> {
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for target in targets {
        let name = target.get("name").and_then(Value::as_str).unwrap_or_default();
        let kinds =
            ["any", "all", "none"].iter().filter_map(|kind| target.pointer(&format!("/filter/tags/{kind}")));
        for tag in kinds.filter_map(Value::as_array).flatten().filter_map(Value::as_str) {
            uses.entry(tag).or_default().push(name);
        }
    }
    let mut odd = Vec::new();
    for (tag, names) in &uses {
        let [name] = names.as_slice() else { continue };
        let others: Vec<&str> =
            uses.iter().filter(|(other, _)| *other != tag).map(|(other, _)| *other).collect();
        let near =
            spelling::nearest(tag, &others).filter(|near| uses.get(near).is_some_and(|uses| uses.len() > 1));
        if let Some(near) = near {
            odd.push(format!(
                "target `{name}`: no other filter knows the tag `{tag}`; did you mean `{near}`?"
            ));
        }
    }
    odd
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hosts_are_local_by_address_or_by_name() {
        for (url, local) in [
            ("http://127.0.0.1:80/", true),
            ("http://192.168.1.2/", true),
            ("http://[fd00::1]/", true),
            ("http://gotify/", true),
            ("http://nas.local/", true),
            ("http://x.home.arpa./", true),
            ("http://ntfy.sh/", false),
            ("http://8.8.8.8/", false),
            ("http://local.example/", false),
        ] {
            assert_eq!(is_local(&Url::parse(url).unwrap().host().unwrap()), local, "{url}");
        }
    }

    #[test]
    fn a_tag_that_is_nearly_another_is_told() {
        let target =
            |name: &str, tags: &[&str]| json!({ "name": name, "filter": { "tags": { "any": tags } } });
        let targets = [target("a", &["prod"]), target("b", &["prod", "db"]), target("c", &["prdo", "web"])];
        assert_eq!(
            odd_tags(&targets),
            ["target `c`: no other filter knows the tag `prdo`; did you mean `prod`?"]
        );
        assert!(odd_tags(&targets[..2]).is_empty());
    }
}
