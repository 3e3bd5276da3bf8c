//! What the providers that send mail share: addresses, a subject, and the same text twice.
//!
//! Refuses to know services: each has its own limits and its own names for these things. An address is checked
//! for what would end it or begin another one; whether it exists, only the service knows. A mail has a text and
//! an HTML version of the same [`Text`]; its subject is one line that is never blank.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{HTML, PLAIN};
use crate::notification::{Format, Notification};
use crate::payload::{json_length, object};
use crate::service_url::{ServiceUrl, UrlProblem, settings, wrong};

/// How long a subject is here. Services take more or do not say, and people read less.
pub(crate) const SUBJECT: Limit = Limit::characters(255);

/// How long the two versions of a text are together here, as JSON: so a mail stays below the 10 MB and more that
/// services take, even where every byte becomes three on its way.
pub(crate) const CONTENT: Limit = Limit::bytes(1_000_000);

/// Somebody who writes or gets mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// What people are shown; may be empty.
    pub name: String,
    /// Where mail goes.
    pub email: String,
}

/// Who writes, and who gets it.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub from: Address,
    pub to: Vec<Address>,
    pub cc: Vec<Address>,
    pub bcc: Vec<Address>,
    pub reply_to: Vec<Address>,
}

/// The same text in two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub text: String,
    pub html: String,
}

// === impl Address ===

impl Address {
    /// Reads `user@host` or `Name <user@host>`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, email) = match text.strip_suffix('>') {
            Some(text) => text.rsplit_once('<')?,
            None => ("", text),
        };
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
        let (user, host) = email.split_once('@')?;
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[]\\,;:\"@".contains(c);
        let is_email = !user.is_empty() && !user.contains(is_odd) && is_host(host);
        let is_name = !name.contains(|c: char| c.is_control() || c == '<' || c == '>');
        (is_email && is_name && email.len() <= 254)
            .then(|| Self { name: name.replace("\\\"", "\""), email: email.to_owned() })
    }

    /// The part behind the `@`.
    pub(crate) fn host(&self) -> &str {
        self.email.split_once('@').map_or("", |(_, host)| host)
    }

    /// As `{email, name}`.
    pub(crate) fn object(&self) -> Value {
        let name = Some(self.name.as_str()).filter(|name| !name.is_empty());
        object([("email", self.email.as_str().into()), ("name", name.into())])
    }

    /// As `Name <user@host>` (RFC 5322, section 3.4), the name in quotes where it needs them.
    pub(crate) fn text(&self) -> String {
        let is_plain = |c: char| c.is_alphanumeric() || !c.is_ascii() || " !#$%&'*+-/=?^_`{|}~".contains(c);
        match &self.name {
            name if name.is_empty() => self.email.clone(),
            name if name.chars().all(is_plain) => format!("{name} <{}>", self.email),
            name => {
                format!("\"{}\" <{}>", name.replace('\\', "\\\\").replace('"', "\\\""), self.email)
            }
        }
    }
}

/// Whether a text can be the name of a host.
pub(crate) fn is_host(text: &str) -> bool {
    let is_of_host = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let is_edge = |c: char| c == '-' || c == '.';
    let has_edges = text.starts_with(is_edge) || text.ends_with(is_edge);
    !text.is_empty() && text.chars().all(is_of_host) && !has_edges
}

/// Addresses as a list of `{email, name}`; null where there are none.
pub(crate) fn objects(addresses: &[Address]) -> Value {
    if addresses.is_empty() { Value::Null } else { addresses.iter().map(Address::object).collect() }
}

/// Addresses as a list of texts; null where there are none.
pub(crate) fn texts(addresses: &[Address]) -> Value {
    if addresses.is_empty() { Value::Null } else { addresses.iter().map(Address::text).collect() }
}

/// Addresses in one text, separated by commas.
pub(crate) fn joined(addresses: &[Address]) -> String {
    addresses.iter().map(Address::text).collect::<Vec<_>>().join(", ")
}

// === impl Envelope ===

