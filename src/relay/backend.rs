//! A backend: its addresses, what it was last seen to offer, and how a connection to it begins.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::dial::{Dial, Stream};
use super::failure::{Failure, Step};
use super::identity::Identity;
use crate::smtp::ehlo::{Capabilities, XclientAttributes};
use crate::smtp::reply::{Class, Reply};

/// How the backend learns who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdentityMethod {
    /// By XCLIENT; without it nothing is relayed.
    #[default]
    Xclient,
    /// Not at all: the backend sees us, and must not trust us.
    None,
}

/// Limits of waiting, each to one absolute moment however the backend drips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// For each address.
    pub connect: Duration,
    /// Connect, greeting, identity and EHLO together.
    pub open: Duration,
    /// MAIL, RCPT and RSET (RFC 5321 4.5.3.2.2 and .3).
    pub command: Duration,
    /// DATA to 354 (RFC 5321 4.5.3.2.4).
    pub data_command: Duration,
    /// One write of message text (RFC 5321 4.5.3.2.5).
    pub data_block: Duration,
    /// The whole message text.
    pub body: Duration,
    /// The final dot to its answer. RFC 5321 4.5.3.2.6 has 10 minutes for a client, and ours waits
    /// meanwhile.
    pub data_reply: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            open: Duration::from_secs(60),
            command: Duration::from_secs(300),
            data_command: Duration::from_secs(120),
            data_block: Duration::from_secs(180),
            body: Duration::from_secs(300),
            data_reply: Duration::from_secs(300),
        }
    }
}

#[derive(Debug, Clone)]
pub struct BackendConfig {
    /// For logs.
    pub name: String,
    /// Tried in this order.
    pub address: Vec<SocketAddr>,
    pub identity: IdentityMethod,
    /// Our own name, said where the client's is not.
    pub helo: String,
    pub timeouts: Timeouts,
    /// At one time: below what the backend itself allows, so that it never refuses us.
    pub max_connections: usize,
}

pub struct Backend {
    config: BackendConfig,
    timeouts: Arc<Timeouts>,
    dial: Arc<dyn Dial>,
    learned: ArcSwapOption<Capabilities>,
    /// It was proved that it relays for nobody, and nothing since says otherwise.
    proved: AtomicBool,
    room: Arc<Semaphore>,
}

impl Backend {
    pub fn new(config: BackendConfig, dial: Arc<dyn Dial>) -> Backend {
        let timeouts = Arc::new(config.timeouts.clone());
        let (learned, proved) = (ArcSwapOption::empty(), AtomicBool::new(false));
        let room = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
        Backend { config, timeouts, dial, learned, proved, room }
    }

    pub fn config(&self) -> &BackendConfig {
        &self.config
    }

    /// What the backend offered when it last answered a client's EHLO, with the XCLIENT attributes
    /// that it announced to us; `None` until it did.
    pub fn learned(&self) -> Option<Arc<Capabilities>> {
        self.learned.load_full()
    }

    /// Whether clients may be served with it: said by whoever has made the proof.
    pub fn set_proved(&self, proved: bool) {
        self.proved.store(proved, Ordering::Relaxed);
    }

    /// What it offers, once it is proved that it may be used at all.
    pub fn serving(&self) -> Option<Arc<Capabilities>> {
        self.proved.load(Ordering::Relaxed).then(|| self.learned()).flatten()
    }

    /// Connects, tells who the client is and introduces it. What comes back speaks for this client
    /// alone.
    pub async fn open(&self, identity: &Identity<'_>) -> Result<Connection, Failure> {
        let deadline = Instant::now() + self.timeouts.open;
        let known = self.learned.load().as_ref().map_or(XclientAttributes::NONE, |l| l.xclient);
        // Postfix takes XCLIENT before EHLO. Knowing the attributes saves a round trip; if that
        // knowledge is old, or this backend wants EHLO first, a fresh connection finds out.
        if self.config.identity == IdentityMethod::Xclient && !known.is_empty() {
            match self.attempt(identity, Some(known), deadline).await {
                Err(Failure::NoXclient) => {}
                Err(Failure::Identity(reply)) if (500..=504).contains(&reply.code()) => {}
                outcome => return outcome,
            }
        }
        self.attempt(identity, None, deadline).await
    }

