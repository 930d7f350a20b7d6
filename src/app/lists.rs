//! Whether the DNS lists are in order: their test entries are asked for before clients, or a new
//! generation, go by them, and again and again (RFC 5782 5).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::checks::dnsbl::{Dnsbl, Health};
use crate::dns::{Budget, Resolver};
use crate::observe::{Level, Reporter};

const EVERY: Duration = Duration::from_secs(600);
/// A list that failed is looked at again sooner.
const SICK_EVERY: Duration = Duration::from_secs(60);
/// Clients, or a new generation, wait this long for the first test.
const FIRST: Duration = Duration::from_secs(5);
const TIME: Duration = Duration::from_secs(30);
/// Far more than there are lists.
const QUESTIONS: u32 = 1000;

/// A list that lists everything has to be known before it is asked about a client: it would refuse
/// all mail for good. One that could not be tested in time is used, and tested again.
pub(super) async fn test(dnsbl: &Dnsbl, dns: Arc<dyn Resolver>) {
    let budget = Budget::new(dns, QUESTIONS, FIRST);
    let _ = timeout(FIRST, dnsbl.probe_all(&budget)).await;
}

/// Says what the tests have found, whenever that changes, and goes on testing.
pub(super) async fn watch(dnsbl: Arc<Dnsbl>, dns: Arc<dyn Resolver>, reporter: Arc<dyn Reporter>) {
    let mut known: Vec<Health> = Vec::new();
    loop {
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
        tokio::time::sleep(if sick { SICK_EVERY } else { EVERY }).await;
        dnsbl.probe_all(&Budget::new(dns.clone(), QUESTIONS, TIME)).await;
    }
}
