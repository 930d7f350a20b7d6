//! The running server: listeners, reload, drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::checks::dnsbl::{Dnsbl, Health};
use crate::config::{self, Config};
use crate::connection::admission::{Entrance, admit};
use crate::connection::{Door, Snapshot};
use crate::dns::{Budget, Resolver};
use crate::observe::{Level, Reporter};
use crate::policy::diagnostic::{Diagnostic, Severity};
use crate::relay::Backend;
use crate::state::concurrency::{Concurrency, Limits};

use super::build::{Built, Shared, build};
use super::listen::{Bound, Opened};
use super::program::Program;
use super::prove::{Proof, prove, prove_until_safe};
use super::workers::Workers;

/// The DNS lists are asked for their test entries this often (RFC 5782 5).
const LISTS_EVERY: Duration = Duration::from_secs(600);
/// A list that failed is looked at again sooner.
const SICK_LISTS_EVERY: Duration = Duration::from_secs(60);
/// Clients, or a new generation, wait this long for the first test of the lists.
const LISTS_FIRST: Duration = Duration::from_secs(5);
/// Out of file descriptors, or the like: new connections can wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What listeners hand to a new session: swapped as a whole by a reload.
struct Generation {
    snapshot: Arc<Snapshot>,
    /// By the address that was bound.
    doors: Vec<(SocketAddr, Arc<Door>)>,
    limits: Limits,
}

pub struct Server {
    path: Option<PathBuf>,
    config: Config,
    shared: Shared,
    bound: Vec<Bound>,
    current: Arc<ArcSwap<Generation>>,
    concurrency: Arc<Concurrency>,
    reporter: Arc<dyn Reporter>,
    stop: watch::Sender<bool>,
    seeds: Arc<AtomicU64>,
    dnsbl: Arc<Dnsbl>,
    /// What goes on beside the sessions and ends with the generation.
    errands: Vec<AbortHandle>,
    /// What ends with the server.
    errands_forever: Vec<AbortHandle>,
    /// Behind a lock since a port that is shut at first is opened by another task.
    listeners: Arc<Mutex<Vec<AbortHandle>>>,
    workers: Arc<Workers>,
}

