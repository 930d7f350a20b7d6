//! The resolver of production: a stub that asks recursive name servers.
//!
//! hickory-resolver speaks the protocol. Around it stand what a mail server needs besides: one cache
//! whose hits cost no allocation, a short memory for failures, one deadline a question however many
//! tries it takes, one question in flight for equal ones, and a limit on all of them.
//!
//! hickory answers some names itself: those under `localhost` and the reverse names of 127/8 are the
//! loopback (RFC 6761 6.3), `invalid` and `onion` do not exist.
//!
//! It does not validate: a validating name server says SERVFAIL for what is bogus, and that reads as
//! [`DnsError::Temporary`].

use std::hash::{Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name as WireName, RData, RecordType};
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use quick_cache::{Equivalent, Weighter};
use tokio::sync::Semaphore;

use super::name::Name;
use super::{Answer, BoxFuture, DnsError, Kind, Records, Resolver};

/// Even an answer with TTL 0 or without SOA holds this long, so that the checks of one mail agree.
const MIN_TTL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Config {
    /// Recursive name servers; empty takes those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// For one question, all tries and waiting included.
    pub timeout: Duration,
    /// Tries within that time, at least 1.
    pub attempts: usize,
    /// Bytes, approximately.
    pub cache_size: usize,
    /// Asks again over TCP when an answer is truncated.
    pub tcp: bool,
    /// Sends EDNS(0), so that answers up to 1232 octets need no TCP.
    pub edns0: bool,
    /// Mixes the case of the names asked, against forged answers (0x20).
    pub case_randomization: bool,
    /// No answer is kept longer, whatever its TTL.
    pub max_ttl: Duration,
    /// How long a failure is remembered.
    pub failure_ttl: Duration,
    /// Questions under way at a time; more wait within their timeout.
    pub in_flight: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            servers: Vec::new(),
            timeout: Duration::from_secs(4),
            attempts: 2,
            cache_size: 32 << 20,
            tcp: true,
            edns0: true,
            case_randomization: false,
            max_ttl: Duration::from_secs(3600),
            failure_ttl: Duration::from_secs(10),
            in_flight: 512,
        }
    }
}

/// Clones share the cache. Must be used within a tokio runtime.
#[derive(Clone)]
pub struct HickoryDns {
    inner: Arc<Inner>,
}

struct Inner {
    resolver: TokioResolver,
    cache: Cache<Key, Entry, Bytes>,
    room: Semaphore,
    timeout: Duration,
    max_ttl: Duration,
    failure_ttl: Duration,
}

impl HickoryDns {
    /// Reads `/etc/resolv.conf` when no servers are given; asks nothing yet.
    pub fn new(config: &Config) -> io::Result<HickoryDns> {
        let attempts = config.attempts.max(1);
        let mut builder = TokioResolver::builder_with_config(
            ResolverConfig::from_parts(None, Vec::new(), name_servers(config)?),
            TokioRuntimeProvider::default(),
        );
        let options = builder.options_mut();
        options.ndots = 0;
        options.use_hosts_file = ResolveHosts::Never;
        // hickory counts retries, and gives each try its timeout anew.
        options.attempts = attempts - 1;
        options.timeout = config.timeout / u32::try_from(attempts).unwrap_or(u32::MAX);
        options.edns0 = config.edns0;
        options.case_randomization = config.case_randomization;
        options.max_active_requests = config.in_flight.max(1);
        // The cache here holds failures too, and its hits are cheaper.
        options.cache_size = 0;
        let resolver = builder.build().map_err(io::Error::other)?;
        let cache = Cache::with_weighter(config.cache_size / 256, config.cache_size as u64, Bytes);
        Ok(HickoryDns {
            inner: Arc::new(Inner {
                resolver,
                cache,
                room: Semaphore::new(config.in_flight.clamp(1, Semaphore::MAX_PERMITS)),
                timeout: config.timeout,
                max_ttl: config.max_ttl.max(MIN_TTL),
                failure_ttl: config.failure_ttl.max(MIN_TTL),
            }),
        })
    }
}

