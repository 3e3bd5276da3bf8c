//! The bare client: hyper-util's, with its pool, and nothing around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::receiver::Receiver;

/// The bare client.
#[derive(Clone)]
pub struct Bare {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: http::Uri,
}

impl Bare {
    pub fn toward(receiver: &Receiver) -> Self {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &receiver.certificate {
            roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
        }
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(256).build(connector);
        Self { client, url: receiver.url().parse().unwrap() }
    }

    /// Sends one request, and takes the reply.
    pub async fn send(&self, body: String) {
        let request = http::Request::post(self.url.clone())
            .header("user-agent", "bare")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let reply = self.client.request(request).await.unwrap();
        assert!(reply.status().is_success());
        reply.into_body().collect().await.unwrap();
    }

    /// Sends so many, this many at the same time.
    pub async fn send_all(
        &self,
        count: u64,
        in_flight: usize,
        body: impl Fn(u64) -> String + Clone + Send + 'static,
    ) {
        let next = Arc::new(AtomicU64::new(0));
        let tasks = (0..in_flight).map(|_| {
            let (bare, next, body) = (self.clone(), Arc::clone(&next), body.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    bare.send(body(number)).await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}
