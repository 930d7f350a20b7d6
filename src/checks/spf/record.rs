//! The syntax of SPF records (RFC 7208 sections 4.5, 4.6, 5, 6 and 12), strictly: any error
//! anywhere in a record makes it unusable.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::macros::{MacroString, Place};
use super::outcome::SpfResult;

/// A record whose syntax is right throughout. Unknown modifiers were checked and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub directives: Vec<Directive>,
    pub redirect: Option<MacroString>,
    pub exp: Option<MacroString>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The result when the mechanism matches: pass, fail, softfail or neutral.
    pub result: SpfResult,
    pub mechanism: Mechanism,
    /// As written, with its qualifier.
    pub text: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    All,
    Include(MacroString),
    A(Option<MacroString>, DualCidr),
    Mx(Option<MacroString>, DualCidr),
    Ptr(Option<MacroString>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(MacroString),
}

/// Prefix lengths for either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DualCidr {
    pub ip4: u8,
    pub ip6: u8,
}

impl DualCidr {
    /// Whether `ip` is in the network that `address` and the prefix length of its family make.
    pub fn contains(self, address: IpAddr, ip: IpAddr) -> bool {
        match (address, ip) {
            (IpAddr::V4(address), IpAddr::V4(ip)) => ip4_contains(address, self.ip4, ip),
            (IpAddr::V6(address), IpAddr::V6(ip)) => ip6_contains(address, self.ip6, ip),
            _ => false,
        }
    }
}

pub fn ip4_contains(network: Ipv4Addr, length: u8, ip: Ipv4Addr) -> bool {
    let differing = network.to_bits() ^ ip.to_bits();
    differing.checked_shr(32 - u32::from(length.min(32))).unwrap_or(0) == 0
}

pub fn ip6_contains(network: Ipv6Addr, length: u8, ip: Ipv6Addr) -> bool {
    let differing = network.to_bits() ^ ip.to_bits();
    differing.checked_shr(128 - u32::from(length.min(128))).unwrap_or(0) == 0
}

/// The term that is wrong, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub term: String,
    pub what: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.term, self.what)
    }
}

/// Whether a TXT record is an SPF record: `v=spf1`, then a space or the end (4.5).
pub fn is_spf_record(txt: &[u8]) -> bool {
    txt.split_at_checked(6).is_some_and(|(version, rest)| {
        version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
    })
}

impl Record {
    /// Parses a TXT record for which [`is_spf_record`] holds.
    pub fn parse(txt: &[u8]) -> Result<Record, SyntaxError> {
        let terms = txt.get(6..).unwrap_or_default();
        let mut record = Record { directives: Vec::new(), redirect: None, exp: None };
        for term in terms.split(|byte| *byte == b' ').filter(|term| !term.is_empty()) {
            record.term(term).map_err(|what| SyntaxError { term: shown(term), what })?;
        }
        Ok(record)
    }

    fn term(&mut self, term: &[u8]) -> Result<(), &'static str> {
        let term = std::str::from_utf8(term)
            .ok()
            .filter(|term| term.bytes().all(|byte| matches!(byte, 0x21..=0x7e)))
            .ok_or("a character that is not printable US-ASCII")?;
        match modifier(term) {
            Some((name, value)) => self.modifier(name, value),
            None => {
                self.directives.push(directive(term)?);
                Ok(())
            }
        }
    }

    fn modifier(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let known = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.exp
        } else {
            return MacroString::parse(value, Place::Record).map(|_| ());
        };
        if known.is_some() {
            return Err("this modifier appears twice");
        }
        *known = Some(MacroString::parse_domain_spec(value)?);
        Ok(())
    }
}

/// `name "=" value`, where the name has letters, digits, `-`, `_` and `.` and begins with a letter.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    valid.then_some((name, value))
}

fn directive(term: &str) -> Result<Directive, &'static str> {
    let (result, rest) = match term.split_at_checked(1) {
        Some(("+", rest)) => (SpfResult::Pass, rest),
        Some(("-", rest)) => (SpfResult::Fail, rest),
        Some(("~", rest)) => (SpfResult::Softfail, rest),
        Some(("?", rest)) => (SpfResult::Neutral, rest),
        _ => (SpfResult::Pass, term),
    };
    let after_name = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    let name = &rest[..rest.len() - after_name.len()];
    let mechanism = mechanism(&name.to_ascii_lowercase(), after_name)?;
    Ok(Directive { result, mechanism, text: term.into() })
}

/// `rest` is what follows the name, with its `:` or `/`.
fn mechanism(name: &str, rest: &str) -> Result<Mechanism, &'static str> {
    let argument = rest.strip_prefix(':');
    let domain = || MacroString::parse_domain_spec(argument.ok_or("it needs a domain")?);
    match name {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "all" => Err("it takes no argument"),
        "include" => domain().map(Mechanism::Include),
        "exists" => domain().map(Mechanism::Exists),
        "ptr" if rest.is_empty() => Ok(Mechanism::Ptr(None)),
        "ptr" => domain().map(|domain| Mechanism::Ptr(Some(domain))),
        "a" | "mx" => {
            let (rest, cidr) = dual_cidr(rest)?;
            let domain = match rest.strip_prefix(':') {
                Some(domain) => Some(MacroString::parse_domain_spec(domain)?),
                None if rest.is_empty() => None,
                None => return Err("it takes a domain after a colon, then prefix lengths"),
            };
            Ok(if name == "a" { Mechanism::A(domain, cidr) } else { Mechanism::Mx(domain, cidr) })
        }
        "ip4" => {
            let (address, length) = network(argument.ok_or("it needs an address")?, 32)?;
            Ok(Mechanism::Ip4(address.parse().map_err(|_| "not an IPv4 address")?, length))
        }
        "ip6" => {
            let (address, length) = network(argument.ok_or("it needs an address")?, 128)?;
            Ok(Mechanism::Ip6(address.parse().map_err(|_| "not an IPv6 address")?, length))
        }
        _ => Err("an unknown mechanism"),
    }
}

