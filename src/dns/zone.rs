//! Zone text: the DNS of tests and of the demonstration.
//!
//! One record a line; lines that begin with `;` or `#` are comments.
//!
//! ```text
//! example.com.       MX     10 mx.example.com.
//! example.com.       TXT    "v=spf1 mx " "-all"
//! mx.example.com.    A      192.0.2.1
//! 192.0.2.1          PTR    mx.example.com.
//! www.example.com.   CNAME  mx.example.com.
//! *.dyn.example.com. A      192.0.2.9
//! null.example.      MX     0 .
//! slow.example. @250 A      192.0.2.2
//! broken.example.    SERVFAIL
//! silent.example.    TIMEOUT MX
//! forged.example.    BOGUS
//! gone.example.com.  NXDOMAIN
//! ```
//!
//! An address in place of a name stands for its reverse name. `@250` after the name delays each
//! answer for the name by 250 ms. `SERVFAIL`, `TIMEOUT` and `BOGUS` concern all types, or those named
//! after it. Text without quotes is one string up to the end of the line. `NXDOMAIN` denies what a
//! wildcard would answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::name::Name;
use super::{Kind, Records, reverse_name};

/// CNAMEs followed before a chain counts as broken.
pub const MAX_CHAIN: usize = 8;

#[derive(Debug, Clone, Default)]
pub struct Zone {
    nodes: BTreeMap<Box<str>, Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    records: Vec<Records>,
    alias: Option<Box<str>>,
    faults: Vec<(Option<Kind>, Fault)>,
    denied: bool,
    delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    ServFail,
    /// No answer at all.
    Timeout,
    Bogus,
}

/// What the zone says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneAnswer {
    /// The targets of the CNAMEs followed, in order. The outcome is that of the last.
    pub aliases: Vec<Box<str>>,
    pub outcome: Outcome,
    /// How long the answer takes.
    pub delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Records(Records),
    NoName,
    NoData,
    Fault(Fault),
    /// CNAMEs that lead back, or more than [`MAX_CHAIN`] of them.
    Loop,
}

impl Zone {
    /// Reads zone text; an error names its line.
    pub fn parse(text: &str) -> Result<Zone, String> {
        let mut zone = Zone::default();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with([';', '#']) {
                zone.line(line).map_err(|error| format!("line {}: {error}: {line}", n + 1))?;
            }
        }
        Ok(zone)
    }

    /// The answer to one question, CNAMEs inside the zone followed.
    pub fn answer(&self, name: &str, kind: Kind) -> ZoneAnswer {
        let mut answer =
            ZoneAnswer { aliases: Vec::new(), outcome: Outcome::NoName, delay: Duration::ZERO };
        let Some(asked) = Name::new(name) else { return answer };
        let mut name: Box<str> = asked.as_str().into();
        loop {
            let Some(node) = self.find(&name) else { return answer };
            answer.delay += node.delay;
            let Some(alias) = node.alias.clone().filter(|_| node.faults.is_empty()) else {
                answer.outcome = node.outcome(kind);
                return answer;
            };
            let again = *alias == *asked.as_str() || answer.aliases.contains(&alias);
            answer.aliases.push(alias.clone());
            if again || answer.aliases.len() > MAX_CHAIN {
                answer.outcome = Outcome::Loop;
                return answer;
            }
            name = alias;
        }
    }

    /// The node of a name, or the wildcard of its closest encloser (RFC 4592 3.3.1).
    fn find(&self, name: &str) -> Option<&Node> {
        if let Some(node) = self.nodes.get(name) {
            return Some(node);
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if self.nodes.contains_key(parent) {
                return self.nodes.get(&*format!("*.{parent}"));
            }
            rest = parent;
        }
        self.nodes.get("*")
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (owner, mut rest) = word(line);
        let owner = match owner.parse::<IpAddr>() {
            Ok(ip) => reverse_name(ip).into(),
            Err(_) => parse_name(owner)?,
        };
        let mut delay = None;
        if let Some(text) = rest.strip_prefix('@') {
            let (ms, after) = word(text);
            delay =
                Some(Duration::from_millis(ms.parse().map_err(|_| "a delay is @milliseconds")?));
            rest = after;
        }
        let (kind, value) = word(rest);
        let node = self.node(owner);
        if let Some(delay) = delay {
            node.delay = delay;
        }
        match kind.to_ascii_uppercase().as_str() {
            "SERVFAIL" => node.fault(Fault::ServFail, value)?,
            "TIMEOUT" => node.fault(Fault::Timeout, value)?,
            "BOGUS" => node.fault(Fault::Bogus, value)?,
            "NXDOMAIN" if value.is_empty() => node.denied = true,
            "CNAME" if node.alias.is_some() => return Err("a second CNAME".into()),
            "CNAME" => node.alias = Some(parse_name(value)?),
            kind => node.add(parse_record(parse_kind(kind)?, value)?),
        }
        if node.alias.is_some() && !node.records.is_empty() {
            return Err("a CNAME beside other records".into());
        }
        if node.denied && (node.alias.is_some() || !node.records.is_empty()) {
            return Err("NXDOMAIN beside records".into());
        }
        Ok(())
    }

    /// The node of a name; the names above it exist too.
    fn node(&mut self, name: Box<str>) -> &mut Node {
        let mut rest = &*name;
        while let Some((_, parent)) = rest.split_once('.') {
            if !self.nodes.contains_key(parent) {
                self.nodes.insert(parent.into(), Node::default());
            }
            rest = parent;
        }
        self.nodes.entry(name).or_default()
    }
}

