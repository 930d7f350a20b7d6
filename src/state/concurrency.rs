//! Connections at once: in all, of a client address, and of a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use dashmap::DashMap;

/// How many connections there may be at once. They are given with each connection, so a reload
/// changes them without losing count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all; this also bounds the memory of the counters.
    pub total: u32,
    /// From one IPv4 address or one /64 of IPv6, which is what one host has.
    pub per_client: u32,
    /// From one /24 of IPv4 or /48 of IPv6.
    pub per_network: u32,
}

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    Total,
    Client,
    Network,
}

/// Counts connections. An entry lives as long as its connections.
#[derive(Debug, Default)]
pub struct Concurrency {
    total: AtomicU32,
    clients: DashMap<IpAddr, u32>,
    networks: DashMap<IpAddr, u32>,
}

/// One connection; it is counted until this is dropped.
#[derive(Debug)]
pub struct Guard {
    of: Arc<Concurrency>,
    client: IpAddr,
}

impl Concurrency {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Counts a connection if all limits allow it.
    pub fn enter(self: &Arc<Self>, client: IpAddr, limits: &Limits) -> Result<Guard, TooMany> {
        let client = host(client);
        let more = |n: u32| (n < limits.total).then_some(n + 1);
        if self.total.fetch_update(Relaxed, Relaxed, more).is_err() {
            return Err(TooMany::Total);
        }
        if !add(&self.clients, client, limits.per_client) {
            self.total.fetch_sub(1, Relaxed);
            return Err(TooMany::Client);
        }
        if !add(&self.networks, neighbourhood(client), limits.per_network) {
            remove(&self.clients, client);
            self.total.fetch_sub(1, Relaxed);
            return Err(TooMany::Network);
        }
        Ok(Guard { of: self.clone(), client })
    }

    /// Connections at the moment.
    pub fn total(&self) -> u32 {
        self.total.load(Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        remove(&self.of.networks, neighbourhood(self.client));
        remove(&self.of.clients, self.client);
        self.of.total.fetch_sub(1, Relaxed);
    }
}

/// Adds one where `limit` allows it. The entry's lock makes look and change one step.
fn add(counts: &DashMap<IpAddr, u32>, key: IpAddr, limit: u32) -> bool {
    if limit == 0 {
        return false;
    }
    let mut count = counts.entry(key).or_insert(0);
    let fits = *count < limit;
    *count += u32::from(fits);
    fits
}

fn remove(counts: &DashMap<IpAddr, u32>, key: IpAddr) {
    counts.remove_if_mut(&key, |_, count| {
        *count = count.saturating_sub(1);
        *count == 0
    });
}

/// What one client has: an IPv4 address, or the /64 of an IPv6 address.
fn host(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        ip => network(ip),
    }
}

/// What one site has: the /24 of an IPv4 or the /48 of an IPv6 address.
fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 80 << 80).into(),
        ip => network(ip),
    }
}

/// The /24 of an IPv4 or the /64 of an IPv6 address; an IPv4-mapped one is IPv4.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !0xff).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { total: 5, per_client: 2, per_network: 3 };

    fn enter(all: &Arc<Concurrency>, ip: &str) -> Result<Guard, TooMany> {
        all.enter(ip.parse().unwrap(), &LIMITS)
    }

    #[test]
    fn each_limit_holds_and_drop_releases() {
        let all = Concurrency::new();
        let first = enter(&all, "192.0.2.1").unwrap();
        let _second = enter(&all, "::ffff:192.0.2.1").unwrap();
        assert_eq!(enter(&all, "192.0.2.1").err(), Some(TooMany::Client));
        let _third = enter(&all, "192.0.2.2").unwrap();
        assert_eq!(enter(&all, "192.0.2.3").err(), Some(TooMany::Network));
        drop(first);
        let _again = enter(&all, "192.0.2.1").unwrap();
        let _v6 = enter(&all, "2001:db8::1").unwrap();
        let last = enter(&all, "2001:db8:0:1::1").unwrap();
        assert_eq!(enter(&all, "198.51.100.1").err(), Some(TooMany::Total));
        drop(last);
        assert!(enter(&all, "198.51.100.1").is_ok());
    }

    #[test]
    fn an_ipv6_host_is_its_64_and_a_site_its_48() {
        let all = Concurrency::new();
        let _first = enter(&all, "2001:db8::1").unwrap();
        let _second = enter(&all, "2001:db8::2").unwrap();
        assert_eq!(enter(&all, "2001:db8::3").err(), Some(TooMany::Client));
        let _third = enter(&all, "2001:db8:0:1::1").unwrap();
        assert_eq!(enter(&all, "2001:db8:0:2::1").err(), Some(TooMany::Network));
        assert!(enter(&all, "2001:db8:1::1").is_ok());
    }

    #[test]
    fn nothing_is_left_behind() {
        let all = Concurrency::new();
        let guards: Vec<_> =
            (0..20).filter_map(|n| enter(&all, &format!("192.0.2.{}", n % 4)).ok()).collect();
        assert_eq!((guards.len(), all.total()), (3, 3));
        drop(guards);
        assert_eq!((all.total(), all.clients.len(), all.networks.len()), (0, 0, 0));
        let none = Limits { total: 9, per_client: 0, per_network: 9 };
        assert_eq!(all.enter("192.0.2.1".parse().unwrap(), &none).err(), Some(TooMany::Client));
        assert_eq!((all.total(), all.clients.len()), (0, 0));
    }

    #[test]
    fn networks() {
        let of = |ip: &str| network(ip.parse().unwrap()).to_string();
        assert_eq!(of("203.0.113.77"), "203.0.113.0");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
