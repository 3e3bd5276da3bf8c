//! Where a URL of the configuration points.
//!
//! It decides which URLs a target may have: absolute, http or https, without credentials, on no port of another
//! service, and such that everybody who reads the text finds the same host in it. It never quotes one: a URL may
//! be a secret.

use std::ops::Range;

use url::{Origin, Url};

use crate::egress::ports;

/// What is wrong with a URL, and what to do about it.
type Wrong = (&'static str, &'static str);

/// The origin of a URL.
///
/// # Errors
///
/// It is relative, or neither http nor https; it has no host; it holds credentials, or a character that no
/// URL can hold. The same text is always refused.
pub fn origin(text: &str) -> Result<Origin, Wrong> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return Err((
            "a URL must start with http:// or https://",
            "write all of it, such as https://example.com",
        ));
    }
    // The URL standard drops or turns around such characters; others who read the same text may not.
    if text
        .contains(|character: char| character.is_whitespace() || character.is_control() || character == '\\')
    {
        return Err((
            "a URL cannot hold white space or a backslash",
            "remove it, or write it percent-encoded",
        ));
    }
    let url = Url::parse(text).map_err(|_| ("this is not a valid URL", "check its host and port"))?;
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "use the provider's settings for a token, or for a user and a password";
        return Err(("a URL cannot hold a user or a password here", hint));
    }
    if url.port().is_some_and(|port| ports::refused(port).is_some()) {
        let hint = "have the receiver listen on another port";
        return Err(("no request is sent to this port, which belongs to another service than HTTP", hint));
    }
    Ok(url.origin())
}

/// The part of a text that may be a URL's credentials: all between `//` and the last `@`. `None` where there
/// is no `@`.
#[must_use]
pub fn credentials(written: &str) -> Option<Range<usize>> {
    let end = written.rfind('@')?;
    let start = written.find("//").map_or(0, |slashes| slashes.saturating_add(2));
    Some(start.min(end)..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_points_at_its_scheme_host_and_port() {
        for (url, expected) in [
            ("https://Example.com/a?b#c", "https://example.com"),
            ("HTTP://example.com:80", "http://example.com"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("https://bücher.example/@me", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(origin(url).unwrap().ascii_serialization(), expected, "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused() {
        for (url, words) in [
            ("example.com", "http://"),
            ("ftp://example.com", "http://"),
            ("http:example.com", "http://"),
            ("", "http://"),
            ("https://", "not a valid URL"),
            ("https://[::1", "not a valid URL"),
            ("https://a b.example", "white space"),
            ("https://example.com\n", "white space"),
            ("https://example.com\\@other", "backslash"),
            ("https://me@example.com/", "user or a password"),
            ("https://:pw@example.com/", "user or a password"),
            ("http://example.com:25/", "belongs to another service"),
        ] {
            let (problem, hint) = origin(url).unwrap_err();
            assert!(problem.contains(words) && !hint.is_empty(), "{url}: {problem}");
        }
    }

    #[test]
    fn what_may_be_credentials_is_found_in_any_text() {
        for (written, found) in [
            ("'htps://me:pw@host/'", Some("me:pw")),
            ("me:p@w@host", Some("me:p@w")),
            ("@//", Some("")),
            ("https://host", None),
        ] {
            assert_eq!(credentials(written).map(|range| &written[range]), found, "{written}");
        }
    }
}
