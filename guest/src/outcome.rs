//! What became of a request, and what that means before a provider looks closer.
//!
//! The table is Nuncio's design for HTTP in general (RFC 9110, section 15; RFC 6585 for 429): 2xx has arrived;
//! 408, 425, 429, 5xx (but 501 and 505) and a failed transport may pass; everything else will not. Redirects are never
//! followed, so 3xx is a mistake in the configuration.

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub head: Head,
    /// The body, cut off at the host's limit.
    pub body: Vec<u8>,
}

/// The headers of a reply, as the contract has them: for each a line `name: value`, names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head(pub String);

/// How an exchange failed without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// No connection could be made.
    Refused,
    /// The name has no address.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// Out of time before anything was sent.
    TimeoutBeforeSend,
    /// Out of time after something was sent.
    TimeoutAfterSend,
    /// The connection broke after something was sent.
    Reset,
    /// The host refuses to send there.
    Blocked,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A reply, whatever it says.
    Reply(Reply),
    /// No reply.
    Failed(Transport),
}

/// What an outcome means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The receiver has it.
    Delivered,
    /// A failure that may pass; the receiver has not taken it.
    Transient,
    /// A failure that may pass; the receiver may have taken it.
    Ambiguous,
    /// The receiver asks for fewer requests.
    Throttled,
    /// The receiver does not accept the credentials.
    Credentials,
    /// A failure that will not pass.
    Permanent,
    /// The receiver says that this address is gone for good.
    Gone,
}

/// How much of a reply's body a description quotes, in characters.
const QUOTED: usize = 200;

// === impl Class ===

impl Class {
    /// What a status means where the provider does not know better.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            401 | 403 => Self::Credentials,
            // What the server has not built (501) or does not speak (505), it will not in an hour either.
            501 | 505 => Self::Permanent,
            408 | 425 | 500..=599 => Self::Transient,
            410 => Self::Gone,
            429 => Self::Throttled,
            _ => Self::Permanent,
        }
    }

    /// What a failed transport means.
    #[must_use]
    pub fn of_transport(transport: Transport) -> Self {
        match transport {
            Transport::Refused | Transport::Dns | Transport::Tls | Transport::TimeoutBeforeSend => {
                Self::Transient
            }
            Transport::TimeoutAfterSend | Transport::Reset => Self::Ambiguous,
            Transport::Blocked => Self::Permanent,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The outcome in words for people: the status and the beginning of what the receiver said, on one line
    /// of at most 512 bytes.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Reply(reply) => reply.describe(),
            Self::Failed(Transport::Refused) => "no connection could be made".to_owned(),
            Self::Failed(Transport::Dns) => "the host name was not found".to_owned(),
            Self::Failed(Transport::Tls) => "the TLS handshake failed".to_owned(),
            Self::Failed(Transport::TimeoutBeforeSend) => "timed out before anything was sent".to_owned(),
            Self::Failed(Transport::TimeoutAfterSend) => "timed out waiting for a reply".to_owned(),
            Self::Failed(Transport::Reset) => "the connection broke before a reply".to_owned(),
            Self::Failed(Transport::Blocked) => "the host refuses to send there".to_owned(),
        }
    }
}

impl Head {
    /// Of headers, each a name and a value.
    pub fn of<N: AsRef<str>, V: AsRef<str>>(headers: impl IntoIterator<Item = (N, V)>) -> Self {
        let line = |(name, value): (N, V)| format!("{}: {}\n", name.as_ref(), value.as_ref());
        Self(headers.into_iter().map(line).collect())
    }

    /// The headers in the order they came, names and values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split('\n').filter_map(|line| {
            // To look for one character is a fifth of the work that it is to look for two.
            let (name, value) = line.split_once(':')?;
            Some((name, value.trim_start_matches(' ')))
        })
    }

    /// The values of the headers of a name.
    pub fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.headers().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Reply {
    /// The value of a header; the first one where there are several.
    #[must_use]
    pub fn header(&self, name: &'static str) -> Option<&str> {
        self.head.values(name).next()
    }

    fn describe(&self) -> String {
        let mut detail = String::with_capacity(64);
        detail += "status ";
        detail += &self.status.to_string();
        let location = if matches!(self.status, 300..=399) { self.header("location") } else { None };
        if let Some(location) = location {
            detail +=
                &format!(": a redirect to {location}, which is never followed; put the final URL into `url`");
        } else {
            quote(&self.body, &mut detail);
        }
        truncated(detail, 512)
    }
}

