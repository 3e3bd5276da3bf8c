//! An HTTP request as data: text, and the places where the host puts what only it knows.

use serde::Serialize;

use crate::octets;

/// Text, or the name of text that only the host knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Atom {
    /// The text itself.
    Text(String),
    /// The name of a secret.
    Secret(String),
    /// The bytes of the request's body; only inside the message of an HMAC or of an Ed25519 signature.
    RequestBody,
}

/// How the host writes a secret into its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As it is.
    Verbatim,
    /// Percent-encoded.
    Percent,
    /// As the inside of a JSON string.
    Json,
}

/// How the key of an HMAC is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// The text is the key.
    Text,
    /// Base64 of the key.
    Base64,
    /// Base64 of the key, after a prefix that ends with the first `_`.
    PrefixedBase64,
}

/// HMAC-SHA256 over a message, computed by the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// The key: the atoms, one after another.
    pub key: Vec<Atom>,
    /// How the key is written.
    pub key_form: KeyForm,
    /// The message: the atoms, one after another.
    pub message: Vec<Atom>,
    /// Written as hexadecimal, not as base64.
    pub hex: bool,
}

/// An Ed25519 signature of a message, computed by the host and written as base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ed25519 {
    /// The private key, as [`KeyForm::PrefixedBase64`]: its seed, or its seed and the public key.
    pub key: Vec<Atom>,
    /// The message: the atoms, one after another.
    pub message: Vec<Atom>,
}

/// A piece of a URL, of a header's value or of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Text as it is.
    Text(String),
    /// The value of a secret.
    Secret {
        /// Its name.
        name: String,
        /// How the value is written.
        escape: Escape,
    },
    /// Base64 of the atoms, one after another.
    Base64(Vec<Atom>),
    /// An HMAC-SHA256.
    HmacSha256(Hmac),
    /// An Ed25519 signature.
    Ed25519(Ed25519),
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

impl Method {
    /// Its name, as a request has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// The headers of a request: each a line `name: value` that ends with a line feed, as the contract has them.
///
/// Guarantees: one line for each header that was added. A header with a line break in it would be two; a head to which
/// one was added is not whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    text: String,
    insertions: Vec<(usize, Segment)>,
    count: u32,
    is_broken: bool,
}

impl Head {
    /// Adds a header.
    pub fn add(&mut self, name: &str, value: impl IntoIterator<Item = Segment>) {
        let from = self.text.len();
        self.text.extend([name, ": "]);
        for segment in value {
            match segment {
                Segment::Text(text) => self.text.push_str(&text),
                hidden => self.insertions.push((self.text.len(), hidden)),
            }
        }
        let line = self.text.as_bytes().get(from..).unwrap_or_default();
        self.is_broken |= octets::any(line, b' ', is_broken);
        self.text.push('\n');
        self.count += 1;
    }

    /// The same head, with room for so many bytes more.
    #[must_use]
    pub fn with_room(&self, bytes: usize) -> Self {
        let mut text = String::with_capacity(self.text.len() + bytes);
        text.push_str(&self.text);
        Self { text, insertions: self.insertions.clone(), ..*self }
    }

    /// How many headers there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The text, and what is inserted at its bytes, in order.
    ///
    /// # Errors
    ///
    /// Where it is not whole: no provider of this crate writes a line break, but what it was given may have one.
    pub fn whole(self) -> Result<(String, Vec<(usize, Segment)>), String> {
        if self.is_broken {
            let problem = "a header of the request has a line break or another control character in it; take it out \
                 of what it is made of";
            return Err(problem.to_owned());
        }
        Ok((self.text, self.insertions))
    }

    /// The headers one by one.
    #[cfg(test)]
    pub fn headers(&self) -> Vec<(String, Vec<Segment>)> {
        let (mut headers, mut from) = (Vec::new(), 0);
        let mut insertions = self.insertions.iter().peekable();
        for line in self.text.lines() {
            let end = from + line.len();
            let (name, _) = line.split_once(": ").unwrap();
            let (mut at, mut value) = (from + name.len() + 2, Vec::new());
            let text = |from: usize, to: usize| (from < to).then(|| Segment::from(&self.text[from..to]));
            while let Some((place, hidden)) = insertions.next_if(|(place, _)| *place <= end) {
                value.extend(text(at, *place));
                value.push(hidden.clone());
                at = *place;
            }
            value.extend(text(at, end));
            headers.push((name.to_owned(), value));
            from = end + 1;
        }
        headers
    }
}

/// Whether a control character other than a tab is among eight bytes.
fn is_broken(word: u64) -> bool {
    (octets::has_below(word, b' ') || octets::has(word, 0x7f))
        && word.to_le_bytes().into_iter().any(|byte| byte.is_ascii_control() && byte != b'\t')
}

/// One HTTP request. The host adds Host, Content-Length and User-Agent, and the target's timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute http or https URL.
    pub url: Vec<Segment>,
    /// What the host appends to the URL's query, name and value not yet encoded.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub head: Head,
    /// The body; nothing where empty.
    pub body: Vec<Segment>,
}

impl From<&str> for Segment {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Segment {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Request {
    /// A request without query, headers and body.
    #[must_use]
    pub fn new(method: Method, url: Vec<Segment>) -> Self {
        Self { method, url, query: Vec::new(), head: Head::default(), body: Vec::new() }
    }

    /// A POST without query, headers and body.
    #[must_use]
    pub fn post(url: Vec<Segment>) -> Self {
        Self::new(Method::Post, url)
    }

    /// A PUT without query, headers and body.
    #[must_use]
    pub fn put(url: Vec<Segment>) -> Self {
        Self::new(Method::Put, url)
    }

    /// The request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: Vec<Segment>) -> Self {
        self.head.add(name, value);
        self
    }

    /// The request with a text body of a media type.
    #[must_use]
    pub fn text(self, media_type: &str, body: String) -> Self {
        let mut request = self.header("content-type", vec![media_type.into()]);
        request.body = vec![body.into()];
        request
    }

    /// The request with a JSON body.
    ///
    /// # Errors
    ///
    /// Where the payload has no JSON form, which no payload of this crate is without.
    pub fn json(self, payload: &impl Serialize) -> Result<Self, String> {
        let body = serde_json::to_string(payload).map_err(|error| format!("no JSON form: {error}"))?;
        Ok(self.text("application/json", body))
    }
}
