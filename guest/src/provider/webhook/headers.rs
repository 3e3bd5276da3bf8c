//! The headers that people add to a webhook's request.

use crate::diagnostic::{Diagnostics, Pointer};
use crate::request::{Escape, Segment};
use crate::settings::Secret;
use crate::settings::declare::Named;

/// Headers that say how a message is framed and routed: the HTTP client's business (RFC 9110, sections 7.2,
/// 7.6.1 and 8.6).
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers as they are sent, Authorization first. `at` is where the settings for them stand.
pub(super) fn read(
    settings: &Named<Secret>,
    authorization: Option<Vec<Segment>>,
    at: &Pointer,
    problems: &mut Diagnostics,
) -> Vec<(String, Vec<Segment>)> {
    let has_authorization = authorization.is_some();
    let mut headers: Vec<(String, Vec<Segment>)> =
        authorization.map(|value| ("authorization".to_owned(), value)).into_iter().collect();
    for (name, value) in settings.iter() {
        let at = at.at(name);
        if !is_name(name) {
            problems.key(&at, format!("`{name}` is no name of a header"), "write letters, digits and `-`");
        } else if is_framing(name) {
            problems.key(&at, format!("the header `{name}` belongs to the connection"), "leave it out");
        } else if has_authorization && name.eq_ignore_ascii_case("authorization") {
            let problem = "a token or a user is set too, and there is one Authorization header";
            problems.key(&at, problem, "keep this header, or the settings for it");
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            problems.key(&at, format!("`{name}` is given twice, in other letters"), "keep one of the two");
        }
        headers.push((name.clone(), vec![value.segment(Escape::Verbatim)]));
    }
    headers
}

/// Whether a header can be called so.
pub(super) fn is_name(name: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_token)
}

/// Whether a header is the HTTP client's business.
pub(super) fn is_framing(name: &str) -> bool {
    FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::provider::tests::{header, open, problems, request};
    use crate::provider::webhook::Webhook;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": { "$secret": "w/url" }, "payload": "{}" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn secret(name: &str) -> Value {
        json!({ "$secret": name })
    }

    #[test]
    fn every_value_is_a_secret_and_a_content_type_replaces_the_default() {
        let headers = json!({ "X-Api-Key": secret("w/headers/X-Api-Key"), "Content-Type": secret("w/type") });
        let settings = with(&json!({ "headers": headers, "user": "ann", "password": secret("w/password") }));
        assert_eq!(problems::<Webhook>(settings.clone()), [""; 0]);
        let nothing = crate::notification::Body::Text(String::new());
        let down = crate::notification::tests::notification(crate::notification::Level::Info, "t", nothing);
        let request = request(&open::<Webhook>(settings), &down);
        let value = |name: &str| Some(vec![Segment::Secret { name: name.into(), escape: Escape::Verbatim }]);
        assert_eq!(header(&request, "x-api-key").map(<[_]>::to_vec), value("w/headers/X-Api-Key"));
        assert_eq!(header(&request, "content-type").map(<[_]>::to_vec), value("w/type"));
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Basic "));
        assert_eq!(request.head.headers().len(), 4, "the id is beside them");
        let plain = problems::<Webhook>(with(&json!({ "headers": { "X-Api-Key": "canary" } })));
        assert!(plain.len() == 1 && !plain[0].contains("canary"), "{plain:?}");
    }

    #[test]
    fn names_that_cannot_be_sent_are_refused() {
        for (name, problem) in [
            ("", "/headers/: `` is no name of a header"),
            ("X Key", "/headers/X Key: `X Key` is no name of a header"),
            ("X-Kéy:", "/headers/X-Kéy:: `X-Kéy:` is no name"),
            ("X\r\nY", "/headers/X\r\nY: `X\r\nY` is no name"),
            ("Host", "/headers/Host: the header `Host` belongs to the connection"),
            ("CONTENT-length", "/headers/CONTENT-length: the header"),
            ("Transfer-Encoding", "/headers/Transfer-Encoding: the header"),
            ("connection", "/headers/connection: the header"),
        ] {
            let found = problems::<Webhook>(with(&json!({ "headers": { name: secret("x") } })));
            assert!(found.len() == 1 && found[0].starts_with(problem), "{found:?}");
        }
        let all = json!({ "headers": { "!#$%&'*+-.^_`|~09azAZ": secret("x") } });
        assert_eq!(problems::<Webhook>(with(&all)), [""; 0]);
    }

    #[test]
    fn one_header_is_given_once() {
        let twice = json!({ "headers": { "X-Key": secret("x"), "x-key": secret("y") } });
        assert_eq!(
            problems::<Webhook>(with(&twice)),
            ["/headers/x-key: `x-key` is given twice, in other letters (keep one of the two)"]
        );
        let own = json!({ "Authorization": secret("x") });
        assert_eq!(problems::<Webhook>(with(&json!({ "headers": own }))), [""; 0]);
        for more in [json!({ "token": secret("t") }), json!({ "user": "ann", "password": secret("p") })] {
            let mut settings = with(&more);
            settings["headers"] = own.clone();
            let found = problems::<Webhook>(settings);
            assert!(found.len() == 1 && found[0].starts_with("/headers/Authorization: a token"), "{found:?}");
        }
    }
}
