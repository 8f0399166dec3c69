//! TLS: the provider of cryptography, and the certificates of both ends.

use super::Error;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// Whether the certificate of a server is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It is, as it should be.
    Wanted,
    /// It is not: for tests, and with `--insecure`.
    Waived,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Configures TLS for a client.
pub(super) fn client(roots: RootCerts, proof: Proof) -> TlsConfig {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider())
        .root_certs(roots)
        .disable_verification(proof == Proof::Waived)
        .build()
}

/// Returns the certificates in a file, or those of the system when no file is named.
pub(super) fn roots(bundle: Option<&str>) -> Result<RootCerts, Error> {
    let Some(path) = bundle else {
        return Ok(RootCerts::PlatformVerifier);
    };
    let pem = std::fs::read(path).map_err(|error| {
        Error::of_settings(format!(
            "could not read the certificates in {path}: {error}"
        ))
    })?;
    let found: Result<Vec<_>, _> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect();
    let found: Vec<Certificate<'static>> = found
        .map_err(|error| Error::of_settings(format!("{path} holds no certificates: {error}")))?;
    Ok(RootCerts::new_with_certs(&found))
}

/// Why a server cannot use TLS.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// A file cannot be read, or holds no certificate or key.
    #[error("could not read {}", path.display())]
    Read {
        /// The file with the certificate, or with the key.
        path: PathBuf,
        /// The reason.
        source: rustls::pki_types::pem::Error,
    },
    /// The key does not belong to the certificate.
    #[error("could not use the certificate and its key")]
    Use(#[source] rustls::Error),
}

/// Configures TLS for a server from the files of its certificate and key, in PEM.
///
/// # Errors
///
/// [`ServerTlsError`].
pub(crate) fn server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| ServerTlsError::Read { path, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(read(certificate))?
        .collect();
    let chain = chain.map_err(read(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(ServerTlsError::Use)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(ServerTlsError::Use)?;
    Ok(Arc::new(config))
}
