use super::*;
use url::Url;

use crate::contract::{Atom, Ed25519, Escape, Hidden, Hmac, Insertion, KeyForm, Parameter, Passage, Secret};

const CANARY: &str = "tk_canary";

/// Target `phone` has `phone/token` and `phone/url`; target `desk` has a secret too.
fn secrets(token: &str) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.keep("phone", "token", token.into());
    secrets.keep("phone", "url", "https://ntfy.sh/canary?a=canary".into());
    secrets.keep("desk", "token", CANARY.into());
    secrets
}

/// To ntfy.sh, and to the host `a`.
fn route() -> Route {
    let mut route = Route::of("nuncio.yml:7".into());
    for url in ["https://ntfy.sh", "http://a"] {
        route.name(Url::parse(url).unwrap().origin());
    }
    route
}

/// A piece of a passage.
#[derive(Clone)]
enum Piece {
    Text(String),
    Hidden(Hidden),
}

fn passage(pieces: impl IntoIterator<Item = Piece>) -> Passage {
    let mut passage = Passage::of("");
    for piece in pieces {
        match piece {
            Piece::Text(text) => passage.text += &text,
            Piece::Hidden(what) => {
                let at = passage.text.len().try_into().unwrap();
                passage.insertions.push(Insertion { at, what });
            }
        }
    }
    passage
}

fn text(text: &str) -> Piece {
    Piece::Text(text.into())
}

fn secret(name: &str) -> Piece {
    Piece::Hidden(Hidden::Secret(Secret { name: name.into(), escape: Escape::Verbatim }))
}

