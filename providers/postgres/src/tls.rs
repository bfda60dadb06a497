//! A connection whose other end is proven.

use crate::trouble::invalid;
use hive_contract::{Failure, FailureKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Checks certificate and name against the roots in a file, else those of the system.
///
/// # Errors
/// The file cannot be read or holds no certificate, or the system has no roots.
pub(crate) fn verified(roots: Option<&Path>) -> Result<MakeRustlsConnect, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            Failure::new(FailureKind::Malformed, format!("TLS cannot be set up: {error}"))
        })?
        .with_root_certificates(store(roots)?)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn store(roots: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    let certificates = match roots {
        Some(file) => in_file(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        let whose = roots.map_or("this system".to_owned(), |it| format!("`{}`", it.display()));
        return Err(invalid(format!(
            "{whose} has no certificate that TLS could be checked against"
        ))
        .diagnosis("give the server's own root as `sslrootcert` in the url"));
    }
    Ok(store)
}

fn in_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |error: rustls::pki_types::pem::Error| {
        invalid(format!("`{}` is no file of certificates: {error}", file.display()))
    };
    CertificateDer::pem_file_iter(file).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)
}

/// Where systems keep the bundle that libpq of before PostgreSQL 16 has to be shown by name.
pub(crate) const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
