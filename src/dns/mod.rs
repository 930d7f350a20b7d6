//! One way to ask.
//!
//! Everything that wants to know something from DNS asks a [`Resolver`] through a [`Budget`]. Found,
//! not found, temporary and bogus are different answers, and stay different.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

pub mod fake;
pub mod hickory;
pub mod join;
pub mod name;
pub mod server;
pub mod zone;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    A,
    Aaaa,
    Mx,
    Txt,
    Ptr,
}

/// The records of one type, in the order of the answer. CNAMEs were followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    A(Vec<Ipv4Addr>),
    Aaaa(Vec<Ipv6Addr>),
    /// Preference and exchange; the null MX has an empty exchange.
    Mx(Vec<(u16, Box<str>)>),
    /// One entry a record, its strings joined without separator. Bytes: nothing says it is UTF-8.
    Txt(Vec<Box<[u8]>>),
    /// Lower case, without the final dot.
    Ptr(Vec<Box<str>>),
}

/// Why there are no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsError {
    /// NXDOMAIN: the name does not exist.
    NoName,
    /// The name exists and has no record of this type (NODATA).
    NoData,
    /// SERVFAIL, REFUSED, no answer in time, an answer that can't be read.
    Temporary,
    /// DNSSEC says that the answer is forged.
    Bogus,
    /// This session's or message's budget of questions or time is used up.
    Budget,
}

impl DnsError {
    /// "There is nothing" rather than "I could not find out". RFC 7208 calls it a void lookup.
    pub fn is_negative(self) -> bool {
        matches!(self, DnsError::NoName | DnsError::NoData)
    }

    pub fn name(self) -> &'static str {
        match self {
            DnsError::NoName => "nxdomain",
            DnsError::NoData => "nodata",
            DnsError::Temporary => "temporary",
            DnsError::Bogus => "bogus",
            DnsError::Budget => "budget",
        }
    }
}

pub type Answer = Result<Arc<Records>, DnsError>;

/// Where answers come from. Implementations cache, and bound each question in time.
pub trait Resolver: Send + Sync + 'static {
    /// `name` is absolute, with or without its final dot; it is never searched in a domain list.
    fn lookup<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer>;

    /// What is known without asking anyone. Spares the future and the timer of a lookup.
    fn cached(&self, _name: &str, _kind: Kind) -> Option<Answer> {
        None
    }
}

/// A resolver with a limit on questions and an absolute deadline: what one message may cost.
#[derive(Clone)]
pub struct Budget {
    resolver: Arc<dyn Resolver>,
    left: Arc<AtomicU32>,
    deadline: Instant,
    explains: bool,
}

impl Budget {
    pub fn new(resolver: Arc<dyn Resolver>, questions: u32, time: Duration) -> Self {
        Budget {
            resolver,
            left: Arc::new(AtomicU32::new(questions)),
            deadline: Instant::now() + time,
            explains: true,
        }
    }

    pub fn until_deadline(resolver: Arc<dyn Resolver>, questions: u32, deadline: Instant) -> Self {
        Budget { resolver, left: Arc::new(AtomicU32::new(questions)), deadline, explains: true }
    }

    /// For questions whose findings nobody wants explained.
    pub fn unexplained(self, unexplained: bool) -> Self {
        Budget { explains: !unexplained, ..self }
    }

    /// What is found out: made only where somebody keeps it, since it costs as much as the
    /// questions do when their answers are cached.
    pub fn evidence(&self, tell: impl FnOnce() -> serde_json::Value) -> serde_json::Value {
        if self.explains { tell() } else { serde_json::Value::Null }
    }

    /// The same count of questions with an earlier deadline.
    pub fn until(&self, deadline: Instant) -> Self {
        Budget { deadline: self.deadline.min(deadline), ..self.clone() }
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub async fn lookup(&self, name: &str, kind: Kind) -> Answer {
        let left =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if left.is_err() {
            return Err(DnsError::Budget);
        }
        if let Some(answer) = self.resolver.cached(name, kind) {
            return answer;
        }
        match tokio::time::timeout_at(self.deadline, self.resolver.lookup(name, kind)).await {
            Ok(answer) => answer,
            Err(_) => Err(DnsError::Budget),
        }
    }

    pub async fn a(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        match &*self.lookup(name, Kind::A).await? {
            Records::A(list) => Ok(list.clone()),
            _ => Err(DnsError::NoData),
        }
    }

    pub async fn aaaa(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        match &*self.lookup(name, Kind::Aaaa).await? {
            Records::Aaaa(list) => Ok(list.clone()),
            _ => Err(DnsError::NoData),
        }
    }

    pub async fn mx(&self, name: &str) -> Result<Vec<(u16, Box<str>)>, DnsError> {
        match &*self.lookup(name, Kind::Mx).await? {
            Records::Mx(list) => Ok(list.clone()),
            _ => Err(DnsError::NoData),
        }
    }

    pub async fn txt(&self, name: &str) -> Result<Vec<Box<[u8]>>, DnsError> {
        match &*self.lookup(name, Kind::Txt).await? {
            Records::Txt(list) => Ok(list.clone()),
            _ => Err(DnsError::NoData),
        }
    }

    pub async fn ptr(&self, ip: IpAddr) -> Result<Vec<Box<str>>, DnsError> {
        match &*self.lookup(&reverse_name(ip), Kind::Ptr).await? {
            Records::Ptr(list) => Ok(list.clone()),
            _ => Err(DnsError::NoData),
        }
    }
}

/// `4.3.2.1.in-addr.arpa`, or the 32 nibbles under `ip6.arpa` (RFC 1035 3.5, RFC 3596 2.5).
pub fn reverse_name(ip: IpAddr) -> String {
    let suffix = if ip.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    format!("{}.{suffix}", reverse_labels(ip))
}

/// The labels of an address in reverse, as DNS lists want them (RFC 5782 2.1, 2.4).
pub fn reverse_labels(ip: IpAddr) -> String {
    use std::fmt::Write as _;
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let mut labels = String::with_capacity(63);
            for byte in ip.octets().iter().rev() {
                if !labels.is_empty() {
                    labels.push('.');
                }
                let _ = write!(labels, "{:x}.{:x}", byte & 15, byte >> 4);
            }
            labels
        }
    }
}
