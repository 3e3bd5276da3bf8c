//! Configurations of Apprise, in text (<https://github.com/caronc/apprise/wiki/config_text>) and YAML
//! (<https://github.com/caronc/apprise/wiki/config_yaml>), and GoDoxy's, which is YAML too.

use std::collections::{BTreeMap, BTreeSet};

use nuncio::config::document::{Document, Node};
use serde_json::Value;

use super::{Findings, Found, What};

/// Reads a file, whichever it is.
pub(super) fn read(name: &str, text: &str, findings: &mut Findings) {
    let is_yaml = |key: &str| text.lines().any(|line| line.starts_with(key));
    if ["urls:", "version:", "providers:", "targets:", "- "].iter().any(|key| is_yaml(key)) {
        match Document::parse(text) {
            Ok(document) => read_yaml(name, text, &document.root, findings),
            Err(problem) => findings.wrong.push(format!("{name}: {}", problem.problem)),
        }
    } else {
        read_text(name, text, findings);
    }
}

fn tags(text: &str) -> BTreeSet<String> {
    let parts = text.split([',', ' ', '\t']).map(str::trim).filter(|tag| !tag.is_empty());
    parts.map(ToOwned::to_owned).collect()
}

/// One URL a line, with tags and `=` in front of it; groups; comments.
fn read_text(name: &str, text: &str, findings: &mut Findings) {
    let mut groups = BTreeMap::new();
    let first = findings.found.len();
    for (n, line) in text.lines().enumerate() {
        let (line, place) = (line.trim(), format!("{name}:{}", n.saturating_add(1)));
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let is_include =
            line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("include"));
        // What stands before the first `=` is tags where the scheme comes after it.
        let (before, after) = line.split_once('=').unwrap_or(("", line));
        if is_include {
            findings.left_out.push(format!("{place}: `include` is not followed: import that file too"));
        } else if before.contains("://") || !line.contains('=') && line.contains("://") {
            findings.found.push(Found { place, what: What::Url(line.to_owned()), tags: BTreeSet::new() });
        } else if after.contains("://") {
            let (what, tags) = (What::Url(after.trim().to_owned()), tags(before));
            findings.found.push(Found { place, what, tags });
        } else if line.contains('=') {
            groups.insert(before.trim().to_owned(), tags(after));
        } else {
            findings.left_out.push(format!("{place}: this is no URL, no tag and no group"));
        }
    }
    join_groups(&groups, name, first, findings);
}

/// Who has a tag of a group has the group's name as a tag as well.
fn join_groups(
    groups: &BTreeMap<String, BTreeSet<String>>,
    name: &str,
    first: usize,
    findings: &mut Findings,
) {
    for (group, members) in groups {
        let found = findings.found.iter_mut().skip(first).filter(|found| !found.tags.is_disjoint(members));
        let joined = found.map(|found| found.tags.insert(group.clone())).count();
        if joined == 0 {
            findings.left_out.push(format!("{name}: the group `{group}` names no URL"));
        }
    }
}

fn read_yaml(name: &str, text: &str, root: &Node, findings: &mut Findings) {
    let line =
        |node: &Node| text.get(..node.span.start).unwrap_or_default().matches('\n').count().saturating_add(1);
    let place = |node: &Node| format!("{name}:{}", line(node));
    let first = findings.found.len();
    let godoxy = root.get("providers").and_then(|providers| providers.get("notification"));
    for node in godoxy.into_iter().chain(root.get("targets")).flat_map(|list| list.one_or_several("")) {
        match node.1.to_json() {
            Value::Object(target) => findings.found.push(Found {
                place: place(node.1),
                what: What::Target(target),
                tags: BTreeSet::new(),
            }),
            Value::String(url) => findings.found.push(Found {
                place: place(node.1),
                what: What::Url(url),
                tags: BTreeSet::new(),
            }),
            _ => findings.left_out.push(format!("{}: this is no target", place(node.1))),
        }
    }
    if godoxy.is_some() {
        return;
    }
    let of_all = root.get("tag").or_else(|| root.get("tags")).map(words).unwrap_or_default();
    for (_, node) in root.get("urls").into_iter().flat_map(|list| list.one_or_several("")) {
        if let Some(scalar) = node.scalar() {
            let what = What::Url(scalar.text.clone());
            findings.found.push(Found { place: place(node), what, tags: of_all.clone() });
            continue;
        }
        let url = node.entries().iter().find(|entry| entry.key.contains("://"));
        match (url, node.get("url").and_then(Node::scalar)) {
            (Some(entry), _) => {
                let variants = entry.value.one_or_several("");
                let variants: Vec<&Node> = variants.into_iter().map(|(_, variant)| variant).collect();
                if variants.is_empty() {
                    let what = What::Url(entry.key.clone());
                    findings.found.push(Found { place: place(node), what, tags: of_all.clone() });
                }
                for variant in variants {
                    findings.found.push(with(&entry.key, variant, place(node), &of_all));
                }
            }
            (None, Some(url)) => findings.found.push(with(&url.text, node, place(node), &of_all)),
            (None, None) => findings.left_out.push(format!("{}: this is no URL", place(node))),
        }
    }
    let groups: BTreeMap<String, BTreeSet<String>> = root
        .get("groups")
        .into_iter()
        .flat_map(|groups| groups.one_or_several(""))
        .flat_map(|(_, group)| group.entries())
        .map(|entry| (entry.key.clone(), words(&entry.value)))
        .collect();
    join_groups(&groups, name, first, findings);
    for entry in root.entries() {
        if !["version", "urls", "tag", "tags", "groups", "targets", "providers"].contains(&entry.key.as_str())
        {
            findings.left_out.push(format!("{}: `{}` has no place here", place(&entry.value), entry.key));
        }
    }
}

/// A URL with options of its own, which go into its query, and tags.
fn with(url: &str, options: &Node, place: String, of_all: &BTreeSet<String>) -> Found {
    let (mut url, mut tags) = (url.to_owned(), of_all.clone());
    for entry in options.entries() {
        match (entry.key.as_str(), entry.value.scalar()) {
            ("url", _) => {}
            ("tag" | "tags", _) => tags.extend(words(&entry.value)),
            (key, Some(scalar)) => {
                url.push(if url.contains('?') { '&' } else { '?' });
                let encoded =
                    url::form_urlencoded::byte_serialize(scalar.text.as_bytes()).collect::<String>();
                url += &format!("{key}={}", encoded.replace('+', "%20"));
            }
            (_, None) => {}
        }
    }
    Found { place, what: What::Url(url), tags }
}

/// Words in one text, or in a list of texts.
fn words(node: &Node) -> BTreeSet<String> {
    let texts = node
        .one_or_several("")
        .into_iter()
        .filter_map(|(_, node)| node.scalar().map(|scalar| scalar.text.clone()));
    texts.flat_map(|text| tags(&text)).collect()
}
