//! A mail client: comes with a PROXY header, sends one mail, and stops at the first refusal.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::files::Senders;
use super::scenes::{Port, Scene};
use super::{HOST, USER};
use crate::smtp::proxy_header;

const PATIENCE: Duration = Duration::from_secs(10);
/// Octets of one reply.
const REPLY_MAX: u64 = 1 << 16;

pub(super) struct Sender {
    to: Senders,
    tls: TlsConnector,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

struct Connection(BufReader<Box<dyn Stream>>);

impl Sender {
    /// Believes this certificate alone.
    pub(super) fn new(to: Senders, certificate: Vec<u8>) -> Result<Sender, String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate)).map_err(|error| error.to_string())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Sender { to, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends the mail of the scene as if from its address and this port. The last reply, in lines.
    pub(super) async fn send(&self, scene: &Scene, port: u16) -> io::Result<String> {
        timeout(PATIENCE, self.converse(scene, port)).await?
    }

    async fn converse(&self, scene: &Scene, port: u16) -> io::Result<String> {
        let to = match scene.port {
            Port::Smtp => self.to.smtp,
            Port::Submission => self.to.submission,
            Port::Submissions => self.to.submissions,
        };
        let mut stream = TcpStream::connect(to).await?;
        let mut header = Vec::new();
        let to: IpAddr = match scene.client {
            IpAddr::V4(_) => [192, 0, 2, 1].into(),
            IpAddr::V6(_) => [0x2001, 0xdb8, 0x25, 0, 0, 0, 0, 1].into(),
        };
        proxy_header::write_v2(
            SocketAddr::new(scene.client, port),
            SocketAddr::new(to, 25),
            &mut header,
        );
        stream.write_all(&header).await?;
        let mut connection = match scene.port {
            Port::Submissions => Connection::new(self.secure(stream).await?),
            _ => Connection::new(stream),
        };
        let mut reply = connection.reply().await?;
        if is_positive(&reply) {
            reply = connection.ask(&format!("EHLO {}", scene.helo)).await?;
        }
        if scene.port == Port::Submission && is_positive(&reply) {
            reply = connection.ask("STARTTLS").await?;
            if is_positive(&reply) {
                connection = Connection::new(self.secure(connection.0.into_inner()).await?);
                reply = connection.ask(&format!("EHLO {}", scene.helo)).await?;
            }
        }
        if is_positive(&reply) {
            reply = connection.mail(scene).await?;
        }
        connection.leave().await;
        Ok(reply)
    }

    async fn secure<S: Stream>(&self, stream: S) -> io::Result<impl Stream + use<S>> {
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        self.tls.connect(name, stream).await
    }
}

impl Connection {
    fn new(stream: impl Stream + 'static) -> Connection {
        Connection(BufReader::new(Box::new(stream)))
    }

    async fn mail(&mut self, scene: &Scene) -> io::Result<String> {
        if let Some(password) = scene.password {
            let plain = STANDARD.encode(format!("\0{USER}\0{password}"));
            let reply = self.ask(&format!("AUTH PLAIN {plain}")).await?;
            if !is_positive(&reply) {
                return Ok(reply);
            }
        }
        let commands = [
            format!("MAIL FROM:<{}>", scene.from),
            format!("RCPT TO:<{}>", scene.to),
            "DATA".into(),
        ];
        for command in &commands {
            let reply = self.ask(command).await?;
            if !is_positive(&reply) {
                return Ok(reply);
            }
        }
        self.write(&scene.on_the_wire()).await?;
        self.reply().await
    }

    /// Hears everything that there is to hear, so that the server is done with the session.
    async fn leave(mut self) {
        if self.write(b"QUIT\r\n").await.is_ok() {
            let _ = self.0.take(REPLY_MAX).read_to_end(&mut Vec::new()).await;
        }
    }

    async fn ask(&mut self, command: &str) -> io::Result<String> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.write_all(octets).await?;
        self.0.flush().await
    }

    async fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        let mut input = (&mut self.0).take(REPLY_MAX);
        loop {
            let start = reply.len();
            if input.read_line(&mut reply).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return Ok(reply);
            }
        }
    }
}

fn is_positive(reply: &str) -> bool {
    reply.starts_with(['2', '3'])
}
