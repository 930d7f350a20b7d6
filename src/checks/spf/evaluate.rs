//! `check_host()` (RFC 7208 section 4).

use std::net::IpAddr;

use super::lookups::{Lookups, Stop};
use super::macros::{MacroString, Place, Values, is_askable, target_name};
use super::outcome::{Matched, Published, SpfOutcome, SpfResult};
use super::record::{
    DualCidr, Mechanism, Record, ip4_contains, ip6_contains, is_spf_record, shown,
};
use crate::dns::{BoxFuture, Budget, DnsError, Kind, Records};

/// MX records of one name; more are a permerror (4.6.4).
const MX_MAX: usize = 10;

/// The arguments of `check_host()`, and what macros need besides.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The client. An IPv4-mapped IPv6 address is IPv4.
    pub ip: IpAddr,
    /// The domain whose policy is asked for.
    pub domain: &'a str,
    /// `local@domain`; an empty local part is `postmaster`.
    pub sender: &'a str,
    /// As the client gave it.
    pub helo: &'a str,
    /// Our own name.
    pub receiver: &'a str,
    /// Seconds since 1970.
    pub now: u64,
}

/// Evaluates the policy of a domain. It asks at most 10 terms' worth of questions, and ends when
/// the budget does.
pub async fn check_host(query: &Query<'_>, dns: &Budget) -> SpfOutcome {
    let ip = query.ip.to_canonical();
    let (local, sender_domain) = query.sender.rsplit_once('@').unwrap_or(("", query.sender));
    let local = if local.is_empty() { "postmaster" } else { local };
    let mut check = Check {
        query,
        ip,
        local,
        sender: format!("{local}@{sender_domain}"),
        sender_domain,
        lookups: Lookups::new(dns, ip),
        records: Vec::new(),
    };
    let domain = query.domain.strip_suffix('.').unwrap_or(query.domain).to_ascii_lowercase();
    let mut found = match check.evaluate(domain.clone()).await {
        Ok(found) => found,
        Err(Stop::Temporary(reason)) => Found::without_match(SpfResult::Temperror, reason),
        Err(Stop::Permanent(reason)) => Found::without_match(SpfResult::Permerror, reason),
    };
    let explanation = match found.exp.take() {
        Some((exp, domain)) if found.result == SpfResult::Fail => {
            check.explain(&exp, &domain).await
        }
        _ => None,
    };
    SpfOutcome {
        result: found.result,
        domain: shown(domain.as_bytes()),
        matched: found.matched,
        explanation,
        records: check.records,
        terms: check.lookups.terms,
        lookups: check.lookups.made,
        reason: found.reason.map(|reason| shown(reason.as_bytes())),
    }
}

struct Check<'a> {
    query: &'a Query<'a>,
    ip: IpAddr,
    local: &'a str,
    sender: String,
    sender_domain: &'a str,
    lookups: Lookups<'a>,
    records: Vec<Published>,
}

/// The result of one domain's policy, redirects followed.
struct Found {
    result: SpfResult,
    matched: Vec<Matched>,
    /// The `exp` of the record that matched, and that record's domain.
    exp: Option<(MacroString, String)>,
    reason: Option<String>,
}

impl Found {
    fn without_match(result: SpfResult, reason: impl Into<String>) -> Self {
        Found { result, matched: Vec::new(), exp: None, reason: Some(reason.into()) }
    }
}

/// What became of a `domain-spec`.
enum Target {
    Name(String),
    /// No DNS query can be made of it.
    Malformed,
    /// It holds a local part that is not US-ASCII: such a term matches nothing (RFC 8616 4).
    MatchesNothing,
}

