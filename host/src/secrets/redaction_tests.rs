//! Tests of what is blotted out of replies.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn kept(value: &str) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.keep("phone", "token", value.into());
    secrets
}

fn redacted(secrets: &Secrets, derived: &Derived, echo: &str) -> String {
    String::from_utf8(secrets.redact("phone", derived, echo.as_bytes())).unwrap()
}

fn without_derived(secrets: &Secrets, echo: &str) -> String {
    redacted(secrets, &Derived::default(), echo)
}

#[test]
fn an_echoed_secret_is_blotted_out_in_every_escape() {
    let secrets = kept("a b\"c/d");
    let echo = r#"raw a b"c/d, url a%20b%22c%2Fd, json a b\"c/d."#;
    assert_eq!(without_derived(&secrets, echo), "raw ***, url ***, json ***.");
    let echo = r#"lower a%20b%22c%2fd, form a+b%22c%2Fd, php a b\"c\/d, html a b&quot;c/d."#;
    assert_eq!(without_derived(&secrets, echo), "lower ***, form ***, php ***, html ***.");
}

#[test]
fn what_identifies_a_secret_url_is_blotted_out_wherever_it_stands() {
    let secrets = kept("http://hooks.example/api/T0ken-part?sig=s3cr3t");
    for echo in [
        "Location: https://hooks.example/api/T0ken-part?sig=s3cr3t",
        "Cannot POST /api/T0ken-part?sig=s3cr3t",
        "{\"path\":\"\\/api\\/T0ken-part\"}",
        "unknown hook T0ken-part",
        "bad signature s3cr3t",
        "nothing at /api/T0ken-part",
        "a reply that breaks off in T0ken-pa",
        "http://hooks.example/api/T0ken-pa",
    ] {
        let redacted = without_derived(&secrets, echo);
        assert!(!redacted.contains("T0ken-pa") && !redacted.contains("s3cr3t"), "{redacted}");
    }
    for harmless in ["use https", "http", "http://"] {
        assert_eq!(without_derived(&secrets, harmless), harmless);
    }
}

#[test]
fn a_secret_across_another_leaves_no_rest_of_it() {
    let mut secrets = kept("abcdefgh");
    secrets.keep("phone", "password", "fghijklm".into());
    secrets.keep("phone", "pin", "cdef".into());
    assert_eq!(without_derived(&secrets, "<abcdefghijklm>"), "<***>");
    assert_eq!(without_derived(&secrets, "<abcdefghabcdefgh>"), "<******>");
    let repeated = kept("abcabc");
    assert_eq!(without_derived(&repeated, "<abcabcabc>"), "<***>");
}

#[test]
fn a_secret_that_comes_later_is_known_too() {
    let mut secrets = kept("tk_canary");
    assert_eq!(without_derived(&secrets, "pw_canary"), "pw_canary");
    secrets.keep("phone", "password", "pw_canary".into());
    assert_eq!(without_derived(&secrets, "pw_canary tk_canary"), "*** ***");
}

#[test]
fn what_was_computed_from_secrets_is_blotted_out() {
    let derived = Derived::new(&["dXNlcjp+ZWNy/Q=="], &["Basic dXNlcjp+ZWNy/Q=="]);
    let none = Secrets::default();
    for (echo, expected) in [
        ("bad credentials Basic dXNlcjp+ZWNy/Q==", "bad credentials ***"),
        ("?sig=dXNlcjp%2BZWNy%2FQ%3D%3D.", "?sig=***."),
        ("?sig=dXNlcjp%2bZWNy%2fQ%3d%3d.", "?sig=***."),
        ("{\"sig\":\"dXNlcjp+ZWNy\\/Q==\"}", "{\"sig\":\"***\"}"),
        ("cut dXNlcjp+Z", "cut ***"),
        ("unknown scheme Basic", "unknown scheme Basic"),
    ] {
        assert_eq!(redacted(&none, &derived, echo), expected);
    }
}

#[test]
fn a_short_secret_is_blotted_out_of_the_headers_that_it_is_in() {
    let derived = Derived::new(&[], &["Bearer 007"]);
    assert_eq!(redacted(&kept("007"), &derived, "Bearer 007, or 007"), "***, or 007");
}

