//! Signatures as Standard Webhooks 1.0.0 describes them (standardwebhooks.com).
//!
//! Decides what is signed, with which keys, and in which headers that stands. The host has the keys and
//! computes the signatures, over the body that it sends.

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::provider::Occasion;
use crate::request::{Atom, Ed25519, Hmac, KeyForm, Segment};
use crate::settings::Secret;
use crate::settings::declare::{Named, Setting, settings};

/// The headers of a signed request, in the order in which they are sent.
const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

settings! {
    /// With which keys a webhook is signed.
    pub(super) struct Settings {
        /// Secrets for signatures `v1` (HMAC-SHA256): one `whsec_…`, or a list of them. While receivers change
        /// from an old one to a new one, give both.
        secrets: Secrets = Secrets(Vec::new()),
        /// Private keys for signatures `v1a` (Ed25519): one `whsk_…`, or a list of them.
        private_keys: PrivateKeys = PrivateKeys(Vec::new()),
    }
}

/// What signs a webhook's requests.
pub(super) struct Signer {
    secrets: Vec<Secret>,
    private_keys: Vec<Secret>,
}

impl Signer {
    /// Reads the settings, which stand in `sign` below `at`, beside `headers` of the user's own.
    pub(super) fn check(
        settings: Settings,
        headers: &Named<Secret>,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Self {
        let Settings { secrets: Secrets(secrets), private_keys: PrivateKeys(private_keys) } = settings;
        if secrets.is_empty() && private_keys.is_empty() {
            let hint = "add `secrets: [\"${NAME}\"]`, or `private_keys`";
            problems.value(&at.at("sign"), "there is nothing to sign with", hint);
        }
        for name in headers.keys() {
            if let Some(own) = HEADERS.iter().find(|own| own.eq_ignore_ascii_case(name)) {
                let problem = format!("`sign` sets the header `{own}`");
                problems.key(&at.at("headers").at(name), problem, "leave this header out, or `sign`");
            }
        }
        Self { secrets, private_keys }
    }

    /// The headers that sign the request's body.
    ///
    /// The id is the same for every attempt, the time is that of this one. A dot would let one part of what is
    /// signed pass for another, so the specification forbids it in the id.
    pub(super) fn headers(
        &self,
        id: &str,
        occasion: &Occasion,
    ) -> impl Iterator<Item = (&'static str, Vec<Segment>)> {
        let id = id.replace('%', "%25").replace('.', "%2E");
        let seconds = occasion.now / 1_000;
        let message = || vec![Atom::Text(format!("{id}.{seconds}.")), Atom::RequestBody];
        let v1 = self.secrets.iter().map(|secret| {
            let (key, key_form) = (vec![secret.atom()], KeyForm::PrefixedBase64);
            ("v1,", Segment::HmacSha256(Hmac { key, key_form, message: message(), hex: false }))
        });
        let v1a = self.private_keys.iter().map(|private_key| {
            ("v1a,", Segment::Ed25519(Ed25519 { key: vec![private_key.atom()], message: message() }))
        });
        let mut signatures = Vec::new();
        for (version, signature) in v1.chain(v1a) {
            let space = if signatures.is_empty() { "" } else { " " };
            signatures.extend([format!("{space}{version}").into(), signature]);
        }
        let values = [vec![id.into()], vec![seconds.to_string().into()], signatures];
        HEADERS.into_iter().zip(values)
    }
}

/// One secret, or a list of them. From 24 bytes on, which the specification asks for at least; a longer secret
/// than its 64 does no harm.
struct Secrets(Vec<Secret>);

/// One private key, or a list of them. A seed of 32 bytes, or one with its public key behind it.
struct PrivateKeys(Vec<Secret>);

impl Setting for Secrets {
    fn schema() -> Value {
        one_or_several_like(
            "`whsec_`, then the base64 of at least 24 random bytes",
            "^whsec_([A-Za-z0-9+/]{4}){8,}([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$",
        )
    }

    fn read(value: &Value) -> Option<Self> {
        one_or_several(value).map(Self)
    }
}

impl Setting for PrivateKeys {
    fn schema() -> Value {
        one_or_several_like(
            "`whsk_`, then the base64 of an Ed25519 key: the seed of 32 bytes, or the seed and the public key",
            "^whsk_([A-Za-z0-9+/]{43}=?|[A-Za-z0-9+/]{86}(==)?)$",
        )
    }