    async fn attempt(
        &self,
        identity: &Identity<'_>,
        known: Option<XclientAttributes>,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        // One that waits here would hold its client for as long as others please.
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            return Err(Failure::Full);
        };
        let stream = self.connect(deadline).await?;
        let mut connection = Connection::new(stream, Arc::clone(&self.timeouts), place);
        match connection.greeting(deadline).await {
            Ok(reply) if reply.code() == 220 => {}
            Ok(reply) => return Err(refused(Step::Greeting, reply, Failure::Greeting)),
            Err(Failure::Shutdown(reply)) => return Err(Failure::Greeting(reply)),
            Err(failure) => return Err(failure),
        }
        if self.config.identity == IdentityMethod::None {
            self.introduce(&mut connection, &self.config.helo, true, None, deadline).await?;
            return Ok(connection);
        }
        let announced = match known {
            Some(known) => known,
            None => {
                let reply = ehlo(&mut connection, &self.config.helo, true, deadline).await?;
                Capabilities::parse(&reply).xclient
            }
        };
        self.identify(&mut connection, identity, announced, deadline).await?;
        let Identity { helo, esmtp, .. } = identity;
        self.introduce(&mut connection, helo, *esmtp, Some(announced), deadline).await?;
        Ok(connection)
    }

    async fn connect(&self, deadline: Instant) -> Result<Box<dyn Stream>, Failure> {
        let mut last = "it has no address".to_owned();
        for address in &self.config.address {
            let within = deadline.min(Instant::now() + self.timeouts.connect);
            match timeout_at(within, self.dial.dial(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address}: no connection in time"),
            }
        }
        Err(Failure::Unreachable(last))
    }

    /// Tells the identity. Anything but 220 leaves another one in force, ours, which may relay: so
    /// it ends the connection.
    async fn identify(
        &self,
        connection: &mut Connection,
        identity: &Identity<'_>,
        announced: XclientAttributes,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let commands = identity.xclient(announced).map_err(|_| Failure::NoXclient)?;
        for command in commands {
            match connection.exchange(Step::Xclient, command.as_bytes(), deadline).await {
                Ok(reply) if reply.code() == 220 => {}
                Ok(reply) | Err(Failure::Shutdown(reply)) => return Err(Failure::Identity(reply)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// EHLO, or HELO for a client that said so, and what the backend offers to it.
    async fn introduce(
        &self,
        connection: &mut Connection,
        helo: &str,
        esmtp: bool,
        announced: Option<XclientAttributes>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let reply = ehlo(connection, helo, esmtp, deadline).await?;
        let mut capabilities = Arc::default();
        if esmtp {
            let mut offered = Capabilities::parse(&reply);
            // After XCLIENT it is the client that is asked whether it may use XCLIENT.
            if let Some(announced) = announced {
                offered.xclient = announced;
            }
            capabilities = self.learn(offered);
        }
        connection.introduced(reply.text().split_whitespace().next().unwrap_or(""), capabilities);
        Ok(())
    }

    fn learn(&self, offered: Capabilities) -> Arc<Capabilities> {
        if let Some(known) = self.learned.load_full().filter(|known| **known == offered) {
            return known;
        }
        let offered = Arc::new(offered);
        self.learned.store(Some(Arc::clone(&offered)));
        offered
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("config", &self.config).finish_non_exhaustive()
    }
}

async fn ehlo(
    connection: &mut Connection,
    helo: &str,
    esmtp: bool,
    deadline: Instant,
) -> Result<Reply, Failure> {
    let verb = if esmtp { "EHLO" } else { "HELO" };
    let line = format!("{verb} {}", sayable(helo));
    let reply = connection.exchange(Step::Ehlo, line.as_bytes(), deadline).await?;
    if reply.code() == 250 {
        return Ok(reply);
    }
    Err(refused(Step::Ehlo, reply, Failure::Helo))
}

/// A refusal is the backend's word; another kind of reply makes no sense here.
fn refused(step: Step, reply: Reply, refusal: fn(Reply) -> Failure) -> Failure {
    match reply.class() {
        Class::Transient | Class::Permanent => refusal(reply),
        _ => Failure::Garbage { step, what: "an unexpected reply code" },
    }
}

/// The client's name as one word of at most 255 octets: XCLIENT can encode the rest, EHLO can't.
fn sayable(helo: &str) -> String {
    let word: String =
        helo.chars().take(255).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    if word.is_empty() { "?".to_owned() } else { word }
}
