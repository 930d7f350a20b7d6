//! Files to a configuration in which nothing can be wrong or unset.
//!
//! [`load`](load::load) reads the file and gathers the rule files beside it; what is wrong comes
//! back as [`Diagnostic`](crate::policy::diagnostic::Diagnostic)s, all of them in one run, which
//! [`render`] prints. [`options`] is the one table of keys: their defaults, ranges and reasons. The
//! sample file, `docs/options.md` and the suggestions for mistyped keys come from it.
//!
//! An `Option` here means that absence is an answer ("no TLS", "keep the user"), never "use the
//! default".

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod listeners;
pub mod load;
pub mod network;
pub mod options;
pub mod parse;
mod reader;
pub mod reference;
pub mod render;
mod units;
mod value;

pub use network::{Network, contains};

pub use crate::checks::dnsbl::Zone as DnsList;
pub use crate::session::Role;

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Our own name: banner, EHLO reply, `Received`. Lower case, an A-label name with a dot in it.
    pub hostname: String,
    /// Never empty; the addresses differ from one another.
    pub listeners: Vec<Listener>,
    /// Never empty; the names differ from one another.
    pub backends: Vec<Arc<Backend>>,
    pub mode: Mode,
    pub profile: Profile,
    /// Patterns of the administrator's rule files, as written; [`load`] has read the files.
    pub rules: Vec<String>,
    /// Clients that are never judged by the anonymous checks and never banned. No right to relay
    /// follows from it.
    pub trusted: Vec<Network>,
    /// Who says what Authentication-Results say (RFC 8601 2.5). Lower case.
    pub authserv_id: String,
    /// `None`: STARTTLS is not offered.
    pub tls: Option<Tls>,
    pub dns: Dns,
    /// DNS lists. Empty until the administrator names some.
    pub dnsbl: Vec<DnsList>,
    /// Domains whose ARC seals are believed. Lower case A-labels.
    pub arc_sealers: Vec<String>,
    /// Domains that forward mail for our users. Lower case A-labels.
    pub forwarders: Vec<String>,
    /// Look up the client's name for the backend even when no rule uses it.
    pub client_name: bool,
    pub limits: Limits,
    pub spool: Spool,
    pub smtp: Smtp,
    pub headers: Headers,
    pub reply: ReplyText,
    pub log: Log,
    pub run: Run,
    pub reload: Reload,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub role: Role,
    pub backend: Arc<Backend>,
    /// Peers that must begin with a PROXY header; everybody else may not. Empty: nobody sends one.
    pub proxy_protocol: Vec<Network>,
}

/// A mail server behind us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// `default` in the short form.
    pub name: String,
    /// Tried in this order. Never empty.
    pub addresses: Vec<SocketAddr>,
    pub identity: Identity,
    /// To open the TCP connection to one address.
    pub connect_timeout: Duration,
    /// For the banner, EHLO, MAIL, RCPT and DATA (RFC 5321 4.5.3.2.1 to .4).
    pub reply_timeout: Duration,
    /// For the reply after the final dot (RFC 5321 4.5.3.2.6).
    pub data_timeout: Duration,
    /// Connections at one time, all sessions together.
    pub max_connections: usize,
}

/// How the backend learns who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// By Postfix's XCLIENT. A backend that does not take it gets no mail.
    Xclient,
    /// Not at all: the administrator says that this backend relays for nobody.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Enforce,
    /// Rules only record what they would have refused. Protocol, limits, AUTH and relay safety hold.
    Monitor,
}

/// Which shipped rules are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    None,
    Minimal,
    Balanced,
    Strict,
}

/// TLS with clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM, the server's certificate first, then the chain.
    pub certificate: PathBuf,
    /// PEM, not encrypted.
    pub key: PathBuf,
    pub min_version: TlsVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Empty: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// One question with its retries.
    pub timeout: Duration,
    /// All checks of one message together.
    pub message_time: Duration,
    /// All checks of one stage before the message together.
    pub stage_time: Duration,
    /// Questions for one mail, the session's included.
    pub questions: u32,
}

