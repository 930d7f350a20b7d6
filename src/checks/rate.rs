//! `[[rate]]`: how often something may happen, read in rules as `rate.NAME`.
//!
//! A rate is no [`super::Check`]: it counts when its event happens. The session calls
//! [`Rates::count`] at connect, MAIL and RCPT, and after the fact for unknown recipients and failed
//! authentication. What was counted after the fact is felt later: [`Rates::peek`] sets the fields
//! at the next connect, MAIL or RCPT without counting.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::facts::rate::{Per, Rate, What};
use crate::facts::{Facts, Stage, Value, registry};
use crate::state::concurrency::network;
use crate::state::{CounterKey, Counters, KeyHasher, Limit, Mode, Take};

/// Counters that are asked for in one call.
const BATCH: usize = 8;

/// Whose counter it is.
enum Whose {
    Of(CounterKey),
    /// A value is known to be empty, such as the sender of a bounce: not counted, not over.
    Nobody,
    /// A value is not known yet.
    NotKnown,
}

/// The rates that are in use, and where they are counted.
pub struct Rates {
    rates: Vec<Rate>,
    hasher: Arc<KeyHasher>,
    counters: Arc<dyn Counters>,
}

impl Rates {
    /// The hasher belongs to the counters: it must outlive a reload as they do.
    pub fn new(rates: Vec<Rate>, hasher: Arc<KeyHasher>, counters: Arc<dyn Counters>) -> Self {
        Rates { rates, hasher, counters }
    }

    /// Counts an event in each rate of its kind and sets `rate.NAME` to whether it exceeds the limit.
    pub async fn count(&self, what: What, facts: &mut Facts, now: Instant) {
        self.take(|rate| rate.what == what, Mode::Count, facts, now).await;
    }

    /// Sets `rate.NAME` of what is counted after the fact, without counting, as far as its keys are
    /// known: to be called at connect, MAIL and RCPT.
    pub async fn peek(&self, facts: &mut Facts, now: Instant) {
        self.take(|rate| rate.what.after_the_fact(), Mode::Peek, facts, now).await;
    }

    /// Forgets what was found about one mail, so that the next does not begin with it. To be called
    /// where [`Facts::forget_from`] is.
    pub fn forget_mail(&self, facts: &mut Facts) {
        for rate in self.rates.iter().filter(|rate| rate.stage() >= Stage::Mail) {
            facts.forget_keyed(registry::RATE, &rate.name);
        }
    }

    async fn take(
        &self,
        chosen: impl Fn(&Rate) -> bool,
        mode: Mode,
        facts: &mut Facts,
        now: Instant,
    ) {
        let mut rates = self.rates.iter().filter(|rate| chosen(rate));
        loop {
            // On the stack: an event concerns few rates.
            let mut batch = [Take::default(); BATCH];
            let mut names = [""; BATCH];
            let mut len = 0;
            for (take, name) in batch.iter_mut().zip(&mut names) {
                let Some((rate, key)) = rates.find_map(|rate| self.key(rate, mode, facts)) else {
                    break;
                };
                let Rate { limit, within, .. } = *rate;
                *take = Take::new(key, Limit { count: limit, within, burst: None });
                *name = &rate.name;
                len += 1;
            }
            let takes = batch.get_mut(..len).unwrap_or_default();
            self.counters.take(takes, mode, now).done().await;
            for (take, name) in takes.iter().zip(names) {
                facts.set_keyed(registry::RATE, name, take.over);
            }
            if len < BATCH {
                return;
            }
        }
    }

