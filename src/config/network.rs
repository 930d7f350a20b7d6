//! Networks.

use std::fmt;
use std::net::IpAddr;
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
}