#[test]
fn a_secret_is_blotted_out_of_every_line_of_a_head() {
    let head =
        "date: today\nx-echo: tk_canary\nx-tk_canary-x: 1\nlocation:/tk_canary\ntk_canary\nx-cut: tk_ca\n";
    let reply = Reply { status: 200, head: head.to_owned(), body: Vec::new() };
    let shown = kept("tk_canary").redact_reply("phone", &Derived::default(), reply).head;
    assert_eq!(shown, "date: today\nx-echo: ***\nx-***-x: 1\nlocation:/***\n***\nx-cut: ***\n");
}

// === properties ===

/// RFC 3986, and ECMAScript's `encodeURIComponent`.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const COMPONENT: AsciiSet = UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The ways in which services echo a text.
fn echoes(text: &str) -> Vec<String> {
    let percent = utf8_percent_encode(text, &UNRESERVED).to_string();
    let lower = text.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    });
    vec![
        text.to_owned(),
        percent,
        lower.collect(),
        utf8_percent_encode(text, &COMPONENT).to_string(),
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        json(text),
        json(text).replace('/', "\\/"),
    ]
}

/// The ways in which a guest writes a secret, or a service shows it.
fn encodings(value: &str) -> Vec<String> {
    let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
    let hex = |upper: bool| -> String {
        value.bytes().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect()
    };
    engines
        .map(|engine| engine.encode(value))
        .into_iter()
        .chain([hex(false), hex(true), value.to_owned()])
        .collect()
}

/// What stands around an echo: nothing that could be a part of one.
fn around() -> impl Strategy<Value = String> {
    prop::collection::vec(Just('∎'), 0..5).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn no_echo_of_a_secret_survives(
        value in "[ -~äß€]{4,40}", way: prop::sample::Index, form: prop::sample::Index, before in around(), after in around(),
    ) {
        prop_assume!(!value.contains("://"));
        let (ways, secrets) = (encodings(&value), kept(&value));
        let echo: &String = way.get(&ways);
        let echoed = form.get(&echoes(echo)).clone();
        prop_assert_eq!(without_derived(&secrets, &format!("{before}{echoed}{after}")), format!("{before}***{after}"));
    }

    /// Wherever a reply ends, it ends in no more than 3 bytes of a secret.
    #[test]
    fn an_echo_that_breaks_off_tells_no_beginning(
        value in "[ -~äß€]{4,40}", way: prop::sample::Index, form: prop::sample::Index, before in around(), cut: prop::sample::Index,
    ) {
        prop_assume!(!value.contains("://"));
        let (ways, secrets) = (encodings(&value), kept(&value));
        let way: &String = way.get(&ways);
        let forms = echoes(way);
        let echoed: &String = form.get(&forms);
        let echoed = echoed.as_bytes();
        let echoed = &echoed[..cut.index(echoed.len())];
        let found = secrets.redact("phone", &Derived::default(), &[before.as_bytes(), echoed].concat());
        let rest = if echoed.len() < 4 { echoed } else { b"***" };
        prop_assert_eq!(found, [before.as_bytes(), rest].concat());
    }

    #[test]
    fn nothing_computed_from_a_secret_survives(
        text in "[ -~]{4,60}", form: prop::sample::Index, before in around(), after in around(), cut: prop::sample::Index,
    ) {
        let computed = STANDARD.encode(text);
        let derived = Derived::new(&[&computed], &[]);
        let forms = echoes(&computed);
        let echoed: &String = form.get(&forms);
        let none = Secrets::default();
        prop_assert_eq!(redacted(&none, &derived, &format!("{before}{echoed}{after}")), format!("{before}***{after}"));
        let echoed = &echoed[..cut.index(echoed.len())];
        let rest = if echoed.len() < 4 { echoed } else { "***" };
        prop_assert_eq!(redacted(&none, &derived, &format!("{before}{echoed}")), format!("{before}{rest}"));
    }

    #[test]
    fn what_no_secret_is_in_stays(value in "[a-m]{8,20}", text in "[n-z ]{0,200}") {
        prop_assert_eq!(without_derived(&kept(&value), &text), text);
    }
}
