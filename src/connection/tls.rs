//! TLS with clients, by rustls.

use std::sync::Arc;

use tokio_rustls::rustls::{ProtocolVersion, ServerConfig, ServerConnection};

/// Accepts handshakes with one certificate.
pub type Acceptor = Arc<ServerConfig>;

/// What was agreed on.
#[derive(Debug, Clone)]
pub(super) struct TlsFacts {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// Lower case.
    pub sni: Option<String>,
}

impl TlsFacts {
    pub(super) fn of(connection: &ServerConnection) -> TlsFacts {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        };
        let cipher = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown");
        let sni = connection.server_name().map(str::to_ascii_lowercase);
        TlsFacts { version, cipher, sni }
    }
}
