//! Requests go out, outcomes come back.
//!
//! Decides when an exchange is over and which kind of failure it was. It does not know what a request
//! means, and what an outcome means for the delivery is for the guest to judge.
//!
//! Guarantees:
//!
//! - Every exchange ends: within its deadline, whatever the receiver sends or does not send, and with
//!   bounded memory.
//! - A status that arrived is the outcome, even if the rest of the reply breaks off or is late. The receiver
//!   has answered; to call it a failure would send the same notification again to somebody who took it.
//! - A failure counts as "nothing was sent" only where that is certain. If in doubt the receiver may have
//!   seen the request: a duplicate is acceptable, a wrong claim that there can be none is not.
//! - Redirects are replies like any other. To follow one would take a secret to an origin that nobody named.

pub mod addresses;
pub mod assemble;
mod clients;
mod content;
mod dial;
mod location;
mod passage;
pub mod ports;
pub mod proxy;
pub mod resolve;
pub mod route;
mod sign;
pub mod tls;
mod wire;

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::Scheme;
use http::{Method, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rustls::RootCertStore;

use self::addresses::Reach;
use self::clients::{Clients, Rules};
use self::content::{Begun, Content};
use self::dial::Undialed;
use self::proxy::Proxy;
use self::resolve::{Resolve, SystemResolver};
use self::route::Route;
use crate::clock::{Clock, Sleep};
use crate::contract::{Outcome, Reply, Transport};
use crate::secrets::{Derived, Secrets};

/// How much of a reply's body is read, in bytes. What services say of an error fits many times over.
pub const MAX_REPLY: usize = 64 * 1024;

/// How long a failure's description may be, in characters.
const MAX_DETAIL: usize = 200;

/// What sends requests. There is one for real; a simulation brings another.
pub trait Egress: Send + Sync + 'static {
    /// Sends a request, which must have an absolute URL, on a target's way, and reads the reply. The timeout is for
    /// all of it, from looking up the name to the last byte.
    fn send(&self, request: http::Request<Bytes>, route: &Route, timeout: Duration) -> Exchanging<'_>;
}

/// An exchange under way; dropping it breaks it off.
pub type Exchanging<'a> = Pin<Box<dyn Future<Output = Exchange> + Send + 'a>>;

/// The HTTP clients, and their pools of connections.
///
/// A connection is made only to an address that was checked: a public one, or a private one where the configuration
/// itself names the origin. See [`addresses`], and [`proxy`] for what a proxy means for this.
pub struct HttpEgress {
    clients: Clients,
    clock: Arc<dyn Clock>,
    is_strict: bool,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The outcome as the guest judges it. The reply's text is as it came: blot out the target's secrets
    /// (`Secrets::redact`) before anybody sees it.
    pub outcome: Outcome,
    /// What went wrong, for people: one line of at most 200 characters, without secrets or anything of the request
    /// but the name of its host. `None` where nothing did.
    pub detail: Option<String>,
}

