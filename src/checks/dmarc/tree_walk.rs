//! The DNS Tree Walk and what is drawn from it (RFC 9989 4.10).

use std::sync::Arc;

use super::record::{Psd, Record};
use crate::dns::{Budget, DnsError};

/// At most 8 questions a walk: a longer name is cut to this many labels after the first.
const LABELS_AFTER_FIRST: usize = 7;

type Found = Result<Option<Arc<Record>>, DnsError>;

/// The walks of one message. A name is asked once, whichever walks come by.
pub struct Walks<'a> {
    dns: &'a Budget,
    asked: Vec<(String, Found)>,
}

/// The records met from a starting point up, the longest name first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    pub start: String,
    pub met: Vec<(String, Arc<Record>)>,
}

impl<'a> Walks<'a> {
    pub fn new(dns: &'a Budget) -> Self {
        Walks { dns, asked: Vec::new() }
    }

    /// The one DMARC record of a name. Several are as good as none (4.10 steps 2 and 6).
    pub async fn record(&mut self, name: &str) -> Found {
        if let Some((_, found)) = self.asked.iter().find(|(asked, _)| asked == name) {
            return found.clone();
        }
        let found = match self.dns.txt(&format!("_dmarc.{name}")).await {
            Ok(texts) => {
                let mut records = texts.iter().filter_map(|text| Record::parse(text));
                let first = records.next();
                Ok(first.filter(|_| records.next().is_none()).map(Arc::new))
            }
            Err(DnsError::NoName | DnsError::NoData) => Ok(None),
            Err(error) => Err(error),
        };
        self.asked.push((name.to_owned(), found.clone()));
        found
    }

    pub async fn walk(&mut self, start: &str) -> Result<Walk, DnsError> {
        let mut met = Vec::new();
        let mut target = Some(start);
        while let Some(name) = target {
            if let Some(record) = self.record(name).await? {
                let stop = record.psd != Psd::Unknown;
                met.push((name.to_owned(), record));
                if stop {
                    break;
                }
            }
            target = next_target(name);
        }
        Ok(Walk { start: start.to_owned(), met })
    }

    /// Every name asked so far with what was found, in order.
    pub fn asked(&self) -> &[(String, Found)] {
        &self.asked
    }
}

impl Walk {
    /// RFC 9989 4.10.2. Without any record it is the starting point itself.
    pub fn organizational_domain(&self) -> &str {
        for (name, record) in &self.met {
            match record.psd {
                Psd::No => return name,
                Psd::Yes if *name != self.start => return one_below(name, &self.start),
                Psd::Yes | Psd::Unknown => {}
            }
        }
        self.met.last().map_or(&self.start, |(name, _)| name)
    }

    /// The record that applies to mail from the starting point: its own, else that of its
    /// Organizational Domain, else that of its Public Suffix Domain (4.10.1).
    pub fn policy_record(&self) -> Option<&(String, Arc<Record>)> {
        let at = |wanted: &str| self.met.iter().find(|(name, _)| name == wanted);
        at(&self.start)
            .or_else(|| at(self.organizational_domain()))
            .or_else(|| self.met.iter().find(|(_, record)| record.psd == Psd::Yes))
    }
}

/// The name to ask after this one (4.10 steps 4 and 7).
fn next_target(name: &str) -> Option<&str> {
    let labels = name.split('.').count();
    let mut parent = name.split_once('.')?.1;
    for _ in LABELS_AFTER_FIRST..labels.saturating_sub(1) {
        parent = parent.split_once('.')?.1;
    }
    Some(parent)
}