    fn read(value: &Value) -> Option<Self> {
        one_or_several(value).map(Self)
    }
}

fn one_or_several(value: &Value) -> Option<Vec<Secret>> {
    if value.is_array() { Vec::read(value) } else { Secret::read(value).map(|secret| vec![secret]) }
}

fn one_or_several_like(description: &str, pattern: &str) -> Value {
    let one = json!({ "type": "string", "writeOnly": true, "description": description, "pattern": pattern });
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Notification;
    use crate::provider::Provider as _;
    use crate::provider::tests::{OCCASION, header, notifications, open, problems, request};
    use crate::provider::webhook::Webhook;
    use proptest::prelude::*;

    fn secret(name: &str) -> Value {
        json!({ "$secret": name })
    }

    fn signed(sign: &Value, more: &Value) -> Value {
        let mut settings = json!({ "url": secret("w/url"), "payload": "$message", "sign": sign });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn notification(id: &str) -> Notification {
        let body = crate::notification::Body::Text("b".into());
        let level = crate::notification::Level::Info;
        Notification { id: id.into(), ..crate::notification::tests::notification(level, "t", body) }
    }

    fn text_of(value: Option<&[Segment]>) -> &str {
        match value {
            Some([Segment::Text(text)]) => text,
            other => panic!("not one text: {other:?}"),
        }
    }

    #[test]
    fn the_body_is_signed_with_every_key_in_order() {
        let sign = json!({ "secrets": [secret("w/new"), secret("w/old")], "private_keys": secret("w/key") });
        let settings = signed(&sign, &json!({ "mime_type": "text/plain" }));
        assert_eq!(problems::<Webhook>(settings.clone()), [""; 0]);
        let request = request(&open::<Webhook>(settings), &notification("msg-1"));
        assert_eq!(text_of(header(&request, "webhook-id")), "msg-1");
        assert_eq!(text_of(header(&request, "webhook-timestamp")), "1700000052");
        assert_eq!(text_of(header(&request, "idempotency-key")), "msg-1");
        let message = || vec![Atom::Text("msg-1.1700000052.".into()), Atom::RequestBody];
        let key = |name: &str| vec![Atom::Secret(name.into())];
        let v1 = |name: &str| {
            let key_form = KeyForm::PrefixedBase64;
            Segment::HmacSha256(Hmac { key: key(name), key_form, message: message(), hex: false })
        };
        let v1a = Segment::Ed25519(Ed25519 { key: key("w/key"), message: message() });
        let signatures = ["v1,".into(), v1("w/new"), " v1,".into(), v1("w/old"), " v1a,".into(), v1a];
        assert_eq!(header(&request, "webhook-signature"), Some(&signatures[..]));
    }

    #[test]
    fn a_template_is_signed_as_well() {
        let settings = json!({
            "url": secret("w/url"), "template": "discord", "sign": { "private_keys": [secret("w/key")] }
        });
        let request = request(&open::<Webhook>(settings), &notification("x"));
        assert!(header(&request, "webhook-signature").is_some_and(|value| value.len() == 2));
    }

    #[test]
    fn without_a_key_or_a_body_nothing_can_be_signed() {
        for nothing in [json!({}), json!({ "secrets": [], "private_keys": [] })] {
            let found = problems::<Webhook>(signed(&nothing, &json!({})));
            assert_eq!(
                found,
                ["/sign: there is nothing to sign with (add `secrets: [\"${NAME}\"]`, or `private_keys`)"]
            );
        }
        let sign = json!({ "secrets": secret("w/s") });
        let form = json!({ "method": "get", "payload": "a=$title", "mime_type": "application/x-www-form-urlencoded" });
        let found = problems::<Webhook>(signed(&sign, &form));
        assert!(found.len() == 1 && found[0].starts_with("/sign: this GET has no body"), "{found:?}");
        let with_body = json!({ "method": "GET" });
        assert_eq!(problems::<Webhook>(signed(&sign, &with_body)), [""; 0]);
    }

    #[test]
    fn the_headers_of_a_signature_are_set_once() {
        let sign = json!({ "secrets": secret("w/s") });
        let own = json!({ "headers": { "Webhook-Id": secret("w/h"), "X-Id": secret("w/i") } });
        let found = problems::<Webhook>(signed(&sign, &own));
        assert!(
            found.len() == 1
                && found[0].starts_with("/headers/Webhook-Id: `sign` sets the header `webhook-id`"),
            "{found:?}"
        );
        let unsigned =
            json!({ "url": secret("w/url"), "payload": "{}", "headers": { "webhook-id": secret("h") } });
        assert_eq!(problems::<Webhook>(unsigned), [""; 0]);
    }

    #[test]
    fn a_key_is_a_reference_and_never_a_value() {
        for sign in [json!({ "secrets": "whsec_canary" }), json!({ "private_keys": ["whsk_canary"] })] {
            let found = problems::<Webhook>(signed(&sign, &json!({})));
            assert!(found.len() == 1 && !found[0].contains("canary"), "{found:?}");
        }
        let wrong = problems::<Webhook>(signed(&json!({ "secrets": {}, "secret": "x" }), &json!({})));
        assert!(wrong.iter().any(|found| found.contains("did you mean `secrets`?")), "{wrong:?}");
    }

    proptest! {
        #[test]
        fn no_id_has_a_dot_or_passes_for_another(id in "[!-~]{1,255}", other in "[!-~]{1,4}", now: u64) {
            let target = open::<Webhook>(signed(&json!({ "secrets": secret("w/s") }), &json!({})));
            let sent = |id: &str, now| target.format(&notification(id), &Occasion { now, is_plain: false }).unwrap().remove(0);
            let (first, second) = (sent(&id, OCCASION.now), sent(&id, now));
            let id_sent = text_of(header(&first, "webhook-id"));
            prop_assert!(!id_sent.contains('.'));
            prop_assert_eq!(id_sent, text_of(header(&second, "webhook-id")));
            prop_assert_eq!(text_of(header(&second, "webhook-timestamp")), (now / 1_000).to_string());
            let elsewhere = sent(&other, now);
            prop_assert_eq!(id_sent == text_of(header(&elsewhere, "webhook-id")), id == other);
        }

        #[test]
        fn any_notification_is_signed(notification in notifications()) {
            let target = open::<Webhook>(signed(&json!({ "secrets": secret("w/s") }), &json!({})));
            let first = target.format(&notification, &OCCASION);
            prop_assert_eq!(&first, &target.format(&notification, &OCCASION));
        }
    }
}
