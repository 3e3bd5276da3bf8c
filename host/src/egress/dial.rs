//! Connections: a name to addresses, TCP, and TLS where the URL says https.
//!
//! Decides how a connection is made and says at which of these steps it failed. It does not know requests.
//!
//! Guarantees: certificates are checked against the roots that the operating system trusts, and without any
//! such root nothing goes over https; no connection stays half made for ever, not even one that nobody waits
//! for any more.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::clock::Clock;

/// How long making a connection may take. A request waits no longer than its own timeout; this is for
/// connections that the pool goes on making after another one served the request.
const MAX_WAIT: Duration = Duration::from_secs(60);

type BoxError = Box<dyn Error + Send + Sync>;

/// A step that failed before TLS could begin. Errors of TLS itself are rustls's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undialed {
    #[error("the name has no address")]
    NoAddress,
    #[error("the name could not be looked up")]
    Lookup(#[source] io::Error),
    #[error("no root certificates found on this machine: install ca-certificates, or set SSL_CERT_FILE")]
    NoRoots,
    #[error("no connection within {} s", MAX_WAIT.as_secs())]
    TooSlow,
}

/// Makes connections for the client's pool.
#[derive(Clone)]
pub(super) struct Dialer {
    tcp: HttpConnector<Resolver>,
    /// Absent where nothing could be trusted.
    tls: Option<HttpsConnector<HttpConnector<Resolver>>>,
    clock: Arc<dyn Clock>,
}

impl Dialer {
    /// A dialer that trusts these roots.
    pub(super) fn new(clock: Arc<dyn Clock>, roots: RootCertStore) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = client_config(roots).map(|config| {
            HttpsConnectorBuilder::new()
                .with_tls_config(config)
                .https_or_http()
                .enable_http1()
                .wrap_connector(tcp.clone())
        });
        Self { tcp, tls, clock }
    }
}

/// The roots that the operating system trusts, or that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; none where
/// they cannot be read, as a host that talks plain http on its own network needs none.
pub(super) fn native_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn client_config(roots: RootCertStore) -> Option<ClientConfig> {
    if roots.is_empty() {
        return None;
    }
    // Named here, as a process that embeds this library may have chosen another provider for itself.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(config.with_root_certificates(roots).with_no_client_auth())
}

impl Service<Uri> for Dialer {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { mut tcp, mut tls, clock } = self.clone();
        Box::pin(async move {
            let connected = async {
                match &mut tls {
                    Some(tls) => tls.call(uri).await,
                    None if uri.scheme() == Some(&Scheme::HTTPS) => Err(Undialed::NoRoots.into()),
                    None => Ok(MaybeHttpsStream::Http(tcp.call(uri).await?)),
                }
            };
            tokio::select! {
                biased;
                connected = connected => connected,
                () = clock.sleep(MAX_WAIT) => Err(Undialed::TooSlow.into()),
            }
        })
    }
}

/// Looks names up as the operating system does, and tells this step's failures from those of TCP.
#[derive(Clone)]
pub(super) struct Resolver;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Undialed;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Undialed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Undialed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            // The port is the connector's to fill in.
            let addresses: Vec<_> =
                tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Undialed::Lookup)?.collect();
            if addresses.is_empty() { Err(Undialed::NoAddress) } else { Ok(addresses.into_iter()) }
        })
    }
}
