//! Webhooks as URLs: Apprise's `json`, `form` and `xml`, and shoutrrr's `generic`.
//!
//! The payload is written so that the request says what theirs would. What is a name there, such as `message`,
//! is a placeholder here; every other text of the URL stays as it is, a `$` in it too. Apprise's forms:
//! <https://appriseit.com/services/json/>; those of shoutrrr:
//! <https://nicholas-fedor.github.io/shoutrrr/services/specialized/generic/>.

use serde_json::{Map, Value, json};

use super::{METHODS, form, headers, xml};
use crate::request::Method;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, settings, wrong};

/// A member of a payload: its name, and what it holds.
type Member = (String, Held);

enum Held {
    /// A placeholder, or JSON.
    Filled(&'static str),
    /// Text.
    Fixed(String),
}

/// How a payload is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Xml,
}

/// Names that shoutrrr has for itself, which a receiver's query can have with `__` before them.
const RESERVED: [&str; 7] =
    ["contenttype", "disabletls", "messagekey", "method", "template", "title", "titlekey"];

/// The settings of the webhook that a URL stands for.
pub(super) fn target(url: &mut ServiceUrl) -> Result<Map<String, Value>, UrlProblem> {
    match url.dialect {
        UrlDialect::Apprise => of_apprise(url),
        UrlDialect::Shoutrrr => of_shoutrrr(url),
    }
}

fn of_apprise(url: &mut ServiceUrl) -> Result<Map<String, Value>, UrlProblem> {
    let is_tls = url.scheme.ends_with('s');
    let kind = match url.scheme.trim_end_matches('s') {
        "form" => Kind::Form,
        "xml" => Kind::Xml,
        _ => Kind::Json,
    };
    let login = login(url)?;
    let mut fields = url.prefixed("+");
    // A `+` that was read as a space on its way.
    fields.extend(url.prefixed(" "));
    let headers = headers(fields, login.0.is_some())?;
    let method = method(url)?;
    let query = url.prefixed("-");
    let mut members = members(kind);
    let changes = url.prefixed(":");
    // The schema that the document names has these elements and no others.
    let has_schema = changes.is_empty();
    for (name, value) in changes {
        change(&mut members, kind, name, value)?;
    }
    if kind == Kind::Form && method == Method::Get {
        members.retain(|(name, _)| query.iter().all(|(other, _)| other != name));
    }
    let (payload, mime_type) = match kind {
        Kind::Json => (json_of(&members), Value::Null),
        Kind::Form => (json_of(&members), "application/x-www-form-urlencoded".into()),
        Kind::Xml => (xml_of(&members, has_schema), "application/xml".into()),
    };
    Ok(settings([
        ("url", target_url(url, is_tls, &query)?.into()),
        ("user", json!(login.0)),
        ("password", json!(login.1)),
        ("headers", headers),
        ("method", if method == Method::Post { Value::Null } else { method.name().into() }),
        ("mime_type", mime_type),
        ("payload", payload.into()),
    ]))
}

