//! Whole files, read as the host reads them.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::document::{Document, Node, Value};
use super::report::Line;
use super::{Component, Config, Report};
use crate::contract::{Diagnostic, Place, Provider, UrlDialect, UrlProblem, UrlTarget};

const VALID: &str = "\
# ä comment
retry: {interval: 1s}
server:
  listen: \"[::]:7711\"
  tokens: [\"${TOKEN}\", canary-canary-canary]
targets:
  - &first
    name: phone
    provider: post
    url: https://post.example/ö
    token: \"${TOKEN}\"
    priority: ${P:-5}
  - <<: *first
    name: desk
    token: canary
    headers:
      X-Key: 'canary'
      Y: |-
        canary
        canary
";

fn providers() -> Vec<Provider> {
    let schema = r##"{
        "type": "object", "additionalProperties": false,
        "properties": {
            "name": {"type": "string"}, "provider": {"type": "string"}, "priority": {"type": "integer"},
            "url": {"type": "string", "format": "uri"}, "token": {"$ref": "#/$defs/Secret"},
            "headers": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Secret"}}
        },
        "$defs": {"Secret": {"type": "string", "writeOnly": true}}
    }"##;
    vec![Provider::of("post", schema, &[])]
}

fn environment() -> HashMap<String, String> {
    HashMap::from([("TOKEN".to_owned(), "canary-from-the-environment".to_owned())])
}

fn complaint(path: &str, place: Place, problem: &str) -> Diagnostic {
    Diagnostic { path: path.into(), place, problem: problem.into(), hint: String::new() }
}

/// Stands in for the component: a URL is a target of `post` with a token, or two of them.
fn from_url(url: &str, _: Option<UrlDialect>) -> Result<Vec<UrlTarget>, UrlProblem> {
    let target = |host: &str| UrlTarget {
        settings:
            json!({ "provider": "post", "url": format!("https://{host}/"), "token": "canary", "priority": 3 })
                .to_string(),
        left_out: vec!["?x: there is no such setting here".into()],
    };
    match url {
        "post://canary@a" => Ok(vec![target("a")]),
        "post://canary@a/b" => Ok(vec![target("a"), target("b")]),
        _ => Err(UrlProblem { part: "path".into(), problem: "is missing".into(), hint: "add it".into() }),
    }
}

fn component<'a>(
    providers: &'a [Provider],
    open: &'a dyn Fn(&str) -> Result<(), Vec<Diagnostic>>,
) -> Component<'a> {
    Component { providers, embedded: None, open, from_url: &from_url }
}

fn read_with(text: &str, complaints: Vec<Diagnostic>) -> Result<Config, Report> {
    let open = |told: &str| {
        assert!(!told.contains("canary"), "{told}");
        if complaints.is_empty() { Ok(()) } else { Err(complaints.clone()) }
    };
    Config::read("nuncio.yaml", text, &environment(), &component(&providers(), &open))
}

/// A folder with a configuration's files in it, gone with the test.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    pub(super) fn write(&self, below: &str, content: &[u8]) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Reads a configuration that lies in a folder, where `V` is 1 and systemd's credentials lie in `credentials`.
pub(super) fn read_in(folder: &Folder, text: &str) -> Result<Config, Report> {
    let credentials = folder.path("credentials").display().to_string();
    let environment = [("V", "1"), ("CREDENTIALS_DIRECTORY", &credentials)];
    let environment: HashMap<_, _> =
        environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let open = |told: &str| {
        assert!(!told.contains("canary"), "{told}");
        Ok(())
    };
    let source = folder.path("nuncio.yml").display().to_string();
    Config::read(&source, text, &environment, &component(&providers(), &open))
}

/// Reads a configuration for a component that is not the embedded one and names an origin of its own.
pub(super) fn read_for_a_foreign_component(text: &str) -> Config {
    let mut theirs = providers();
    theirs[0].origins.push("https://fixed.example".to_owned());
    let open = |_: &str| Ok(());
    let component =
        Component { providers: &theirs, embedded: Some(&providers()), open: &open, from_url: &from_url };
    Config::read("f", text, &environment(), &component).unwrap()
}

