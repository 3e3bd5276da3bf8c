//! Proxies: which one a request goes through, if any.
//!
//! Decides which texts name a proxy, and which proxy is for which URL. It does not know how a proxy is spoken to;
//! that is for the dialer.
//!
//! Guarantees: no error, log line or `Debug` shows a URL's user or password; where a proxy's own URL stands is for
//! who reads the configuration to say.
//!
//! What a proxy means for the check of addresses: an `http://` or `socks5h://` proxy looks names up itself, so that
//! this host cannot see where a name leads. Only addresses that stand in the URL are checked then, and what the
//! network behind the proxy may be asked is the proxy's to decide. With `socks5://` names are looked up and
//! checked here.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use http::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Builder, Matcher};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::environment::Environment;

/// The port of a SOCKS proxy whose URL has none (IANA's service `socks`).
const SOCKS_PORT: u16 = 1080;

/// How long a user or a password may be that goes to a SOCKS proxy, in bytes (RFC 1929, section 2).
const MAX_SOCKS_CREDENTIAL: usize = 255;

/// What is wrong with a proxy's URL, and what to do about it.
type Wrong = (&'static str, &'static str);

/// Which proxy each of a target's requests goes through.
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// A proxy that a request goes through.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Proxy {
    /// Takes `http` requests as they are, and CONNECT for `https`.
    Http { at: Uri, authorization: Option<HeaderValue> },
    /// Passes on what it is sent (RFC 1928).
    Socks {
        at: Uri,
        login: Option<(String, String)>,
        /// Whether the proxy is told names, and not addresses.
        looks_up: bool,
    },
}

impl Proxies {
    /// No proxy: every request goes to its receiver itself.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One proxy for every request: `http://`, `socks5://` or `socks5h://`, a host, perhaps a port (80 and 1080 where
    /// there is none), perhaps `user:password@` (percent-encoded).
    ///
    /// # Errors
    ///
    /// What is wrong and what to do about it, for anything else. Neither quotes the text, as a password may
    /// stand in it.
    pub fn parse(url: &str) -> Result<Self, (&'static str, &'static str)> {
        Ok(Self::of(Matcher::builder().all(read(url)?)))
    }

    /// The proxies that the environment names, by the variables that curl knows: `https_proxy` and `http_proxy` for the
    /// URLs of that scheme, `all_proxy` for those that have none of their own, `no_proxy` for hosts that are
    /// talked to without one (names with all below them, addresses, networks such as `10.0.0.0/8`, `*`), as what is
    /// on this machine always is. A name
    /// in lower case counts before the one in upper case, and an empty value is none.
    ///
    /// `HTTP_PROXY` in upper case is not read where `REQUEST_METHOD` is set: a CGI program finds there what the
    /// client of its server sent as `Proxy:` (<https://httpoxy.org>).
    ///
    /// A value without a scheme is an HTTP proxy. One that cannot be read is left out, with a warning in the log.
    #[must_use]
    pub fn from_environment(environment: &dyn Environment) -> Self {
        let value = |name: &str| environment.var(name).filter(|value| !value.trim().is_empty());
        let either = |lower: &str| value(lower).or_else(|| value(&lower.to_ascii_uppercase()));
        let http = match environment.var("REQUEST_METHOD") {
            Some(_) => value("http_proxy"),
            None => either("http_proxy"),
        };
        let mut unreadable = Vec::new();
        let mut proxy = |variable: &'static str, value: Option<String>| {
            let value =
                value.map(|value| value.trim().to_owned()).map(|value| match value.contains("://") {
                    true => value,
                    false => format!("http://{value}"),
                })?;
            read(&value).inspect_err(|_| unreadable.push(variable)).ok()
        };
        let (http, https) = (proxy("http_proxy", http), proxy("https_proxy", either("https_proxy")));
        let all = proxy("all_proxy", either("all_proxy"));
        if !unreadable.is_empty() {
            tracing::warn!(
                variables = unreadable.join(", "),
                "a proxy that the environment names cannot be used: write http://, socks5:// or socks5h://, a host \
                 and a port"
            );
        }
        if http.is_none() && https.is_none() && all.is_none() {
            return Self::none();
        }
        // curl takes white space between hosts as well.
        let without = either("no_proxy").unwrap_or_default().replace(char::is_whitespace, ",");
        // No proxy is asked for what is on this machine, as Go has it too.
        let without = format!("{without},localhost,127.0.0.0/8,::1");
        let [http, https, all] = [http, https, all].map(Option::unwrap_or_default);
        Self::of(Matcher::builder().http(http).https(https).all(all).no(without))
    }

    fn of(builder: Builder) -> Self {
        Self(Some(Arc::new(builder.build())))
    }

    /// The proxy that a request to a URL goes through; `None` where it goes to the receiver itself.
    pub(super) fn toward(&self, uri: &Uri) -> Option<Proxy> {
        let found = self.0.as_ref()?.intercept(uri)?;
        let at = found.uri().clone();
        let login = || found.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()));
        Some(match at.scheme_str() {
            Some("socks5") => Proxy::Socks { login: login(), at, looks_up: false },
            Some("socks5h") => Proxy::Socks { login: login(), at, looks_up: true },
            _ => Proxy::Http { authorization: found.basic_auth().cloned(), at },
        })
    }
}