impl Envelope {
    /// Reads the settings `from`, `to`, `cc`, `bcc` and `reply_to`, of which a service takes at most so many
    /// recipients in all; `at` is where they stand.
    pub(crate) fn check(
        from: &str,
        [to, cc, bcc, reply_to]: [&[String]; 4],
        most: usize,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        let mut read = |text: &str, at: &Pointer| {
            let address = Address::read(text);
            if address.is_none() {
                problems.value(
                    at,
                    "this is no mail address",
                    "write it as `user@example.org` or `Name <user@example.org>`",
                );
            }
            address
        };
        let from = read(from, &at.at("from"));
        let mut list = |texts: &[String], name: &str| -> Vec<Address> {
            let at = at.at(name);
            texts.iter().enumerate().filter_map(|(n, text)| read(text, &at.at(n))).collect()
        };
        let (to, cc) = (list(to, "to"), list(cc, "cc"));
        let (bcc, reply_to) = (list(bcc, "bcc"), list(reply_to, "reply_to"));
        if problems.len() == before {
            let count = to.len().saturating_add(cc.len()).saturating_add(bcc.len());
            if to.is_empty() {
                problems.value(&at.at("to"), "there is nobody to write to", "add an address");
            } else if count > most {
                let problem = format!("there are {count} recipients in all");
                problems.value(&at.at("to"), problem, format!("allowed are up to {most}"));
            }
            let mut known: Vec<String> = Vec::new();
            for (list, name) in [(&to, "to"), (&cc, "cc"), (&bcc, "bcc")] {
                for (n, address) in list.iter().enumerate() {
                    let email = address.email.to_lowercase();
                    if known.contains(&email) {
                        problems.value(&at.at(name).at(n), "this recipient is there twice", "leave one out");
                    }
                    known.push(email);
                }
            }
        }
        let from = from.filter(|_| problems.len() == before)?;
        Some(Self { from, to, cc, bcc, reply_to })
    }
}

/// The subject of a mail: the title, or else the first line of what it says, in one line.
pub(crate) fn subject(notification: &Notification, overflow: Overflow) -> String {
    let title = Text::plain(&notification.title);
    let text = if title.is_blank() { Text::of(notification, Format::Markdown) } else { title.clone() };
    let written = text.write(&PLAIN);
    let is_shown = |line: &&str| !Text::plain(line).is_blank();
    let first = if title.is_blank() { written.lines().find(is_shown) } else { None };
    let line = first.unwrap_or(&written).split_whitespace().collect::<Vec<_>>().join(" ");
    overflow.limit(SUBJECT).cut(&line)
}

/// What a mail says, in as many parts as it takes. A title that has no room in the subject is there in full.
pub(crate) fn contents(notification: &Notification, format: Format, overflow: Overflow) -> Vec<Content> {
    let mut text = Text::of(notification, format).linked(notification.link.as_deref());
    if !overflow.limit(SUBJECT).fits(&notification.title) {
        text = text.titled(&notification.title);
    }
    let length = |part: &Text| {
        let texts = [part.write(&PLAIN), part.write(&HTML)];
        texts.into_iter().map(|text| json_length(&text)).sum::<usize>()
    };
    let parts = text.split(CONTENT.most, overflow, &length);
    parts.iter().map(|part| Content { text: part.write(&PLAIN), html: part.write(&HTML) }).collect()
}

/// The settings of Apprise's `scheme://key:user@host/recipient/…`: `from` is `user@host`, or an option of that
/// name; without recipients, mail goes to the sender. `key` is what the setting for the key is called.
pub(crate) fn from_url(url: &mut ServiceUrl, key: &str) -> Result<Map<String, Value>, UrlProblem> {
    let (user, own_key) = (url.user(), url.option(&["apikey"]));
    let (secret, user) = match (own_key, user) {
        (Some(secret), user) => (secret, user),
        (None, Some(secret)) => (secret, None),
        (None, None) => return Err(wrong("user", "is missing: the API key belongs there", "")),
    };
    let mut to = Vec::new();
    let from = match url.option(&["from"]) {
        Some(from) if Address::read(&from).is_none() => {
            return Err(wrong("?from", "is no mail address", "write it as `user@example.org`"));
        }
        Some(from) => {
            if url.host().contains('@') {
                to.push(url.take_host("a recipient")?);
            }
            from
        }
        None => {
            let user = url.password().or(user).ok_or_else(|| {
                let hint = "write it as `key:user@host`";
                wrong("password", "is missing: the sender belongs there", hint)
            })?;
            format!("{user}@{}", url.take_host("the sender's host")?)
        }
    };
    let mut members = recipients(url, &from, to)?;
    members.insert(key.to_owned(), secret.into());
    Ok(members)
}

