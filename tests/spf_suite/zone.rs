//! A resolver over a table of records.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis::dns::{Answer, BoxFuture, DnsError, Kind, Records, Resolver};

#[derive(Debug, Clone)]
pub(crate) enum Entry {
    A(std::net::Ipv4Addr),
    Aaaa(std::net::Ipv6Addr),
    Mx(u16, String),
    Txt(Vec<u8>),
    Ptr(String),
    Cname(String),
    /// Every type without a record of its own gets no answer.
    Timeout,
}

#[derive(Debug, Default)]
pub(crate) struct Zone {
    names: HashMap<String, Vec<Entry>>,
}

impl Zone {
    /// Makes the name exist, with or without records.
    pub(crate) fn name(&mut self, name: &str) -> &mut Vec<Entry> {
        self.names.entry(name.to_lowercase()).or_default()
    }

    /// Lines of `name TYPE value`; `#` begins a comment line.
    pub(crate) fn parse(text: &str) -> Zone {
        let mut zone = Zone::default();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let (name, rest) = line.split_once(' ').expect(line);
            let (kind, value) = rest.split_once(' ').unwrap_or((rest, ""));
            let value = value.trim();
            zone.name(name).push(match kind {
                "A" => Entry::A(value.parse().expect(line)),
                "AAAA" => Entry::Aaaa(value.parse().expect(line)),
                "MX" => Entry::Mx(10, value.into()),
                "TXT" => Entry::Txt(value.into()),
                "PTR" => Entry::Ptr(value.into()),
                "CNAME" => Entry::Cname(value.into()),
                "TIMEOUT" => Entry::Timeout,
                _ => panic!("{line}"),
            });
        }
        zone
    }

    fn answer(&self, name: &str, kind: Kind) -> Answer {
        let mut name = name.trim_end_matches('.').to_lowercase();
        for _ in 0..8 {
            let entries = self.names.get(&name).ok_or(DnsError::NoName)?;
            let alias = entries.iter().find_map(|entry| match entry {
                Entry::Cname(target) => Some(target),
                _ => None,
            });
            match alias {
                Some(target) => name = target.trim_end_matches('.').to_lowercase(),
                None => return records(entries, kind),
            }
        }
        Err(DnsError::Temporary)
    }
}

fn records(entries: &[Entry], kind: Kind) -> Answer {
    fn pick<T>(entries: &[Entry], one: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
        entries.iter().filter_map(one).collect()
    }
    let (found, empty) = match kind {
        Kind::A => {
            let list = pick(entries, |e| if let Entry::A(ip) = e { Some(*ip) } else { None });
            (Records::A(list.clone()), list.is_empty())
        }
        Kind::Aaaa => {
            let list = pick(entries, |e| if let Entry::Aaaa(ip) = e { Some(*ip) } else { None });
            (Records::Aaaa(list.clone()), list.is_empty())
        }
        Kind::Mx => {
            let list = pick(entries, |e| match e {
                Entry::Mx(preference, host) => Some((*preference, host.as_str().into())),
                _ => None,
            });
            (Records::Mx(list.clone()), list.is_empty())
        }
        Kind::Txt => {
            let list = pick(entries, |e| match e {
                Entry::Txt(text) => Some(text.as_slice().into()),
                _ => None,
            });
            (Records::Txt(list.clone()), list.is_empty())
        }
        Kind::Ptr => {
            let list = pick(entries, |e| match e {
                Entry::Ptr(name) => Some(name.trim_end_matches('.').to_lowercase().into()),
                _ => None,
            });
            (Records::Ptr(list.clone()), list.is_empty())
        }
    };
    match empty {
        false => Ok(Arc::new(found)),
        true if entries.iter().any(|e| matches!(e, Entry::Timeout)) => Err(DnsError::Temporary),
        true => Err(DnsError::NoData),
    }
}

impl Resolver for Zone {
    fn lookup<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.answer(name, kind) })
    }
}
