//! Networks, and the answers of DNS lists.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// An address with the length of its prefix, `192.0.2.0/24`. Host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `None` when the prefix is too long, or host bits are set.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let network = Network { address, prefix };
        (prefix <= whole && network.masked(address) == Some(address)).then_some(network)
    }

    /// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) count as the IPv4 address within.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.masked(ip.to_canonical()) == Some(self.address)
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// `ip` with its host bits cleared; `None` for the other family.
    fn masked(&self, ip: IpAddr) -> Option<IpAddr> {
        let prefix = u32::from(self.prefix);
        match (self.address, ip) {
            (IpAddr::V4(_), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
                Some(IpAddr::from((ip.to_bits() & mask).to_be_bytes()))
            }
            (IpAddr::V6(_), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
                Some(IpAddr::from((ip.to_bits() & mask).to_be_bytes()))
            }
            _ => None,
        }
    }
}

/// Whether one of the networks has the address in it.
pub fn contains(networks: &[Network], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(ip))
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = String;

    /// An address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            "write an address, or an address with a prefix: \"192.0.2.0/24\"".to_owned()
        })?;
        if address.to_canonical() != address {
            return Err(format!("write it as an IPv4 network: \"{}\"", address.to_canonical()));
        }
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => whole,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|n| *n <= whole && digits.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| {
                    format!("the prefix of this address is a number from 0 to {whole}")
                })?,
        };
        let network = Network { address, prefix };
        match network.masked(address) {
            Some(masked) if masked != address => {
                Err(format!("bits are set after the prefix; the network is \"{masked}/{prefix}\""))
            }
            _ => Ok(network),
        }
    }
}

/// Answers of a DNS list, such as `127.0.0.2-11` or `127.0.*.1-3`: each octet a number, a range or
/// all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AnswerPattern([(u8, u8); 4]);

impl AnswerPattern {
    pub fn matches(&self, answer: Ipv4Addr) -> bool {
        self.0
            .iter()
            .zip(answer.octets())
            .all(|((low, high), octet)| (*low..=*high).contains(&octet))
    }

    /// First and last value of each octet.
    pub fn octets(&self) -> [(u8, u8); 4] {
        self.0
    }
}

impl fmt::Display for AnswerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (low, high)) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match (low, high) {
                (0, 255) => write!(f, "{dot}*")?,
                (low, high) if low == high => write!(f, "{dot}{low}")?,
                (low, high) => write!(f, "{dot}{low}-{high}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for AnswerPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape =
            || "write an answer as \"127.0.0.2\", \"127.0.0.2-11\" or \"127.0.*.1-3\"".to_owned();
        let mut octets = [(0, 0); 4];
        let mut parts = text.split('.');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(shape)?;
            *octet = match part.split_once('-') {
                _ if part == "*" => (0, 255),
                None => (number(part).ok_or_else(shape)?, number(part).ok_or_else(shape)?),
                Some((low, high)) => {
                    (number(low).ok_or_else(shape)?, number(high).ok_or_else(shape)?)
                }
            };
            if octet.0 > octet.1 {
                return Err(shape());
            }
        }
        let pattern = AnswerPattern(octets);
        if parts.next().is_some() {
            return Err(shape());
        }
        if octets[0] != (127, 127) {
            return Err("a DNS list answers in 127.0.0.0/8 (RFC 5782 2.1)".into());
        }
        if pattern.matches(Ipv4Addr::new(127, 255, 255, 254)) {
            return Err(
                "127.255.255.0/24 means that the list refuses to answer; it is never a listing"
                    .into(),
            );
        }
        Ok(pattern)
    }
}

fn number(digits: &str) -> Option<u8> {
    digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_their_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(network("192.0.2.0/24").contains(ip("192.0.2.255")));
        assert!(!network("192.0.2.0/24").contains(ip("192.0.3.0")));
        assert!(network("192.0.2.0/24").contains(ip("::ffff:192.0.2.9")));
        assert!(network("192.0.2.1").contains(ip("192.0.2.1")));
        assert!(network("0.0.0.0/0").contains(ip("203.0.113.1")));
        assert!(!network("0.0.0.0/0").contains(ip("::1")));
        assert!(network("2001:db8::/32").contains(ip("2001:db8:ffff::1")));
        assert!(!network("2001:db8::/32").contains(ip("2001:db9::1")));
        assert!(network("::/0").contains(ip("2001:db9::1")));
        assert_eq!(network("::1").to_string(), "::1/128");
        assert_eq!(Network::new(ip("192.0.2.1"), 24), None);
        assert_eq!(Network::new(ip("192.0.2.1"), 33), None);
    }

    #[test]
    fn networks_that_are_none() {
        for bad in [
            "",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "2001:db8::/129",
            "192.0.2/24",
            "localhost",
            "::ffff:192.0.2.0/120",
            "1.2.3.4/",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let error = "192.0.2.7/24".parse::<Network>().unwrap_err();
        assert!(error.contains("192.0.2.0/24"), "{error}");
    }

    #[test]
    fn answers_match_by_octet() {
        let pattern: AnswerPattern = "127.0.*.1-3".parse().unwrap();
        assert!(pattern.matches(Ipv4Addr::new(127, 0, 9, 3)));
        assert!(!pattern.matches(Ipv4Addr::new(127, 0, 9, 4)));
        assert!(!pattern.matches(Ipv4Addr::new(127, 1, 9, 3)));
        assert_eq!(pattern.to_string(), "127.0.*.1-3");
    }

    #[test]
    fn answers_that_are_none() {
        for bad in [
            "",
            "127.0.0",
            "127.0.0.2.3",
            "127.0.0.11-2",
            "127.0.0.256",
            "10.0.0.1",
            "127.*.*.*",
            "127.255.255.254",
        ] {
            assert!(bad.parse::<AnswerPattern>().is_err(), "{bad}");
        }
    }
}
