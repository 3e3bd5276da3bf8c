//! Notification URLs of Apprise and shoutrrr: one line that says where a notification goes, and how.
//!
//! Reads a URL into its parts and hands them to the provider that knows its scheme. Refuses to know what a part
//! means. A part is decoded once, and taken once; what nobody takes is reported, so that nothing is lost in
//! silence. A problem names the part and never quotes it, because any part of such a URL can be a secret.
//!
//! Forms: <https://github.com/caronc/apprise/wiki/URLBasics> and
//! <https://nicholas-fedor.github.io/shoutrrr/services/overview/>. Apprise's are looser than RFC 3986: a `#`
//! begins an entry of the path, not a fragment, and so do `@` and `+`.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::settings::declare::choices;
use crate::settings::path_segment;

mod decode;

use decode::{decode, read_options, split_port};

choices! {
    /// Whose URLs they are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum UrlDialect {
        /// Apprise's, <https://github.com/caronc/apprise>.
        Apprise = "apprise",
        /// Those of shoutrrr, <https://github.com/nicholas-fedor/shoutrrr>.
        Shoutrrr = "shoutrrr",
    }
}

/// What a provider's URLs look like.
#[derive(Clone, Copy, Debug)]
pub struct Urls {
    /// The schemes that Apprise has for it.
    pub apprise: &'static [&'static str],
    /// The form of its URLs there; empty where it has none.
    pub apprise_form: &'static str,
    /// The schemes that shoutrrr has for it.
    pub shoutrrr: &'static [&'static str],
    /// The form of its URLs there; empty where it has none.
    pub shoutrrr_form: &'static str,
}

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlProblem {
    /// Which part is wrong: `scheme`, `user`, `password`, `host`, `port`, `path`,
    /// `fragment` or `?NAME`.
    pub part: String,
    /// What is wrong with it; holds nothing of it.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

/// One target that a URL stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct FromUrl {
    /// Its settings, secrets and all, without a name.
    pub settings: Map<String, Value>,
    /// What the URL says that has no place in them, each with why; holds no values.
    pub left_out: Vec<String>,
}

/// A URL in parts, each of which can be taken once.
#[derive(Clone, Debug)]
pub struct ServiceUrl {
    /// Whose URL it is.
    pub dialect: UrlDialect,
    /// The scheme, in lower case.
    pub scheme: String,
    user: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    path: Vec<String>,
    is_folder: bool,
    options: Vec<(String, String)>,
    fragment: Option<String>,
}

/// No URL is longer, in bytes.
pub const LONGEST_URL: usize = 8 << 10;

/// What every URL of Apprise can say and a target cannot, and why.
const OF_APPRISE: [(&str, &str); 10] = [
    ("cto", "Nuncio has one `timeout` for the whole request"),
    ("rto", "Nuncio has one `timeout` for the whole request"),
    ("emojis", "text is sent as it is"),
    ("interpret_escapes", "text is sent as it is"),
    ("redirect", "redirects are never followed"),
    ("retry", "`retry` says how deliveries are tried again"),
    ("store", "Nuncio keeps no state for a service"),
    ("tz", "instants are in UTC"),
    ("verify", "certificates are always verified; `tls` names your own authority"),
    ("wait", "`retry` says how deliveries are tried again"),
];

/// Settings of a target; null, and empty text, are left out.
pub fn settings<const N: usize>(mut members: [(&str, Value); N]) -> Map<String, Value> {
    let mut settings = Map::new();
    take_all(&mut members, &mut settings);
    settings
}

/// One code for every number of settings.
fn take_all(members: &mut [(&str, Value)], settings: &mut Map<String, Value>) {
    for (name, value) in members {
        if !value.is_null() && value != "" {
            settings.insert((*name).to_owned(), value.take());
        }
    }
}

/// A number in a range, or one of the words that stand for some.
///
/// # Errors
///
/// Where a part of a URL is neither.
pub fn number_or_word(
    text: &str,
    part: &str,
    words: &[(&str, i64)],
    range: RangeInclusive<i64>,
) -> Result<Value, UrlProblem> {
    let text = text.trim().to_ascii_lowercase();
    let word = words.iter().find(|(word, _)| *word == text).map(|(_, number)| *number);
    let number = word.or_else(|| text.parse().ok()).filter(|number| range.contains(number));
    number.map(Value::from).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = format!("write {} to {}, or {}", range.start(), range.end(), known.join(", "));
        wrong(part, "is no priority", &hint)
    })
}

/// A problem with a part of a URL.
pub fn wrong(part: &str, problem: &str, hint: &str) -> UrlProblem {
    UrlProblem { part: part.to_owned(), problem: problem.to_owned(), hint: hint.to_owned() }
}