impl Node {
    fn outcome(&self, kind: Kind) -> Outcome {
        let concerns = |on: &Option<Kind>| on.is_none_or(|on| on == kind);
        if let Some((_, fault)) = self.faults.iter().find(|(on, _)| concerns(on)) {
            return Outcome::Fault(*fault);
        }
        if self.denied {
            return Outcome::NoName;
        }
        match self.records.iter().find(|records| kind_of(records) == kind) {
            Some(records) => Outcome::Records(records.clone()),
            None => Outcome::NoData,
        }
    }

    fn fault(&mut self, fault: Fault, kinds: &str) -> Result<(), String> {
        if kinds.is_empty() {
            self.faults.push((None, fault));
        }
        for kind in kinds.split_whitespace() {
            self.faults.push((Some(parse_kind(&kind.to_ascii_uppercase())?), fault));
        }
        Ok(())
    }

    fn add(&mut self, new: Records) {
        for old in &mut self.records {
            match (old, &new) {
                (Records::A(old), Records::A(new)) => return old.extend(new),
                (Records::Aaaa(old), Records::Aaaa(new)) => return old.extend(new),
                (Records::Mx(old), Records::Mx(new)) => return old.extend(new.iter().cloned()),
                (Records::Txt(old), Records::Txt(new)) => return old.extend(new.iter().cloned()),
                (Records::Ptr(old), Records::Ptr(new)) => return old.extend(new.iter().cloned()),
                _ => {}
            }
        }
        self.records.push(new);
    }
}

fn kind_of(records: &Records) -> Kind {
    match records {
        Records::A(_) => Kind::A,
        Records::Aaaa(_) => Kind::Aaaa,
        Records::Mx(_) => Kind::Mx,
        Records::Txt(_) => Kind::Txt,
        Records::Ptr(_) => Kind::Ptr,
    }
}

fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn parse_kind(kind: &str) -> Result<Kind, String> {
    match kind {
        "A" => Ok(Kind::A),
        "AAAA" => Ok(Kind::Aaaa),
        "MX" => Ok(Kind::Mx),
        "TXT" => Ok(Kind::Txt),
        "PTR" => Ok(Kind::Ptr),
        _ => Err(format!("unknown type `{kind}`")),
    }
}

fn parse_name(name: &str) -> Result<Box<str>, String> {
    match Name::new(name) {
        Some(parsed) if !name.is_empty() => Ok(parsed.as_str().into()),
        _ => Err(format!("not a name: `{name}`")),
    }
}