fn of_shoutrrr(url: &mut ServiceUrl) -> Result<Map<String, Value>, UrlProblem> {
    let is_tls = match url.scheme.split_once('+') {
        Some((_, "https")) => true,
        Some((_, "http")) => false,
        Some(_) => return Err(wrong("scheme", "is no form of a webhook", "write `generic+https://`")),
        None => !url.flag(&["disabletls"])?.unwrap_or(false),
    };
    let login = login(url)?;
    let mut fields: Vec<(String, String)> =
        url.prefixed("@").into_iter().map(|(name, value)| (field_name(&name), value)).collect();
    let is_json = match url.option(&["template"]).as_deref() {
        None | Some("") => false,
        Some("json" | "JSON") => true,
        Some(_) => return Err(wrong("?template", "is no template of Nuncio's", "write `json`")),
    };
    let media_type = url.option(&["contenttype"]).filter(|kind| !kind.is_empty());
    if let Some(kind) =
        media_type.filter(|kind| kind != if is_json { "application/json" } else { "text/plain" })
    {
        fields.insert(0, ("Content-Type".to_owned(), kind));
    }
    let headers = headers(fields, login.0.is_some())?;
    let method = method(url)?;
    let payload = if is_json {
        let mut name = |names: &[&str], default: &str| {
            url.option(names).filter(|name| !name.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        let (message, title) = (name(&["messagekey"], "message"), name(&["titlekey"], "title"));
        let mut members = vec![(title, Held::Filled("$title"))];
        set(&mut members, message, Held::Filled("$message"));
        for (name, value) in url.prefixed("$") {
            set(&mut members, name, Held::Fixed(value));
        }
        json_of(&members)
    } else {
        "$message".to_owned()
    };
    // The rest is the receiver's; what is for shoutrrr and has no use here is left.
    let is_reserved = |name: &str| RESERVED.iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut query = url.options(|name| !is_reserved(name) && !name.starts_with('$') && !name.is_empty());
    for (name, _) in &mut query {
        let bare = name.strip_prefix("__").or_else(|| name.strip_prefix('_'));
        if let Some(bare) = bare.filter(|bare| is_reserved(bare)) {
            *name = bare.to_owned();
        }
    }
    query.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(settings([
        ("url", target_url(url, is_tls, &query)?.into()),
        ("user", json!(login.0)),
        ("password", json!(login.1)),
        ("headers", headers),
        ("method", if method == Method::Post { Value::Null } else { method.name().into() }),
        ("mime_type", if is_json { Value::Null } else { "text/plain".into() }),
        ("payload", payload.into()),
    ]))
}

/// Takes user and password. Apprise sends a password only beside a user.
fn login(url: &mut ServiceUrl) -> Result<(Option<String>, Option<String>), UrlProblem> {
    let Some(user) = url.user() else {
        return match url.is(UrlDialect::Shoutrrr) && url.has_password() {
            true => Err(wrong("user", "is missing beside the password", "write it as `user:password@host`")),
            false => Ok((None, None)),
        };
    };
    if user.contains(':') {
        return Err(wrong("user", "has a `:` in it, which basic authentication does not allow", ""));
    }
    let hint = "write it as `user:password@host`";
    let password = url.password().ok_or_else(|| wrong("password", "is missing beside the user", hint))?;
    Ok((Some(user), Some(password)))
}

/// Headers by name; of one that is given twice, the last.
fn headers(fields: Vec<(String, String)>, has_login: bool) -> Result<Value, UrlProblem> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in fields {
        if !headers::is_name(&name) {
            return Err(wrong("query", "has a header whose name is none", "write letters, digits and `-`"));
        }
        if headers::is_framing(&name) {
            let problem = "has a header that belongs to the connection, such as Host";
            return Err(wrong("query", problem, "leave it out"));
        }
        if has_login && name.eq_ignore_ascii_case("authorization") {
            let problem = "has an Authorization header, and there is a user too";
            return Err(wrong("query", problem, "keep one of the two"));
        }
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        headers.push((name, value));
    }
    let object: Map<String, Value> = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(if object.is_empty() { Value::Null } else { object.into() })
}

fn method(url: &mut ServiceUrl) -> Result<Method, UrlProblem> {
    let Some(method) = url.option(&["method"]).filter(|method| !method.is_empty()) else {
        return Ok(Method::Post);
    };
    let known = METHODS.into_iter().find(|known| known.name().eq_ignore_ascii_case(&method));
    known.ok_or_else(|| wrong("?method", "is none that Nuncio sends", "write POST, PUT, PATCH or GET"))
}

/// Takes host, port and path as the URL to send to, with its query.
fn target_url(url: &mut ServiceUrl, is_tls: bool, query: &[(String, String)]) -> Result<String, UrlProblem> {
    let is_folder = url.is_folder();
    let mut target = url.origin(is_tls)?;
    for entry in url.rest() {
        target.push('/');
        target.push_str(&path_entry(&entry));
    }
    if is_folder {
        target.push('/');
    }
    for (n, (name, value)) in query.iter().enumerate() {
        target.push(if n == 0 { '?' } else { '&' });
        target.push_str(&form::encode(name));
        target.push('=');
        target.push_str(&form::encode(value));
    }
    Ok(target)
}

/// Text as an entry of a path, in which what RFC 3986 allows there stays, but for `,` and `;`.
fn path_entry(text: &str) -> String {
    let mut entry = String::with_capacity(text.len());
    for c in text.chars() {
        if "!$&'()*+=:@".contains(c) {
            entry.push(c);
        } else {
            entry.push_str(&crate::settings::path_segment(c.encode_utf8(&mut [0; 4])));
        }
    }
    entry
}

/// A header's name from one in camel case: `acceptLanguage` is `Accept-Language`.
fn field_name(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    let mut before = '-';
    for c in name.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            written.push('-');
        }
        written.push(if before == '-' { c.to_ascii_uppercase() } else { c });
        before = c;
    }
    written
}