fn name_servers(config: &Config) -> io::Result<Vec<NameServerConfig>> {
    let mut servers: Vec<NameServerConfig> = if config.servers.is_empty() {
        let (system, _) =
            hickory_resolver::system_conf::read_system_conf().map_err(io::Error::other)?;
        system.name_servers().to_vec()
    } else {
        let with_port = |address: &SocketAddr| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            server.connections.iter_mut().for_each(|c| c.port = address.port());
            server
        };
        config.servers.iter().map(with_port).collect()
    };
    if servers.is_empty() {
        return Err(io::Error::other("no name server is configured"));
    }
    if !config.tcp {
        for server in &mut servers {
            server.connections.retain(|c| matches!(c.protocol, ProtocolConfig::Udp));
        }
    }
    Ok(servers)
}

impl Resolver for HickoryDns {
    fn cached(&self, name: &str, kind: Kind) -> Option<Answer> {
        let Some(name) = Name::new(name) else { return Some(Err(DnsError::NoName)) };
        let entry = self.inner.cache.get(&KeyRef { name: name.as_bytes(), kind })?;
        (entry.until > Instant::now()).then_some(entry.answer)
    }

    fn lookup<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            if let Some(answer) = self.cached(name, kind) {
                return answer;
            }
            let Some(name) = Name::new(name) else { return Err(DnsError::NoName) };
            let key = Key { name: name.as_bytes().into(), kind };
            // A task of its own: when this session gives up, the answer still reaches the cache, and
            // whoever waits for the same one.
            let task = tokio::spawn(question(self.inner.clone(), key));
            task.await.unwrap_or(Err(DnsError::Temporary))
        })
    }
}

/// Waits for an equal question under way, or asks.
async fn question(inner: Arc<Inner>, key: Key) -> Answer {
    let start = tokio::time::Instant::now();
    let deadline = start + inner.timeout;
    let work = async {
        let fresh = |_: &Key, entry: &mut Entry| match entry.until > Instant::now() {
            true => EntryAction::Retain(entry.answer.clone()),
            false => EntryAction::ReplaceWithGuard,
        };
        let guard = match inner.cache.entry_async(&key, fresh).await {
            EntryResult::Retained(answer) => return answer,
            EntryResult::Vacant(guard) | EntryResult::Replaced(guard, _) => guard,
            EntryResult::Removed(..) | EntryResult::Timeout => return Err(DnsError::Temporary),
        };
        let Ok(_permit) = inner.room.acquire().await else { return Err(DnsError::Temporary) };
        let waited = start.elapsed();
        let (answer, ttl) = match tokio::time::timeout_at(deadline, inner.ask(&key)).await {
            Ok(found) => found,
            Err(_) if waited < inner.timeout / 2 => (Err(DnsError::Temporary), inner.failure_ttl),
            // Most of the time went by in the queue: that says nothing about the name.
            Err(_) => return Err(DnsError::Temporary),
        };
        let until = Instant::now() + ttl.clamp(MIN_TTL, inner.max_ttl);
        let _ = guard.insert(Entry { answer: answer.clone(), until });
        answer
    };
    // The timer within comes first: it remembers the failure.
    let grace = Duration::from_millis(20);
    tokio::time::timeout_at(deadline + grace, work).await.unwrap_or(Err(DnsError::Temporary))
}

impl Inner {
    async fn ask(&self, key: &Key) -> (Answer, Duration) {
        let labels = key.name.split(|byte| *byte == b'.').filter(|label| !label.is_empty());
        let Ok(name) = WireName::from_labels(labels) else {
            return (Err(DnsError::NoName), self.max_ttl);
        };
        match self.resolver.lookup(name, record_type(key.kind)).await {
            Ok(lookup) => match records(&lookup, key.kind) {
                Some(records) => {
                    let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
                    (Ok(Arc::new(records)), ttl)
                }
                None => (Err(DnsError::NoData), MIN_TTL),
            },
            Err(NetError::Dns(HickoryError::NoRecordsFound(none))) => self.negative(&none).await,
            Err(_) => (Err(DnsError::Temporary), self.failure_ttl),
        }
    }