/// Shows hosts and ports, never a user or a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(matcher) => fmt::Debug::fmt(matcher, f),
            None => f.write_str("none"),
        }
    }
}

/// A proxy's URL in the one spelling that the matcher reads as it is meant.
fn read(text: &str) -> Result<String, Wrong> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let is_socks = match scheme.as_deref() {
        Some("http") => false,
        Some("socks5" | "socks5h") => true,
        Some("https") => {
            let hint =
                "write http://: what goes to an https target is encrypted on its way through the proxy too";
            return Err(("a proxy that is itself spoken to over TLS is not supported", hint));
        }
        _ => {
            let hint = "write all of it, such as http://proxy.example:3128";
            return Err(("a proxy's URL must start with http://, socks5:// or socks5h://", hint));
        }
    };
    if text
        .contains(|character: char| character.is_whitespace() || character.is_control() || character == '\\')
    {
        return Err((
            "a proxy's URL cannot hold white space or a backslash",
            "write it percent-encoded in a user or a password, and remove it elsewhere",
        ));
    }
    let invalid = (
        "this is not a valid URL of a proxy",
        "check its host and port; in a user or a password write / as %2F, ? as %3F and # as %23",
    );
    let mut url = Url::parse(text).map_err(|_| invalid)?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid);
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        let hint = "remove what comes then";
        return Err(("a proxy's URL ends after its host and port", hint));
    }
    if is_socks {
        let too_long = |part: &str| percent_decode_str(part).count() > MAX_SOCKS_CREDENTIAL;
        if too_long(url.username()) || url.password().is_some_and(too_long) {
            return Err((
                "a SOCKS proxy takes a user and a password of at most 255 bytes",
                "use shorter ones",
            ));
        }
        if url.port().is_none() {
            url.set_port(Some(SOCKS_PORT)).map_err(|()| invalid)?;
        }
    }
    // The matcher has a parser of its own, and leaves out in silence what that does not read.
    let readable = Matcher::builder().all(url.as_str()).build();
    match readable.intercept(&Uri::from_static("http://a/")) {
        Some(_) => Ok(url.into()),
        None => Err(invalid),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn proxy(proxies: &Proxies, url: &str) -> Option<String> {
        Some(match proxies.toward(&url.parse().unwrap())? {
            Proxy::Http { at, authorization } => {
                format!("{at} {}", authorization.map_or("-".to_owned(), |it| it.to_str().unwrap().to_owned()))
            }
            Proxy::Socks { at, login, looks_up } => {
                let (user, password) = login.unwrap_or_default();
                format!("{at} {user}:{password} {looks_up}")
            }
        })
    }

    fn environment(variables: &[(&str, &str)]) -> Proxies {
        let variables: HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Proxies::from_environment(&variables)
    }

    #[test]
    fn a_proxy_is_read_with_its_port_and_its_credentials() {
        for (url, expected) in [
            ("http://proxy.example:3128", "http://proxy.example:3128/ -"),
            ("http://proxy.example", "http://proxy.example/ -"),
            ("HTTP://10.0.0.1:8080/", "http://10.0.0.1:8080/ -"),
            // RFC 7617, section 2.
            ("http://Aladdin:open%20sesame@[::1]:1", "http://[::1]:1/ Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("socks5://proxy.example", "socks5://proxy.example:1080/ : false"),
            ("socks5h://me:p%40w@proxy.example:9050", "socks5h://proxy.example:9050/ me:p@w true"),
            ("socks5://me:p@w@proxy.example", "socks5://proxy.example:1080/ me:p@w false"),
        ] {
            let proxies = Proxies::parse(url).unwrap();
            for target in ["http://a.example/", "https://a.example/"] {
                assert_eq!(proxy(&proxies, target).unwrap(), expected, "{url}");
            }
        }
        assert_eq!(proxy(&Proxies::none(), "http://a.example/"), None);
    }

    #[test]
    fn what_names_no_proxy_is_refused_without_being_told() {
        for (url, words) in [
            ("", "must start with"),
            ("proxy.example:3128", "must start with"),
            ("ftp://canary@proxy.example", "must start with"),
            ("socks4://canary@proxy.example", "must start with"),
            ("https://canary@proxy.example", "over TLS"),
            ("http://", "not a valid URL"),
            ("socks5://", "not a valid URL"),
            ("socks5://:1080", "not a valid URL"),
            ("http://canary@proxy.example:port", "not a valid URL"),
            ("socks5://canary@pro%78y", "not a valid URL"),
            ("http://canary@proxy.example/path", "ends after"),
            ("http://proxy.example?canary", "ends after"),
            ("http://me:can#ary@proxy.example", "not a valid URL"),
            ("http://me:can ary@proxy.example", "white space"),
            (&format!("socks5://{}@proxy.example", "canary".repeat(43)), "255"),
        ] {
            let (problem, hint) = Proxies::parse(url).unwrap_err();
            assert!(problem.contains(words) && !hint.is_empty(), "{url}: {problem}");
            assert!(!format!("{problem}{hint}").contains("canary"), "{url}: {problem}");
        }
    }

    #[test]
    fn nobody_sees_a_password() {
        let proxies = [
            Proxies::parse("http://me:canary@proxy.example").unwrap(),
            environment(&[("all_proxy", "socks5h://me:canary@proxy.example")]),
        ];
        let shown = format!("{proxies:?}");
        assert!(shown.contains("proxy.example") && !shown.contains("canary"), "{shown}");
        assert!(!shown.contains("Y2FuYXJ5"), "{shown}");
    }

    #[test]
    fn the_environment_names_proxies_as_for_curl() {
        let (http, https) = ("http://a.example/", "https://a.example/");
        let at = |host: &str| Some(format!("http://{host}/ -"));
        for (variables, for_http, for_https) in [
            (&[][..], None, None),
            (&[("HTTP_PROXY", "http://up")], at("up"), None),
            (&[("HTTP_PROXY", "http://up"), ("http_proxy", "http://low")], at("low"), None),
            (&[("HTTP_PROXY", "http://up"), ("http_proxy", "")], at("up"), None),
            (&[("HTTP_PROXY", "http://up"), ("REQUEST_METHOD", "GET")], None, None),
            (&[("http_proxy", "http://low"), ("REQUEST_METHOD", "GET")], at("low"), None),
            (&[("HTTPS_PROXY", " http://up ")], None, at("up")),
            (&[("ALL_PROXY", "http://all"), ("https_proxy", "http://low")], at("all"), at("low")),
            (&[("all_proxy", "proxy.example:3128")], at("proxy.example:3128"), at("proxy.example:3128")),
            (&[("https_proxy", "https://canary"), ("all_proxy", "http://all")], at("all"), at("all")),
            (&[("https_proxy", "nonsense://canary")], None, None),
        ] {
            let proxies = environment(variables);
            assert_eq!(
                (proxy(&proxies, http), proxy(&proxies, https)),
                (for_http, for_https),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn hosts_that_no_proxy_names_are_talked_to_without_one() {
        let proxies = environment(&[
            ("all_proxy", "http://proxy.example"),
            ("NO_PROXY", "gotify, .internal.example 10.0.0.0/8,::1"),
        ]);
        for url in
            ["http://gotify/", "https://a.internal.example/", "http://10.1.2.3:8080/", "http://[::1]:8080/"]
        {
            assert_eq!(proxy(&proxies, url), None, "{url}");
        }
        for url in ["http://notgotify/", "https://internal.example.org/", "http://11.1.2.3/"] {
            assert!(proxy(&proxies, url).is_some(), "{url}");
        }
        let proxies = environment(&[("all_proxy", "http://proxy.example"), ("no_proxy", "*")]);
        assert_eq!(proxy(&proxies, "http://a.example/"), None);
    }
}