impl HttpEgress {
    /// A client that trusts the operating system's root certificates, and measures time by this clock.
    ///
    /// Reads the certificates from disk. Where there are none, https fails as [`Transport::Tls`] when it is
    /// used.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::trusting(dial::native_roots(), clock)
    }

    fn trusting(roots: RootCertStore, clock: Arc<dyn Clock>) -> Self {
        let clients = Clients::new(Arc::clone(&clock), Arc::new(SystemResolver), roots);
        Self { clients, clock, is_strict: false }
    }

    /// The same for a program whose configuration others write, such as its users who give the URLs of their own
    /// webhooks: not even an origin that the configuration names may be on a private network.
    ///
    /// A proxy may still be, as the program itself chooses it: let nobody else set one.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { is_strict: true, ..self }
    }

    /// The same with names looked up in another way than the operating system's.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.clients.resolver(Arc::new(resolver));
        self
    }

    fn rules(&self, uri: &Uri, route: &Route) -> Rules {
        let (is_named, proxy) = route.toward(uri);
        let reach = match self.is_strict {
            true => Reach::Strict,
            false if is_named => Reach::Named,
            false => Reach::Fixed,
        };
        Rules { reach, proxy, tls: route.tls().clone() }
    }

    /// See [`Egress::send`].
    ///
    /// Accept-Encoding is never sent, as nothing here would unpack what came. A request that meets a pooled
    /// connection which the receiver had closed is sent on another one; it has not been seen by then.
    async fn exchange(&self, mut request: http::Request<Bytes>, rules: Rules, timeout: Duration) -> Exchange {
        let mut deadline = self.clock.sleep(timeout);
        let forwarder = match &rules.proxy {
            Some(Proxy::Http { authorization, .. }) if request.uri().scheme() == Some(&Scheme::HTTP) => {
                Some(authorization.clone())
            }
            _ => None,
        };
        let headers = request.headers_mut();
        headers.remove(ACCEPT_ENCODING);
        // Between this host and its proxy; what the guest has to say to a proxy would replace it.
        headers.remove(PROXY_AUTHORIZATION);
        if let Some(Some(authorization)) = &forwarder {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        // RFC 9110, section 8.6; some servers answer 411 without it, and hyper leaves it out for no body.
        if request.body().is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(request.method())
        {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let client = self.clients.of(rules);
        let is_begun = Begun::default();
        let request = request.map(|content| Content::new(content, is_begun.clone()));
        let answer = tokio::select! {
            biased;
            answer = client.request(request) => Some(answer),
            () = &mut deadline => None,
        };
        let is_begun = is_begun.get();
        match answer {
            Some(Ok(response))
                if forwarder.is_some() && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
            {
                // Only a proxy says so (RFC 9110, section 15.5.8): the receiver has not seen the request.
                let refused = Undialed::ProxyRefused(response.status().to_string());
                failed(Transport::Refused, &refused.to_string())
            }
            Some(Ok(response)) => {
                let exchange = receive(response, deadline).await;
                match forwarder.flatten() {
                    Some(authorization) => blotted(exchange, &authorization),
                    None => exchange,
                }
            }
            Some(Err(error)) => failed(transport(&error, is_begun), &describe(&error)),
            None if is_begun => failed(Transport::TimeoutAfterSend, "no reply in time"),
            None => failed(Transport::TimeoutBeforeSend, "no connection in time"),
        }
    }
}

impl Egress for HttpEgress {
    fn send(&self, request: http::Request<Bytes>, route: &Route, timeout: Duration) -> Exchanging<'_> {
        let rules = self.rules(request.uri(), route);
        Box::pin(self.exchange(request, rules, timeout))
    }
}

/// A reply without the login to the proxy that it came through: the proxy may have sent it back, or on.
fn blotted(exchange: Exchange, authorization: &HeaderValue) -> Exchange {
    let Outcome::Reply(reply) = exchange.outcome else { return exchange };
    let whole = authorization.to_str().unwrap_or_default();
    let encoded = whole.split_once(' ').map_or(whole, |(_, encoded)| encoded);
    let decoded = STANDARD.decode(encoded).ok().and_then(|login| String::from_utf8(login).ok());
    let login = decoded.unwrap_or_default();
    let password = login.split_once(':').map_or("", |(_, password)| password);
    let derived = Derived::new(&[encoded, &login, password], &[whole]);
    let reply = Secrets::default().redact_reply("", &derived, reply);
    Exchange { outcome: Outcome::Reply(reply), ..exchange }
}

/// Reads a reply until its end, its limit or the deadline; what is there by then is the reply.
async fn receive(response: Response<Incoming>, deadline: Sleep) -> Exchange {
    let (head, body) = response.into_parts();
    let mut kept = Vec::new();
    let detail = tokio::select! {
        biased;
        end = read(body, &mut kept) => end.err().map(|error| describe(&error)),
        () = deadline => Some("reply not complete in time".to_owned()),
    };
    let reply = Reply { status: head.status.as_u16(), head: texts(&head.headers), body: kept };
    Exchange { outcome: Outcome::Reply(reply), detail }
}

