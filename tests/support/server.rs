//! The whole server in memory: the product's own configuration, rules, admission, sessions and
//! relay, with a name server, a backend and clients that are no sockets. Run it under a paused
//! clock: an hour passes in no time, and in the same order each time.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis::app::Program;
use portcullis::app::build::{Built, Shared, build};
use portcullis::app::prove::prove;
use portcullis::config::load::Loaded;
use portcullis::config::parse::parse;
use portcullis::config::render::render;
use portcullis::connection::admission::{Entrance, admit};
use portcullis::dns::Budget;
use portcullis::dns::fake::FakeDns;
use portcullis::history::{Decision, Record};
use portcullis::observe::{Level, Reporter, line};
use portcullis::policy::diagnostic::Source;
use portcullis::relay::dial::BoxFuture;
use portcullis::relay::{Dial, Stream};
use portcullis::state::concurrency::{Concurrency, Limits};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::backend::{Script, Scripted};

pub const HOSTNAME: &str = "mx.example.com";
/// Octets under way between a client and the server, in each direction.
const CLIENT_PIPE: usize = 16 << 20;
const BACKEND_PIPE: usize = 64 << 10;

/// The DNS of every test: a client and a sender in good order. A test adds its own.
const ZONE: &str = "\
192.0.2.7          PTR    client.example.
client.example.    A      192.0.2.7
sender.example.    MX     10 mx.sender.example.
sender.example.    TXT    \"v=spf1 ip4:192.0.2.7 -all\"
mx.sender.example. A      192.0.2.7
";

/// What a server is made of.
pub struct World {
    /// Keys and tables besides those that [`Server::start`] writes itself.
    pub config: String,
    /// Lines of the `[[listener]]` table.
    pub listener: String,
    pub rules: String,
    pub zone: String,
    pub script: Script,
    /// The faults of the script strike when the proof is over.
    pub proved: bool,
    pub reachable: bool,
    pub tls: bool,
}

impl Default for World {
    fn default() -> World {
        World {
            config: String::new(),
            listener: "role = \"mx\"".into(),
            rules: String::new(),
            zone: String::new(),
            script: Script::default(),
            proved: true,
            reachable: true,
            tls: false,
        }
    }
}

pub struct Server {
    entrance: Entrance,
    local: SocketAddr,
    pub backend: Scripted,
    pub log: Arc<Log>,
    pub dns: FakeDns,
    dial: Arc<TestDial>,
    stop: watch::Sender<bool>,
    seeds: AtomicU64,
    /// Connections of the backend that were the proof's.
    proofs: usize,
    spool: PathBuf,
}

impl Server {
    pub async fn start(world: &World) -> Server {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("portcullis-test-{}-{serial}", std::process::id());
        let spool = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let program = program(world, &spool);
        let dns = FakeDns::parse(&format!("{ZONE}{}", world.zone)).unwrap();

        let faults = world.script.faults.clone();
        let backend = Scripted::new(Script { faults: Vec::new(), ..world.script.clone() });
        let dial = Arc::new(TestDial {
            backend: backend.clone(),
            reachable: AtomicBool::new(true),
            sent: Arc::default(),
        });
        let mut shared =
            Shared::new(dial.clone()).with_resolver(&program.config.dns, dns.resolver());
        let Built { snapshot, doors, dnsbl, backends } = build(&program, &mut shared).unwrap();
        let log = Arc::new(Log::default());
        if world.proved {
            prove(&backends[0], HOSTNAME).await.report(&*log);
        }
        dnsbl.probe_all(&Budget::new(dns.resolver(), 100, Duration::from_secs(1))).await;
        let proofs = backend.seen().len();
        backend.set(Script { faults, ..world.script.clone() });
        dial.reachable.store(world.reachable, Ordering::Relaxed);
        dial.sent.lock().unwrap().clear();
        log.lines.lock().unwrap().clear();

        let limits = &program.config.limits;
        let (stop, stopped) = watch::channel(false);
        let entrance = Entrance {
            door: doors[0].clone(),
            snapshot,
            reporter: log.clone(),
            concurrency: Concurrency::new(),
            limits: Limits {
                total: limits.sessions,
                per_client: limits.sessions_per_client,
                per_network: limits.sessions_per_network,
            },
            stop: stopped,
            seed: 0,
        };
        let local = program.config.listeners[0].address;
        let seeds = AtomicU64::new(1);
        Server { entrance, local, backend, log, dns, dial, stop, seeds, proofs, spool }
    }