fn head(headers: impl IntoIterator<Item = (&'static str, Vec<Piece>)>) -> Passage {
    let line = |(name, value)| [vec![text(name), text(": ")], value, vec![text("\n")]].concat();
    passage(headers.into_iter().flat_map(line))
}

fn post(url: &str) -> Request {
    let (method, url, body) = (crate::contract::Method::Post, Passage::of(url), Passage::of("hi"));
    Request { method, url, query: vec![], head: Passage::of(""), headers: 0, body, timeout: 10_000 }
}

/// A request to a URL with the token in its header.
fn authorized(url: &str) -> Request {
    let value = vec![text("Bearer "), secret("phone/token")];
    Request { head: head([("Authorization", value)]), headers: 1, ..post(url) }
}

fn sent(request: &Request) -> Result<http::Request<Bytes>, Refusal> {
    Ok(assemble(request, "phone", &secrets(CANARY), &route())?.request)
}

fn url_of(request: &Request) -> Result<String, Refusal> {
    Ok(sent(request)?.uri().to_string())
}

#[track_caller]
fn assert_invalid(request: &Request, problem: &str) {
    let refusal = assemble(request, "phone", &secrets("tk_canary\r\n"), &route()).unwrap_err();
    assert!(matches!(&refusal, Refusal::Invalid(text) if text.contains(problem)), "{refusal}");
    assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
    assert_eq!(masked(request, "phone", &secrets("tk_canary\r\n"), &route()), Err(refusal));
}

#[track_caller]
fn assert_not_allowed(request: &Request, origin: &str) {
    let refusal = assemble(request, "phone", &secrets(CANARY), &route()).unwrap_err();
    assert!(matches!(&refusal, Refusal::Egress(text) if text.contains(origin)), "{refusal}");
    assert!(refusal.to_string().contains("`phone`") && !format!("{refusal:?}").contains("canary"));
}

#[test]
fn a_request_has_its_parts_and_the_name_of_the_host() {
    let sent = sent(&authorized("https://ntfy.sh/x")).unwrap();
    assert_eq!((sent.method(), sent.uri().to_string().as_str()), (&Method::POST, "https://ntfy.sh/x"));
    assert_eq!(sent.headers()["authorization"], "Bearer tk_canary");
    assert_eq!(sent.headers()["user-agent"], NUNCIO);
    assert_eq!(sent.body(), "hi");
    assert!(!format!("{:?}", sent.headers()).contains("canary"));
}

#[test]
fn the_guest_may_name_itself() {
    let named = Request { head: Passage::of("User-Agent: me\n"), headers: 1, ..post("http://a/") };
    assert_eq!(sent(&named).unwrap().headers()["user-agent"], "me");
}

#[test]
fn parameters_come_after_the_query_of_a_url_that_is_a_secret() {
    let query = vec![Parameter { name: "b".into(), value: "c d".into() }];
    let request = Request { url: passage([secret("phone/url")]), query, ..post("") };
    assert_eq!(url_of(&request).unwrap(), "https://ntfy.sh/canary?a=canary&b=c%20d");
    assert_eq!(
        masked(&request, "phone", &secrets(CANARY), &route()).unwrap().url,
        "https://ntfy.sh/***?b=c%20d"
    );
}

#[test]
fn what_is_no_request_is_refused() {
    assert_invalid(&post("ftp://a/"), "not http");
    for (name, value, problem) in [
        ("", "", "malformed"),
        ("a b", "", "malformed"),
        ("x", "a\nb", "no colon"),
        ("x:y", "a", "no colon and space after its name"),
        ("x", "a\nb: c", "2 lines and it has 1 headers"),
        ("x", "a\rb", "line break"),
        ("x", "a\0b", "control"),
        ("Host", "b", "`host` is not"),
        ("content-length", "0", "not the guest's"),
        ("Transfer-Encoding", "chunked", "not the guest's"),
        ("connection", "close", "not the guest's"),
        ("range", "bytes=3-", "not the guest's"),
    ] {
        let head = Passage::of(format!("{name}: {value}\n"));
        assert_invalid(&Request { head, headers: 1, ..post("http://a/") }, problem);
    }
    let head = |count| Passage::of("x: \n".repeat(count));
    assert_invalid(
        &Request { head: head(MAX_HEADERS + 1), headers: 65, ..post("http://a/") },
        "more than 64",
    );
    assert!(sent(&Request { head: head(MAX_HEADERS), headers: 64, ..post("http://a/") }).is_ok());
    let (key_form, message) = (KeyForm::Text, vec![Atom::RequestBody]);
    let cyclic = Hmac { key: vec![], key_form, message, hex: true };
    let body = passage([Piece::Hidden(Hidden::HmacSha256(cyclic))]);
    assert_invalid(&Request { body, ..post("http://a/") }, "body itself");
}

#[test]
fn a_line_break_in_a_secret_is_refused() {
    assert_invalid(&authorized("https://ntfy.sh/"), "a secret in it may end with one");
    let url = passage([text("https://ntfy.sh/"), secret("phone/token")]);
    assert_invalid(&Request { url, ..post("") }, "a secret in it may end with one");
}

#[test]
fn the_secret_of_another_target_is_refused() {
    let body = passage([secret("desk/token")]);
    assert_invalid(&Request { body, ..post("https://ntfy.sh/") }, "`desk/token`");
}

#[test]
fn a_request_goes_nowhere_else_whatever_it_holds() {
    assert_not_allowed(&authorized("https://evil.example/x"), "https://evil.example;");
    assert_not_allowed(&authorized("http://ntfy.sh/x"), "http://ntfy.sh;");
    let key = vec![Atom::Secret("phone/token".into())];
    let signed = Hmac { key, key_form: KeyForm::Text, message: vec![], hex: true };
    let body = passage([Piece::Hidden(Hidden::HmacSha256(signed))]);
    assert_not_allowed(&Request { body, ..post("https://evil.example/") }, "https://evil.example;");
    assert_not_allowed(&post("https://evil.example/"), "https://evil.example;");
    let refusal = assemble(&post("http://b:8080/x"), "phone", &secrets(CANARY), &route()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "not allowed: target `phone` (nuncio.yml:7) may not send to http://b:8080; if that is right, add to this \
         target: allow_hosts: [\"http://b:8080\"]"
    );
}

#[test]
fn a_refusal_does_not_tell_a_secret_that_was_put_into_the_host() {
    let url = passage([text("https://"), secret("phone/token"), text(".evil.example/")]);
    assert_not_allowed(&Request { url, ..post("") }, "has a secret in its name");
}

#[test]
fn what_is_computed_from_secrets_comes_with_the_request_wherever_it_stands() {
    const SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    let token = || Atom::Secret("phone/token".into());
    let base64 = |text: &str| Piece::Hidden(Hidden::Base64(vec![Atom::Text(text.into()), token()]));
    let hmac = |hex| {
        let (key_form, message) = (KeyForm::Text, vec![Atom::Text("m".into())]);
        Piece::Hidden(Hidden::HmacSha256(Hmac { key: vec![token()], key_form, message, hex }))
    };
    let signed = Ed25519 { key: vec![token()], message: vec![Atom::RequestBody] };
    let signed = Piece::Hidden(Hidden::Ed25519(signed));
    let over_secret = Hmac {
        key: vec![Atom::Text("k".into())],
        key_form: KeyForm::Text,
        message: vec![Atom::RequestBody],
        hex: true,
    };
    let request = Request {
        url: passage([text("https://ntfy.sh/"), base64("a?"), text("/"), hmac(true)]),
        head: head([
            ("x-a", vec![text("x "), base64("b")]),
            ("x-b", vec![hmac(false), text(" "), signed]),
            ("x-c", vec![Piece::Hidden(Hidden::HmacSha256(over_secret))]),
            ("x-d", vec![text("plain")]),
        ]),
        headers: 4,
        body: passage([text("<"), base64("c"), text(">"), hmac(true), text(" end")]),
        ..post("")
    };
    let secrets = secrets(SEED);
    let Assembled { request, derived } = assemble(&request, "phone", &secrets, &route()).unwrap();
    let redact = |echo: &str| String::from_utf8(secrets.redact("phone", &derived, echo.as_bytes())).unwrap();
    assert_eq!(redact(&request.uri().to_string()), "https://ntfy.sh/***/***");
    assert_eq!(redact(std::str::from_utf8(request.body()).unwrap()), "<***>*** end");
    let echo: Vec<String> = request.headers().values().map(|value| redact(value.to_str().unwrap())).collect();
    assert_eq!(echo, ["***", "***", "***", "plain", NUNCIO]);
    let signature = request.headers()["x-b"].to_str().unwrap().split_once(' ').unwrap().1;
    assert_eq!(redact(&format!("no {signature}.")), "no ***.");
}

#[test]
fn there_is_an_end_to_what_is_computed_from_secrets() {
    let base64 = Piece::Hidden(Hidden::Base64(vec![Atom::Secret("phone/token".into())]));
    let request =
        |pieces| Request { body: passage(vec![base64.clone(); pieces]), ..post("https://ntfy.sh/") };
    let most = MAX_DERIVED / "dGtfY2FuYXJ5".len();
    assert!(sent(&request(most)).is_ok());
    let refusal = sent(&request(most + 1)).unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Invalid(text) if text.contains("computed from secrets")),
        "{refusal}"
    );
}