/// Takes what comes of a body, up to the limit. A body that is not read to its end takes its connection with
/// it.
async fn read(mut body: Incoming, kept: &mut Vec<u8>) -> hyper::Result<()> {
    while let Some(room @ 1..) = MAX_REPLY.checked_sub(kept.len())
        && let Some(frame) = body.frame().await
    {
        // What is no data is a trailer, which nobody asked for.
        if let Ok(data) = frame?.into_data() {
            kept.extend_from_slice(data.get(..room).unwrap_or(&data));
        }
    }
    Ok(())
}

/// The headers that are text, in the order they came; those of one name stand together.
fn texts(headers: &HeaderMap) -> String {
    let text = |value| std::str::from_utf8(HeaderValue::as_bytes(value)).ok();
    Reply::head_of(headers.iter().filter_map(|(name, value)| Some((name.as_str(), text(value)?))))
}

/// Which failure an error is; `is_begun` says whether the request may have been begun to be sent.
fn transport(error: &hyper_util::client::legacy::Error, is_begun: bool) -> Transport {
    let canceled = |cause: &Cause| cause.downcast_ref().is_some_and(hyper::Error::is_canceled);
    let unsent = !is_begun || error.is_connect() || causes(error).any(canceled);
    for cause in causes(error) {
        match cause.downcast_ref() {
            Some(Undialed::NoAddress | Undialed::Lookup(_)) => return Transport::Dns,
            // A name may lead elsewhere when it is looked up again: some networks answer every name with an address
            // of their own while they are cut off.
            Some(Undialed::Blocked(blocked)) if blocked.is_literal() => return Transport::Blocked,
            Some(Undialed::Blocked(_)) => return Transport::Dns,
            Some(Undialed::NoRoots) => return Transport::Tls,
            Some(Undialed::TooSlow | Undialed::ProxyUnreached(_) | Undialed::ProxyRefused(_)) => {
                return Transport::Refused;
            }
            None => {}
        }
        // With TLS 1.3, a receiver that wants a certificate of the client says so only after the handshake
        // (RFC 8446, section 4.4.2.4), when the request is on its way; it has not taken it then.
        match cause.downcast_ref() {
            Some(rustls::Error::AlertReceived(_)) => return Transport::Tls,
            Some(_) if unsent => return Transport::Tls,
            _ => {}
        }
    }
    if unsent { Transport::Refused } else { Transport::Reset }
}

type Cause = dyn Error + 'static;

/// An error and its causes, the outermost first.
fn causes(error: &Cause) -> impl Iterator<Item = &Cause> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error gives as its source what is below its content, and so hides the content.
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(content) => Some(content),
            None => error.source(),
        }
    })
}

/// An error and its causes in one line of text. The client's own errors and those below tell of addresses and
/// reasons, never of what was sent.
fn describe(error: &Cause) -> String {
    // "client error (Connect)" says nothing that its causes do not say better, nor does what stands around an error of
    // the dialer's.
    let outer = causes(error).position(|cause| cause.is::<Undialed>());
    let outer = outer.unwrap_or_else(|| usize::from(error.source().is_some()));
    let mut texts: Vec<String> = causes(error).skip(outer).map(ToString::to_string).collect();
    texts.dedup();
    let line = texts.join(": ");
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DETAIL).collect()
}

