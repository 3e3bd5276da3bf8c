//! From a request as the guest describes it to the request as it is sent.
//!
//! Decides what the bytes are and whether they may leave: secrets and signatures go in, and the result is
//! held against the grammar of HTTP, this host's limits and the origins of the target. It refuses to know
//! providers, connections and time: the same description gives the same bytes.
//!
//! Guarantees: what it returns is a valid request to an origin of its own target, with secrets of that target only; no
//! text made for people, be it a [`Refusal`] or a [`MaskedRequest`], holds a secret. The request itself does,
//! in its URL and body too: never print one. What else in it would tell a secret comes with it.

use std::fmt;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, RANGE, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Method, Uri};

use super::location::locate;
use super::passage::{Excerpt, Part, Scribe, Written};
use super::route::Route;
use crate::contract::Request;
use crate::secrets::{Derived, MASK, Secrets};

/// How many headers the guest may set.
pub const MAX_HEADERS: usize = 64;

/// How long the value of a header may be, in bytes.
pub const MAX_HEADER_VALUE: usize = 16 * 1024;

/// How long a body may be, in bytes: more than any known service takes as one notification.
pub const MAX_BODY: usize = 1024 * 1024;

/// How much a request may carry that was computed from secrets, with all values of headers that hold one, in
/// bytes: servers take less than that in headers.
pub const MAX_DERIVED: usize = 64 * 1024;

/// How long the name of a header may be, in bytes.
const MAX_HEADER_NAME: usize = 256;

/// Headers that frame a message or say who it is for. Only the client sets them; a guest that could would
/// be able to hide a second request in the first (RFC 9112, section 11.2). And Range: a reply could begin in the
/// middle of a secret that it echoes, where nobody would know it.
const RESERVED: [HeaderName; 5] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, RANGE];

/// The name by which the host goes where the guest gives none.
const NUNCIO: &str = concat!("nuncio/", env!("CARGO_PKG_VERSION"));

/// Why a request is not sent. Trying again does not help before somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What the guest described is no request that could be sent; the delivery's reason is `guest-invalid`.
    ///
    /// A defect of the provider, or a setting that it passed on unread.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// The target's requests may not go there.
    ///
    /// Mend the target's URL, or the provider that sends elsewhere; or allow it (`allow_hosts`).
    #[error("not allowed: {0}")]
    Egress(String),
}

/// A request as it is sent.
pub struct Assembled {
    /// The request.
    pub request: http::Request<Bytes>,
    /// What in it was computed from secrets: it must be blotted out of the reply, as they are.
    pub derived: Derived,
}

impl fmt::Debug for Assembled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembled").finish_non_exhaustive()
    }
}

/// A request as people may see it: every secret is `***`, and so is all that was computed from one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MaskedRequest {
    /// The method.
    pub method: String,
    /// The URL with its query; where all of it is a secret, its origin, then `/***`.
    pub url: String,
    /// The headers in the guest's order, names in lower case, without those that the client adds when it
    /// sends (Host, Content-Length).
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// Puts a target's request together, secrets and signatures last.
///
/// # Errors
///
/// [`Refusal::Invalid`] for
///
/// - a URL that is not absolute, not http or https, or carries a user name,
/// - a header that is malformed, or Host, Content-Length, Transfer-Encoding, Connection or Range,
/// - a head with another number of lines than it says that there are headers,
/// - an insertion where no character begins, out of order, or outside the value of a header,
/// - a secret that the target does not have, and a signing key that cannot sign,
/// - `request-body` anywhere but in the message of a signature,
/// - anything over its limit.
///
/// [`Refusal::Egress`] if the URL's origin is none that the target's way leads to.
pub fn assemble(
    request: &Request,
    target: &str,
    secrets: &Secrets,
    route: &Route,
) -> Result<Assembled, Refusal> {
    let draft = Draft::new(request, Scribe { target, secrets, masks: false })?;
    let uri = route.located(&draft.url.text, &request.query, || {
        let url = locate(&draft.url.text, &request.query)?;
        if !route.leads_to(&url.origin()) {
            // The guest may have made a secret part of the host's name: shown is what the mask leaves of it.
            let masked = Draft::new(request, Scribe { target, secrets, masks: true })?;
            return Err(Refusal::Egress(match locate(&masked.url.text, &[]) {
                Ok(shown) if shown.origin() == url.origin() => {
                    let (origin, place) = (shown.origin().ascii_serialization(), route.place());
                    format!(
                        "target `{target}` ({place}) may not send to {origin}; if that is right, add to this target: \
                         allow_hosts: [\"{origin}\"]"
                    )
                }
                _ => format!("target `{target}` may not send to an origin that has a secret in its name"),
            }));
        }
        let Ok(uri) = Uri::try_from(String::from(url)) else {
            return invalid("the URL has a character that must be percent-encoded");
        };
        Ok(uri)
    })?;

    let derived = draft.derived()?;
    let mut assembled = http::Request::new(Bytes::from(draft.body.text));
    *assembled.method_mut() = request.method.into();
    *assembled.uri_mut() = uri;
    for (name, value) in draft.headers {
        let Ok(mut content) = HeaderValue::try_from(value.text) else {
            return invalid(format!(
                "the value of header `{name}` has a line break or another control character; a secret in it \
                 may end with one"
            ));
        };
        content.set_sensitive(value.secret);
        assembled.headers_mut().append(name, content);
    }
    Ok(Assembled { request: assembled, derived })
}

