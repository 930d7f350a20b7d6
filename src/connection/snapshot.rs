//! What a session goes by from its first octet to its last: a reload makes a new one and leaves
//! those under way with theirs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::checks::Check;
use crate::checks::rate::Rates;
use crate::dns::Resolver;
use crate::message::SpoolSpace;
use crate::policy::RuleSet;
use crate::relay::Backend;
use crate::session::Settings;

use super::tls::Acceptor;

/// A set of addresses.
pub type Networks = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Shared by all listeners of one generation.
pub struct Snapshot {
    /// Counts reloads.
    pub generation: u64,
    pub hostname: String,
    /// Our name in Authentication-Results.
    pub authserv_id: String,
    pub rules: RuleSet,
    pub checks: Vec<Box<dyn Check>>,
    pub rates: Rates,
    pub dns: Arc<dyn Resolver>,
    /// Questions for one mail.
    pub dns_questions: u32,
    /// For all checks of a stage before the message.
    pub stage_time: Duration,
    /// For all checks of a message.
    pub message_time: Duration,
    pub spool: Arc<SpoolSpace>,
    pub trusted: Networks,
    /// Received fields at which a loop is suspected.
    pub hops: usize,
    /// The client's name is looked up for the backend even when no rule uses it.
    pub client_name: bool,
    pub authentication_results: bool,
    /// The fields that rules tag messages with: a stranger's are taken out.
    pub tag_names: Vec<String>,
    pub received: bool,
    /// A link at the end of refusals; `{id}` stands for the decision's id.
    pub help: Option<String>,
}

/// What belongs to one listener.
pub struct Door {
    pub settings: Arc<Settings>,
    pub backend: Arc<Backend>,
    pub tls: Option<Acceptor>,
    /// TLS from the first octet.
    pub implicit_tls: bool,
    /// Peers that must send a PROXY header; others may not.
    pub proxies: Networks,
    /// How long the greeting waits for early talkers.
    pub greet_delay: Duration,
}