/// What one client, and all of them together, may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at one time.
    pub sessions: u32,
    /// Sessions at one time of one client: an IPv4 address or an IPv6 /64.
    pub sessions_per_client: u32,
    /// Sessions at one time of one neighbourhood: an IPv4 /24 or an IPv6 /48.
    pub sessions_per_network: u32,
    /// Octets of a message (RFC 1870). We announce the lesser of this and the backend's.
    pub message_size: u64,
    /// Octets of a message's longest line with its CRLF, at least 1000 (RFC 5321 4.5.3.1.6).
    pub line: u64,
    /// Recipients of a message, at least 100 (RFC 5321 4.5.3.1.8).
    pub recipients: usize,
    /// Transactions of a session.
    pub messages_per_session: u32,
    /// Errors of a session, then 421.
    pub errors: u32,
    /// Failed AUTH commands of a session, then 421.
    pub auth_failures: u32,
    /// NOOP, RSET, VRFY and the like since the last message, then each counts as an error.
    pub idle_commands: u32,
    /// `Received` fields, then a mail loop is suspected; at least 100 (RFC 5321 6.3).
    pub hops: usize,
    /// From our reply to the end of the next command (RFC 5321 4.5.3.2.7).
    pub command_timeout: Duration,
    /// For the next octets of a message (RFC 5321 4.5.3.2.5).
    pub data_timeout: Duration,
    /// Octets a second that a message must come with, on the whole, after its first
    /// `data_timeout`.
    pub data_rate: u64,
    /// How long open sessions may go on after a stop was asked for.
    pub drain: Duration,
}

/// Where a message waits while it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// `None`: the system's directory for temporary files.
    pub directory: Option<PathBuf>,
    /// Octets of one message kept in memory; the rest goes to an unlinked file.
    pub memory_per_message: u64,
    /// Octets of all messages in memory.
    pub memory: u64,
    /// Octets of all messages in files.
    pub disk: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    pub vrfy: Query,
    pub expn: Query,
    pub etrn: Query,
    /// How long the banner is held back, to see who talks before it. Zero: not at all.
    pub greet_delay: Duration,
}

/// Who answers a command that strangers use to find out things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Query {
    /// We, without saying anything: 252 to VRFY, 502 to EXPN and ETRN.
    Hide,
    /// The backend.
    Pass,
}

/// Which header fields are added on top of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// Authentication-Results (RFC 8601), after removing those that bear our own name.
    pub authentication_results: bool,
    /// Received (RFC 5321 4.4). Off because the backend writes one with the client's identity.
    pub received: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyText {
    /// A link appended to our refusals; `{id}` in it becomes the decision's id.
    pub help: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub to: LogTo,
    pub format: LogFormat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    Stderr,
    /// The datagram socket of the system's log, facility mail.
    Syslog(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// Postfix's words, which pflogsumm and fail2ban read.
    Postfix,
    /// One JSON object a line.
    Json,
}

/// Whose rights the process keeps once its sockets are bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `None`: whoever started it.
    pub user: Option<String>,
    /// `None`: the user's own group.
    pub group: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    pub tests: Tests,
}

/// What the tests in rule files are for, on start and reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tests {
    /// All must pass, or the old rules stay.
    Required,
    /// They are not run.
    Off,
}

/// Keys that differ and that a reload can't apply: what was bound with a privilege that is gone, and
/// the log, which all sessions write to.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    let addresses = |config: &Config| {
        let mut list: Vec<SocketAddr> = config.listeners.iter().map(|l| l.address).collect();
        list.sort();
        list
    };
    if addresses(old) != addresses(new) {
        keys.push("listen".to_owned());
    }
    if old.run.user != new.run.user {
        keys.push("run.user".to_owned());
    }
    if old.run.group != new.run.group {
        keys.push("run.group".to_owned());
    }
    if old.log != new.log {
        keys.push("log".to_owned());
    }
    keys
}