    /// RFC 2308: a negative answer is cached by its SOA. Without one it may be the end of a chain of
    /// CNAMEs that hickory gave up on, or a referral of a server that does not recurse.
    async fn negative(&self, none: &NoRecords) -> (Answer, Duration) {
        let ttl = match (&none.soa, none.negative_ttl) {
            (Some(_), Some(seconds)) => Duration::from_secs(seconds.into()),
            _ => MIN_TTL,
        };
        if none.response_code == ResponseCode::NXDomain {
            return (Err(DnsError::NoName), ttl);
        }
        if none.soa.is_none() {
            let referral = none.ns.as_ref().is_some_and(|servers| !servers.is_empty());
            let last = none.query.name().clone();
            if referral || self.resolver.lookup(last, RecordType::CNAME).await.is_ok() {
                return (Err(DnsError::Temporary), self.failure_ttl);
            }
        }
        (Err(DnsError::NoData), ttl)
    }
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Mx => RecordType::MX,
        Kind::Txt => RecordType::TXT,
        Kind::Ptr => RecordType::PTR,
    }
}

/// The records of that type, `None` when there are none.
fn records(lookup: &Lookup, kind: Kind) -> Option<Records> {
    fn all<T>(lookup: &Lookup, pick: impl Fn(&RData) -> Option<T>) -> Option<Vec<T>> {
        let list: Vec<T> = lookup.answers().iter().filter_map(|r| pick(&r.data)).collect();
        (!list.is_empty()).then_some(list)
    }
    match kind {
        Kind::A => all(lookup, |data| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        })
        .map(Records::A),
        Kind::Aaaa => all(lookup, |data| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        })
        .map(Records::Aaaa),
        Kind::Mx => all(lookup, |data| match data {
            RData::MX(mx) => Some((mx.preference, text(&mx.exchange))),
            _ => None,
        })
        .map(Records::Mx),
        Kind::Txt => all(lookup, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat().into_boxed_slice()),
            _ => None,
        })
        .map(Records::Txt),
        Kind::Ptr => all(lookup, |data| match data {
            RData::PTR(ptr) => Some(text(&ptr.0)),
            _ => None,
        })
        .map(Records::Ptr),
    }
}

/// Lower case without the final dot; what can't stand in a host name is escaped as in zone files, so
/// that no label can pass for two.
fn text(name: &WireName) -> Box<str> {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).into()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: Box<[u8]>,
    kind: Kind,
}

/// A key that borrows its name. Must hash as [`Key`] does.
struct KeyRef<'a> {
    name: &'a [u8],
    kind: Kind,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef { name: &self.name, kind: self.kind }.hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.kind.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.kind == key.kind && *self.name == *key.name
    }
}

#[derive(Debug, Clone)]
struct Entry {
    answer: Answer,
    until: Instant,
}

/// What an entry holds in memory. Answers come from strangers: their size counts, not their number.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        let records = match entry.answer.as_deref() {
            Ok(Records::A(list)) => size_of_val(list.as_slice()),
            Ok(Records::Aaaa(list)) => size_of_val(list.as_slice()),
            Ok(Records::Mx(list)) => list.iter().map(|(_, name)| 40 + name.len()).sum(),
            Ok(Records::Txt(list)) => list.iter().map(|text| 32 + text.len()).sum(),
            Ok(Records::Ptr(list)) => list.iter().map(|name| 32 + name.len()).sum(),
            Err(_) => 0,
        };
        (160 + key.name.len() + records) as u64
    }
}

#[cfg(test)]
#[path = "hickory_tests.rs"]
mod tests;