fn network(text: &str, longest: u8) -> Result<(&str, u8), &'static str> {
    match text.split_once('/') {
        Some((address, length)) => Ok((address, prefix_length(length, longest)?)),
        None => Ok((text, longest)),
    }
}

/// Cuts `[ "/" length ] [ "//" length ]` off the end. A domain never ends like that, as its top
/// label or macro has no slash outside its braces.
fn dual_cidr(text: &str) -> Result<(&str, DualCidr), &'static str> {
    let mut cidr = DualCidr { ip4: 32, ip6: 128 };
    let mut rest = text;
    if let Some((before, digits)) = trailing_length(rest)
        && let Some(before) = before.strip_suffix('/')
    {
        cidr.ip6 = prefix_length(digits, 128)?;
        rest = before;
    }
    if let Some((before, digits)) = trailing_length(rest) {
        cidr.ip4 = prefix_length(digits, 32)?;
        rest = before;
    }
    Ok((rest, cidr))
}

fn trailing_length(text: &str) -> Option<(&str, &str)> {
    let (before, digits) = text.rsplit_once('/')?;
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then_some((before, digits))
}

/// Without leading zeros, and no longer than the address.
fn prefix_length(digits: &str, longest: u8) -> Result<u8, &'static str> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    match digits.parse() {
        Ok(length) if plain && length <= longest => Ok(length),
        _ => Err("an invalid prefix length"),
    }
}

/// Bytes of a stranger as printable US-ASCII, cut where it would get long.
pub(super) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 1024;
    let mut text: String = bytes
        .iter()
        .take(LONGEST)
        .map(|byte| if matches!(byte, 0x20..=0x7e) { char::from(*byte) } else { '?' })
        .collect();
    if bytes.len() > LONGEST {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(record: &str) -> &'static str {
        Record::parse(record.as_bytes()).expect_err(record).what
    }

    #[test]
    fn which_records_are_spf_records() {
        for yes in ["v=spf1", "V=SPF1 ", "v=spf1 -all", "v=spf1 nonsense\u{e9}"] {
            assert!(is_spf_record(yes.as_bytes()), "{yes}");
        }
        for no in ["", "v=spf", "v=spf10", "v=spf1\t-all", " v=spf1", "v=spf2.0/mfrom,pra"] {
            assert!(!is_spf_record(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_record_with_everything() {
        let text = "v=spf1 A/24//64 -MX:mx.example.org ?ptr ~ip4:192.0.2.0/24 ip6:2001:db8::/32 \
                    exists:%{i}.x.example include:y.example moo=%{d} exp=e.example redirect=z.example -all ";
        let record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!(record.directives.len(), 8);
        assert_eq!(
            record.directives[0].mechanism,
            Mechanism::A(None, DualCidr { ip4: 24, ip6: 64 })
        );
        assert_eq!(record.directives[1].result, SpfResult::Fail);
        assert_eq!(&*record.directives[3].text, "~ip4:192.0.2.0/24");
        assert!(record.exp.is_some() && record.redirect.is_some());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(error("v=spf1 al"), "an unknown mechanism");
        assert_eq!(error("v=spf1 exp=a.example exp=b.example"), "this modifier appears twice");
        assert_eq!(error("v=spf1 ip4:192.0.2.1/33"), "an invalid prefix length");
        assert_eq!(error("v=spf1 ip4:192.0.2.01"), "not an IPv4 address");
        assert_eq!(error("v=spf1 a/+4"), "it takes a domain after a colon, then prefix lengths");
        assert_eq!(error("v=spf1 include"), "it needs a domain");
        assert_eq!(error("v=spf1 -all:x.example"), "it takes no argument");
        assert_eq!(
            Record::parse(b"v=spf1 \xffall").unwrap_err().to_string(),
            "?all: a character that is not printable US-ASCII"
        );
    }

    #[test]
    fn networks() {
        let v4 = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        assert!(ip4_contains(v4("192.0.2.0"), 24, v4("192.0.2.255")));
        assert!(!ip4_contains(v4("192.0.2.0"), 25, v4("192.0.2.255")));
        assert!(ip4_contains(v4("0.0.0.0"), 0, v4("255.255.255.255")));
        let v6 = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        assert!(ip6_contains(v6("2001:db8::"), 33, v6("2001:db8:7fff::1")));
        assert!(!ip6_contains(v6("2001:db8::"), 33, v6("2001:db8:8000::1")));
        assert!(ip6_contains(v6("::"), 0, v6("ffff::")));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "v=spf1( [-+~?]?(a|mx|ip4|ip6|ptr|all|exp|redirect)?[-:/=.%{}a-z0-9é]{0,12}){0,4}") {
            let _ = Record::parse(text.as_bytes());
        }
    }
}
