//! Requests that nobody should send.

use std::hint::black_box;

use crate::generated::nuncio::dispatch::types::{
    Escape, Hidden, Insertion, Method, Notification, Parameter, Passage, Request, Secret,
};
use crate::{Target, excess};

/// An origin that no target names.
const ELSEWHERE: &str = "http://elsewhere.example:81/";

/// The requests that a target's mode asks for; `ok` is the target of that name.
pub fn of(target: &Target, ok: Option<&Target>, notification: &Notification) -> Vec<Request> {
    let request = |url: &str| Request {
        method: Method::Post,
        url: text(url),
        query: vec![],
        head: text(""),
        headers: 0,
        body: text(&notification.title),
        timeout: 10_000,
    };
    let own = || secret("", &target.token, "");
    let plain = request(&target.url);
    let (scheme, rest) = target.url.split_once("//").unwrap_or_default();
    let host = rest.trim_end_matches('/');
    let mode = target.mode.as_str();
    if let Some(character) = mode.strip_prefix("name-with-").and_then(character) {
        return vec![Request { head: text(&format!("x-a{character}x-b: c\n")), headers: 1, ..plain }];
    }
    if let Some(character) = mode.strip_prefix("value-with-").and_then(character) {
        return vec![Request { head: text(&format!("x-a: b{character}x-c: d\n")), headers: 1, ..plain }];
    }
    if let Some(character) = mode.strip_prefix("url-with-").and_then(character) {
        return vec![request(&format!("{}a{character}x-b: c", target.url))];
    }
    match mode {
        "recurses" => vec![request(&excess::recurse(black_box(1)).to_string())],
        "twice" => vec![request(&format!("{}1", target.url)), request(&format!("{}2", target.url))],
        "nothing" => vec![],
        "head-without-end" => vec![Request { head: text("x-a: b"), headers: 1, ..plain }],
        "inserts-nowhere" => {
            let insertions =
                own().insertions.into_iter().map(|insertion| Insertion { at: u32::MAX, ..insertion });
            vec![Request { body: Passage { insertions: insertions.collect(), ..text("x") }, ..plain }]
        }
        "inserts-a-header" => {
            vec![Request { head: Passage { text: "x: y\n".into(), ..own() }, headers: 1, ..plain }]
        }
        "smuggles" => vec![Request { head: text("Transfer-Encoding: chunked\n"), headers: 1, ..plain }],
        "userinfo" => vec![request(&format!("{scheme}//me:mine@{host}/"))],
        "open-elsewhere" => vec![request(ELSEWHERE)],
        "other-origin" => vec![Request { body: own(), ..request(ELSEWHERE) }],
        // To some who read URLs, what is before the @ is a user name.
        "backslash" => {
            vec![Request { body: own(), ..request(&format!("http://elsewhere.example:81\\@{host}/")) }]
        }
        "secret-in-the-host" => {
            let url = secret("http://", &target.token, ".elsewhere.example:81/");
            vec![Request { url, ..plain }]
        }
        "other-secret" => {
            let token = ok.map_or("", |ok| ok.token.as_str());
            vec![Request { body: secret("", token, ""), ..plain }]
        }
        "wrong-target" => {
            let url = ok.map_or("", |ok| ok.url.as_str());
            vec![Request { body: own(), ..request(url) }]
        }
        "unknown-secret" => vec![Request { body: secret("", &excess::text(), ""), ..plain }],
        "echo" => {
            let head = secret("authorization: Bearer ", &target.token, "\n");
            vec![Request { head, headers: 1, body: secret("token=", &target.token, ""), ..plain }]
        }
        "timeout-0" => vec![Request { timeout: 0, ..plain }],
        "timeout-at-max" => vec![Request { timeout: u64::MAX, ..plain }],
        "many-headers" => vec![Request { head: text(&"x: y\n".repeat(65)), headers: 65, ..plain }],
        "too-many-insertions" => {
            let token = || Secret { name: String::new(), escape: Escape::Verbatim };
            let insertion = |_| Insertion { at: 0, what: Hidden::Secret(token()) };
            let insertions = (0..300_000).map(insertion).collect();
            vec![Request { body: Passage { insertions, ..text("") }, ..plain }]
        }
        "too-many-requests" => {
            let empty = || Request {
                method: Method::Get,
                url: text(""),
                query: vec![],
                head: text(""),
                headers: 0,
                body: text(""),
                timeout: 0,
            };
            (0..200_000).map(|_| empty()).collect()
        }
        "same-text" => {
            let parameter = |value| Parameter { name: String::new(), value };
            vec![Request { query: excess::same_text().into_iter().map(parameter).collect(), ..plain }]
        }
        "long-body" => vec![Request { body: text(&excess::text()), ..plain }],
        _ => vec![plain],
    }
}

/// The character of a number in hexadecimal.
fn character(code: &str) -> Option<char> {
    u32::from_str_radix(code, 16).ok().and_then(char::from_u32)
}

fn text(text: &str) -> Passage {
    Passage { text: text.to_owned(), insertions: vec![] }
}

/// A secret between two texts.
fn secret(before: &str, name: &str, after: &str) -> Passage {
    let what = Hidden::Secret(Secret { name: name.to_owned(), escape: Escape::Verbatim });
    let at = u32::try_from(before.len()).unwrap_or(u32::MAX);
    Passage { text: format!("{before}{after}"), insertions: vec![Insertion { at, what }] }
}
