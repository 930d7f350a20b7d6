//! Clients come in: an address is opened, and each connection is handed to a session.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::connection::admission::{Entrance, admit};
use crate::connection::{Door, Snapshot};
use crate::observe::{Level, Reporter};
use crate::state::concurrency::{Concurrency, Limits};

use super::listen::{Bound, Opened};
use super::workers::Workers;

/// Out of file descriptors, or the like: new connections can wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two looks whether a port that is shut may be opened.
const SHUT_PAUSE: Duration = Duration::from_millis(200);

/// What listeners hand to a new session: swapped as a whole by a reload.
pub(super) struct Generation {
    pub(super) snapshot: Arc<Snapshot>,
    /// By the address that was bound.
    pub(super) doors: Vec<(SocketAddr, Arc<Door>)>,
    pub(super) limits: Limits,
}

impl Generation {
    fn door(&self, address: SocketAddr) -> Option<&Arc<Door>> {
        self.doors.iter().find(|(of, _)| *of == address).map(|(_, door)| door)
    }
}

/// Takes clients from a listener, each into the generation that is in force when it comes.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) current: Arc<ArcSwap<Generation>>,
    pub(super) concurrency: Arc<Concurrency>,
    pub(super) reporter: Arc<dyn Reporter>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) seeds: Arc<AtomicU64>,
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
            let Some(door) = generation.door(address) else { continue };
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
pub(super) struct Port {
    pub(super) bound: Bound,
    pub(super) acceptor: Acceptor,
    pub(super) workers: Arc<Workers>,
    pub(super) listeners: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Port {
    pub(super) fn open(self) -> Result<(), String> {
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

    /// Opens it once the backend that it leads to is safe to use: the one of today's files, which
    /// may be another than that which kept it shut.
    pub(super) async fn open_later(self) {
        let safe = || {
            let generation = self.acceptor.current.load();
            generation.door(self.bound.address).is_some_and(|door| door.backend.serving().is_some())
        };
        while !safe() {
            tokio::time::sleep(SHUT_PAUSE).await;
        }
        let reporter = self.acceptor.reporter.clone();
        if let Err(error) = self.open() {
            reporter.event(Level::Error, &error);
        }
    }
}

pub(super) fn lock(listeners: &Mutex<Vec<AbortHandle>>) -> MutexGuard<'_, Vec<AbortHandle>> {
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sessions count from far apart: a scramble (of MurmurHash3) of their number.
fn seed(n: u64) -> u64 {
    let mut z = n;
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z ^ (z >> 33)
}
