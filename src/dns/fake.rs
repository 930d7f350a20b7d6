//! A resolver for tests: zone text in memory, no network, and a log of what was asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::zone::{Fault, Outcome, Zone};
use super::{Answer, BoxFuture, DnsError, Kind, Resolver};

/// How long a question to a name with `TIMEOUT` takes before it fails, in tokio's time.
pub const SILENCE: Duration = Duration::from_secs(4);

/// Clones share the zone and the log.
#[derive(Debug, Clone)]
pub struct FakeDns {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    zone: Zone,
    asked: Mutex<Vec<(String, Kind)>>,
}

impl FakeDns {
    /// See [`super::zone`] for the text.
    pub fn parse(text: &str) -> Result<FakeDns, String> {
        Ok(FakeDns::new(Zone::parse(text)?))
    }

    pub fn new(zone: Zone) -> FakeDns {
        FakeDns { inner: Arc::new(Inner { zone, asked: Mutex::default() }) }
    }

    pub fn resolver(&self) -> Arc<dyn Resolver> {
        Arc::new(self.clone())
    }

    /// Every question so far, in order; names in lower case without final dot.
    pub fn asked(&self) -> Vec<(String, Kind)> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, name: &str, kind: Kind) {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).push((name, kind));
    }
}

impl Resolver for FakeDns {
    fn lookup<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.note(name, kind);
            let answer = self.inner.zone.answer(name, kind);
            if !answer.delay.is_zero() {
                tokio::time::sleep(answer.delay).await;
            }
            match answer.outcome {
                Outcome::Records(records) => Ok(Arc::new(records)),
                Outcome::NoName => Err(DnsError::NoName),
                Outcome::NoData => Err(DnsError::NoData),
                Outcome::Loop | Outcome::Fault(Fault::ServFail) => Err(DnsError::Temporary),
                Outcome::Fault(Fault::Bogus) => Err(DnsError::Bogus),
                Outcome::Fault(Fault::Timeout) => {
                    tokio::time::sleep(SILENCE).await;
                    Err(DnsError::Temporary)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::Budget;
    use super::*;

    const ZONE: &str = "a.example. @30 A 192.0.2.1\n\
        192.0.2.1 PTR a.example.\n\
        alias.example. CNAME a.example.\n\
        loop.example. CNAME loop.example.\n\
        broken.example. SERVFAIL\n\
        silent.example. TIMEOUT\n\
        forged.example. BOGUS\n";

    #[tokio::test(start_paused = true)]
    async fn answers_and_log() {
        let dns = FakeDns::parse(ZONE).unwrap();
        let budget = Budget::new(dns.resolver(), 20, Duration::from_secs(30));
        let ip = "192.0.2.1".parse().unwrap();
        assert_eq!(budget.a("A.example.").await, Ok(vec![ip]));
        assert_eq!(budget.ptr(ip.into()).await, Ok(vec!["a.example".into()]));
        assert_eq!(budget.a("alias.example").await, Ok(vec![ip]));
        assert_eq!(budget.aaaa("a.example").await, Err(DnsError::NoData));
        assert_eq!(budget.a("b.example").await, Err(DnsError::NoName));
        assert_eq!(budget.a("loop.example").await, Err(DnsError::Temporary));
        assert_eq!(budget.a("broken.example").await, Err(DnsError::Temporary));
        assert_eq!(budget.a("forged.example").await, Err(DnsError::Bogus));
        assert_eq!(dns.asked()[0], ("a.example".into(), Kind::A));
        assert_eq!(dns.asked()[1], ("1.2.0.192.in-addr.arpa".into(), Kind::Ptr));
        assert_eq!(dns.asked().len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_lasts_until_the_resolver_or_the_budget_gives_up() {
        let dns = FakeDns::parse(ZONE).unwrap();
        let start = Instant::now();
        let budget = Budget::new(dns.resolver(), 20, Duration::from_secs(30));
        assert_eq!(budget.a("silent.example").await, Err(DnsError::Temporary));
        assert_eq!(start.elapsed(), SILENCE);
        let budget = budget.until(Instant::now() + Duration::from_secs(1));
        assert_eq!(budget.a("silent.example").await, Err(DnsError::Budget));
    }
}