impl Check<'_> {
    fn evaluate(&mut self, mut domain: String) -> BoxFuture<'_, Result<Found, Stop>> {
        Box::pin(async move {
            let mut redirected = false;
            loop {
                let record = match self.record(&domain).await? {
                    Ok(record) => record,
                    Err(why) if redirected => {
                        return Err(Stop::Permanent(format!("redirect={domain}: {why}")));
                    }
                    Err(why) => return Ok(Found::without_match(SpfResult::None, why)),
                };
                for directive in record.directives {
                    if let Some(inner) = self.matches(&directive.mechanism, &domain).await? {
                        let term = shown(directive.text.as_bytes());
                        let mut matched = vec![Matched { domain: domain.clone(), term }];
                        matched.extend(inner);
                        return Ok(Found {
                            result: directive.result,
                            matched,
                            exp: record.exp.map(|exp| (exp, domain)),
                            reason: None,
                        });
                    }
                }
                let Some(redirect) = record.redirect else {
                    return Ok(Found::without_match(SpfResult::Neutral, "no term matched"));
                };
                self.lookups.count_term()?;
                let Target::Name(name) = self.target(Some(&redirect), &domain).await? else {
                    return Err(Stop::Permanent("redirect to a malformed name".into()));
                };
                domain = name;
                redirected = true;
            }
        })
    }

    /// The one SPF record of a domain, or why there is none (4.3 to 4.6).
    async fn record(&mut self, domain: &str) -> Result<Result<Record, &'static str>, Stop> {
        if !domain.contains('.') || domain.starts_with('[') || !is_askable(domain) {
            return Ok(Err("not a domain with at least two labels"));
        }
        let records = match self.lookups.find(domain, Kind::Txt).await? {
            Ok(records) => records,
            Err(DnsError::NoName) => return Ok(Err("the domain does not exist")),
            Err(_) => return Ok(Err("no TXT record")),
        };
        let texts: &[Box<[u8]>] = match &*records {
            Records::Txt(texts) => texts,
            _ => &[],
        };
        let mut ours = texts.iter().filter(|text| is_spf_record(text));
        let Some(text) = ours.next() else {
            return Ok(Err("no SPF record"));
        };
        self.records.push(Published { domain: shown(domain.as_bytes()), record: shown(text) });
        if ours.next().is_some() {
            return Err(Stop::Permanent(format!("{domain} has more than one SPF record")));
        }
        Record::parse(text).map(Ok).map_err(|error| Stop::Permanent(format!("{domain}: {error}")))
    }

    /// `Some` on a match, with the terms that matched inside an include.
    async fn matches(
        &mut self,
        mechanism: &Mechanism,
        domain: &str,
    ) -> Result<Option<Vec<Matched>>, Stop> {
        let matched = match mechanism {
            Mechanism::All => true,
            Mechanism::Ip4(network, length) => match self.ip {
                IpAddr::V4(ip) => ip4_contains(*network, *length, ip),
                IpAddr::V6(_) => false,
            },
            Mechanism::Ip6(network, length) => match self.ip {
                IpAddr::V6(ip) => ip6_contains(*network, *length, ip),
                IpAddr::V4(_) => false,
            },
            Mechanism::Include(spec) => return self.include(spec, domain).await,
            Mechanism::A(spec, cidr) => match self.term(spec.as_ref(), domain).await? {
                Some(name) => self.a(&name, *cidr).await?,
                None => false,
            },
            Mechanism::Mx(spec, cidr) => match self.term(spec.as_ref(), domain).await? {
                Some(name) => self.mx(&name, *cidr).await?,
                None => false,
            },
            Mechanism::Ptr(spec) => match self.term(spec.as_ref(), domain).await? {
                Some(name) => self.lookups.client_is_within(&name).await?,
                None => false,
            },
            Mechanism::Exists(spec) => match self.term(Some(spec), domain).await? {
                Some(name) => self.exists(&name).await?,
                None => false,
            },
        };
        Ok(matched.then(Vec::new))
    }

    /// Counts a term and names its target; `None` when it can't match.
    async fn term(
        &mut self,
        spec: Option<&MacroString>,
        domain: &str,
    ) -> Result<Option<String>, Stop> {
        self.lookups.count_term()?;
        Ok(match self.target(spec, domain).await? {
            Target::Name(name) => Some(name),
            Target::Malformed | Target::MatchesNothing => None,
        })
    }

    /// The table of 5.2.
    async fn include(
        &mut self,
        spec: &MacroString,
        domain: &str,
    ) -> Result<Option<Vec<Matched>>, Stop> {
        self.lookups.count_term()?;
        let name = match self.target(Some(spec), domain).await? {
            Target::Name(name) => name,
            Target::MatchesNothing => return Ok(None),
            Target::Malformed => return Err(Stop::Permanent("include of a malformed name".into())),
        };
        let found = self.evaluate(name.clone()).await?;
        match found.result {
            SpfResult::Pass => Ok(Some(found.matched)),
            SpfResult::None => Err(Stop::Permanent(format!(
                "include:{name}: {}",
                found.reason.as_deref().unwrap_or("none")
            ))),
            _ => Ok(None),
        }
    }

    async fn a(&mut self, name: &str, cidr: DualCidr) -> Result<bool, Stop> {
        match self.lookups.addresses(name).await? {
            Ok(found) => Ok(found.into_iter().any(|address| cidr.contains(address, self.ip))),
            Err(_) => self.lookups.count_void().map(|()| false),
        }
    }

    /// The number of records is judged before any host is asked for, so that the result does not
    /// depend on their order. A host without an address in the client's family is common and no
    /// void lookup; one that does not exist is.
    async fn mx(&mut self, name: &str, cidr: DualCidr) -> Result<bool, Stop> {
        let Ok(records) = self.lookups.find(name, Kind::Mx).await? else {
            return self.lookups.count_void().map(|()| false);
        };
        let hosts: &[(u16, Box<str>)] = match &*records {
            Records::Mx(hosts) => hosts,
            _ => &[],
        };
        if hosts.len() > MX_MAX {
            return Err(Stop::Permanent(format!("{name} has more than {MX_MAX} MX records")));
        }
        let mut void = false;
        for (_, host) in hosts {
            let host = host.strip_suffix('.').unwrap_or(host);
            if !is_askable(host) {
                continue;
            }
            match self.lookups.addresses(host).await? {
                Ok(found) if found.iter().any(|address| cidr.contains(*address, self.ip)) => {
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) => void |= error == DnsError::NoName,
            }
        }
        if void {
            self.lookups.count_void()?;
        }
        Ok(false)
    }

    /// Always asks for A, whatever the client's family (5.7).
    async fn exists(&mut self, name: &str) -> Result<bool, Stop> {
        match self.lookups.find(name, Kind::A).await? {
            Ok(_) => Ok(true),
            Err(_) => self.lookups.count_void().map(|()| false),
        }
    }

    async fn target(&mut self, spec: Option<&MacroString>, domain: &str) -> Result<Target, Stop> {
        let Some(spec) = spec else {
            return Ok(Target::Name(domain.to_owned()));
        };
        if spec.uses_local_part() && !self.local.is_ascii() {
            return Ok(Target::MatchesNothing);
        }
        let expanded = self.expand(spec, domain).await?;
        Ok(match expanded.as_deref().map(target_name) {
            Some(name) if is_askable(name) => Target::Name(name.to_owned()),
            _ => Target::Malformed,
        })
    }

    async fn expand(&mut self, spec: &MacroString, domain: &str) -> Result<Option<String>, Stop> {
        let validated = if spec.uses_validated_name() {
            self.lookups.validated_name(domain).await?
        } else {
            String::new()
        };
        Ok(spec.expand(&Values {
            sender: &self.sender,
            local: self.local,
            sender_domain: self.sender_domain,
            domain,
            ip: self.ip,
            validated: &validated,
            helo: self.query.helo,
            receiver: self.query.receiver,
            now: self.query.now,
        }))
    }

    /// The domain's words for a fail. Whatever goes wrong, there are none (6.2).
    async fn explain(&mut self, exp: &MacroString, domain: &str) -> Option<String> {
        let Ok(Target::Name(name)) = self.target(Some(exp), domain).await else {
            return None;
        };
        let records = self.lookups.ask(&name, Kind::Txt).await.ok()?;
        let Records::Txt(texts) = &*records else {
            return None;
        };
        let [text] = texts.as_slice() else {
            return None;
        };
        let text = MacroString::parse(std::str::from_utf8(text).ok()?, Place::Explanation).ok()?;
        let text = self.expand(&text, domain).await.ok()??;
        (!text.is_empty()).then(|| shown(text.as_bytes()))
    }
}
