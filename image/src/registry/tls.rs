//! TLS: whom we trust, and how we show who we are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

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
    let builder = if host.skip_verify {
        let anyone = Arc::new(Anyone(provider));
        builder.dangerous().with_custom_certificate_verifier(anyone)
    } else {
        builder.with_root_certificates(roots(&host.authorities)?)
    };
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

fn roots(files: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
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

/// Believes every certificate, as `skip_verify` wants it. That the other end has the key to it is still checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
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
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