/// The settings `from`, `to`, `cc`, `bcc` and `reply_to` of a URL whose sender is known. An address has one place,
/// as in Apprise: in `to`, or else in `bcc`, or else in `cc`.
pub(crate) fn recipients(
    url: &mut ServiceUrl,
    from: &str,
    mut to: Vec<String>,
) -> Result<Map<String, Value>, UrlProblem> {
    let read = |text: &str, part: &str| {
        Address::read(text).ok_or_else(|| wrong(part, "is no mail address", "write it as `user@example.org`"))
    };
    let mut sender = read(from, "host")?;
    if let Some(name) = url.option(&["name"]) {
        sender.name = name;
    }
    to.extend(url.rest());
    let list = |texts: Vec<String>, part: &str| -> Result<Vec<Address>, UrlProblem> {
        texts.iter().map(|text| read(text, part)).collect()
    };
    let mut all = list(to, "path")?;
    all.extend(list(url.list(&["to"]), "?to")?);
    let (cc, bcc) = (list(url.list(&["cc"]), "?cc")?, list(url.list(&["bcc"]), "?bcc")?);
    let reply_to = list(url.list(&["reply", "reply_to"]), "?reply")?;
    if all.is_empty() {
        all.push(Address { name: String::new(), email: sender.email.clone() });
    }
    let mut known: Vec<String> = Vec::new();
    let mut once = |addresses: Vec<Address>| -> Vec<Address> {
        let mut is_new = |address: &Address| {
            let email = address.email.to_lowercase();
            let is_new = !known.contains(&email);
            known.push(email);
            is_new
        };
        addresses.into_iter().filter(|address| is_new(address)).collect()
    };
    let (to, bcc) = (once(all), once(bcc));
    let cc = once(cc);
    Ok(settings([
        ("from", sender.text().into()),
        ("to", texts(&to)),
        ("cc", texts(&cc)),
        ("bcc", texts(&bcc)),
        ("reply_to", texts(&reply_to)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};

    #[test]
    fn an_address_is_read_and_written() {
        for (text, written) in [
            ("a@b.example", "a@b.example"),
            (" Ops Team <a@b.example> ", "Ops Team <a@b.example>"),
            ("Störung <a@b.example>", "Störung <a@b.example>"),
            ("\"Doe, Jo\" <a@b.example>", "\"Doe, Jo\" <a@b.example>"),
            ("Doe, Jo <a@b.example>", "\"Doe, Jo\" <a@b.example>"),
            ("\"a \\\"b\\\"\" <a@b>", "\"a \\\"b\\\"\" <a@b>"),
            ("<a+b@c.example>", "a+b@c.example"),
        ] {
            assert_eq!(Address::read(text).unwrap().text(), written, "{text}");
        }
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b,c@d",
            "a@b>",
            "x <a@b> y",
            "a\nb <a@b>",
            "a@b\r\nBcc: c@d",
            "a@..",
            "a@b/c",
        ] {
            assert_eq!(Address::read(text), None, "{text}");
        }
        let long = format!("{}@b.example", "a".repeat(254));
        assert_eq!(Address::read(&long), None);
    }

    #[test]
    fn what_is_wrong_with_recipients_is_said() {
        let found = |to: &[&str], cc: &[&str], most| {
            let mut problems = Diagnostics::default();
            let lists = [to, cc].map(|list| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            let envelope = Envelope::check(
                "a@b",
                [&lists[0], &lists[1], &[], &[]],
                most,
                &Pointer::default(),
                &mut problems,
            );
            let problems: Vec<String> = problems.into_vec().into_iter().map(|d| d.path).collect();
            assert_eq!(envelope.is_some(), problems.is_empty());
            problems
        };
        assert_eq!(found(&["a@b", "c@d"], &["e@f"], 3), [""; 0]);
        assert_eq!(found(&["a@b", "c@d"], &["e@f"], 2), ["/to"]);
        assert_eq!(found(&[], &["e@f"], 2), ["/to"]);
        assert_eq!(found(&["a@b", "A@B"], &["a@b"], 9), ["/to/1", "/cc/0"]);
        assert_eq!(found(&["a@b", "c"], &["d"], 9), ["/to/1", "/cc/0"]);
    }

    #[test]
    fn a_subject_is_one_line_that_is_never_blank() {
        let of = |title: &str, body: Body| {
            subject(&notification(Level::Warn, title, body), crate::limit::Overflow::Split)
        };
        let none = || Body::Text(String::new());
        assert_eq!(of(" a\r\nb\t *c*\u{2028}d ", none()), "a b *c* d");
        assert_eq!(of("\u{200b}\n", Body::Text("\n\n# One\n\ntwo".into())), "One");
        assert_eq!(of("", items(&["one", "two"])), "- one");
        assert_eq!(of("", none()), "warn");
        let long = of(&"ä".repeat(256), none());
        assert_eq!((long.chars().count(), long.ends_with('…')), (255, true));
        assert_eq!(of(&"ä".repeat(255), none()), "ä".repeat(255));
    }

    #[test]
    fn a_title_that_is_cut_off_is_in_the_text() {
        let of = |title: &str, overflow| {
            let long = notification(Level::Info, title, Body::Text("b".into()));
            contents(&long, Format::Markdown, overflow).remove(0)
        };
        let title = "x".repeat(256);
        assert_eq!(of(&title, Overflow::Split).html, format!("<p><strong>{title}</strong></p><p>b</p>"));
        assert_eq!(of(&title, Overflow::Upstream).text, "b");
        assert_eq!(of("x", Overflow::Split).text, "b");
    }

    #[test]
    fn a_long_text_is_several_mails() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(120_000)));
        let parts = contents(&long, Format::Markdown, Overflow::Split);
        assert_eq!(parts.len(), 2);
        assert!(parts[1].text.starts_with("2/2\n") && parts[1].html.starts_with("<p>2/2</p>"));
        assert!(parts.iter().all(|part| part.text.len() + part.html.len() <= CONTENT.most));
        assert_eq!(contents(&long, Format::Markdown, Overflow::Truncate).len(), 1);
    }
}