/// Adds the beginning of what a receiver said, on one line, where it said anything.
fn quote(said: &[u8], detail: &mut String) {
    let invalid = |chunk: &std::str::Utf8Chunk<'_>| (!chunk.invalid().is_empty()).then_some('\u{fffd}');
    let chars = said.utf8_chunks().flat_map(|chunk| chunk.valid().chars().chain(invalid(&chunk)));
    let (mut quoted, mut is_apart) = (0, false);
    for c in chars {
        if c.is_whitespace() || c.is_control() {
            is_apart = true;
            continue;
        }
        if quoted == 0 {
            *detail += ": ";
        } else if is_apart && quoted < QUOTED {
            detail.push(' ');
            quoted += 1;
        }
        if quoted >= QUOTED {
            detail.push('…');
            break;
        }
        is_apart = false;
        detail.push(c);
        quoted += 1;
    }
}

/// The longest beginning of a text that has at most so many bytes.
fn truncated(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statuses_mean_what_the_design_says() {
        for (statuses, class) in [
            (&[200, 201, 202, 204, 299][..], Class::Delivered),
            (&[408, 425, 500, 502, 503, 504, 507, 529, 599], Class::Transient),
            (&[429], Class::Throttled),
            (&[401, 403], Class::Credentials),
            (&[410], Class::Gone),
            (&[100, 301, 302, 307, 400, 404, 405, 413, 422, 451, 501, 505, 600, 0], Class::Permanent),
        ] {
            for status in statuses {
                assert_eq!(Class::of_status(*status), class, "{status}");
            }
        }
    }

    #[test]
    fn a_transport_that_may_have_sent_is_ambiguous() {
        assert_eq!(Class::of_transport(Transport::TimeoutAfterSend), Class::Ambiguous);
        assert_eq!(Class::of_transport(Transport::Reset), Class::Ambiguous);
        assert_eq!(Class::of_transport(Transport::TimeoutBeforeSend), Class::Transient);
        assert_eq!(Class::of_transport(Transport::Blocked), Class::Permanent);
    }

    #[test]
    fn a_description_quotes_the_reply_on_one_line() {
        let reply = Reply {
            status: 400,
            head: Head::default(),
            body: b"{\n  \"error\": \"bad\x1b[31m\"\n}".to_vec(),
        };
        assert_eq!(Outcome::Reply(reply).describe(), "status 400: { \"error\": \"bad [31m\" }");
    }

    #[test]
    fn a_quotation_ends_where_it_is_long_enough() {
        let described = |said: String| {
            Outcome::Reply(Reply { status: 500, head: Head::default(), body: said.into_bytes() }).describe()
        };
        let (whole, less) = ("x".repeat(QUOTED), "x".repeat(QUOTED - 1));
        assert_eq!(described(format!("{whole} \n")), format!("status 500: {whole}"));
        assert_eq!(described(format!("{whole} y")), format!("status 500: {whole}…"));
        assert_eq!(described(format!("{less} y")), format!("status 500: {less} …"));
        assert_eq!(described(format!("{less}yz")), format!("status 500: {less}y…"));
    }

    #[test]
    fn a_redirect_says_where_to_and_what_to_do() {
        let head = Head::of([("location", "https://new.example/")]);
        let described = Outcome::Reply(Reply { status: 302, head, body: vec![] }).describe();
        assert!(described.contains("https://new.example/") && described.contains("`url`"), "{described}");
    }

    proptest! {
        #[test]
        fn a_description_is_short_whatever_the_reply(status: u16, body: Vec<u8>, location in ".{0,600}") {
            let reply = Reply { status, head: Head::of([("location", location)]), body };
            prop_assert!(Outcome::Reply(reply).describe().len() <= 512);
        }

        #[test]
        fn what_is_quoted_is_the_beginning_of_its_words(said in "([a-z\u{e4}]{0,40}[ \t\n\u{1}\u{a0}]{0,3}){0,12}") {
            let plain: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut expected: String = words.chars().take(QUOTED).collect();
            if words.chars().count() > QUOTED {
                expected.push('…');
            }
            let reply = Reply { status: 500, head: Head::default(), body: said.into_bytes() };
            let described = Outcome::Reply(reply).describe();
            prop_assert_eq!(described.strip_prefix("status 500: ").unwrap_or_default(), expected);
        }

        #[test]
        fn the_headers_of_a_head_are_those_that_it_was_made_of(
            headers in prop::collection::vec(("[a-z-]{1,9}", "([!-~][ -~]{0,20})?"), 0..5),
        ) {
            let head = Head::of(headers.iter().map(|(name, value)| (name, value)));
            let read: Vec<_> = head.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(read, headers);
        }
    }
}