fn parse_record(kind: Kind, value: &str) -> Result<Records, String> {
    Ok(match kind {
        Kind::A => Records::A(vec![value.parse().map_err(|_| "not an IPv4 address")?]),
        Kind::Aaaa => Records::Aaaa(vec![value.parse().map_err(|_| "not an IPv6 address")?]),
        Kind::Ptr => Records::Ptr(vec![parse_name(value)?]),
        Kind::Mx => {
            let (preference, exchange) = word(value);
            let preference = preference.parse().map_err(|_| "MX needs a preference")?;
            Records::Mx(vec![(preference, parse_name(exchange)?)])
        }
        Kind::Txt => Records::Txt(vec![parse_text(value)?]),
    })
}

/// Strings in quotes, joined, with `\"`, `\\` and `\DDD` (RFC 1035 5.1), or bare text.
fn parse_text(value: &str) -> Result<Box<[u8]>, String> {
    if !value.starts_with('"') {
        return Ok(value.as_bytes().into());
    }
    let mut text = Vec::new();
    let mut bytes = value.bytes();
    let mut quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                let first = bytes.next().ok_or("text ends in a backslash")?;
                if first.is_ascii_digit() {
                    let code = [first, bytes.next().unwrap_or(0), bytes.next().unwrap_or(0)];
                    let code = std::str::from_utf8(&code).ok().and_then(|code| code.parse().ok());
                    text.push(code.ok_or("\\ needs three digits up to 255")?);
                } else {
                    text.push(first);
                }
            }
            _ if quoted => text.push(byte),
            b' ' | b'\t' => {}
            _ => return Err("text outside the quotes".into()),
        }
    }
    if quoted { Err("quotes are not closed".into()) } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(zone: &Zone, name: &str, kind: Kind) -> Outcome {
        zone.answer(name, kind).outcome
    }

    fn a(text: &str) -> Outcome {
        Outcome::Records(Records::A(vec![text.parse().unwrap()]))
    }

    #[test]
    fn every_type() {
        let zone = Zone::parse(
            "; comment\n\
             Example.com. MX 10 MX1.example.com.\n\
             example.com MX 20 mx2.example.com\n\
             example.com. TXT \"a; \" \"b\\\"\\233\"\n\
             example.com. TXT v=spf1 -all\n\
             null.example. MX 0 .\n\
             v6.example. AAAA 2001:db8::1\n\
             192.0.2.1 PTR mx1.example.com.\n\
             2001:db8::1 PTR v6.example.\n",
        )
        .unwrap();
        assert_eq!(
            outcome(&zone, "EXAMPLE.com.", Kind::Mx),
            Outcome::Records(Records::Mx(vec![
                (10, "mx1.example.com".into()),
                (20, "mx2.example.com".into())
            ]))
        );
        assert_eq!(
            outcome(&zone, "example.com", Kind::Txt),
            Outcome::Records(Records::Txt(vec![
                b"a; b\"\xe9".as_slice().into(),
                b"v=spf1 -all".as_slice().into()
            ]))
        );
        assert_eq!(
            outcome(&zone, "null.example", Kind::Mx),
            Outcome::Records(Records::Mx(vec![(0, "".into())]))
        );
        assert_eq!(
            outcome(&zone, "1.2.0.192.in-addr.arpa", Kind::Ptr),
            Outcome::Records(Records::Ptr(vec!["mx1.example.com".into()]))
        );
        let reverse = reverse_name("2001:db8::1".parse().unwrap());
        assert_eq!(
            outcome(&zone, &reverse, Kind::Ptr),
            Outcome::Records(Records::Ptr(vec!["v6.example".into()]))
        );
    }

    #[test]
    fn names_that_exist_and_names_that_do_not() {
        let zone = Zone::parse("a.b.example. A 192.0.2.1\nno.b.example. NXDOMAIN\n").unwrap();
        assert_eq!(outcome(&zone, "a.b.example", Kind::Aaaa), Outcome::NoData);
        assert_eq!(outcome(&zone, "b.example", Kind::A), Outcome::NoData);
        assert_eq!(outcome(&zone, "example", Kind::A), Outcome::NoData);
        assert_eq!(outcome(&zone, "c.b.example", Kind::A), Outcome::NoName);
        assert_eq!(outcome(&zone, "no.b.example", Kind::A), Outcome::NoName);
        assert_eq!(outcome(&zone, "x.a.b.example", Kind::A), Outcome::NoName);
    }

    #[test]
    fn wildcards_stop_at_names_that_exist() {
        let zone = Zone::parse(
            "*.example. A 192.0.2.9\nhost.sub.example. A 192.0.2.1\nno.example. NXDOMAIN\n",
        )
        .unwrap();
        assert_eq!(outcome(&zone, "x.y.example", Kind::A), a("192.0.2.9"));
        assert_eq!(outcome(&zone, "x.example", Kind::Mx), Outcome::NoData);
        assert_eq!(outcome(&zone, "other.sub.example", Kind::A), Outcome::NoName);
        assert_eq!(outcome(&zone, "sub.example", Kind::A), Outcome::NoData);
        assert_eq!(outcome(&zone, "no.example", Kind::A), Outcome::NoName);
        assert_eq!(outcome(&zone, "host.sub.example", Kind::A), a("192.0.2.1"));
    }

    #[test]
    fn chains_and_loops() {
        let zone = Zone::parse(
            "a.example. CNAME b.example.\nb.example. @20 CNAME c.example.\nc.example. @5 A 192.0.2.1\n\
             x.example. CNAME y.example.\ny.example. CNAME x.example.\n\
             dangling.example. CNAME nowhere.test.\n\
             self.example. CNAME self.example.\n",
        )
        .unwrap();
        let answer = zone.answer("a.example", Kind::A);
        assert_eq!(answer.outcome, a("192.0.2.1"));
        assert_eq!(answer.aliases, ["b.example".into(), "c.example".into()]);
        assert_eq!(answer.delay, Duration::from_millis(25));
        assert_eq!(outcome(&zone, "x.example", Kind::A), Outcome::Loop);
        assert_eq!(outcome(&zone, "self.example", Kind::A), Outcome::Loop);
        assert_eq!(outcome(&zone, "dangling.example", Kind::A), Outcome::NoName);
        let long: String = (0..20).map(|n| format!("n{n}. CNAME n{}.\n", n + 1)).collect();
        assert_eq!(outcome(&Zone::parse(&long).unwrap(), "n0", Kind::A), Outcome::Loop);
    }

    #[test]
    fn faults_of_all_types_or_some() {
        let zone = Zone::parse(
            "x.example. SERVFAIL\ny.example. TIMEOUT MX TXT\ny.example. A 192.0.2.1\nz.example. BOGUS\n",
        )
        .unwrap();
        assert_eq!(outcome(&zone, "x.example", Kind::A), Outcome::Fault(Fault::ServFail));
        assert_eq!(outcome(&zone, "y.example", Kind::Mx), Outcome::Fault(Fault::Timeout));
        assert_eq!(outcome(&zone, "y.example", Kind::A), a("192.0.2.1"));
        assert_eq!(outcome(&zone, "z.example", Kind::Txt), Outcome::Fault(Fault::Bogus));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, wanted) in [
            ("\na. A 192.0.2.300", "line 2: not an IPv4 address"),
            ("a. MX mx.example.", "MX needs a preference"),
            ("a. SRV 1 2 3 x.", "unknown type"),
            ("a..b. A 192.0.2.1", "not a name"),
            ("a. @x A 192.0.2.1", "a delay is"),
            ("a. TXT \"open", "not closed"),
            ("a. TXT \"x\" y", "outside"),
            ("a. TXT \"\\999\"", "three digits"),
            ("a. CNAME b.\na. A 192.0.2.1", "line 2: a CNAME beside"),
            ("a. NXDOMAIN\na. A 192.0.2.1", "NXDOMAIN beside"),
            ("a.", "unknown type"),
        ] {
            let error = Zone::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text:?} gave {error}");
        }
    }
}
