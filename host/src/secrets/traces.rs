//! What would give a secret away, were it seen: the value, what is computed from it, and all the ways in which
//! a service may write that.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use url::Url;

use super::escape;
use super::finder::Wanted;
use crate::contract::Escape;

/// A value shorter than this is not blotted out of other text: it would stand there by chance.
const SHORTEST_REDACTED: usize = 4;

/// A step of a secret URL's path that is shorter than this identifies nobody: `api`, `hooks`.
const SHORTEST_STEP: usize = 8;

/// The ways in which a text is written into a reply.
const FORMS: [fn(&str) -> String; 12] = [
    |text| text.to_owned(),
    |text| escape(text, Escape::Percent),
    // Some write `%2f` for `%2F`, `+` for a space, and `\/` for a slash.
    |text| lower_hex(&escape(text, Escape::Percent)),
    |text| escape(text, Escape::Percent).replace("%20", "+"),
    // The URL Standard's form encoding, and ECMAScript's `encodeURIComponent`, keep and escape others.
    |text| escape(text, Escape::Percent).replace("%20", "+").replace("%2A", "*").replace('~', "%7E"),
    |text| {
        let kept = [("%21", "!"), ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*")];
        kept.into_iter()
            .fold(escape(text, Escape::Percent), |text, (escape, kept)| text.replace(escape, kept))
    },
    // A URL's path and query keep what needs no escape there (URL Standard, sections 1.3 and 4.4).
    |text| in_url(text, |url, text| url.set_path(text)),
    |text| in_url(text, |url, text| url.set_query(Some(text))),
    |text| escape(text, Escape::Json),
    |text| escape(text, Escape::Json).replace('/', "\\/"),
    // Go's and Java's encoders keep HTML out of JSON, error pages keep it out of HTML.
    |text| {
        let json = escape(text, Escape::Json).replace('&', "\\u0026");
        json.replace('<', "\\u003c").replace('>', "\\u003e")
    },
    |text| {
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        html.replace('"', "&quot;").replace('\'', "&#39;")
    },
];

/// Everything that would give a value away: it as it is, as base64 and as hexadecimal, and, of a secret URL, its
/// path and what identifies it in the path.
pub(super) fn of_value(value: &str) -> Vec<Wanted> {
    let bytes = value.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut encoded = vec![
        STANDARD.encode(bytes),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE.encode(bytes),
        hex.to_uppercase(),
    ];
    encoded.extend([URL_SAFE_NO_PAD.encode(bytes), hex]);
    let url = Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    // That a secret is a URL is nothing secret.
    let open = value.split_once("://").filter(|_| url.is_some()).map_or("", |(scheme, _)| scheme);
    let open = value.get(..open.len().saturating_add(3)).filter(|_| !open.is_empty()).unwrap_or_default();
    let mut traces = written(value, open);
    traces.extend(encoded.iter().filter(|_| is_telling(value)).flat_map(|text| written(text, "")));
    traces.extend(url.iter().flat_map(parts).flat_map(|part| written(&part, "")));
    traces
}

/// Everything that would give away what was computed from secrets.
pub(super) fn of_computed(text: &str) -> Vec<Wanted> {
    written(text, "")
}

/// What would give away the value of a header with a secret in it. The secret and what was computed are
/// traces of their own, so that a beginning of the value (`Bearer`) says nothing.
pub(super) fn of_header(value: &str) -> Vec<Wanted> {
    written(value, "").into_iter().map(|trace| Wanted { least: usize::MAX, ..trace }).collect()
}

/// A text in all forms, unless it is too short; its beginning tells something from 4 bytes after `open` on.
fn written(text: &str, open: &str) -> Vec<Wanted> {
    let form = |form: &fn(&str) -> String| Wanted {
        text: form(text),
        least: form(open).len().saturating_add(SHORTEST_REDACTED),
    };
    if is_telling(text) { FORMS.iter().map(form).collect() } else { Vec::new() }
}

/// What identifies a secret URL.
fn parts(url: &Url) -> Vec<String> {
    let (path, query) = (url.path(), url.query().unwrap_or_default());
    let whole = path.to_owned() + if query.is_empty() { "" } else { "?" } + query;
    let of_query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
    let parts = of_query.chain([whole.as_str(), query, path]).filter(|part| part.len() > SHORTEST_REDACTED);
    let steps = path.split('/').filter(|step| step.len() >= SHORTEST_STEP);
    parts.chain(steps).map(ToOwned::to_owned).collect()
}

/// A text as it stands in a part of a URL.
fn in_url(text: &str, set: fn(&mut Url, &str)) -> String {
    let Ok(mut url) = Url::parse("http://a/") else { return text.to_owned() };
    set(&mut url, text);
    let (path, query) = (url.path(), url.query());
    query.or_else(|| path.strip_prefix('/')).unwrap_or(path).to_owned()
}

fn is_telling(value: &str) -> bool {
    value.len() >= SHORTEST_REDACTED
}

/// Percent-encoded text with its escapes in lower case.
fn lower_hex(percent: &str) -> String {
    let mut pieces = percent.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        text += &format!("%{}{rest}", escape.to_ascii_lowercase());
    }
    text
}
