//! Certificates made for a test, and clients that believe them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Dir;

pub(crate) struct Certificate {
    /// Believes this certificate alone.
    pub(crate) client: Arc<ClientConfig>,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// For mx1.example.com and localhost, written to `dir`; a second time in place of the first.
    pub(crate) fn write(dir: &Dir) -> Certificate {
        let names = ["mx1.example.com", "localhost"].map(str::to_owned);
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Certificate {
            client: Arc::new(client),
            certificate: dir.write("tls/certificate.pem", &cert.pem()),
            key: dir.write("tls/key.pem", &signing_key.serialize_pem()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.certificate
    }

    /// The `[tls]` table that uses it.
    pub(crate) fn table(&self) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")
    }
}