fn failed(transport: Transport, detail: &str) -> Exchange {
    Exchange { outcome: Outcome::Failed(transport), detail: Some(detail.to_owned()) }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::TrustAnchor;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::ManualClock;

    fn request(url: &str) -> http::Request<Bytes> {
        http::Request::get(url).body(Bytes::new()).unwrap()
    }

    /// The way of a target whose URL this is.
    fn named(url: &str) -> Route {
        let mut route = Route::default();
        route.name(url::Url::parse(url).unwrap().origin());
        route
    }

    /// Sends without a deadline that could end first, and trusting nobody.
    async fn failure_of(url: &str) -> (Transport, String) {
        let egress = HttpEgress::trusting(RootCertStore::empty(), Arc::new(ManualClock::at(0)));
        match egress.send(request(url), &named(url), Duration::from_secs(10)).await {
            Exchange { outcome: Outcome::Failed(transport), detail: Some(detail) } => (transport, detail),
            exchange => panic!("{exchange:?}"),
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_refused() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (transport, detail) = failure_of(&format!("http://{free}/canary?canary")).await;
        assert_eq!(transport, Transport::Refused, "{detail}");
        assert!(detail.contains("refused") && !detail.contains("canary"), "{detail}");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_a_failure_of_dns() {
        // RFC 6761, section 6.4: nobody answers for `invalid`.
        let (transport, detail) = failure_of("http://does-not-exist.invalid/").await;
        assert_eq!(transport, Transport::Dns, "{detail}");
    }

    #[tokio::test]
    async fn without_roots_https_is_a_failure_of_tls_that_says_what_to_do() {
        let (transport, detail) = failure_of("https://127.0.0.1:1/").await;
        assert_eq!(transport, Transport::Tls, "{detail}");
        assert!(detail.contains("ca-certificates"), "{detail}");
    }

    /// Trusts somebody, so that TLS is tried; nobody has the key to this certificate.
    fn trusting_nobody_in_particular() -> RootCertStore {
        let (subject, subject_public_key_info) = (vec![0x30, 0].into(), vec![0x30, 0].into());
        RootCertStore {
            roots: vec![TrustAnchor { subject, subject_public_key_info, name_constraints: None }],
        }
    }

    #[tokio::test]
    async fn what_is_no_tls_is_a_failure_of_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let egress = HttpEgress::trusting(trusting_nobody_in_particular(), Arc::new(ManualClock::at(0)));
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream
        };
        let (exchange, _) =
            tokio::join!(egress.send(request(&url), &named(&url), Duration::from_secs(10)), answer);
        assert_eq!(exchange.outcome, Outcome::Failed(Transport::Tls), "{:?}", exchange.detail);
    }

    #[tokio::test]
    async fn a_handshake_without_end_meets_the_deadline_before_anything_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clock = ManualClock::at(0);
        let egress = HttpEgress::trusting(trusting_nobody_in_particular(), Arc::new(clock.clone()));
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let deadline = async {
            let accepted = listener.accept().await.unwrap();
            clock.advance(Duration::from_secs(10));
            accepted
        };
        let (exchange, _) =
            tokio::join!(egress.send(request(&url), &named(&url), Duration::from_secs(10)), deadline);
        assert_eq!(exchange.outcome, Outcome::Failed(Transport::TimeoutBeforeSend), "{:?}", exchange.detail);
    }

    #[tokio::test]
    async fn who_has_read_a_request_and_says_nothing_may_have_taken_it() {
        for content in ["", "down"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let clock = ManualClock::at(0);
            let egress = HttpEgress::trusting(RootCertStore::empty(), Arc::new(clock.clone()));
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let request = http::Request::get(&url).body(Bytes::from(content)).unwrap();
            let read = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_u8().await.unwrap();
                clock.advance(Duration::from_secs(10));
                stream
            };
            let (exchange, _) =
                tokio::join!(egress.send(request, &named(&url), Duration::from_secs(10)), read);
            assert_eq!(exchange.outcome, Outcome::Failed(Transport::TimeoutAfterSend), "{content:?}");
        }
    }

    #[test]
    fn a_description_is_one_line_of_bounded_length() {
        let error = io::Error::other(format!("a\r\nb{}", "ä".repeat(500)));
        let line = describe(&error);
        assert!(line.starts_with("a  b") && line.chars().count() == MAX_DETAIL, "{line}");
    }

    #[test]
    fn a_cause_inside_an_io_error_is_found() {
        let error = io::Error::other(io::Error::other(rustls::Error::DecryptError));
        assert!(causes(&error).any(|cause| cause.is::<rustls::Error>()));
    }
}