/// The name one label longer than `suffix` on the way down to `name`.
fn one_below<'n>(suffix: &str, name: &'n str) -> &'n str {
    let rest = name.strip_suffix(suffix).unwrap_or("").trim_end_matches('.');
    let cut = rest.rfind('.').map_or(0, |at| at + 1);
    name.get(cut..).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Kind;
    use crate::dns::fake::FakeDns;
    use std::time::Duration;

    /// The names asked, the Organizational Domain, the domain whose record applies.
    async fn walk(zone: &str, start: &str) -> Result<(Vec<String>, String, String), DnsError> {
        let dns = FakeDns::parse(zone).expect("zone text");
        let budget = Budget::new(dns.resolver(), 100, Duration::from_secs(5));
        let walk = Walks::new(&budget).walk(start).await?;
        let asked = dns.asked().into_iter().map(|(name, kind)| {
            assert_eq!(kind, Kind::Txt);
            name
        });
        let policy = walk.policy_record().map(|(name, _)| name.clone()).unwrap_or_default();
        Ok((asked.collect(), walk.organizational_domain().to_owned(), policy))
    }

    /// The example of RFC 9989 4.10.
    #[tokio::test]
    async fn at_most_eight_questions() {
        let (asked, org, policy) =
            walk("", "a.b.c.d.e.f.g.h.i.j.mail.example.com").await.expect("ok");
        assert_eq!(
            asked,
            [
                "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "_dmarc.g.h.i.j.mail.example.com",
                "_dmarc.h.i.j.mail.example.com",
                "_dmarc.i.j.mail.example.com",
                "_dmarc.j.mail.example.com",
                "_dmarc.mail.example.com",
                "_dmarc.example.com",
                "_dmarc.com",
            ]
        );
        assert_eq!(org, "a.b.c.d.e.f.g.h.i.j.mail.example.com");
        assert_eq!(policy, "");
        for (labels, questions) in [(1, 1), (2, 2), (7, 7), (8, 8), (9, 8), (100, 8)] {
            let name = vec!["x"; labels].join(".");
            assert_eq!(walk("", &name).await.expect("ok").0.len(), questions, "{labels}");
        }
    }

    /// RFC 9989 4.10.1 and 4.10.2.
    #[tokio::test]
    async fn shapes() {
        let at = |lines: &[(&str, &str)]| -> String {
            let lines = lines.iter().map(|(n, t)| format!("_dmarc.{n}. TXT \"v=DMARC1; {t}\"\n"));
            lines.collect()
        };
        let start = "a.b.example.com";
        for (zone, org, policy, questions) in [
            (at(&[("example.com", "p=none")]), "example.com", "example.com", 4),
            (at(&[("a.b.example.com", "p=none")]), "a.b.example.com", "a.b.example.com", 4),
            (
                at(&[("a.b.example.com", "p=none"), ("example.com", "p=none")]),
                "example.com",
                "a.b.example.com",
                4,
            ),
            (
                at(&[("b.example.com", "p=none"), ("example.com", "p=none")]),
                "example.com",
                "example.com",
                4,
            ),
            (
                at(&[("b.example.com", "p=none; psd=n"), ("example.com", "p=none")]),
                "b.example.com",
                "b.example.com",
                2,
            ),
            (at(&[("a.b.example.com", "p=none; psd=n")]), "a.b.example.com", "a.b.example.com", 1),
            (
                at(&[("com", "p=none; psd=y"), ("example.com", "p=none")]),
                "example.com",
                "example.com",
                4,
            ),
            // Nothing at the Organizational Domain: the Public Suffix Domain's record applies.
            (at(&[("com", "p=none; psd=y")]), "example.com", "com", 4),
            (at(&[("com", "p=none; psd=y"), ("b.example.com", "p=none")]), "example.com", "com", 4),
            (at(&[("example.com", "p=none; psd=y")]), "b.example.com", "example.com", 3),
            // psd=y at the start says nothing about where the organisation ends.
            (
                at(&[("a.b.example.com", "p=none; psd=y"), ("example.com", "p=none")]),
                "a.b.example.com",
                "a.b.example.com",
                1,
            ),
            // A record that can't be applied still is a record.
            (at(&[("example.com", "p=junk")]), "example.com", "example.com", 4),
            // Several records are none; other texts do not count.
            (
                at(&[("example.com", "p=none"), ("example.com", "p=reject"), ("com", "p=none")]),
                "com",
                "com",
                4,
            ),
            (
                at(&[("example.com", "p=none")]) + "_dmarc.example.com. TXT \"v=spf1\"\n",
                "example.com",
                "example.com",
                4,
            ),
        ] {
            let (asked, seen_org, seen_policy) = walk(&zone, start).await.expect("ok");
            assert_eq!((seen_org.as_str(), seen_policy.as_str()), (org, policy), "{zone}");
            assert_eq!(asked.len(), questions, "{zone}");
        }
    }

    #[tokio::test]
    async fn an_error_ends_the_walk() {
        let zone = "_dmarc.b.example.com. SERVFAIL\n_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n";
        assert_eq!(walk(zone, "a.b.example.com").await, Err(DnsError::Temporary));
    }

    #[test]
    fn one_label_below() {
        assert_eq!(one_below("com", "a.b.example.com"), "example.com");
        assert_eq!(one_below("example.com", "b.example.com"), "b.example.com");
    }
}