impl Server {
    /// Builds the first generation. Sessions are served by `workers`. `bound` are the sockets of the
    /// configuration's listeners, in their order; none is open to clients yet. `path` is read again on reload.
    pub fn new(
        program: &Program,
        path: Option<PathBuf>,
        mut shared: Shared,
        bound: Vec<Bound>,
        workers: Workers,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Server, String> {
        let built = build(program, &mut shared)?;
        let addresses: Vec<SocketAddr> = bound.iter().map(|bound| bound.address).collect();
        let doors = addresses.into_iter().zip(built.doors.iter().cloned()).collect();
        let current =
            Generation { snapshot: built.snapshot.clone(), doors, limits: limits(&program.config) };
        let mut seed = [0; 8];
        let random = ring::rand::SystemRandom::new();
        ring::rand::SecureRandom::fill(&random, &mut seed).map_err(|_| "no random numbers")?;
        let mut server = Server {
            path,
            config: program.config.clone(),
            shared,
            bound,
            current: Arc::new(ArcSwap::from_pointee(current)),
            concurrency: Concurrency::new(),
            reporter,
            stop: watch::Sender::new(false),
            seeds: Arc::new(AtomicU64::new(u64::from_le_bytes(seed))),
            dnsbl: built.dnsbl.clone(),
            errands: Vec::new(),
            errands_forever: Vec::new(),
            listeners: Arc::default(),
            workers: Arc::new(workers),
        };
        server.watch_lists(&built.dnsbl, &built.snapshot);
        Ok(server)
    }

    /// Where clients can connect, in the order of the listeners.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// Tests the DNS lists, proves the backends and opens the ports of those that are not known to be unsafe. The
    /// others are opened when they are.
    pub async fn open(&mut self) -> Result<(), String> {
        let generation = self.current.load_full();
        test_lists(&self.dnsbl, &generation.snapshot).await;
        let backends = backends_of(&generation);
        let mut proofs = Vec::new();
        for backend in backends {
            let proof = prove(&backend, &generation.snapshot.hostname, &*self.reporter).await;
            self.keep_proving(&backend, proof);
            proofs.push((backend, proof));
        }
        for n in 0..self.bound.len() {
            let Some((bound, (_, door))) = self.bound.get(n).zip(generation.doors.get(n)) else {
                continue;
            };
            let shut = proofs.iter().any(|(backend, proof)| {
                Arc::ptr_eq(backend, &door.backend) && *proof == Proof::Unsafe
            });
            let port = self.port(bound.clone());
            if !shut {
                port.open()?;
                continue;
            }
            let text = format!("{} stays shut until its backend is safe to use", bound.address);
            self.reporter.event(Level::Error, &text);
            let backend = door.backend.clone();
            self.errands_forever.push(tokio::spawn(port.open_later(backend)).abort_handle());
        }
        Ok(())
    }

    fn port(&self, bound: Bound) -> Port {
        Port {
            bound,
            acceptor: self.acceptor(),
            workers: self.workers.clone(),
            listeners: self.listeners.clone(),
        }
    }

    fn acceptor(&self) -> Acceptor {
        Acceptor {
            current: self.current.clone(),
            concurrency: self.concurrency.clone(),
            reporter: self.reporter.clone(),
            stop: self.stop.subscribe(),
            seeds: self.seeds.clone(),
        }
    }

    /// Applies what the files say now, all of it or nothing.
    pub async fn reload(&mut self) -> bool {
        let Some(path) = self.path.clone() else { return false };
        let program = match Program::load(&path) {
            Ok(program) => program,
            Err(errors) => {
                for line in lines(&errors) {
                    self.reporter.event(Level::Error, &line);
                }
                let generation = self.current.load().snapshot.generation;
                let text = format!("reload refused; generation {generation} stays in force");
                self.reporter.event(Level::Error, &text);
                return false;
            }
        };
        for line in lines(&program.warnings) {
            self.reporter.event(Level::Warning, &line);
        }
        match build(&program, &mut self.shared) {
            Ok(built) => self.swap(program, built).await,
            Err(error) => {
                let text = format!("reload refused: {error}; the old generation stays in force");
                self.reporter.event(Level::Error, &text);
                return false;
            }
        }
        true
    }

    async fn swap(&mut self, program: Program, built: Built) {
        for key in config::needs_restart(&self.config, &program.config) {
            let text = format!("`{key}` has changed and needs a restart; the rest is applied");
            self.reporter.event(Level::Warning, &text);
        }
        let old = self.current.load_full();
        let generation = Generation {
            doors: doors(&old, &program.config, &built),
            limits: limits(&program.config),
            snapshot: built.snapshot.clone(),
        };
        for errand in self.errands.drain(..) {
            errand.abort();
        }
        // A backend that was not in use before is proved before it is used.
        for backend in &built.backends {
            let proof = prove(backend, &program.config.hostname, &*self.reporter).await;
            self.keep_proving(backend, proof);
        }
        test_lists(&built.dnsbl, &built.snapshot).await;
        self.current.store(Arc::new(generation));
        self.dnsbl = built.dnsbl.clone();
        self.watch_lists(&built.dnsbl, &built.snapshot);
        let rules = &built.snapshot.rules;
        let text = format!(
            "reloaded: generation {} with {} rules is in force",
            built.snapshot.generation,
            rules.rules().len()
        );
        self.config = program.config;
        self.reporter.event(Level::Info, &text);
    }

    fn keep_proving(&mut self, backend: &Arc<Backend>, proof: Proof) {
        if proof != Proof::Safe {
            let hostname = self.config.hostname.clone();
            let task = prove_until_safe(backend.clone(), hostname, self.reporter.clone(), proof);
            self.errands.push(tokio::spawn(task).abort_handle());
        }
    }

    fn watch_lists(&mut self, dnsbl: &Arc<Dnsbl>, snapshot: &Snapshot) {
        if dnsbl.health().next().is_some() {
            let task = watch_lists(dnsbl.clone(), snapshot.dns.clone(), self.reporter.clone());
            self.errands.push(tokio::spawn(task).abort_handle());
        }
    }

    /// Takes no more clients, lets the mails under way come to their end, and waits for that at
    /// most `limits.drain`.
    pub async fn drain(mut self) {
        let _ = self.stop.send(true);
        // Any hold on a socket keeps it listening, to clients that nobody would serve.
        self.bound.clear();
        let listeners = std::mem::take(&mut *lock(&self.listeners));
        for task in listeners.iter().chain(&self.errands).chain(&self.errands_forever) {
            task.abort();
        }
        let open = || self.concurrency.total();
        if open() > 0 {
            let text = format!("stopping; {} sessions are open", open());
            self.reporter.event(Level::Info, &text);
        }
        let empty = async {
            while open() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(self.config.limits.drain, empty).await.is_err() {
            let text = format!("stopped with {} sessions open", open());
            self.reporter.event(Level::Warning, &text);
        }
    }
}

#[derive(Clone)]
struct Acceptor {
    current: Arc<ArcSwap<Generation>>,
    concurrency: Arc<Concurrency>,
    reporter: Arc<dyn Reporter>,
    stop: watch::Receiver<bool>,
    seeds: Arc<AtomicU64>,
}

impl Acceptor {
    async fn accept(self, address: SocketAddr, opened: Opened) {
        let listener = match opened.listener() {
            Ok(listener) => listener,
            Err(error) => {
                return self.reporter.event(Level::Error, &format!("{address}: {error}"));
            }
        };
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.reporter.event(Level::Warning, &format!("{address}: accept: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let Ok(local) = stream.local_addr() else { continue };
            let generation = self.current.load_full();
            let Some((_, door)) = generation.doors.iter().find(|(of, _)| *of == address) else {
                continue;
            };
            let entrance = Entrance {
                door: door.clone(),
                snapshot: generation.snapshot.clone(),
                reporter: self.reporter.clone(),
                concurrency: self.concurrency.clone(),
                limits: generation.limits,
                stop: self.stop.clone(),
                seed: seed(self.seeds.fetch_add(1, Ordering::Relaxed)),
            };
            tokio::spawn(admit(stream, from, local, entrance));
        }
    }
}

/// An address and all that is needed to open it.
struct Port {
    bound: Bound,
    acceptor: Acceptor,
    workers: Arc<Workers>,
    listeners: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Port {
    fn open(self) -> Result<(), String> {
        let address = self.bound.address;
        let opened = self.bound.open().map_err(|error| format!("{address}: {error}"))?;
        for (n, opened) in opened.into_iter().enumerate() {
            let task = self.acceptor.clone().accept(address, opened);
            let worker = n.checked_rem(self.workers.len()).unwrap_or(0);
            lock(&self.listeners).extend(self.workers.spawn(worker, task));
        }
        self.acceptor.reporter.event(Level::Info, &format!("listening on {address}"));
        Ok(())
    }

    async fn open_later(self, backend: Arc<Backend>) {
        while backend.serving().is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let reporter = self.acceptor.reporter.clone();
        if let Err(error) = self.open() {
            reporter.event(Level::Error, &error);
        }
    }
}

fn lock(listeners: &Mutex<Vec<AbortHandle>>) -> MutexGuard<'_, Vec<AbortHandle>> {
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sessions count from far apart: a scramble (of MurmurHash3) of their number.
fn seed(n: u64) -> u64 {
    let mut z = n;
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z ^ (z >> 33)
}

fn backends_of(generation: &Generation) -> Vec<Arc<Backend>> {
    let mut backends: Vec<Arc<Backend>> = Vec::new();
    for (_, door) in &generation.doors {
        if !backends.iter().any(|known| Arc::ptr_eq(known, &door.backend)) {
            backends.push(door.backend.clone());
        }
    }
    backends
}

/// A socket that is bound keeps its door where the new configuration has none for it: what was
/// bound with a privilege that is gone can't change.
fn doors(old: &Generation, config: &Config, built: &Built) -> Vec<(SocketAddr, Arc<Door>)> {
    old.doors
        .iter()
        .enumerate()
        .map(|(n, (address, door))| {
            let same = |wanted: SocketAddr| {
                wanted == *address || (wanted.port() == 0 && wanted.ip() == address.ip())
            };
            let by_place = config.listeners.get(n).filter(|listener| same(listener.address));
            let new = match by_place {
                Some(_) => Some(n),
                None => config.listeners.iter().position(|listener| same(listener.address)),
            };
            let door = new.and_then(|n| built.doors.get(n)).unwrap_or(door);
            (*address, door.clone())
        })
        .collect()
}

fn limits(config: &Config) -> Limits {
    Limits {
        total: config.limits.sessions,
        per_client: config.limits.sessions_per_client,
        per_network: config.limits.sessions_per_network,
    }
}

/// A list that lists everything has to be known before it is asked about a client: it would refuse
/// all mail for good.
async fn test_lists(dnsbl: &Dnsbl, snapshot: &Snapshot) {
    let budget = Budget::new(snapshot.dns.clone(), 1000, LISTS_FIRST);
    // A list that could not be tested is used, and tested again.
    let _ = timeout(LISTS_FIRST, dnsbl.probe_all(&budget)).await;
}

/// Asks the lists for their test entries and says when one falls sick or recovers.
async fn watch_lists(dnsbl: Arc<Dnsbl>, dns: Arc<dyn Resolver>, reporter: Arc<dyn Reporter>) {
    let mut known: Vec<Health> = Vec::new();
    loop {
        let budget = Budget::new(dns.clone(), 1000, Duration::from_secs(30));
        dnsbl.probe_all(&budget).await;
        let mut sick = false;
        for (n, (zone, health)) in dnsbl.health().enumerate() {
            sick |= !health.is_usable();
            let before = known.get(n).copied();
            if before != Some(health) && (before.is_some() || !health.is_usable()) {
                let level = if health.is_usable() { Level::Info } else { Level::Warning };
                reporter.event(level, &format!("DNS list {zone}: {}", health.explain()));
            }
        }
        known = dnsbl.health().map(|(_, health)| health).collect();
        tokio::time::sleep(if sick { SICK_LISTS_EVERY } else { LISTS_EVERY }).await;
    }
}

/// Diagnostics for the log: one line each, with file, line and column.
pub fn lines(found: &[Diagnostic]) -> Vec<String> {
    found
        .iter()
        .map(|found| {
            let place = match &found.place {
                Some((source, span)) => {
                    let before = source.text.get(..span.start).unwrap_or(&source.text);
                    let line = before.matches('\n').count() + 1;
                    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
                    format!("{}:{line}:{column}: ", source.path.display())
                }
                None => String::new(),
            };
            let word = if found.severity == Severity::Error { "error" } else { "warning" };
            let help: String = found.help.iter().map(|help| format!("; {help}")).collect();
            format!("{place}{word}[{}]: {}{help}", found.code, found.message)
        })
        .collect()
}