/// A target's request, put together like the real one, for people to look at.
///
/// # Errors
///
/// Those of [`assemble`]: what would not be sent is not shown as if it were.
pub fn masked(
    request: &Request,
    target: &str,
    secrets: &Secrets,
    route: &Route,
) -> Result<MaskedRequest, Refusal> {
    assemble(request, target, secrets, route)?;
    let draft = Draft::new(request, Scribe { target, secrets, masks: true })?;
    // A mask can make a URL unreadable, in the place of a port for one.
    let url = locate(&draft.url.text, &request.query).map_or_else(|_| MASK.to_owned(), String::from);
    let headers = draft.headers.into_iter().map(|(name, value)| (name.as_str().to_owned(), value.text));
    Ok(MaskedRequest {
        method: Method::from(request.method).as_str().to_owned(),
        url,
        headers: headers.collect(),
        body: draft.body.text,
    })
}

/// A request with its passages written out.
struct Draft {
    url: Written,
    headers: Vec<(HeaderName, Written)>,
    body: Written,
}

impl Draft {
    fn new(request: &Request, scribe: Scribe<'_>) -> Result<Self, Refusal> {
        let body = scribe.write(Part::Body, Excerpt::of(&request.body), None)?;
        let url = scribe.write(Part::Url, Excerpt::of(&request.url), Some(&body))?;
        let (mut head, mut headers) = (Excerpt::of(&request.head), Vec::with_capacity(8));
        while let Some(line) = head.take_line() {
            let (name, value) = line?;
            if headers.len() == MAX_HEADERS {
                return invalid(format!("there are more than {MAX_HEADERS} headers"));
            }
            let name = match HeaderName::try_from(name) {
                Ok(header) if name.len() <= MAX_HEADER_NAME => header,
                _ => return invalid("the name of a header is malformed or too long"),
            };
            if RESERVED.contains(&name) {
                return invalid(format!("header `{name}` is not the guest's to set"));
            }
            let value = scribe.write(Part::Header(name.as_str()), value, Some(&body))?;
            headers.push((name, value));
        }
        if usize::try_from(request.headers) != Ok(headers.len()) {
            return invalid(format!(
                "its head has {} lines and it has {} headers; a line break may be in one",
                headers.len(),
                request.headers
            ));
        }
        if headers.iter().all(|(name, _)| name != USER_AGENT) {
            headers.push((USER_AGENT, Written { text: NUNCIO.to_owned(), ..Written::default() }));
        }
        Ok(Self { url, headers, body })
    }

    /// What would give secrets away that it was computed from, or that stand in it.
    fn derived(&self) -> Result<Derived, Refusal> {
        let values = self.headers.iter().map(|(_, value)| value);
        let parts = [&self.url, &self.body].into_iter().chain(values.clone());
        let computed: Vec<&str> = parts.flat_map(|part| &part.computed).map(String::as_str).collect();
        let headers: Vec<&str> =
            values.filter(|value| value.secret).map(|value| value.text.as_str()).collect();
        if computed.iter().chain(&headers).map(|text| text.len()).sum::<usize>() > MAX_DERIVED {
            return invalid(format!(
                "what is computed from secrets and the headers with secrets are longer than {MAX_DERIVED} bytes \
                 in all"
            ));
        }
        Ok(Derived::new(&computed, &headers))
    }
}

pub(super) fn invalid<T>(problem: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Invalid(problem.into()))
}

#[cfg(test)]
mod tests;
