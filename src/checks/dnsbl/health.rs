//! Whether a list works: the test entries of RFC 5782 5.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Zone;
use super::answers::Meaning;
use crate::dns::join::join_all;
use crate::dns::{Budget, DnsError, Kind, Records};

/// What the test entries said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not tested yet, or the test had no answer.
    Unknown,
    /// 127.0.0.2 is listed and 127.0.0.1 is not.
    Healthy,
    /// 127.0.0.1 is listed: a wildcard, as on a domain that is for sale.
    ListsEverything,
    /// 127.0.0.2 is not listed: the list has closed, or this is not its name.
    ListsNothing,
    /// The list answers us with this error instead.
    Refused(Ipv4Addr),
}

impl Health {
    /// RFC 5782 5: a list that fails the test is not to be used. One that could not be tested is.
    pub fn is_usable(self) -> bool {
        matches!(self, Health::Unknown | Health::Healthy)
    }

    pub fn explain(self) -> String {
        match self {
            Health::Unknown => "not tested".into(),
            Health::Healthy => "127.0.0.2 is listed, 127.0.0.1 is not".into(),
            Health::ListsEverything => {
                "not asked: it lists 127.0.0.1, so it lists everything; remove it".into()
            }
            Health::ListsNothing => {
                "not asked: it does not list 127.0.0.2; it has closed or its name is wrong".into()
            }
            Health::Refused(address) => format!("not asked: {}", advice(address)),
        }
    }
}

/// What the administrator should do about an answer that is an error.
pub fn advice(address: Ipv4Addr) -> String {
    let meaning = match (Meaning::of(address), address.octets()) {
        (Meaning::Refusal, [.., 252]) => "the name of the list is misspelt: correct it",
        (Meaning::Refusal, [.., 254]) => {
            "the list refuses queries of public resolvers: use a resolver of your own, or the list's keyed zone"
        }
        (Meaning::Refusal, [.., 255]) => {
            "too many queries for the list's free service: use its keyed zone, or remove it"
        }
        (Meaning::Refusal, _) => "the list refuses to answer: see its documentation",
        (Meaning::Code, _) => "the list refuses to answer: use a resolver of your own",
        (Meaning::Foreign, _) => {
            "no DNS list answers so: the list has closed, or the resolver alters answers; remove it or use a resolver of your own"
        }
    };
    format!("answered {address}: {meaning}")
}

/// The last known health of a list, shared between who tests it and who asks it.
#[derive(Debug, Default)]
pub struct ZoneHealth(AtomicU64);

impl ZoneHealth {
    pub fn get(&self) -> Health {
        let packed = self.0.load(Ordering::Relaxed);
        match packed >> 32 {
            1 => Health::Healthy,
            2 => Health::ListsEverything,
            3 => Health::ListsNothing,
            4 => Health::Refused(Ipv4Addr::from_bits(packed as u32)),
            _ => Health::Unknown,
        }
    }

    pub fn set(&self, health: Health) {
        let packed = match health {
            Health::Unknown => 0,
            Health::Healthy => 1 << 32,
            Health::ListsEverything => 2 << 32,
            Health::ListsNothing => 3 << 32,
            Health::Refused(address) => 4 << 32 | u64::from(address.to_bits()),
        };
        self.0.store(packed, Ordering::Relaxed);
    }
}

/// Asks for the test entries: two questions. Those of IPv6 for a list of IPv6 addresses only.
pub async fn probe(zone: &Zone, dns: &Budget) -> Health {
    let name = |last: u8| match zone.ipv4 {
        true => format!("{last}.0.0.127.{}", zone.name),
        // ::FFFF:7F00:2 (RFC 5782 5).
        false => {
            let mapped = Ipv4Addr::new(127, 0, 0, last).to_ipv6_mapped();
            format!("{}.{}", crate::dns::reverse_labels(mapped.into()), zone.name)
        }
    };
    let names = [name(2), name(1)];
    let answers = join_all(names.iter().map(|name| dns.lookup(name, Kind::A))).await;
    let mut addresses = answers.iter().filter_map(|answer| match answer.as_deref() {
        Ok(Records::A(list)) => Some(list),
        _ => None,
    });
    let refusal = |address: &&Ipv4Addr| Meaning::of(**address) == Meaning::Refusal;
    if let Some(address) = addresses.clone().flatten().find(refusal) {
        return Health::Refused(*address);
    }
    match answers.as_slice() {
        [Ok(_), Ok(_)] if addresses.clone().flatten().all(|a| *a == Ipv4Addr::LOCALHOST) => {
            // SURBL and URIBL say so to whom they block.
            Health::Refused(Ipv4Addr::LOCALHOST)
        }
        [_, Ok(_)] => Health::ListsEverything,
        [Ok(_), Err(error)] if error.is_negative() => {
            let foreign = |address: &&Ipv4Addr| Meaning::of(**address) == Meaning::Foreign;
            match addresses.next().and_then(|list| list.iter().find(foreign)) {
                Some(address) => Health::Refused(*address),
                None => Health::Healthy,
            }
        }
        [Err(DnsError::NoName | DnsError::NoData), Err(error)] if error.is_negative() => {
            Health::ListsNothing
        }
        _ => Health::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::answers::AnswerSet;
    use super::*;
    use crate::dns::fake::FakeDns;

    async fn health(text: &str, ipv4: bool) -> Health {
        let dns = FakeDns::parse(text).unwrap();
        let budget = Budget::new(dns.resolver(), 10, Duration::from_secs(20));
        let answers = AnswerSet::parse("127.0.0.2").unwrap();
        let zone =
            Zone { name: "bl.test".into(), weight: 1, answers, display: None, ipv4, ipv6: !ipv4 };
        probe(&zone, &budget).await
    }

    #[tokio::test(start_paused = true)]
    async fn every_state() {
        for (text, wanted) in [
            ("2.0.0.127.bl.test. A 127.0.0.2\n", Health::Healthy),
            ("2.0.0.127.bl.test. A 127.0.0.2\n1.0.0.127.bl.test. TXT x\n", Health::Healthy),
            ("*.bl.test. A 127.0.0.2\n", Health::ListsEverything),
            ("*.bl.test. A 192.0.2.1\n", Health::ListsEverything),
            ("", Health::ListsNothing),
            ("bl.test. TXT closed\n", Health::ListsNothing),
            ("*.bl.test. A 127.255.255.254\n", Health::Refused([127, 255, 255, 254].into())),
            ("*.bl.test. A 127.0.0.1\n", Health::Refused([127, 0, 0, 1].into())),
            ("2.0.0.127.bl.test. A 192.0.2.1\n", Health::Refused([192, 0, 2, 1].into())),
            ("*.bl.test. SERVFAIL\n", Health::Unknown),
            ("*.bl.test. TIMEOUT\n", Health::Unknown),
            ("2.0.0.127.bl.test. A 127.0.0.2\n1.0.0.127.bl.test. SERVFAIL\n", Health::Unknown),
            ("2.0.0.127.bl.test. BOGUS\n", Health::Unknown),
        ] {
            assert_eq!(health(text, true).await, wanted, "{text}");
            let shared = ZoneHealth::default();
            shared.set(wanted);
            assert_eq!(shared.get(), wanted);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lists_of_ipv6_have_their_own_entries() {
        let entry = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test.";
        assert_eq!(health(&format!("{entry} A 127.0.0.2\n"), false).await, Health::Healthy);
        assert_eq!(health("2.0.0.127.bl.test. A 127.0.0.2\n", false).await, Health::ListsNothing);
    }
}