impl ServiceUrl {
    /// Reads a URL of a dialect.
    ///
    /// # Errors
    ///
    /// Which part of it is wrong.
    pub fn parse(text: &str, dialect: UrlDialect) -> Result<Self, UrlProblem> {
        let text = text.trim();
        if text.len() > LONGEST_URL {
            return Err(wrong("url", "is longer than 8 KiB", "is it one URL?"));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong("url", "holds control characters", "write them as `%0A`, or leave them out"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong("scheme", "is missing", "a URL begins as `ntfy://`"));
        };
        let scheme = scheme.to_ascii_lowercase();
        let is_of_apprise = dialect == UrlDialect::Apprise;
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) if !is_of_apprise => (rest, fragment),
            _ => (rest, ""),
        };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // In Apprise's URLs a `#` at the start of an entry is a part of it; elsewhere it begins a fragment.
        let end = path.match_indices('#').find(|(at, _)| !path.get(..*at).unwrap_or_default().ends_with('/'));
        let path = end.and_then(|(at, _)| path.get(..at)).unwrap_or(path);
        let (login, place) = match authority.rfind('@') {
            Some(at) if at > 0 => {
                (authority.get(..at), authority.get(at.saturating_add(1)..).unwrap_or_default())
            }
            _ => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => {
                let has_password = login.is_some_and(|login| login.contains(':'));
                (Some(decode(user, "user")?), has_password.then(|| decode(password, "password")).transpose()?)
            }
        };
        let (host, port) = split_port(place)?;
        let entries = path.split('/').filter(|entry| !entry.is_empty());
        Ok(Self {
            dialect,
            scheme,
            user: user.filter(|user| !user.is_empty()),
            password: password.filter(|password| !password.is_empty()),
            host: Some(decode(host, "host")?).filter(|host| !host.is_empty()),
            port,
            path: entries.map(|entry| decode(entry, "path")).collect::<Result<_, _>>()?,
            is_folder: path.ends_with('/'),
            options: read_options(options, is_of_apprise)?,
            fragment: Some(decode(fragment, "fragment")?).filter(|fragment| !fragment.is_empty()),
        })
    }

    /// Whether it is of this dialect.
    #[must_use]
    pub fn is(&self, dialect: UrlDialect) -> bool {
        self.dialect == dialect
    }

    /// Whether it has something before an `@`.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.user.is_some() || self.password.is_some()
    }

    /// Whether it has something between a `:` and an `@`.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether it has an option of this name.
    #[must_use]
    pub fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The host as it is written, which is left in its place.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or_default()
    }

    /// How many entries are left in the path.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.path.len()
    }

    /// Whether its path ends in a `/`.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Takes what stands before the `@`, up to a `:`.
    pub fn user(&mut self) -> Option<String> {
        self.user.take()
    }

    /// As [`ServiceUrl::user`]; `what` says what it is.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn required_user(&mut self, what: &str) -> Result<String, UrlProblem> {
        self.user.take().ok_or_else(|| missing("user", what))
    }

    /// As [`ServiceUrl::password`]; `what` says what it is.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn required_password(&mut self, what: &str) -> Result<String, UrlProblem> {
        self.password.take().ok_or_else(|| missing("password", what))
    }

    /// Takes what stands between a `:` and the `@`.
    pub fn password(&mut self) -> Option<String> {
        self.password.take()
    }

    /// Takes the host where it is no host but, say, a token; `what` says what it is.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn take_host(&mut self, what: &str) -> Result<String, UrlProblem> {
        self.host.take().ok_or_else(|| missing("host", what))
    }

    /// Takes host and port as the origin of a server.
    ///
    /// # Errors
    ///
    /// Where there is no host, or none that could be one.
    pub fn origin(&mut self, is_tls: bool) -> Result<String, UrlProblem> {
        let host = self.take_host("a host")?;
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(wrong("port", "is no number from 1 to 65535", "write it as `host:8080`"));
        }
        let is_odd = |c: char| c.is_whitespace() || "/?#@\\%<>\"'`{}|^".contains(c);
        if host.contains(is_odd) {
            return Err(wrong("host", "is no name of a host", "write it as `host`, `host:8080` or `[::1]`"));
        }
        let scheme = if is_tls { "https" } else { "http" };
        Ok(match self.port.take() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        })
    }

    /// Takes host, port and all entries that are left in the path as the URL of a server.
    ///
    /// # Errors
    ///
    /// As [`ServiceUrl::origin`].
    pub fn base(&mut self, is_tls: bool) -> Result<String, UrlProblem> {
        let origin = self.origin(is_tls)?;
        Ok(self.rest().iter().fold(origin, |base, entry| format!("{base}/{}", path_segment(entry))))
    }

    /// Takes the first entry of the path; `what` says what it is.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn entry(&mut self, what: &str) -> Result<String, UrlProblem> {
        self.optional_entry().ok_or_else(|| missing("path", what))
    }

    /// Takes the first entry of the path, where there is one.
    pub fn optional_entry(&mut self) -> Option<String> {
        if self.path.is_empty() { None } else { Some(self.path.remove(0)) }
    }

    /// The first entry of the path, which is left in its place.
    #[must_use]
    pub fn first_entry(&self) -> Option<&str> {
        self.path.first().map(String::as_str)
    }

    /// Takes the last entry of the path; `what` says what it is.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn last_entry(&mut self, what: &str) -> Result<String, UrlProblem> {
        self.path.pop().ok_or_else(|| missing("path", what))
    }

    /// Takes all entries that are left in the path.
    pub fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.path)
    }

    /// Takes what stands behind a `#`, in URLs of shoutrrr.
    pub fn fragment(&mut self) -> Option<String> {
        self.fragment.take()
    }

    /// Takes the option that has one of these names, in any case.
    pub fn option(&mut self, names: &[&str]) -> Option<String> {
        let is_named =
            |(name, _): &(String, String)| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        let at = self.options.iter().position(is_named)?;
        Some(self.options.remove(at).1)
    }

    /// Takes the option that has one of these names, as JSON: null where there is none.
    pub fn value(&mut self, names: &[&str]) -> Value {
        self.option(names).map_or(Value::Null, Value::from)
    }

    /// Takes the option that has one of these names, as yes or no.
    ///
    /// # Errors
    ///
    /// Where it is neither.
    pub fn flag(&mut self, names: &[&str]) -> Result<Option<bool>, UrlProblem> {
        let Some(value) = self.option(names) else { return Ok(None) };
        match value.to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" | "on" | "y" | "t" => Ok(Some(true)),
            "no" | "false" | "0" | "off" | "n" | "f" => Ok(Some(false)),
            _ => Err(wrong(&option_part(names), "is neither yes nor no", "write `yes` or `no`")),
        }
    }

    /// Takes the option that has one of these names, as a list separated by commas.
    pub fn list(&mut self, names: &[&str]) -> Vec<String> {
        let value = self.option(names).unwrap_or_default();
        value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned).collect()
    }

    /// Takes all options whose names are such.
    pub fn options(&mut self, is_such: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let options = std::mem::take(&mut self.options).into_iter();
        let (taken, left) = options.partition(|(name, _)| is_such(name));
        self.options = left;
        taken
    }

    /// Takes all options whose names begin so, without that.
    pub fn prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        let taken = self.options(|name| name.len() > prefix.len() && name.starts_with(prefix));
        taken
            .into_iter()
            .filter_map(|(name, value)| Some((name.get(prefix.len()..)?.to_owned(), value)))
            .collect()
    }

    /// Takes what every URL can say (`overflow`, `format`), and says of the rest why it has no place.
    ///
    /// # Errors
    ///
    /// Where one of them says nothing known.
    pub(crate) fn finish(
        mut self,
        mut targets: Vec<Map<String, Value>>,
        has_format: bool,
    ) -> Result<Vec<FromUrl>, UrlProblem> {
        let mut left_out = Vec::new();
        if self.is(UrlDialect::Apprise) {
            if let Some(overflow) = self.option(&["overflow"]) {
                if !["split", "truncate", "upstream"].contains(&overflow.as_str()) {
                    return Err(wrong(
                        "?overflow",
                        "is none of split, truncate, upstream",
                        "write one of them",
                    ));
                }
                targets
                    .iter_mut()
                    .for_each(|target| drop(target.insert("overflow".into(), overflow.clone().into())));
            }
            match self.option(&["format"]).as_deref() {
                None => {}
                Some("markdown" | "html") if !has_format => {}
                Some("text") if has_format => {
                    targets
                        .iter_mut()
                        .for_each(|target| drop(target.insert("format".into(), "plain".into())));
                }
                Some("text" | "markdown") => {}
                Some("html") => left_out.push("?format: text is read as markdown, never as HTML".to_owned()),
                Some(_) => {
                    return Err(wrong("?format", "is none of text, markdown, html", "write one of them"));
                }
            }
            for (name, why) in OF_APPRISE {
                if self.option(&[name]).is_some() {
                    left_out.push(format!("?{name}: {why}"));
                }
            }
        }
        for (part, is_left) in [
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("path", !self.path.is_empty()),
            ("fragment", self.fragment.is_some()),
        ] {
            if is_left {
                left_out.push(format!("{part}: this kind of URL has no use for it"));
            }
        }
        left_out
            .extend(self.options.iter().map(|(name, _)| format!("?{name}: there is no such setting here")));
        Ok(targets.into_iter().map(|settings| FromUrl { settings, left_out: left_out.clone() }).collect())
    }
}

fn missing(part: &str, what: &str) -> UrlProblem {
    wrong(part, &format!("is missing: {what} belongs there"), "see `nuncio providers NAME` for the form")
}

/// The part that an option is.
pub fn option_part(names: &[&str]) -> String {
    format!("?{}", names.first().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests;
