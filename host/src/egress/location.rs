//! From the text of a URL to where a request goes.
//!
//! Decides which URLs the host takes: absolute, http or https, a host, no user name, no port of [`ports`]. It does
//! not know whose URL it is. What it returns is what both the check of the origin and the client see; there is
//! no second reading of the text that could differ.

use url::Url;

use super::assemble::{Refusal, invalid};
use super::ports;
use crate::contract::{Escape, Parameter};
use crate::secrets::escape;

/// How long a URL may be, in bytes, with its query: what most servers take.
pub const MAX_URL: usize = 8 * 1024;

/// Reads a URL, appends parameters to the query that it has, and leaves off its fragment.
pub(super) fn locate(text: &str, query: &[Parameter]) -> Result<Url, Refusal> {
    // The parser would drop it in silence.
    if text.contains(|character: char| character.is_ascii_control()) {
        return invalid(
            "the URL has a line break or another control character; a secret in it may end with one",
        );
    }
    let mut url = match Url::parse(text) {
        Ok(url) => url,
        Err(problem) => return invalid(format!("the URL cannot be read: {problem}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return invalid("the URL is not http or https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("the URL has a user name or a password, which belong into an Authorization header");
    }
    if let Some(port) = url.port()
        && let Some(service) = ports::refused(port)
    {
        return Err(Refusal::Egress(format!(
            "port {port} is that of {service}, to which no request is sent; have the receiver listen on another one"
        )));
    }
    url.set_fragment(None);
    if !query.is_empty() {
        let given = url.query().filter(|given| !given.is_empty()).map(str::to_owned);
        let added = query.iter().map(|Parameter { name, value }| {
            format!("{}={}", escape(name, Escape::Percent), escape(value, Escape::Percent))
        });
        url.set_query(Some(&given.into_iter().chain(added).collect::<Vec<_>>().join("&")));
    }
    if url.as_str().len() > MAX_URL {
        return invalid(format!("the URL is longer than {MAX_URL} bytes"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_after_the_query_that_is_there_and_the_fragment_goes() {
        let query = [Parameter { name: "a b".into(), value: "ä&=+".into() }];
        for (text, expected) in [
            ("http://a/p?x=1#top", "http://a/p?x=1&a%20b=%C3%A4%26%3D%2B"),
            ("http://a", "http://a/?a%20b=%C3%A4%26%3D%2B"),
            ("http://a/?", "http://a/?a%20b=%C3%A4%26%3D%2B"),
        ] {
            assert_eq!(locate(text, &query).unwrap().as_str(), expected);
        }
        assert_eq!(locate("http://a/p#top", &[]).unwrap().as_str(), "http://a/p");
    }

    #[test]
    fn a_url_that_leads_nowhere_is_refused() {
        for (text, problem) in [
            ("", "cannot be read"),
            ("/path", "cannot be read"),
            ("http://", "cannot be read"),
            ("ftp://a/", "not http"),
            ("mailto:a@b", "not http"),
            ("http://me@a/", "user name"),
            ("http://:pw@a/", "password"),
            ("http://a/\nb", "line break"),
            (&format!("http://a/{}", "ä".repeat(MAX_URL / 4)), "longer than 8192"),
        ] {
            let refusal = locate(text, &[]).unwrap_err();
            assert!(
                matches!(&refusal, Refusal::Invalid(said) if said.contains(problem)),
                "{text}: {refusal}"
            );
        }
    }

    #[test]
    fn a_url_with_the_port_of_another_service_is_refused() {
        let refusal = locate("http://mail.example:25/", &[]).unwrap_err();
        assert!(
            matches!(&refusal, Refusal::Egress(said) if said.contains("25 is that of SMTP")),
            "{refusal}"
        );
        assert!(locate("http://mail.example:2580/", &[]).is_ok());
    }

    /// The client has a parser of its own, which must take all that ours does.
    #[test]
    fn every_character_makes_a_path_and_a_query_that_can_be_sent() {
        for character in (' '..='~').chain(['é']) {
            for text in [format!("http://a/{character}b"), format!("http://a/?{character}b")] {
                let url = locate(&text, &[]).unwrap();
                assert!(http::Uri::try_from(url.as_str()).is_ok(), "{url}");
            }
        }
    }
}
