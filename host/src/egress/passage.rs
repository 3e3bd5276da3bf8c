//! Passages written out: text, and in it secrets in their escapes, base64, signatures.
//!
//! Decides how the parts of a URL, a header or a body become one text, for sending or for people; whether the
//! result makes a request is for [`super::assemble`] to say. Written for people, a secret is `***`, and so is
//! all that was computed from one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::assemble::{MAX_BODY, MAX_HEADER_VALUE, Refusal, invalid};
use super::location::MAX_URL;
use super::sign::{ed25519, hmac_sha256};
use crate::contract::{Atom, Escape, Hidden, Insertion, Passage};
use crate::secrets::{MASK, Secrets, escape};

/// How long a text that is encoded or signed may be, in bytes: a body, and as much again around it.
const MAX_MESSAGE: usize = 2 * MAX_BODY;

/// Text, and whether a secret is in it or went into it.
#[derive(Default)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) secret: bool,
    /// What in it was computed from secrets, before it was escaped.
    pub(super) computed: Vec<String>,
}

/// A passage, or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Excerpt<'a> {
    text: &'a str,
    /// Where in the passage it begins.
    from: usize,
    insertions: &'a [Insertion],
}

impl<'a> Excerpt<'a> {
    /// All of a passage.
    pub(super) fn of(passage: &'a Passage) -> Self {
        Self { text: &passage.text, from: 0, insertions: &passage.insertions }
    }

    /// Takes off its first line, which ends with a line feed, and splits it: what is before the first colon, and what
    /// is behind the space after that, with what is inserted there. `None` where nothing is left.
    pub(super) fn take_line(&mut self) -> Option<Result<(&'a str, Self), Refusal>> {
        if self.text.is_empty() {
            return self.insertions.first().map(|_| outside());
        }
        let Some((line, rest)) = self.text.split_once('\n') else {
            return Some(invalid("the last header does not end with a line feed"));
        };
        // Looking for one character is much quicker than for a text of two.
        let Some((name, value)) =
            line.split_once(':').and_then(|(name, rest)| Some((name, rest.strip_prefix(' ')?)))
        else {
            return Some(invalid("a header has no colon and space after its name"));
        };
        let (end, from) = (self.from + line.len(), self.from + line.len() - value.len());
        let is_of_line = |insertion: &Insertion| place(insertion) <= end;
        let (insertions, others) = self.insertions.split_at(self.insertions.partition_point(is_of_line));
        if insertions.iter().any(|insertion| place(insertion) < from) {
            return Some(outside());
        }
        (self.text, self.from, self.insertions) = (rest, end + 1, others);
        Some(Ok((name, Self { text: value, from, insertions })))
    }
}

fn outside<T>() -> Result<T, Refusal> {
    invalid("something is inserted outside the value of a header")
}

fn place(insertion: &Insertion) -> usize {
    usize::try_from(insertion.at).unwrap_or(usize::MAX)
}

/// What a passage is put together for.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    /// A URL. What an encoding yields is percent-encoded in it: `+`, `/` and `=` mean other things there.
    Url,
    /// The value of a header.
    Header(&'a str),
    /// The body.
    Body,
}

impl Part<'_> {
    fn limit(self) -> usize {
        match self {
            Self::Url => MAX_URL,
            Self::Header(_) => MAX_HEADER_VALUE,
            Self::Body => MAX_BODY,
        }
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the URL"),
            Self::Header(name) => write!(f, "the value of header `{name}`"),
            Self::Body => f.write_str("the body"),
        }
    }
}

/// Writes passages for one target: with its secrets, or with a mask in the place of each.
#[derive(Clone, Copy)]
pub(super) struct Scribe<'a> {
    pub(super) target: &'a str,
    pub(super) secrets: &'a Secrets,
    pub(super) masks: bool,
}

