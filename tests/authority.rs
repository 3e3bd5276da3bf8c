//! Certificates made for a test, and a receiver that shows them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Who certificates are made by.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a name or an address.
    pub fn certify(&self, name: &str) -> Identity {
        self.certify_as(name, |_| {})
    }

    /// A certificate that was good for a day of the last century.
    pub fn certify_long_ago(&self, name: &str) -> Identity {
        self.certify_as(name, |params| {
            (params.not_before, params.not_after) =
                (date_time_ymd(1999, 12, 30), date_time_ymd(1999, 12, 31));
        })
    }

    fn certify_as(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (key, mut params) =
            (KeyPair::generate().unwrap(), CertificateParams::new([name.to_owned()]).unwrap());
        change(&mut params);
        Identity { certificate: params.signed_by(&key, &self.0).unwrap(), key }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

impl Identity {
    /// A certificate that vouches for itself, as people make them for their own machines.
    pub fn self_signed(name: &str, is_ca: IsCa) -> Self {
        let (key, mut params) =
            (KeyPair::generate().unwrap(), CertificateParams::new([name.to_owned()]).unwrap());
        params.is_ca = is_ca;
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// A receiver that replies 200 to every request, over TLS, and keeps connections.
pub struct TlsReceiver {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl TlsReceiver {
    /// Shows a certificate, and wants one of an authority if one is given.
    pub fn start(identity: &Identity, wants: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match wants {
            Some(authority) => {
                let roots = Arc::new(authority.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let config = builder.with_single_cert(vec![identity.certificate.der().clone()], key).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let listener = TcpListener::from_std(listener).unwrap();
        let task = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&requests)));
        Self { address, requests, task }
    }

    pub fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, requests: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
        connections.spawn(async move {
            let mut stream = BufReader::new(acceptor.accept(stream).await?);
            let mut line = String::new();
            while stream.read_line(&mut line).await? > 0 {
                // A GET has no body; an empty line ends it.
                if line == "\r\n" {
                    requests.fetch_add(1, Ordering::SeqCst);
                    stream.write_all(b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n").await?;
                    stream.flush().await?;
                }
                line.clear();
            }
            std::io::Result::Ok(())
        });
    }
}