    /// The counter of a rate, if there is one to be asked; else what there is to say is said.
    fn key<'r>(
        &self,
        rate: &'r Rate,
        mode: Mode,
        facts: &mut Facts,
    ) -> Option<(&'r Rate, CounterKey)> {
        match self.whose(rate, facts) {
            Whose::Of(key) => return Some((rate, key)),
            Whose::NotKnown if mode == Mode::Peek => {}
            Whose::Nobody | Whose::NotKnown => {
                facts.set_keyed(registry::RATE, &rate.name, false);
            }
        }
        None
    }

    fn whose(&self, rate: &Rate, facts: &Facts) -> Whose {
        let mut key = self.hasher.start();
        key.text(&rate.name);
        let mut nobody = false;
        for per in &rate.per {
            let Some(field) = per.field() else {
                continue;
            };
            match facts.get(field) {
                None => return Whose::NotKnown,
                Some(Value::Str(text)) => {
                    nobody |= text.is_empty();
                    key.text(text);
                }
                Some(Value::Ip(ip)) => match (per, ip.to_canonical()) {
                    (Per::ClientIp, IpAddr::V4(ip)) => key.bytes(&ip.octets()),
                    (_, ip) => match network(ip) {
                        IpAddr::V4(network) => key.bytes(&network.octets()),
                        IpAddr::V6(network) => key.bytes(&network.octets()),
                    },
                },
                Some(Value::Int(number)) => key.bytes(&number.to_be_bytes()),
                Some(Value::Bool(_) | Value::List(_)) => nobody = true,
            }
        }
        if nobody { Whose::Nobody } else { Whose::Of(key.finish()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{MemoryCounters, Pending};
    use std::time::Duration;

    fn rate(name: &str, what: What, per: &[Per], limit: u32) -> Rate {
        Rate { name: name.into(), what, per: per.into(), limit, within: Duration::from_secs(3600) }
    }

    fn rates(list: Vec<Rate>) -> (Rates, Arc<MemoryCounters>) {
        let counters = Arc::new(MemoryCounters::new(1000));
        (Rates::new(list, Arc::new(KeyHasher::random()), counters.clone()), counters)
    }

    fn client(ip: &str) -> Facts {
        let mut facts = Facts::new();
        facts.set(registry::CLIENT_IP, ip.parse::<IpAddr>().unwrap());
        facts.set(registry::LISTENER_PORT, 25);
        facts
    }

    fn over(facts: &Facts, name: &str) -> Option<bool> {
        facts.get_keyed(registry::RATE, name).map(|value| *value == Value::Bool(true))
    }

    #[tokio::test]
    async fn each_client_has_its_own_counter() {
        let (rates, _) = rates(vec![rate("c", What::Connections, &[Per::ClientIp], 2)]);
        let now = Instant::now();
        let mut answers = Vec::new();
        for ip in ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"] {
            let mut facts = client(ip);
            rates.count(What::Connections, &mut facts, now).await;
            answers.push(over(&facts, "c").unwrap());
        }
        assert_eq!(answers, [false, false, true, false]);
        let mut facts = client("192.0.2.1");
        rates.count(What::Connections, &mut facts, now + Duration::from_secs(1800)).await;
        assert_eq!(over(&facts, "c"), Some(false), "one fits again after half an hour");
    }

    #[tokio::test]
    async fn an_ipv6_client_is_its_network() {
        let (rates, counters) = rates(vec![
            rate("ip", What::Connections, &[Per::ClientIp], 1),
            rate("net", What::Connections, &[Per::ClientNetwork], 1),
        ]);
        let mut answers = Vec::new();
        for ip in ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.9"] {
            let mut facts = client(ip);
            rates.count(What::Connections, &mut facts, Instant::now()).await;
            answers.push((over(&facts, "ip").unwrap(), over(&facts, "net").unwrap()));
        }
        assert_eq!(
            answers,
            [(false, false), (true, true), (false, false), (false, false), (false, true)]
        );
        assert_eq!(counters.len(), 4 + 3);
    }

    #[tokio::test]
    async fn an_empty_key_is_not_counted() {
        let (rates, counters) = rates(vec![
            rate("sender", What::Messages, &[Per::ClientIp, Per::From], 1),
            rate("user", What::Messages, &[Per::AuthUser], 1),
        ]);
        let mut facts = client("192.0.2.1");
        facts.set(registry::FROM, "");
        for _ in 0..3 {
            rates.count(What::Messages, &mut facts, Instant::now()).await;
            assert_eq!((over(&facts, "sender"), over(&facts, "user")), (Some(false), Some(false)));
        }
        assert_eq!(counters.len(), 0);
        facts.set(registry::FROM, "A@example.org");
        rates.count(What::Messages, &mut facts, Instant::now()).await;
        facts.set(registry::FROM, "a@EXAMPLE.org");
        rates.count(What::Messages, &mut facts, Instant::now()).await;
        assert_eq!(over(&facts, "sender"), Some(true));
        assert_eq!(counters.len(), 1);
    }

    #[tokio::test]
    async fn what_is_counted_after_the_fact_is_felt_later() {
        let (rates, _) = rates(vec![
            rate("unknown", What::UnknownRecipients, &[Per::ClientIp], 2),
            rate("guesses", What::UnknownRecipients, &[Per::From], 2),
        ]);
        let now = Instant::now();
        let mut facts = client("192.0.2.1");
        rates.peek(&mut facts, now).await;
        assert_eq!((over(&facts, "unknown"), over(&facts, "guesses")), (Some(false), None));
        facts.set(registry::FROM, "a@example.org");
        for _ in 0..2 {
            rates.count(What::UnknownRecipients, &mut facts, now).await;
            assert_eq!(over(&facts, "unknown"), Some(false));
        }
        let mut later = client("192.0.2.1");
        rates.peek(&mut later, now).await;
        assert_eq!(over(&later, "unknown"), Some(true));
        rates.peek(&mut later, now + Duration::from_secs(1800)).await;
        assert_eq!(over(&later, "unknown"), Some(false), "peeking did not count");
    }

    #[tokio::test]
    async fn more_rates_than_a_batch() {
        let names: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
        let list = names.iter().map(|name| rate(name, What::Recipients, &[Per::All], 1)).collect();
        let (rates, counters) = rates(list);
        let mut facts = client("192.0.2.1");
        rates.count(What::Recipients, &mut facts, Instant::now()).await;
        rates.count(What::Messages, &mut facts, Instant::now()).await;
        assert_eq!(counters.len(), 20);
        assert!(names.iter().all(|name| over(&facts, name) == Some(false)));
        rates.count(What::Recipients, &mut facts, Instant::now()).await;
        assert!(names.iter().all(|name| over(&facts, name) == Some(true)));
        rates.forget_mail(&mut facts);
        assert!(names.iter().all(|name| over(&facts, name).is_none()));
    }

    /// Counters on another machine, whose answers take their time.
    struct Far(bool);

    impl Counters for Far {
        fn take<'a>(&'a self, batch: &'a mut [Take], _: Mode, _: Instant) -> Pending<'a> {
            Pending::Wait(Box::pin(async move {
                tokio::task::yield_now().await;
                for take in batch.iter_mut().filter(|_| self.0) {
                    take.over = true;
                }
            }))
        }
    }

    #[tokio::test]
    async fn counters_may_be_far_away_and_out_of_reach() {
        for reached in [true, false] {
            let list = vec![rate("r", What::Connections, &[Per::ClientIp], 1)];
            let rates = Rates::new(list, Arc::new(KeyHasher::random()), Arc::new(Far(reached)));
            // Sessions move between threads.
            let session = tokio::spawn(async move {
                let mut facts = client("192.0.2.1");
                rates.count(What::Connections, &mut facts, Instant::now()).await;
                over(&facts, "r")
            });
            assert_eq!(session.await.unwrap(), Some(reached));
        }
    }
}
