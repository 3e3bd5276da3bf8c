//! TCP to a receiver, or through a proxy.
//!
//! Decides how what carries a request's bytes comes about, and which failures are the proxy's. It does not know TLS
//! or requests.
//!
//! Guarantees: every connection that it makes is to an address that was checked; a proxy's own may be private, as the
//! configuration or the environment names it. No error shows a proxy's user or password.

use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::Scheme;
use http::{HeaderValue, StatusCode, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_service::Service;

use super::addresses::Reach;
use super::dial::{BoxError, Undialed};
use super::proxy::Proxy;
use super::resolve::{Guard, Resolve};

/// How much a proxy may say before a tunnel begins, in bytes.
const MAX_TUNNEL_HEAD: usize = 8 * 1024;

type Tcp = TokioIo<TcpStream>;

/// Makes connections to receivers, or to the proxy that they are reached through.
#[derive(Clone)]
pub(super) struct Wire {
    to_receiver: Hop,
    to_proxy: Hop,
    proxy: Option<Proxy>,
}

/// Makes TCP connections to addresses that a guard lets through.
#[derive(Clone)]
struct Hop {
    guard: Guard,
    connector: HttpConnector<Guard>,
}

/// A connection, and whether it leads to a proxy that is told with each request where it goes.
pub(super) struct Line {
    tcp: Tcp,
    forwards: bool,
}

impl Wire {
    pub(super) fn new(resolver: &Arc<dyn Resolve>, reach: Reach, proxy: Option<Proxy>) -> Self {
        let hop = |reach| Hop::new(Guard::new(Arc::clone(resolver), reach));
        Self { to_receiver: hop(reach), to_proxy: hop(Reach::Named), proxy }
    }

    async fn connect(self, uri: Uri) -> Result<Line, BoxError> {
        let Self { mut to_receiver, to_proxy, proxy } = self;
        let Some(proxy) = proxy else {
            return Ok(Line { tcp: to_receiver.connect(uri).await?, forwards: false });
        };
        let host = uri.host().unwrap_or_default();
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let written = to_receiver.guard.check(host).transpose()?;
        let tcp = match proxy {
            Proxy::Http { at, .. } if !is_https => {
                return Ok(Line { tcp: reach(to_proxy, at).await?, forwards: true });
            }
            Proxy::Http { at, authorization } => {
                tunnel(reach(to_proxy, at).await?, &format!("{host}:{port}"), authorization.as_ref()).await?
            }
            Proxy::Socks { at, login, looks_up: true } => {
                pass_on(reach(to_proxy, at.clone()).await?, at, login, host, port).await?
            }
            Proxy::Socks { at, login, looks_up: false } => {
                let addresses = match written {
                    Some(address) => vec![address],
                    None => to_receiver.guard.look_up(host).await?,
                };
                let mut outcome = Err(Undialed::NoAddress);
                for address in addresses {
                    let host = match address {
                        IpAddr::V4(address) => address.to_string(),
                        IpAddr::V6(address) => format!("[{address}]"),
                    };
                    let tcp = reach(to_proxy.clone(), at.clone()).await?;
                    outcome = pass_on(tcp, at.clone(), login.clone(), &host, port).await;
                    if outcome.is_ok() {
                        break;
                    }
                }
                outcome?
            }
        };
        Ok(Line { tcp, forwards: false })
    }
}

impl Hop {
    fn new(guard: Guard) -> Self {
        let mut connector = HttpConnector::new_with_resolver(guard.clone());
        connector.enforce_http(false);
        connector.set_nodelay(true);
        Self { guard, connector }
    }

    async fn connect(&mut self, uri: Uri) -> Result<Tcp, BoxError> {
        self.guard.check(uri.host().unwrap_or_default()).transpose()?;
        Ok(self.connector.call(uri).await?)
    }
}

/// Connects to a proxy.
async fn reach(mut to_proxy: Hop, at: Uri) -> Result<Tcp, Undialed> {
    to_proxy.connect(at).await.map_err(Undialed::ProxyUnreached)
}

/// Has an HTTP proxy make a tunnel (RFC 9110, section 9.3.6).
async fn tunnel(tcp: Tcp, to: &str, authorization: Option<&HeaderValue>) -> Result<Tcp, Undialed> {
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let mut stream = tcp.into_inner();
    let head = async {
        stream.write_all(&request).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_TUNNEL_HEAD {
            // One by one, as what comes after the head is no longer the proxy's; it is a few dozen in all.
            head.push(stream.read_u8().await?);
        }
        io::Result::Ok(head)
    };
    let head = head.await.map_err(|error| Undialed::ProxyUnreached(error.into()))?;
    if !head.ends_with(b"\r\n\r\n") {
        return Err(Undialed::ProxyRefused(format!(
            "what it answers is longer than {MAX_TUNNEL_HEAD} bytes"
        )));
    }
    let status = head.get(9..12).filter(|_| head.starts_with(b"HTTP/1."));
    match status.and_then(|status| StatusCode::from_bytes(status).ok()) {
        Some(status) if status.is_success() => Ok(TokioIo::new(stream)),
        Some(status) => Err(Undialed::ProxyRefused(status.to_string())),
        None => Err(Undialed::ProxyRefused("what it answers is no HTTP".to_owned())),
    }
}

/// Has a SOCKS proxy pass on what it is sent.
async fn pass_on(
    tcp: Tcp,
    at: Uri,
    login: Option<(String, String)>,
    host: &str,
    port: u16,
) -> Result<Tcp, Undialed> {
    let Ok(to) =
        Uri::builder().scheme("socks5").authority(format!("{host}:{port}")).path_and_query("/").build()
    else {
        return Err(Undialed::NoAddress);
    };
    let mut socks = SocksV5::new(at, Reached(Some(tcp)));
    if let Some((user, password)) = login {
        socks = socks.with_auth(user, password);
    }
    socks.call(to).await.map_err(|error| {
        let text = error.to_string();
        Undialed::ProxyRefused(text.strip_prefix("SOCKS error: ").unwrap_or(&text).to_owned())
    })
}

/// A proxy that is connected to already, so that what fails from then on is not the way to it.
struct Reached(Option<Tcp>);

impl Service<Uri> for Reached {
    type Response = Tcp;
    type Error = io::Error;
    type Future = Ready<io::Result<Tcp>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    }
}

impl Service<Uri> for Wire {
    type Response = Line;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.tcp.connected().proxy(self.forwards)
    }
}

impl Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, room)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces)
    }
}
