//! An HTTP request as data: text, and the places where the host puts what only it knows.

use serde::Serialize;

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
    pub headers: Vec<(String, Vec<Segment>)>,
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
        Self { method, url, query: Vec::new(), headers: Vec::new(), body: Vec::new() }
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
        self.headers.push((name.to_owned(), value));
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