/// What Apprise sends, in its order.
fn members(kind: Kind) -> Vec<Member> {
    let fixed = |text: &str| Held::Fixed(text.to_owned());
    let members = match kind {
        Kind::Json => vec![
            ("version", fixed("1.0")),
            ("title", Held::Filled("$title")),
            ("message", Held::Filled("$message")),
            ("attachments", Held::Filled("[]")),
            ("type", Held::Filled("$type")),
        ],
        Kind::Form => vec![
            ("version", fixed("1.0")),
            ("title", Held::Filled("$title")),
            ("message", Held::Filled("$message")),
            ("type", Held::Filled("$type")),
        ],
        Kind::Xml => vec![
            ("Version", fixed("1.1")),
            ("Subject", Held::Filled("$title")),
            ("Message", Held::Filled("$message")),
            ("MessageType", Held::Filled("$type")),
        ],
    };
    members.into_iter().map(|(name, held)| (name.to_owned(), held)).collect()
}

/// `:name=value`: another name for a member, none at all, or a member more.
fn change(members: &mut Vec<Member>, kind: Kind, name: String, value: String) -> Result<(), UrlProblem> {
    let is_xml = kind == Kind::Xml;
    let name = match is_xml {
        true => name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').collect(),
        false => name,
    };
    let at = members.iter().position(|(known, _)| *known == name);
    let element = if at.is_some() { &value } else { &name };
    if is_xml && !(at.is_some() && value.is_empty()) && !xml::is_name(element) {
        let hint = "write letters, digits, `_`, `-` and `.`";
        return Err(wrong("query", "has an element whose name is none in XML", hint));
    }
    match at {
        None => members.push((name, Held::Fixed(value))),
        Some(_) if name == value => {}
        Some(at) => {
            let (_, held) = members.remove(at);
            if !value.is_empty() {
                set(members, value, held);
            }
        }
    }
    Ok(())
}

/// Sets a member, in the place of one of that name or behind all others.
fn set(members: &mut Vec<Member>, name: String, held: Held) {
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = held,
        None => members.push((name, held)),
    }
}

fn json_of(members: &[Member]) -> String {
    // Nothing in a text is a placeholder, whatever it looks like.
    let text = |text: &str| Value::from(text).to_string().replace('$', "\\u0024");
    let member = |(name, held): &Member| match held {
        Held::Filled(placeholder) => format!("{}:{placeholder}", text(name)),
        Held::Fixed(value) => format!("{}:{}", text(name), text(value)),
    };
    format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
}

fn xml_of(members: &[Member], has_schema: bool) -> String {
    let mut body = String::new();
    for (name, held) in members {
        let held = match held {
            Held::Filled(placeholder) => (*placeholder).to_owned(),
            Held::Fixed(value) => xml::escape(value).replace('$', "&#36;"),
        };
        body.push_str(&format!("<{name}>{held}</{name}>"));
    }
    let schema = if has_schema { SCHEMA } else { "" };
    format!("{OPENING}<Notification{schema}>{body}</Notification></soapenv:Body></soapenv:Envelope>")
}

/// Apprise's name for the elements of its document.
const SCHEMA: &str = " xmlns:xsi=\"https://raw.githubusercontent.com/caronc/apprise/master/apprise/assets/\
                      NotifyXML-1.1.xsd\"";

/// A document of SOAP 1.1.
const OPENING: &str = "<?xml version='1.0' encoding='utf-8'?>\n\
    <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
    <soapenv:Body>";

#[cfg(test)]
mod tests;