#[test]
fn people_see_a_mask_for_secrets_and_for_what_comes_of_them() {
    let token = || Atom::Secret("phone/token".into());
    let (key_form, message) = (KeyForm::Text, vec![Atom::RequestBody]);
    let signed = Hmac { key: vec![token()], key_form, message, hex: true };
    let checksum = Hmac { key: vec![Atom::Text("k".into())], key_form, message: vec![], hex: false };
    let request = Request {
        url: passage([text("https://ntfy.sh/"), secret("phone/token"), text("/x")]),
        query: vec![Parameter { name: "a".into(), value: "b c".into() }],
        head: head([
            ("Authorization", vec![text("Basic "), Piece::Hidden(Hidden::Base64(vec![token()]))]),
            ("X-Signature", vec![text("v1,"), Piece::Hidden(Hidden::HmacSha256(signed))]),
            ("X-Checksum", vec![Piece::Hidden(Hidden::HmacSha256(checksum))]),
        ]),
        headers: 3,
        body: passage([text("{\"token\":\""), secret("phone/token"), text("\"}")]),
        ..post("")
    };
    let seen = masked(&request, "phone", &secrets(CANARY), &route()).unwrap();
    assert_eq!((seen.method.as_str(), seen.url.as_str()), ("POST", "https://ntfy.sh/***/x?a=b%20c"));
    let headers = [
        ("authorization", "Basic ***"),
        ("x-signature", "v1,***"),
        ("x-checksum", "i7mQxAp9YcuXWXqUISUCW+UKyL63RDbjc1uYiTp/ZiA="),
        ("user-agent", NUNCIO),
    ];
    assert_eq!(seen.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(seen.body, "{\"token\":\"***\"}");
}