impl Scribe<'_> {
    /// Writes one part; `body` is what `request-body` stands for, once there is one.
    pub(super) fn write(
        self,
        part: Part<'_>,
        excerpt: Excerpt<'_>,
        body: Option<&Written>,
    ) -> Result<Written, Refusal> {
        let mut whole = Written::default();
        let (mut rest, mut from) = (excerpt.text, excerpt.from);
        for insertion in excerpt.insertions {
            let Some((before, after)) =
                place(insertion).checked_sub(from).and_then(|length| rest.split_at_checked(length))
            else {
                return invalid(format!(
                    "something is inserted into {part} where no character begins, or out of order"
                ));
            };
            whole.text.push_str(before);
            (rest, from) = (after, from + before.len());
            let piece = match &insertion.what {
                Hidden::Secret(secret) => {
                    let value = self.reveal(&secret.name)?;
                    let whole_url = matches!(part, Part::Url) && whole.text.is_empty();
                    let text = match self.masks {
                        true if whole_url => mask_of_url(value),
                        true => MASK.to_owned(),
                        false => escape(value, secret.escape),
                    };
                    Written { text, secret: true, computed: Vec::new() }
                }
                Hidden::Base64(atoms) => {
                    let plain = self.join(atoms, None)?;
                    self.computed(part, plain.secret, STANDARD.encode(plain.text))
                }
                Hidden::HmacSha256(hmac) => {
                    let (key, message) = (self.join(&hmac.key, None)?, self.join(&hmac.message, body)?);
                    let signature = hmac_sha256(&key.text, hmac.key_form, &message.text, hmac.hex)?;
                    self.computed(part, key.secret || message.secret, signature)
                }
                Hidden::Ed25519(signed) => {
                    let (key, message) = (self.join(&signed.key, None)?, self.join(&signed.message, body)?);
                    let signature = ed25519(&key.text, &message.text)?;
                    self.computed(part, key.secret || message.secret, signature)
                }
            };
            whole.text.push_str(&piece.text);
            whole.secret |= piece.secret;
            whole.computed.extend(piece.computed);
            self.bounded(part, &whole)?;
        }
        whole.text.push_str(rest);
        self.bounded(part, &whole)?;
        Ok(whole)
    }

    /// A mask may be longer than what it hides; only what is sent is held to the limit.
    fn bounded(self, part: Part<'_>, whole: &Written) -> Result<(), Refusal> {
        if whole.text.len() > part.limit() && !self.masks {
            return invalid(format!("{part} is longer than {} bytes", part.limit()));
        }
        Ok(())
    }

    /// What was computed: never masked half, as a part of it could tell of the rest.
    fn computed(self, part: Part<'_>, secret: bool, result: String) -> Written {
        let text = match part {
            _ if secret && self.masks => MASK.to_owned(),
            Part::Url => escape(&result, Escape::Percent),
            Part::Header(_) | Part::Body => result.clone(),
        };
        Written { text, secret, computed: if secret { vec![result] } else { Vec::new() } }
    }

    /// Atoms, one after another, always with the secrets themselves: they go into a computation.
    fn join(self, atoms: &[Atom], body: Option<&Written>) -> Result<Written, Refusal> {
        let mut whole = Written::default();
        for atom in atoms {
            match (atom, body) {
                (Atom::Text(text), _) => whole.text.push_str(text),
                (Atom::Secret(name), _) => {
                    whole.text.push_str(self.reveal(name)?);
                    whole.secret = true;
                }
                (Atom::RequestBody, Some(body)) => {
                    whole.text.push_str(&body.text);
                    whole.secret |= body.secret;
                }
                (Atom::RequestBody, None) => {
                    let problem =
                        "`request-body` stands outside a signature's message, or in the body itself";
                    return invalid(problem);
                }
            }
            if whole.text.len() > MAX_MESSAGE {
                return invalid(format!("a text to encode or sign is longer than {MAX_MESSAGE} bytes"));
            }
        }
        Ok(whole)
    }

    fn reveal(&self, name: &str) -> Result<&str, Refusal> {
        self.secrets.reveal(self.target, name).ok_or_else(|| {
            Refusal::Invalid(format!("target `{}` has no secret of the name `{name}`", self.target))
        })
    }
}