/// What is wrong with one, which is never shown with a value in it.
pub(super) fn problems_of(folder: Folder, text: &str) -> (Folder, Vec<Line>) {
    let report = read_in(&folder, text).unwrap_err();
    for shown in [report.to_string(), report.colored(), format!("{report:?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    let lines = report.lines();
    (folder, lines)
}

fn read(text: &str) -> Result<Config, Report> {
    read_with(text, Vec::new())
}

/// `line:column problem` of each problem.
fn problems(text: &str, complaints: Vec<Diagnostic>) -> Vec<String> {
    let report = read_with(text, complaints).unwrap_err();
    for shown in [report.to_string(), report.colored(), format!("{report:?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    let place = |line: Option<usize>| line.map_or("-".to_owned(), |line| line.to_string());
    report.lines().iter().map(|l| format!("{}:{} {}", place(l.line), place(l.column), l.problem)).collect()
}

fn told(text: &str) -> Json {
    serde_json::from_str(read(text).unwrap().guest_config()).unwrap()
}

const TARGETS: &str = "targets: [{name: a, provider: post}]\n";

#[test]
fn the_component_is_told_everything_but_the_secrets() {
    let config = read(VALID).unwrap();
    let told: Json = serde_json::from_str(config.guest_config()).unwrap();
    assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), ["targets", "retry"]);
    assert_eq!(told["retry"], json!({"interval": "1s"}));
    assert_eq!(told["targets"][0]["priority"], json!(5));
    assert_eq!(told["targets"][1]["url"], json!("https://post.example/ö"));
    assert_eq!(told["targets"][1]["headers"]["Y"], json!({"$secret": "desk/headers/Y"}));
    assert_eq!(config.secrets().reveal("phone", "phone/token"), Some("canary-from-the-environment"));
    assert_eq!(config.secrets().reveal("desk", "desk/token"), Some("canary"));
    assert_eq!((config.server().listen.port(), config.server().tokens.len()), (7711, 2));
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn every_problem_of_every_stage_is_told_at_once() {
    let text = "\
retry: {interval: \"${MISSING}\"}
retyr: canary
server: {listen: nowhere}
targets:
  - name: a
    provider: post
    url: ${MISSING}
    token: canary
    token: canary2
  - name: ${MISSING}
    provider: post
    url: post.example
    tokn: canary
  - canary
";
    let complaints = ["/retry/interval", "/targets/0/url", "/targets/1/name", "/targets/1/url", "/targets/2"];
    let mut complaints: Vec<_> = complaints.map(|path| complaint(path, Place::Value, "a follow-up")).into();
    complaints.push(complaint("/targets/1/tokn", Place::Key, "unknown key `tokn`"));
    complaints.push(complaint("/targets/0", Place::Value, "`topic` is missing"));
    assert_eq!(
        problems(text, complaints),
        [
            "1:20 the environment variable `MISSING` is not set",
            "2:1 unknown key `retyr`",
            "3:18 this is no address to listen on",
            "5:5 `topic` is missing",
            "7:10 the environment variable `MISSING` is not set",
            "9:5 `token` was already given on line 8",
            "10:11 the environment variable `MISSING` is not set",
            "12:10 a URL must start with http:// or https://",
            "13:5 unknown key `tokn`",
            "14:5 a target must be a mapping",
        ]
    );
}

#[test]
fn of_godoxys_file_only_the_notifications_are_read() {
    let text = "\
acl: {allow: \"${MISSING}\", allow: !odd x, tokens: canary}
acl: 5
providers:
  docker: {local: $DOCKER_HOST, '${MISSING}': 1, x: 1, x: 2}
  docker: 2
  notification:
    - {provider: post, url: 'https://post.example', token: \"${TOKEN}\"}
";
    let told = told(text);
    let reference = json!({"$secret": "post/token"});
    let target =
        json!({"name": "post", "provider": "post", "url": "https://post.example", "token": reference});
    assert_eq!(told, json!({"providers": {"notification": [target]}}));
}

#[test]
fn what_is_read_is_checked_also_where_the_rest_refers_to_it() {
    let text = "targets: [&a {name: a, provider: post, priority: 1, priority: 2}]\nproviders: {x: *a}\n";
    assert_eq!(problems(text, Vec::new()), ["1:53 `priority` was already given on line 1"]);
}

#[test]
fn a_file_without_targets_is_refused_with_an_example() {
    for (text, place) in [
        ("", "-:-"),
        ("retry: {}", "-:-"),
        ("retry: {}\ntargets: []", "2:1"),
        ("targets:", "1:1"),
        ("providers: {docker: 1}", "1:1"),
        ("providers: canary", "1:1"),
        ("providers: {notification: }", "1:13"),
    ] {
        let follow_up = ["", "/targets", "/providers/notification"];
        let complaints = follow_up.map(|path| complaint(path, Place::Value, "no targets")).into();
        assert_eq!(
            problems(text, complaints),
            [format!("{place} there is no target to deliver to")],
            "{text}"
        );
        assert!(
            read(text).unwrap_err().problems()[0].hint.ends_with("targets:\n  - name: a\n    provider: post")
        );
    }
}

#[test]
fn a_key_that_is_nearly_right_is_hinted_at() {
    let report = read(&format!("sever: {{tokens: canary}}\n{TARGETS}")).unwrap_err().to_string();
    assert_eq!(
        report,
        "\
error: unknown key `sever`
 --> nuncio.yaml:1:1
  |
1 | sever: ***
  | ^^^^^
  |
  = help: did you mean `server`?"
    );
}

#[test]
fn a_text_that_is_no_yaml_shows_no_secret() {
    for (text, place) in [
        ("targets:\n  - token: canary: x\n", "2:18"),
        ("targets: [{name: a, token: canary]\n", "1:34"),
        ("targets:\n  - name: a: b\n", "2:12"),
        ("server: {tokens: [canary\n", "2:1"),
    ] {
        let found = problems(text, Vec::new());
        assert!(found.len() == 1 && found[0].starts_with(place), "{text}: {found:?}");
    }
    assert!(read("targets:\n  - name: a: b\n").unwrap_err().to_string().contains("- name: a: b"));
}

#[test]
fn a_secret_from_an_empty_variable_is_a_problem_unless_it_may_be() {
    let environment = HashMap::from([("E".to_owned(), String::new())]);
    let read = |token: &str| {
        let text = format!("targets:\n- name: a\n  provider: post\n  token: {token}\n");
        Config::read("f", &text, &environment, &component(&providers(), &|_| Ok(())))
    };
    for token in ["${E:-}", "~", ""] {
        assert!(read(token).unwrap().guest_config().contains("\"token\":null"));
    }
    for token in ["\"${E}\"", "''", "${E}"] {
        let report = read(token).unwrap_err().to_string();
        assert!(report.contains("this secret is empty"), "{report}");
    }
    assert!(
        read("${E}").unwrap_err().to_string().contains("4 |   token: ${E}\n"),
        "a reference is no secret"
    );
}

#[test]
fn a_component_that_refuses_without_a_word_is_not_passed_over() {
    let refused = Config::read("f", TARGETS, &environment(), &component(&providers(), &|_| Err(Vec::new())));
    assert!(refused.unwrap_err().to_string().contains("does not say why"));
}

/// Reads a text and looks at everything that it leads to.
fn take_in(text: &str) {
    let check = |span: &Range<usize>| assert!(text.get(span.clone()).is_some(), "{span:?} in {text:?}");
    fn walk(node: &Node, check: &impl Fn(&Range<usize>)) {
        check(&node.span);
        match &node.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| walk(item, check)),
            Value::Map(entries) => entries.iter().for_each(|entry| {
                check(&entry.key_span);
                walk(&entry.value, check);
            }),
        }
    }
    match Document::parse(text) {
        Ok(document) => {
            walk(&document.root, &check);
            document.problems.iter().filter_map(|problem| problem.span.as_ref()).for_each(check);
        }
        Err(problem) => problem.span.iter().for_each(check),
    }
    let found = Config::read("f", text, &environment(), &component(&providers(), &|_| Ok(())));
    if let Err(report) = found {
        assert!(!report.to_string().is_empty() && !report.colored().is_empty());
        assert_eq!(report.lines().len(), report.problems().len());
        report.problems().iter().filter_map(|problem| problem.span.as_ref()).for_each(check);
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        take_in(&text);
    }

    #[test]
    fn nothing_like_yaml_panics(text in "([-a-z&*!?:,#'\"|>{}\\[\\]$ \n\r\tä😀%@~0-9<.]|: |- |\n  |\\$\\{A\\}){0,80}") {
        take_in(&text);
    }

    #[test]
    fn no_mutation_of_a_valid_file_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, "[-&*!?:,{}\\[\\]$ \n\r\tä'\"|>#<]{0,4}"), 1..6)
    ) {
        let mut text: Vec<char> = VALID.chars().collect();
        for (at, length, put) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, put.chars());
        }
        take_in(&text.into_iter().collect::<String>());
    }
}

