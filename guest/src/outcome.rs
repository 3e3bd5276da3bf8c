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
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, cut off at the host's limit.
    pub body: Vec<u8>,
}

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

impl Reply {
    /// The value of a header; the first one where there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn describe(&self) -> String {
        let said = String::from_utf8_lossy(&self.body);
        let printable = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let words = printable.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut detail = format!("status {}", self.status);
        if let Some(location) = self.header("location").filter(|_| (300..400).contains(&self.status)) {
            detail +=
                &format!(": a redirect to {location}, which is never followed; put the final URL into `url`");
        } else if !words.is_empty() {
            detail += ": ";
            detail.extend(words.chars().take(QUOTED));
            if words.chars().nth(QUOTED).is_some() {
                detail.push('…');
            }
        }
        truncated(detail, 512)
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
        let reply =
            Reply { status: 400, headers: vec![], body: b"{\n  \"error\": \"bad\x1b[31m\"\n}".to_vec() };
        assert_eq!(Outcome::Reply(reply).describe(), "status 400: { \"error\": \"bad [31m\" }");
    }

    #[test]
    fn a_redirect_says_where_to_and_what_to_do() {
        let headers = vec![("location".into(), "https://new.example/".into())];
        let described = Outcome::Reply(Reply { status: 302, headers, body: vec![] }).describe();
        assert!(described.contains("https://new.example/") && described.contains("`url`"), "{described}");
    }

    proptest! {
        #[test]
        fn a_description_is_short_whatever_the_reply(status: u16, body: Vec<u8>, location in ".{0,600}") {
            let reply = Reply { status, headers: vec![("location".into(), location)], body };
            prop_assert!(Outcome::Reply(reply).describe().len() <= 512);
        }
    }
}
