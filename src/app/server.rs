//! The running server: listeners, reload, drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::checks::dnsbl::Dnsbl;
use crate::config::{self, Config};
use crate::connection::{Door, Snapshot};
use crate::observe::{Level, Reporter};
use crate::relay::Backend;
use crate::state::concurrency::{Concurrency, Limits};

use super::accept::{Acceptor, Generation, Port, lock};
use super::build::{Built, Shared, build};
use super::listen::Bound;
use super::lists;
use super::program::{Program, report};
use super::prove::{Proof, prove, prove_until_safe};
use super::workers::Workers;

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
        let server = Server {
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
        Ok(server)
    }

    /// Where clients can connect, in the order of the listeners.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// Tests the DNS lists, proves the backends, and opens the ports of those that are not known to
    /// be unsafe. The others are opened when they are safe.
    pub async fn open(&mut self) -> Result<(), String> {
        let generation = self.current.load_full();
        lists::test(&self.dnsbl, generation.snapshot.dns.clone()).await;
        self.watch_lists(&generation.snapshot);
        let mut not_safe = Vec::new();
        for backend in backends_of(&generation) {
            if self.prove(&backend, &generation.snapshot.hostname).await == Proof::Unsafe {
                not_safe.push(backend);
            }
        }
        for n in 0..self.bound.len() {
            let Some((bound, (_, door))) = self.bound.get(n).zip(generation.doors.get(n)) else {
                continue;
            };
            let shut = not_safe.iter().any(|backend| Arc::ptr_eq(backend, &door.backend));
            let port = self.port(bound.clone());
            if !shut {
                port.open()?;
                continue;
            }
            let text = format!("{} stays shut until its backend is safe to use", bound.address);
            self.reporter.event(Level::Error, &text);
            self.errands_forever.push(tokio::spawn(port.open_later()).abort_handle());
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
                report(&errors, &*self.reporter);
                let generation = self.current.load().snapshot.generation;
                let text = format!("reload refused; generation {generation} stays in force");
                self.reporter.event(Level::Error, &text);
                return false;
            }
        };
        report(&program.warnings, &*self.reporter);
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
            self.prove(backend, &program.config.hostname).await;
        }
        lists::test(&built.dnsbl, built.snapshot.dns.clone()).await;
        self.current.store(Arc::new(generation));
        self.dnsbl = built.dnsbl;
        self.watch_lists(&built.snapshot);
        let rules = &built.snapshot.rules;
        let text = format!(
            "reloaded: generation {} with {} rules is in force",
            built.snapshot.generation,
            rules.rules().len()
        );
        self.config = program.config;
        self.reporter.event(Level::Info, &text);
    }

    /// Tries once, and goes on trying beside the sessions as long as it takes.
    async fn prove(&mut self, backend: &Arc<Backend>, hostname: &str) -> Proof {
        let outcome = prove(backend, hostname).await;
        outcome.report(&*self.reporter);
        let proof = outcome.proof;
        if proof != Proof::Safe {
            let (backend, hostname) = (backend.clone(), hostname.to_owned());
            let task = prove_until_safe(backend, hostname, self.reporter.clone(), outcome);
            self.errands.push(tokio::spawn(task).abort_handle());
        }
        proof
    }

    fn watch_lists(&mut self, snapshot: &Snapshot) {
        if self.dnsbl.health().next().is_some() {
            let (dnsbl, dns) = (self.dnsbl.clone(), snapshot.dns.clone());
            let task = lists::watch(dnsbl, dns, self.reporter.clone());
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
