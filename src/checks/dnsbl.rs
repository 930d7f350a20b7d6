//! DNS lists, block and allow (RFC 5782).
//!
//! Only answers that the configuration declares are listings. Lists answer with error codes when
//! they are asked through a public resolver or too often, and closed ones list the whole world:
//! neither may ever refuse mail.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::checks::{AuthResult, Check, Context, Findings};
use crate::dns::join::join_all;
use crate::dns::{BoxFuture, Budget, reverse_labels};
use crate::facts::registry::{
    DNSBL_HITS, DNSBL_SCORE, DNSBL_TEMPERROR, DNSBL_TEXT, DNSBL_ZONE, DNSBL_ZONES,
};
use crate::facts::{Stage, Value};

pub mod answers;
pub mod health;

pub use answers::AnswerSet;
use answers::Meaning;
pub use health::{Health, ZoneHealth, probe};

/// Of a TXT record, in octets.
const MAX_TEXT: usize = 200;
/// How long a listing waits for its words.
const TEXT_TIME: Duration = Duration::from_secs(1);
/// Answers of one list that are looked at; lists give a handful.
const MAX_ANSWERS: usize = 32;

/// A list as it is configured. The same name may come several times, with other answers and
/// weights: it is asked once, and its weights add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    pub name: String,
    /// Negative for an allow list.
    pub weight: i64,
    pub answers: AnswerSet,
    /// Shown instead of the name: keys of paid zones never appear.
    pub display: Option<String>,
    /// Lists IPv4 addresses.
    pub ipv4: bool,
    /// Lists IPv6 addresses.
    pub ipv6: bool,
}

/// Asks all lists at once.
#[derive(Debug)]
pub struct Dnsbl {
    lists: Vec<List>,
}

/// The entries of one name.
#[derive(Debug)]
struct List {
    /// The first entry, for the families of them all: what is tested.
    zone: Zone,
    shown: String,
    entries: Vec<Zone>,
    health: ZoneHealth,
}

impl Dnsbl {
    pub fn new(zones: Vec<Zone>) -> Self {
        let mut lists: Vec<List> = Vec::new();
        for mut zone in zones {
            zone.name = lower(&zone.name);
            match lists.iter_mut().find(|list| list.zone.name == zone.name) {
                Some(list) => {
                    list.zone.ipv4 |= zone.ipv4;
                    list.zone.ipv6 |= zone.ipv6;
                    list.entries.push(zone);
                }
                None => lists.push(List {
                    shown: lower(zone.display.as_deref().unwrap_or(&zone.name)),
                    zone: zone.clone(),
                    entries: vec![zone],
                    health: ZoneHealth::default(),
                }),
            }
        }
        Dnsbl { lists }
    }

    /// Tests every list with two questions and keeps what it finds: a list that fails is not asked
    /// until it passes again. To be called at the start and from time to time, with a budget of its
    /// own; a test without answer changes nothing.
    pub async fn probe_all(&self, dns: &Budget) {
        join_all(self.lists.iter().map(async |list| match probe(&list.zone, dns).await {
            Health::Unknown => {}
            health => list.health.set(health),
        }))
        .await;
    }

    /// The lists by the names shown, with their last known health.
    pub fn health(&self) -> impl Iterator<Item = (&str, Health)> {
        self.lists.iter().map(|list| (list.shown.as_str(), list.health.get()))
    }
}

impl Check for Dnsbl {
    fn name(&self) -> &'static str {
        "dnsbl"
    }

    fn stage(&self) -> Stage {
        Stage::Connect
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(async move {
            let ip = cx.client_ip;
            let labels = reverse_labels(ip);
            let lists = self.lists.iter().filter(|list| list.zone.holds(ip));
            summary(&join_all(lists.map(|list| list.ask(ip, &labels, cx.dns))).await)
        })
    }

    fn failed(&self) -> Findings {
        let mut findings = summary(&[]);
        findings.values.retain(|(field, ..)| *field != DNSBL_TEMPERROR);
        findings.set(DNSBL_TEMPERROR, true);
        findings
    }
}

/// What one list said.
struct Said<'a> {
    shown: &'a str,
    listed: bool,
    /// Of the entries that match, 0 when none does.
    weight: i64,
    /// The answers that an entry declares.
    answers: Vec<Ipv4Addr>,
    text: String,
    temperror: bool,
    evidence: Json,
}

impl Zone {
    /// Lists addresses of that family.
    fn holds(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => self.ipv4,
            IpAddr::V6(_) => self.ipv6,
        }
    }
}

