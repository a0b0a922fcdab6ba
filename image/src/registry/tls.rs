//! TLS: whom we trust, and how we show who we are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::error::RegistryError;
use super::hosts::{Certificate, Host};

/// A file with certificates or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// It cannot be read, or holds something else.
    #[error("cannot read {what} in `{}`", path.display())]
    File {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Certificate and key do not go together.
    #[error("the certificate in `{}` cannot be used with the key in `{}`", certificate.display(), key.display())]
    Pair {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What TLS says of them.
        source: rustls::Error,
    },
}

/// TLS that trusts what the system trusts, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name, and the authorities of a
/// host. Without any certificate every HTTPS host is refused, but HTTP works.
pub(super) fn config(host: &Host) -> Result<ClientConfig, RegistryError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| RegistryError::Setup(Box::new(error)))?;
    let trust = if host.skip_verify {
        Trust::Anyone
    } else {
        Trust::Authorities {
            own: authorities(&host.authorities)?,
            all: OnceLock::new(),
        }
    };
    let verifier = Arc::new(Verifier { provider, trust });
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(client) = &host.client else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, key) = pair(client)?;
    let config = builder.with_client_auth_cert(chain, key);
    Ok(config.map_err(|source| TlsError::Pair {
        certificate: client.certificate.clone(),
        key: client.key.clone(),
        source,
    })?)
}

fn authorities(files: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in files {
        for certificate in certificates(path)? {
            let bad = |error| unusable("certificates", path, error);
            roots.add(certificate).map_err(bad)?;
        }
    }
    Ok(roots)
}

fn pair(
    files: &Certificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable("a private key", &files.key, error))?;
    Ok((chain, key))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(found) if found.is_empty() => {
            let none = io::Error::new(io::ErrorKind::InvalidData, "there are none");
            Err(unusable("certificates", path, none))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(unusable("certificates", path, error)),
    }
}

fn unusable(
    what: &'static str,
    path: &Path,
    error: impl std::error::Error + Send + Sync + 'static,
) -> TlsError {
    TlsError::File {
        what,
        path: path.to_owned(),
        source: io::Error::other(error),
    }
}

/// Checks who the other end is, and that it has the key to its certificate.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
}

/// Whose certificates are believed.
#[derive(Debug)]
enum Trust {
    /// Everybody's, as `skip_verify` wants it.
    Anyone,
    /// Those that an authority stands for.
    Authorities {
        /// Those of the host.
        own: RootCertStore,
        /// With those of the system, which are read when a server first shows a certificate: over plain HTTP never.
        all: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
    },
}

impl Verifier {
    /// Checks by all authorities; `None` where there are none.
    fn by_authorities(&self, own: &RootCertStore) -> Option<Arc<WebPkiServerVerifier>> {
        let mut roots = own.clone();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .ok()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.trust {
            Trust::Anyone => Ok(ServerCertVerified::assertion()),
            Trust::Authorities { own, all } => all
                .get_or_init(|| self.by_authorities(own))
                .as_ref()
                .ok_or(CertificateError::UnknownIssuer)?
                .verify_server_cert(certificate, chain, name, ocsp, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