    /// A client's end of a new connection.
    pub fn connect(&self, from: SocketAddr) -> DuplexStream {
        let (client, server) = tokio::io::duplex(CLIENT_PIPE);
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let entrance = Entrance { seed, ..self.entrance.clone() };
        tokio::spawn(admit(server, from, self.local, entrance));
        client
    }

    /// No more clients: the sessions end when their mail is done.
    pub fn stop(&self) {
        self.stop.send(true).unwrap();
    }

    /// From now on connections to the backend are refused, or not.
    pub fn set_reachable(&self, reachable: bool) {
        self.dial.reachable.store(reachable, Ordering::Relaxed);
    }

    /// The commands that the backend was given, connection by connection, without those of the
    /// proof.
    pub fn commands(&self) -> Vec<String> {
        self.backend.seen().into_iter().skip(self.proofs).flat_map(|seen| seen.commands).collect()
    }

    /// All that the backend has said since the proof.
    pub fn backend_said(&self) -> String {
        String::from_utf8_lossy(&self.dial.sent.lock().unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.spool);
    }
}

fn program(world: &World, spool: &Path) -> Program {
    let mut text = format!("hostname = \"{HOSTNAME}\"\n");
    if !world.config.contains("[backend.") {
        text.push_str("backend = \"127.0.0.1:10025\"\n");
    }
    text.push_str(&world.config);
    if !world.config.contains("[spool]") {
        text.push_str("\n[spool]\n");
        text.push_str(&format!("directory = {:?}\n", spool.display().to_string()));
    }
    if !world.config.contains("[reload]") {
        // They are run once, by the tests of the rules.
        text.push_str("\n[reload]\ntests = \"off\"\n");
    }
    if world.tls {
        let (certificate, key) = certificate();
        text.push_str(&format!("\n[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"));
    }
    text.push_str(&format!("\n[[listener]]\naddress = \"192.0.2.25:25\"\n{}\n", world.listener));
    let source = Arc::new(Source { path: "portcullis.toml".into(), text });
    let parsed = parse(&source);
    let Some(config) = parsed.config else { panic!("{}", render(&parsed.found, false)) };
    let rules = Arc::new(Source { path: "rules.toml".into(), text: world.rules.clone() });
    let loaded = Loaded { config, source, rule_sources: vec![rules], warnings: Vec::new() };
    match Program::compile(loaded) {
        Ok(program) => program,
        Err(found) => panic!("{}", render(&found, false)),
    }
}

/// Keeps all that is reported.
#[derive(Default)]
pub struct Log {
    /// As in Postfix's log.
    pub lines: Mutex<Vec<String>>,
    pub decisions: Mutex<Vec<Decision>>,
    /// Of mails that are over.
    pub records: Mutex<Vec<Record>>,
}

impl Log {
    fn line(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

impl Reporter for Log {
    fn connected(&self, client: &str) {
        self.line(format!("connect from {client}"));
    }

    fn decided(&self, record: &Record, decision: &Decision) {
        self.line(line::decision(record, decision));
        self.decisions.lock().unwrap().push(decision.clone());
    }

    fn finished(&self, record: &Record) {
        self.records.lock().unwrap().push(record.clone());
    }

    fn disconnected(&self, client: &str, counts: &str) {
        self.line(format!("disconnect from {client} {counts}"));
    }

    fn event(&self, level: Level, text: &str) {
        self.line(line::event(level, text));
    }
}

/// Dials the scripted backend and notes what it says.
struct TestDial {
    backend: Scripted,
    reachable: AtomicBool,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Dial for TestDial {
    fn dial<'a>(&'a self, _: SocketAddr) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if !self.reachable.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let inner = self.backend.connect(BACKEND_PIPE);
            Ok(Box::new(Tap { inner, sent: self.sent.clone() }) as Box<dyn Stream>)
        })
    }
}

struct Tap {
    inner: DuplexStream,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.sent.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        outcome
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The files of a certificate and its key, made once for the process.
fn certificate() -> &'static (PathBuf, PathBuf) {
    static FILES: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    FILES.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([HOSTNAME.to_owned()]).unwrap();
        let name = |what| format!("portcullis-test-{}.{what}.pem", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let files = (directory.join(name("cert")), directory.join(name("key")));
        std::fs::write(&files.0, made.cert.pem()).unwrap();
        std::fs::write(&files.1, made.signing_key.serialize_pem()).unwrap();
        files
    })
}

/// The client's side of a TLS handshake.
pub async fn client_tls(
    stream: DuplexStream,
) -> io::Result<tokio_rustls::client::TlsStream<DuplexStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate().0).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(HOSTNAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