#[test]
fn of_a_text_without_a_tree_nothing_of_the_secrets_is_shown() {
    for text in [
        "secrets:\n  url: \"canary\" x\ntargets: []\n",
        "secrets: {url: \"canary\" x\n",
        "secrets: {\n  topic: canary: x\n}\n",
        "secrets:\n  name:\n    canary: x: y\n",
    ] {
        let report = read(text).unwrap_err();
        assert!(!report.to_string().contains("canary"), "{report}");
    }
}

#[test]
fn urls_are_targets_in_their_place_and_what_stands_beside_them_goes_over_them() {
    let text = "\
targets:
  - post://canary@a
  - { name: b, provider: post, url: https://b.example, token: x }
  - url: post://canary@a/b
    name: two
    priority: 5
";
    let config = read_with(text, vec![]).unwrap();
    let told: Json = serde_json::from_str(config.guest_config()).unwrap();
    let shown: Vec<_> = told["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| {
            (target["name"].as_str().unwrap(), target["url"].as_str().unwrap(), target["priority"].as_u64())
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("post", "https://a/", Some(3)),
            ("b", "https://b.example", None),
            ("two", "https://a/", Some(5)),
            ("two-2", "https://b/", Some(5)),
        ]
    );
    let warnings: Vec<String> = config.warnings().collect();
    assert_eq!(
        warnings,
        [
            "nuncio.yaml: line 2: ?x: there is no such setting here",
            "nuncio.yaml: line 4: ?x: there is no such setting here",
        ]
    );
}

#[test]
fn a_plain_list_of_urls_is_a_configuration() {
    let config = read_with("- post://canary@a\n- post://canary@a\n", vec![]).unwrap();
    let told: Json = serde_json::from_str(config.guest_config()).unwrap();
    assert_eq!(
        (&told["targets"][0]["name"], &told["targets"][1]["name"]),
        (&json!("post"), &json!("post-2"))
    );
}

#[test]
fn a_wrong_url_is_refused_where_it_stands_and_shown_nowhere() {
    for text in
        ["targets:\n  - post://canary/x\n", "targets:\n  - url: post://canary/x\n", "- post://canary/x\n"]
    {
        let report = read_with(text, vec![complaint("/targets/0", Place::Value, "no provider")]).unwrap_err();
        let shown = report.to_string();
        assert!(
            shown.contains("in this URL the path is missing") && !shown.contains("no provider"),
            "{shown}"
        );
        assert!(!shown.contains("canary"), "{shown}");
    }
    let forgotten = "targets:\n  - { name: a, url: https://server.example }\n";
    let report = read_with(forgotten, vec![complaint("/targets/0", Place::Value, "`provider` is missing")]);
    assert!(report.unwrap_err().to_string().contains("`provider` is missing"));
}
