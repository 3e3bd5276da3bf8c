//! Connections: what carries the bytes, and TLS where the URL says https.
//!
//! Decides what is put together to make a connection, and says at which step it failed. It does not know requests.
//!
//! Guarantees: where nobody could be trusted nothing goes over https; no connection stays half made for ever, not
//! even one that nobody waits for any more.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::addresses::Blocked;
use super::wire::{Line, Wire};
use crate::clock::Clock;

/// How long making a connection may take. A request waits no longer than its own timeout; this is for
/// connections that the pool goes on making after another one served the request.
const MAX_WAIT: Duration = Duration::from_secs(60);

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// A step that failed before TLS could begin. Errors of TLS itself are rustls's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undialed {
    #[error("the name has no address")]
    NoAddress,
    #[error("the name could not be looked up")]
    Lookup(#[source] io::Error),
    #[error("{0}")]
    Blocked(Blocked),
    #[error("the proxy cannot be reached")]
    ProxyUnreached(#[source] BoxError),
    #[error("the proxy refused: {0}")]
    ProxyRefused(String),
    #[error("no root certificates found on this machine: install ca-certificates, or set SSL_CERT_FILE")]
    NoRoots,
    #[error("no connection within {} s", MAX_WAIT.as_secs())]
    TooSlow,
}

/// Makes connections for the client's pool, which clones it for every request.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Parts>);

struct Parts {
    wire: Wire,
    /// Absent where nobody could be trusted.
    tls: Option<HttpsConnector<Wire>>,
    clock: Arc<dyn Clock>,
}

impl Dialer {
    pub(super) fn new(clock: Arc<dyn Clock>, wire: Wire, tls: Option<ClientConfig>) -> Self {
        let tls = tls.map(|config| {
            HttpsConnectorBuilder::new()
                .with_tls_config(config)
                .https_or_http()
                .enable_http1()
                .wrap_connector(wire.clone())
        });
        Self(Arc::new(Parts { wire, tls, clock }))
    }
}

/// The roots that the operating system trusts, or that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; none where
/// they cannot be read, as a host that talks plain http on its own network needs none.
pub(super) fn native_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

impl Service<Uri> for Dialer {
    type Response = MaybeHttpsStream<Line>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Parts { wire, tls, clock } = &*self.0;
        let (mut wire, mut tls, clock) = (wire.clone(), tls.clone(), Arc::clone(clock));
        Box::pin(async move {
            let connected = async {
                match &mut tls {
                    Some(tls) => tls.call(uri).await,
                    None if uri.scheme() == Some(&Scheme::HTTPS) => Err(Undialed::NoRoots.into()),
                    None => Ok(MaybeHttpsStream::Http(wire.call(uri).await?)),
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
