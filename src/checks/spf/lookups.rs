//! The questions of one SPF check: asked, counted against the limits of RFC 7208 4.6.4, remembered.

use std::net::IpAddr;
use std::sync::Arc;

use super::macros::is_askable;
use super::outcome::Lookup;
use crate::dns::{Answer, Budget, DnsError, Kind, Records, reverse_name};

/// Terms that cause DNS questions, in one check.
const TERMS_MAX: u32 = 10;
/// Terms that may find nothing.
const VOIDS_MAX: u32 = 2;
/// Names of the client that are looked at.
const PTR_MAX: usize = 10;

/// Why a check ends at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    Temporary(String),
    Permanent(String),
}

pub(super) struct Lookups<'a> {
    dns: &'a Budget,
    ip: IpAddr,
    pub(super) made: Vec<Lookup>,
    pub(super) terms: u32,
    voids: u32,
    /// The names of the client's PTR records, once they were asked for, and whether each maps back.
    names: Option<Vec<(Box<str>, Option<bool>)>>,
}

impl<'a> Lookups<'a> {
    pub(super) fn new(dns: &'a Budget, ip: IpAddr) -> Self {
        Lookups { dns, ip, made: Vec::new(), terms: 0, voids: 0, names: None }
    }

    pub(super) fn count_term(&mut self) -> Result<(), Stop> {
        if self.terms == TERMS_MAX {
            return Err(Stop::Permanent(format!("more than {TERMS_MAX} terms that need DNS")));
        }
        self.terms += 1;
        Ok(())
    }

    /// The RFC limits the *terms* that find nothing, so a term counts once however many of its
    /// questions were in vain.
    pub(super) fn count_void(&mut self) -> Result<(), Stop> {
        if self.voids == VOIDS_MAX {
            return Err(Stop::Permanent(format!("more than {VOIDS_MAX} void lookups")));
        }
        self.voids += 1;
        Ok(())
    }

    pub(super) async fn ask(&mut self, name: &str, kind: Kind) -> Answer {
        let answer = self.dns.lookup(name, kind).await;
        let shown = answer.as_ref().err().map_or("found", |error| error.name());
        self.made.push(Lookup { name: name.to_owned(), kind, answer: shown });
        answer
    }

    /// The records, or `Err` with what kind of nothing there is. Failure to find out ends the check.
    pub(super) async fn find(
        &mut self,
        name: &str,
        kind: Kind,
    ) -> Result<Result<Arc<Records>, DnsError>, Stop> {
        match self.ask(name, kind).await {
            Ok(records) => Ok(Ok(records)),
            Err(error) if error.is_negative() => Ok(Err(error)),
            Err(error) => Err(temporary(name, error)),
        }
    }

    /// The addresses of a name in the family of the client.
    pub(super) async fn addresses(
        &mut self,
        name: &str,
    ) -> Result<Result<Vec<IpAddr>, DnsError>, Stop> {
        let kind = if self.ip.is_ipv4() { Kind::A } else { Kind::Aaaa };
        Ok(self.find(name, kind).await?.map(|records| addresses_of(&records)))
    }

    /// Whether a validated name of the client is `target` or below it (5.5). Void lookups do not
    /// count here: the client's side chose these names, and could turn a fail into a permerror.
    pub(super) async fn client_is_within(&mut self, target: &str) -> Result<bool, Stop> {
        for at in 0..self.names().await?.len() {
            let within = self.name(at).is_some_and(|name| is_within(name, target));
            if within && self.is_validated(at).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The value of `%{p}` (7.2): `domain` itself, else a name below it, else any validated name.
    pub(super) async fn validated_name(&mut self, domain: &str) -> Result<String, Stop> {
        let count = self.names().await?.len();
        for rank in 0..3 {
            for at in 0..count {
                let ranked = self.name(at).is_some_and(|name| {
                    let own = name.eq_ignore_ascii_case(domain);
                    let below = is_within(name, domain);
                    rank == if own { 0 } else { 2 - u8::from(below) }
                });
                if ranked && self.is_validated(at).await? {
                    return Ok(self.name(at).unwrap_or("unknown").to_owned());
                }
            }
        }
        Ok("unknown".to_owned())
    }

    fn name(&self, at: usize) -> Option<&str> {
        self.names.as_ref()?.get(at).map(|(name, _)| &**name)
    }

    async fn names(&mut self) -> Result<&[(Box<str>, Option<bool>)], Stop> {
        if self.names.is_none() {
            let question = reverse_name(self.ip);
            let found = match self.ask(&question, Kind::Ptr).await {
                Err(DnsError::Budget) => return Err(temporary(&question, DnsError::Budget)),
                Ok(records) => match &*records {
                    Records::Ptr(names) => names.iter().take(PTR_MAX).cloned().collect(),
                    _ => Vec::new(),
                },
                Err(_) => Vec::new(),
            };
            self.names = Some(found.into_iter().map(|name| (name, None)).collect());
        }
        Ok(self.names.as_deref().unwrap_or_default())
    }

    async fn is_validated(&mut self, at: usize) -> Result<bool, Stop> {
        let Some((name, known)) = self.names.as_ref().and_then(|names| names.get(at)).cloned()
        else {
            return Ok(false);
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let kind = if self.ip.is_ipv4() { Kind::A } else { Kind::Aaaa };
        let name = name.strip_suffix('.').unwrap_or(&name);
        let valid = is_askable(name)
            && match self.ask(name, kind).await {
                Ok(records) => addresses_of(&records).contains(&self.ip),
                Err(DnsError::Budget) => return Err(temporary(name, DnsError::Budget)),
                Err(_) => false,
            };
        if let Some((_, known)) = self.names.as_mut().and_then(|names| names.get_mut(at)) {
            *known = Some(valid);
        }
        Ok(valid)
    }
}

pub(super) fn temporary(name: &str, error: DnsError) -> Stop {
    Stop::Temporary(format!("DNS for {name}: {}", error.name()))
}

fn addresses_of(records: &Records) -> Vec<IpAddr> {
    match records {
        Records::A(list) => list.iter().copied().map(IpAddr::V4).collect(),
        Records::Aaaa(list) => list.iter().copied().map(IpAddr::V6).collect(),
        _ => Vec::new(),
    }
}

fn is_within(name: &str, domain: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let domain = domain.as_bytes();
    let Some((before, end)) =
        name.len().checked_sub(domain.len()).and_then(|at| name.split_at_checked(at))
    else {
        return false;
    };
    end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn within_a_domain() {
        assert!(is_within("Mail.Example.org", "example.ORG"));
        assert!(is_within("example.org.", "example.org"));
        assert!(!is_within("badexample.org", "example.org"));
        assert!(!is_within("org", "example.org"));
    }
}
