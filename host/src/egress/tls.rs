//! TLS: whom a target's connections trust, and who they say that they are.
//!
//! Decides which certificates are good for this, and says of one that is not what is wrong with it. It does not read
//! files, and does not know connections.
//!
//! Guarantees: no error and no `Debug` shows a key or a part of one.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

/// What a target's settings say of TLS, in the contents of the files that they name.
#[derive(Clone, Copy, Default)]
pub struct Pem<'a> {
    /// The certificates of the authorities that are trusted, in the place of those that the platform trusts. A
    /// receiver's own certificate that vouches for itself will do, if it is not made to vouch for others (`CA:TRUE`,
    /// which `openssl req -x509` sets unless told `-addext basicConstraints=critical,CA:FALSE`).
    pub ca: Option<&'a [u8]>,
    /// The certificate that is shown to a receiver which asks for one, and those that lead to its authority.
    pub certificate: Option<&'a [u8]>,
    /// The key of the certificate: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: Option<&'a [u8]>,
    /// Whether any certificate will do. Whoever is on the way can then read and change what is sent, secrets
    /// included.
    pub accepts_invalid_certs: bool,
}

/// Which of the settings is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The trusted authorities.
    Ca,
    /// The certificate to show.
    Certificate,
    /// The key of the certificate.
    Key,
}

/// What is wrong with a target's settings for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {hint}")]
pub struct TlsProblem {
    /// Which setting is wrong, or is missing.
    pub part: Part,
    /// What is wrong.
    pub problem: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

/// Whom a target's connections trust, and who they say that they are. By default they trust whom the platform does,
/// and say nothing.
///
/// Two of the same content are equal, and share connections.
#[derive(Clone, Default)]
pub struct Tls(Option<Arc<Settings>>);

struct Settings {
    /// Of all that it was made from.
    digest: [u8; 32],
    roots: Option<Arc<RootCertStore>>,
    identity: Option<Arc<CertifiedKey>>,
    accepts_invalid_certs: bool,
}

impl Tls {
    /// Reads what the settings name.
    ///
    /// # Errors
    ///
    /// Where there is no certificate or key in what should hold one, or it cannot be read; where the key is not that of
    /// the certificate, or one is given without the other; where both authorities are given and none is to be
    /// asked.
    pub fn new(pem: Pem<'_>) -> Result<Self, TlsProblem> {
        let roots = pem.ca.map(read_roots).transpose()?.map(Arc::new);
        let identity = match (pem.certificate, pem.key) {
            (Some(certificate), Some(key)) => Some(Arc::new(read_identity(certificate, key)?)),
            (None, None) => None,
            (Some(_), None) => {
                let hint = "give the key too; if it stands in the same file, name that file twice";
                return problem(Part::Key, "a certificate is given without its key", hint);
            }
            (None, Some(_)) => {
                return problem(Part::Certificate, "a key is given without its certificate", "give both");
            }
        };
        if roots.is_some() && pem.accepts_invalid_certs {
            let hint =
                "remove one of the two; a receiver with a certificate of its own making needs only the CA";
            return problem(
                Part::Ca,
                "a CA is given where any certificate will do, so that it has no effect",
                hint,
            );
        }
        if roots.is_none() && identity.is_none() && !pem.accepts_invalid_certs {
            return Ok(Self::default());
        }
        let digest = digest(pem);
        let accepts_invalid_certs = pem.accepts_invalid_certs;
        Ok(Self(Some(Arc::new(Settings { digest, roots, identity, accepts_invalid_certs }))))
    }

    /// Whether any certificate will do.
    pub(super) fn accepts_invalid_certs(&self) -> bool {
        self.0.as_ref().is_some_and(|settings| settings.accepts_invalid_certs)
    }

    /// What rustls makes of this, where the platform trusts these roots. `None` where nobody could be trusted.
    pub(super) fn client_config(&self, platform: &Arc<RootCertStore>) -> Option<ClientConfig> {
        let settings = self.0.as_deref();
        // Named here, as a process that embeds this library may have chosen another provider for itself.
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .ok()?;
        let roots = settings.and_then(|settings| settings.roots.as_ref()).unwrap_or(platform);
        let builder = if self.accepts_invalid_certs() {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else if roots.is_empty() {
            return None;
        } else {
            builder.with_root_certificates(Arc::clone(roots))
        };
        Some(match settings.and_then(|settings| settings.identity.as_ref()) {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(identity))))
            }
            None => builder.with_no_client_auth(),
        })
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        let digest = |tls: &Self| tls.0.as_ref().map(|settings| settings.digest);
        digest(self) == digest(other)
    }
}

impl Eq for Tls {}

/// Shows what is set, and nothing of the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(settings) = self.0.as_deref() else { return f.write_str("platform") };
        f.debug_struct("Tls")
            .field("authorities", &settings.roots.as_ref().map(|roots| roots.len()))
            .field("shows_a_certificate", &settings.identity.is_some())
            .field("accepts_invalid_certs", &settings.accepts_invalid_certs)
            .finish()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn problem<T>(part: Part, problem: &'static str, hint: &'static str) -> Result<T, TlsProblem> {
    Err(TlsProblem { part, problem, hint })
}

fn read_certificates(part: Part, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if certificates.is_empty() => problem(
            part,
            "there is no certificate in it",
            "it must be PEM, with the line -----BEGIN CERTIFICATE-----; openssl x509 -inform der converts DER",
        ),
        Ok(certificates) => Ok(certificates),
        Err(_) => problem(part, "it is damaged PEM", "copy the file again, with all of its lines"),
    }
}

fn read_roots(pem: &[u8]) -> Result<RootCertStore, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(Part::Ca, pem)? {
        if roots.add(certificate).is_err() {
            let hint = "write the authority's certificate anew, with openssl x509 -in FILE";
            return problem(Part::Ca, "a certificate in it cannot be read", hint);
        }
    }
    Ok(roots)
}

fn read_identity(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsProblem> {
    let chain = read_certificates(Part::Certificate, certificate)?;
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else {
        const ENCRYPTED: &[u8] = b"ENCRYPTED";
        if key.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
            let hint = "take the passphrase off with openssl pkey -in FILE, and guard the file";
            return problem(Part::Key, "the key is encrypted", hint);
        }
        let hint = "it must be PEM, with a line such as -----BEGIN PRIVATE KEY-----";
        return problem(Part::Key, "there is no private key in it", hint);
    };
    match CertifiedKey::from_der(chain, key, &provider()) {
        Ok(identity) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => problem(
            Part::Key,
            "the key does not belong to the certificate",
            "give the key that the certificate was made with; the receiver's own certificate must come first in its \
             file",
        ),
        Err(rustls::Error::InvalidCertificate(_)) => {
            let hint = "the first certificate must be the one to show: X.509, version 3";
            problem(Part::Certificate, "its first certificate cannot be read", hint)
        }
        Err(_) => {
            let hint = "use RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519";
            problem(Part::Key, "the key is of a kind that cannot be used, or damaged", hint)
        }
    }
}

/// Each piece with its length, so that no two settings have one digest.
fn digest(pem: Pem<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [pem.ca, pem.certificate, pem.key] {
        // A file cannot be that long.
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.update([u8::from(pem.accepts_invalid_certs)]);
    hash.finalize().into()
}

/// Takes every certificate, whoever made it and for whom, if only the receiver has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