/// What people may see of a secret that a URL begins with: where it leads, if it is a URL.
fn mask_of_url(value: &str) -> String {
    match Url::parse(value) {
        Ok(url) if url.origin().is_tuple() => format!("{}/{MASK}", url.origin().ascii_serialization()),
        _ => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Ed25519, Hmac, KeyForm, Secret};

    fn secrets(value: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.keep("phone", "token", value.into());
        secrets
    }

    fn write_all(value: &str, part: Part<'_>, passage: &Passage) -> Result<String, Refusal> {
        let body = Written { text: r#"{"test": 2432232314}"#.into(), ..Written::default() };
        let secrets = secrets(value);
        let scribe = Scribe { target: "phone", secrets: &secrets, masks: false };
        Ok(scribe.write(part, Excerpt::of(passage), Some(&body))?.text)
    }

    fn write(value: &str, part: Part<'_>, what: Hidden) -> Result<String, Refusal> {
        write_all(value, part, &Passage { text: String::new(), insertions: vec![Insertion { at: 0, what }] })
    }

    fn insertions(places: &[u32]) -> Vec<Insertion> {
        let token = || Secret { name: "phone/token".into(), escape: Escape::Verbatim };
        places.iter().map(|at| Insertion { at: *at, what: Hidden::Secret(token()) }).collect()
    }

    fn token() -> Atom {
        Atom::Secret("phone/token".into())
    }

    fn hmac(key_form: KeyForm, message: Vec<Atom>) -> Hidden {
        Hidden::HmacSha256(Hmac { key: vec![token()], key_form, message, hex: false })
    }

    /// The vector that every library of standard-webhooks/standard-webhooks carries.
    #[test]
    fn the_signature_of_standard_webhooks_is_over_id_timestamp_and_body() {
        let signed = vec![Atom::Text("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.".into()), Atom::RequestBody];
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signature = write(key, Part::Header("x"), hmac(KeyForm::PrefixedBase64, signed));
        assert_eq!(signature.unwrap(), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// The key is that of RFC 8032, section 7.1, test 1; OpenSSL says the same about the signature.
    #[test]
    fn ed25519_is_over_id_timestamp_and_body_too() {
        let message = vec![Atom::Text("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.".into()), Atom::RequestBody];
        let what = Hidden::Ed25519(Ed25519 { key: vec![token()], message });
        let key = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
        assert_eq!(
            write(key, Part::Header("x"), what).unwrap(),
            "fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw=="
        );
    }

    #[test]
    fn base64_of_user_and_secret_is_basic_authentication() {
        // RFC 7617, section 2.
        let credentials = Hidden::Base64(vec![Atom::Text("Aladdin:".into()), token()]);
        assert_eq!(
            write("open sesame", Part::Header("x"), credentials).unwrap(),
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }

    #[test]
    fn a_secret_is_escaped_as_the_guest_asks() {
        for (escape, expected) in [
            (Escape::Verbatim, "a/\"b\" c"),
            (Escape::Percent, "a%2F%22b%22%20c"),
            (Escape::Json, r#"a/\"b\" c"#),
        ] {
            let what = Hidden::Secret(Secret { name: "phone/token".into(), escape });
            assert_eq!(write("a/\"b\" c", Part::Body, what).unwrap(), expected);
        }
    }

    #[test]
    fn in_a_url_base64_is_percent_encoded() {
        let what = Hidden::Base64(vec![Atom::Text("??>>".into())]);
        assert_eq!(write("", Part::Header("x"), what.clone()).unwrap(), "Pz8+Pg==");
        assert_eq!(write("", Part::Url, what).unwrap(), "Pz8%2BPg%3D%3D");
    }

    #[test]
    fn the_body_is_known_inside_the_message_of_a_signature_only() {
        let key = || vec![Atom::RequestBody];
        let hmac = Hmac { key: key(), key_form: KeyForm::Text, message: vec![], hex: true };
        let ed25519 = Ed25519 { key: key(), message: vec![] };
        for what in [Hidden::Base64(key()), Hidden::HmacSha256(hmac), Hidden::Ed25519(ed25519)] {
            let refusal = write("", Part::Header("x"), what).unwrap_err();
            assert!(matches!(&refusal, Refusal::Invalid(text) if text.contains("request-body")), "{refusal}");
        }
    }

    #[test]
    fn a_part_is_refused_at_its_limit() {
        let text = |length| Passage::of("x".repeat(length));
        for part in [Part::Url, Part::Header("x"), Part::Body] {
            assert!(write_all("", part, &text(part.limit())).is_ok());
            assert!(write_all("", part, &text(part.limit() + 1)).is_err());
            let full = Passage { insertions: insertions(&[1]), ..text(part.limit()) };
            assert!(write_all("x", part, &full).is_err());
        }
    }

    #[test]
    fn what_is_inserted_stands_in_its_place_in_the_given_order() {
        let written = |text: &str, places: &[u32]| {
            write_all("-", Part::Body, &Passage { insertions: insertions(places), ..Passage::of(text) })
        };
        assert_eq!(written("aäb", &[0, 1, 3, 3, 4]).unwrap(), "-a-ä--b-");
        for places in [&[2][..], &[5], &[3, 1], &[u32::MAX]] {
            let refusal = written("aäb", places).unwrap_err();
            assert!(
                matches!(&refusal, Refusal::Invalid(text) if text.contains("no character begins")),
                "{refusal}"
            );
        }
    }

    #[test]
    fn lines_of_a_head_have_what_is_inserted_into_their_values() {
        let lines = |text: &str, places: &[u32]| {
            let head = Passage { insertions: insertions(places), ..Passage::of(text) };
            let (mut excerpt, mut lines) = (Excerpt::of(&head), Vec::new());
            while let Some(line) = excerpt.take_line() {
                let (name, value) = line?;
                lines.push((name.to_owned(), value.text.to_owned(), value.insertions.len()));
            }
            Ok::<_, Refusal>(lines)
        };
        let line = |name: &str, value: &str, count| (name.to_owned(), value.to_owned(), count);
        assert_eq!(lines("a: b\nc: \n", &[3, 4, 8]).unwrap(), [line("a", "b", 2), line("c", "", 1)]);
        assert_eq!(lines("a: b: c\n", &[]).unwrap(), [line("a", "b: c", 0)]);
        assert_eq!(lines("", &[]).unwrap(), []);
        for (text, places, problem) in [
            ("a: b", &[][..], "does not end with a line feed"),
            ("\n", &[], "no colon"),
            ("a:b\n", &[], "no colon"),
            ("", &[0], "outside the value"),
            ("a: b\n", &[2], "outside the value"),
            ("a: b\n", &[5], "outside the value"),
            ("a: b\nc: d\n", &[5], "outside the value"),
        ] {
            let refusal = lines(text, places).unwrap_err();
            assert!(
                matches!(&refusal, Refusal::Invalid(said) if said.contains(problem)),
                "{text:?}: {refusal}"
            );
        }
    }
}