impl List {
    async fn ask(&self, ip: IpAddr, labels: &str, dns: &Budget) -> Said<'_> {
        let mut said = Said {
            shown: &self.shown,
            listed: false,
            weight: 0,
            answers: Vec::new(),
            text: String::new(),
            temperror: false,
            evidence: Json::Null,
        };
        let health = self.health.get();
        if !health.is_usable() {
            said.temperror = true;
            said.evidence =
                dns.evidence(|| json!({ "zone": self.shown, "note": health.explain() }));
            return said;
        }
        let name = format!("{labels}.{}", self.zone.name);
        let mut addresses = match dns.a(&name).await {
            Ok(addresses) => addresses,
            Err(error) => {
                said.temperror = !error.is_negative();
                said.evidence =
                    dns.evidence(|| json!({ "zone": self.shown, "answer": error.name() }));
                return said;
            }
        };
        addresses.sort_unstable();
        let wrong = addresses.iter().copied().find(|a| Meaning::of(*a) != Meaning::Code);
        addresses.truncate(MAX_ANSWERS);
        said.evidence = dns.evidence(|| json!({ "zone": self.shown, "answers": addresses }));
        if let Some(wrong) = wrong {
            said.temperror = true;
            note(&mut said.evidence, "note", health::advice(wrong).into());
            return said;
        }
        let entries = || self.entries.iter().filter(|entry| entry.holds(ip));
        let declared = |a: &Ipv4Addr| entries().any(|entry| entry.answers.contains(*a));
        let (answers, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(declared);
        if !others.is_empty() {
            let text = format!("not declared in its `answers`: {}", join(&others));
            note(&mut said.evidence, "note", text.into());
        }
        let matching = entries().filter(|entry| answers.iter().any(|a| entry.answers.contains(*a)));
        said.weight = matching.fold(0, |sum: i64, entry| sum.saturating_add(entry.weight));
        said.listed = !answers.is_empty();
        said.answers = answers;
        if said.listed {
            note(&mut said.evidence, "weight", said.weight.into());
        }
        if said.weight > 0 {
            said.text = self.text(&name, dns).await;
            note(&mut said.evidence, "text", said.text.as_str().into());
        }
        said
    }

    /// The list's own words, which are only words: without them the listing stands.
    #[allow(clippy::disallowed_methods, reason = "the DNS budget ends by the clock")]
    async fn text(&self, name: &str, dns: &Budget) -> String {
        let dns = dns.until(Instant::now() + TEXT_TIME);
        let texts = dns.txt(name).await.unwrap_or_default();
        let Some(text) = texts.iter().min() else { return String::new() };
        let printable = |byte: &&u8| matches!(**byte, b' '..=b'~');
        // Cut once before, so that the work is bounded, and once after: the name shown may be longer.
        let text: String = text
            .iter()
            .filter(printable)
            .take(4 * MAX_TEXT)
            .map(|byte| char::from(*byte))
            .collect();
        let text = hide(&text, &self.zone.name, &self.shown);
        text.chars().take(MAX_TEXT).collect::<String>().trim().into()
    }
}

fn summary(lists: &[Said<'_>]) -> Findings {
    let listing = || lists.iter().filter(|said| said.listed);
    let score = listing().fold(0, |sum: i64, said| sum.saturating_add(said.weight));
    let hits = listing().filter(|said| said.weight > 0).count();
    let zones: Vec<&str> = listing().map(|said| said.shown).collect();
    // The first of equals, so that the reply does not change from one time to the next.
    let heaviest = listing().filter(|said| said.weight > 0).rev().max_by_key(|said| said.weight);
    let text = match heaviest {
        Some(said) if said.text.is_empty() => said.shown.into(),
        Some(said) => format!("{}; {}", said.shown, said.text),
        None => String::new(),
    };
    let mut findings = Findings::default();
    findings
        .set(DNSBL_SCORE, score)
        .set(DNSBL_HITS, i64::try_from(hits).unwrap_or(i64::MAX))
        .set(DNSBL_ZONES, zones)
        .set(DNSBL_TEXT, text)
        .set(DNSBL_TEMPERROR, lists.iter().any(|said| said.temperror));
    for said in lists {
        // Two keyed zones may be shown by one name.
        let same = lists.iter().filter(|other| other.shown == said.shown);
        let answers = same.flat_map(|other| &other.answers).map(|a| IpAddr::from(*a).into());
        let answers: Vec<Value> = answers.collect();
        findings.set_keyed(DNSBL_ZONE, said.shown, Value::List(answers));
    }
    findings.results = listing().filter(|said| said.weight < 0).map(allowed).collect();
    findings.evidence = lists.iter().map(|said| said.evidence.clone()).collect();
    findings
}

/// RFC 8904 2.
fn allowed(said: &Said<'_>) -> AuthResult {
    AuthResult {
        method: "dnswl",
        result: "pass",
        reason: None,
        properties: vec![("dns.zone", said.shown.into()), ("policy.ip", join(&said.answers))],
    }
}

fn join(addresses: &[Ipv4Addr]) -> String {
    addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ")
}

fn note(evidence: &mut Json, key: &str, value: Json) {
    if let Some(object) = evidence.as_object_mut() {
        object.insert(key.into(), value);
    }
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Replaces a secret name where a list repeats it, in any case.
fn hide(text: &str, name: &str, shown: &str) -> String {
    if name == shown || name.is_empty() {
        return text.into();
    }
    let folded = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in folded.match_indices(name) {
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(shown);
        from = at + name.len();
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
#[path = "dnsbl/tests.rs"]
mod tests;
