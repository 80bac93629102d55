//! Which certificate authorities are trusted: the compiled-in web roots, so that a bare system
//! works, plus the system's bundle or `SSL_CERT_FILE`, plus `ca-file`.

use std::path::{Path, PathBuf};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{TransportError, TransportOptions};

/// Code of an error made on this side: the server's certificate was not accepted. Trying again
/// does not help.
pub const CERTIFICATE_REFUSED: &str = "CERTIFICATE_REFUSED";

/// [`CERTIFICATE_REFUSED`] if that is what lies below an error, else the empty code.
pub(crate) fn local_code(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut next = Some(error);
    while let Some(error) = next {
        if is_certificate(error) {
            return CERTIFICATE_REFUSED;
        }
        next = error.source();
    }
    ""
}

/// An I/O error shows what it carries by `get_ref` only, and its source is that one's source.
fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    let carried = error.downcast_ref::<std::io::Error>();
    carried.is_some_and(|io| io.get_ref().is_some_and(|inner| is_certificate(inner)))
}

/// Bundles of the usual distributions; the first that exists is read.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Largest bundle read, in bytes.
const BUNDLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// PEM texts to trust besides the web roots. A missing or broken system bundle is skipped, a
/// named `ca-file` must be good.
pub(crate) fn extra_pem(options: &TransportOptions) -> Result<Vec<Vec<u8>>, TransportError> {
    let mut found = Vec::new();
    let system = std::env::var_os("SSL_CERT_FILE")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .into_iter()
        .chain(SYSTEM_BUNDLES.iter().map(PathBuf::from))
        .find(|path| path.is_file());
    if let Some(path) = system {
        match read(&path) {
            Ok(pem) if certificates(&pem) > 0 => found.push(pem),
            Ok(_) => tracing::debug!(path = %path.display(), "no certificate in the system bundle"),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "system bundle unreadable");
            }
        }
    }
    if let Some(path) = &options.ca_file {
        let pem = read(path).map_err(|source| TransportError::CaFile {
            path: path.clone(),
            source,
        })?;
        if certificates(&pem) == 0 {
            return Err(TransportError::CaEmpty { path: path.clone() });
        }
        found.push(pem);
    }
    Ok(found)
}

/// The TLS settings for REST, with ring as the provider whatever the process default is.
pub(crate) fn client_config(options: &TransportOptions) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for pem in extra_pem(options)? {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| TransportError::Setup {
            origin: "any server".to_owned(),
            source: e.into(),
        })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn certificates(pem: &[u8]) -> usize {
    CertificateDer::pem_slice_iter(pem).flatten().count()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(path)?
        .take(BUNDLE_BYTES_MAX)
        .read_to_end(&mut pem)?;
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_ca_file_must_be_good() {
        let missing = TransportOptions {
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..TransportOptions::default()
        };
        assert!(matches!(
            extra_pem(&missing),
            Err(TransportError::CaFile { .. })
        ));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "nothing here").unwrap();
        let empty = TransportOptions {
            ca_file: Some(path),
            ..TransportOptions::default()
        };
        assert!(matches!(
            extra_pem(&empty),
            Err(TransportError::CaEmpty { .. })
        ));
    }

    #[test]
    fn web_roots_are_always_there() {
        assert!(client_config(&TransportOptions::default()).is_ok());
    }
}
