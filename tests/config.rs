//! Configurations that are wrong: each with the right line and a hint.

use std::collections::HashMap;

use nuncio::StartError;
use nuncio::config::Config;
use nuncio::config::report::{Line, Report};

use crate::stage;

fn read(yaml: &str) -> Result<Config, Report> {
    let environment = HashMap::from([("URL".to_owned(), "https://ntfy.sh".to_owned())]);
    Config::load("nuncio.yml", yaml, &environment, &stage::brain()).map_err(|error| match error {
        StartError::Config(report) => report,
        other => panic!("{other}"),
    })
}

/// A configuration, and what is said about it: line, column, part of the problem, part of the hint.
type Wrong = (&'static str, &'static [(usize, usize, &'static str, &'static str)]);

const WRONG: &[Wrong] = &[
    ("", &[(0, 0, "no target", "targets:")]),
    ("targets: []\n", &[(1, 1, "no target", "targets:")]),
    ("targets:\n  - name: a\n\tprovider: ntfy\n", &[(3, 1, "tab", "spaces")]),
    (
        "- a\n- b\n",
        &[(1, 3, "a target must be a mapping", "name"), (2, 3, "a target must be a mapping", "name")],
    ),
    (
        "targts:\n  - {name: a, provider: ntfy, url: \"https://x\", topic: t}\n",
        &[(1, 1, "unknown key `targts`", "`targets`")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfi\n    url: https://x\n    topic: t\n",
        &[(3, 15, "no provider is called `ntfi`", "did you mean `ntfy`?")],
    ),
    (
        "targets:\n  - name: a\n    url: https://x\n",
        &[(2, 5, "`provider` is missing", "one of: alertmanager, apprise, ")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: https://x\n    tpoic: t\n",
        &[
            (2, 5, "`topic` is missing", "add `topic`"),
            (5, 5, "unknown key `tpoic`", "did you mean `topic`?"),
        ],
    ),
    (
        "targets:\n  - provider: ntfy\n    url: https://x\n    topic: t\n",
        &[(2, 5, "`name` is missing", "add `name`")],
    ),
    (
        "targets:\n  - {name: a, provider: ntfy, url: \"https://x\", topic: t}\n  - {name: a, provider: ntfy, url: \"https://x\", topic: u}\n",
        &[(3, 12, "another target is called `a`", "a `name` of its own")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: ${NOWHERE}\n    topic: t\n",
        &[(4, 10, "`NOWHERE`", "export NOWHERE=")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: ntfy.sh\n    topic: t\n",
        &[(4, 10, "URL", "https://")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: https://user:canary@x/\n    topic: t\n",
        &[(4, 10, "user", "")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: ${URL}\n    topic: t\n    timeout: 5\n",
        &[(6, 14, "expected text, found a number", "write it with a unit")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: ${URL}\n    topic: t\n    filter: {levl: warn}\n",
        &[(6, 14, "unknown key `levl`", "did you mean `level`?")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: ${URL}\n    topic: t\n    filter:\n      level: loud\n",
        &[(7, 14, "`loud` is none of trace", "known are")],
    ),
    (
        "retry:\n  interval: 10s\n  max_delay: 1s\ntargets:\n  - {name: a, provider: ntfy, url: \"https://x\", topic: t}\n",
        &[(3, 14, "`max_delay` (1000 ms) is shorter than `interval`", "at least as long")],
    ),
    (
        "retry: {multiplier: 0.5}\ntargets:\n  - {name: a, provider: ntfy, url: \"https://x\", topic: t}\n",
        &[(1, 21, "0.5 is out of range", "from 1")],
    ),
    (
        "targets:\n  - name: a\n    provider: webhook\n    url: https://x\n    payload: |\n      {\"text\": $title,,}\n",
        &[(5, 5, "the payload is no JSON at line 1, column 17", "text inside quotes")],
    ),
    (
        "targets:\n  - name: a\n    provider: webhook\n    url: https://x\n    template: discord\n    payload: x\n",
        &[(6, 14, "template", "")],
    ),
    (
        "targets:\n  - name: a\n    provider: webhook\n    url: https://x\n    template: discord\n    sign:\n      secrets: [whsec_canary, '${URL}']\n      private_keys: whsec_canary\n",
        &[
            (
                7,
                17,
                "this secret does not have the expected form",
                "`whsec_`, then the base64 of at least 24",
            ),
            (
                7,
                31,
                "this secret does not have the expected form",
                "`whsec_`, then the base64 of at least 24",
            ),
            (
                8,
                21,
                "this secret does not have the expected form",
                "`whsk_`, then the base64 of an Ed25519 key",
            ),
        ],
    ),
    (
        "targets:\n  - name: a\n    provider: webhook\n    url: https://x\n    template: discord\n    sign: {private_keys: []}\n    headers: {Webhook-Id: canary}\n",
        &[
            (6, 11, "there is nothing to sign with", "secrets"),
            (7, 15, "`sign` sets the header `webhook-id`", "leave this header out"),
        ],
    ),
    (
        "targets:\n  - {name: a, provider: ntfy, url: \"https://x\", topic: t}\nserver:\n  listen: 0.0.0.0:7711\n",
        &[(4, 11, "there are no tokens", "add `tokens:")],
    ),
    (
        "targets:\n  - name: a\n    provider: ntfy\n    url: https://x\n    topic: t\n    name: b\n",
        &[(6, 5, "`name`", "")],
    ),
    (
        "targets:\n  - {name: a, provider: gotify, url: \"https://x\", token: [canary]}\n",
        &[(2, 58, "expected text, found a list", "")],
    ),
    (
        "targets:\n  - {name: a, provider: ntfy, url: \"https://x\", topic: t}\nlisten: 127.0.0.1:1\n",
        &[(3, 1, "unknown key `listen`", "")],
    ),
];

#[test]
fn every_wrong_configuration_is_refused_with_its_line_and_a_hint() {
    let mut unexpected = String::new();
    for (yaml, expected) in WRONG {
        let Err(report) = read(yaml) else {
            unexpected += &format!("this was taken:\n{yaml}\n");
            continue;
        };
        let (shown, lines) = (report.to_string(), report.lines());
        let fits = |(line, (row, column, problem, hint)): (&Line, &(usize, usize, &str, &str))| {
            // 0 stands for the file as a whole.
            (line.line.unwrap_or(0), line.column.unwrap_or(0)) == (*row, *column)
                && line.problem.contains(problem)
                && line.hint.contains(hint)
                && !line.hint.is_empty()
                && (*row == 0 || shown.contains(&format!("nuncio.yml:{row}:{column}")))
        };
        let all_fit = lines.len() == expected.len() && lines.iter().zip(*expected).all(fits);
        if !all_fit || shown.contains("canary") {
            unexpected += &format!("{expected:?}, but:\n{shown}\n\n");
        }
    }
    assert!(unexpected.is_empty(), "{unexpected}");
}

#[test]
fn a_problem_is_shown_under_its_line_as_compilers_do() {
    let yaml = "targets:\n  - name: phone\n    provider: ntfy\n    url: https://ntfy.sh\n    topic: t\n    format: markdwon\n";
    let shown = read(yaml).expect_err("there is a slip in it").to_string();
    assert_eq!(
        shown.trim_end(),
        "error: `markdwon` is none of markdown, plain\n --> nuncio.yml:6:13\n  |\n6 |     format: markdwon\n  |             ^^^^^^^^\n  |\n  = help: did you mean `markdown`?"
    );
}

#[test]
fn everything_that_is_wrong_is_said_in_one_go() {
    let yaml = "retry: {intervall: 1s}\ntargets:\n  - {name: a, provider: ntfy, url: x, topic: t}\n  - {name: b, provider: gotify, url: \"${NOWHERE}\"}\nserver: {lissen: 1}\n";
    let report = read(yaml).expect_err("much is wrong");
    let lines: Vec<usize> = report.lines().iter().map(|line| line.line.unwrap_or_default()).collect();
    assert_eq!(lines, [1, 3, 4, 4, 5], "{report}");
}

#[test]
fn what_is_right_is_taken() {
    let yaml = "# a comment\ntargets:\n  - name: phone\n    provider: ntfy\n    url: ${URL}\n    topic: ${TOPIC:-alerts}\n    token: \"tk_0123\"\n    priority: {warn: high}\n    filter: {level: warn, tags: {any: [db, web], none: [test]}}\n    retry: {interval: 2s, limits: {info: 0}}\n    timeout: 5s\nserver:\n  tokens: [correct-horse-battery]\n";
    let config = read(yaml).unwrap_or_else(|report| panic!("{report}"));
    assert!(config.guest_config().contains("\"topic\":\"alerts\""));
    assert!(!config.guest_config().contains("tk_0123"));
    let shown = format!("{config:?}");
    assert!(!shown.contains("tk_0123") && !shown.contains("correct-horse"), "{shown}");
}
