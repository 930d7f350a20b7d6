//! Sets that conditions look values up in: networks, domains, addresses, strings. Each is built
//! once and shared by all rules that name it.

use std::collections::HashSet;
use std::net::IpAddr;

/// Networks as sorted, disjoint ranges: one binary search whatever their number.
#[derive(Debug, Default)]
pub(super) struct NetSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

/// `192.0.2.0/24` or a single address as an inclusive range. Bits set beyond the prefix are a
/// mistake that hides another, so they are refused.
pub(super) fn parse_net(text: &str) -> Result<Net, String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr =
        address.parse().map_err(|_| format!("`{text}` is not an IP address or network"))?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => width,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits
            .parse::<u32>()
            .ok()
            .filter(|prefix| *prefix <= width)
            .ok_or_else(|| format!("the prefix of `{text}` must be 0 to {width}"))?,
        Some(_) => return Err(format!("the prefix of `{text}` must be 0 to {width}")),
    };
    let (net, first) = match address {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let first = u32::from(v4) & !host;
            (Net::V4(first, first | host), IpAddr::from(std::net::Ipv4Addr::from(first)))
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix).unwrap_or(0);
            let first = u128::from(v6) & !host;
            (Net::V6(first, first | host), IpAddr::from(std::net::Ipv6Addr::from(first)))
        }
    };
    if first != address {
        return Err(format!(
            "`{text}` has bits set beyond its prefix; the network is {first}/{prefix}"
        ));
    }
    Ok(net)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Net {
    V4(u32, u32),
    V6(u128, u128),
}

impl NetSet {
    pub(super) fn new(nets: impl IntoIterator<Item = Net>) -> Self {
        let mut set = NetSet::default();
        for net in nets {
            match net {
                Net::V4(first, last) => set.v4.push((first, last)),
                Net::V6(first, last) => set.v6.push((first, last)),
            }
        }
        merge(&mut set.v4);
        merge(&mut set.v6);
        set
    }

    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(v4) => holds(&self.v4, u32::from(v4)),
            IpAddr::V6(v6) => holds(&self.v6, u128::from(v6)),
        }
    }

    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// Sorts, and joins ranges that overlap.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let overlap = next.0 <= kept.1;
        if overlap {
            kept.1 = kept.1.max(next.1);
        }
        overlap
    });
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= value);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| value <= *last)
}

/// Strings, exact or without regard to ASCII case. Few are scanned, many are hashed.
#[derive(Debug)]
pub(super) enum TextSet {
    Few {
        items: Vec<Box<str>>,
        nocase: bool,
    },
    /// Lower case when `nocase`.
    Many {
        items: HashSet<Box<str>>,
        nocase: bool,
    },
}

const FEW: usize = 8;

impl TextSet {
    pub(super) fn new(items: Vec<String>, nocase: bool) -> Self {
        let items = items.into_iter().map(|mut item| {
            if nocase {
                item.make_ascii_lowercase();
            }
            item.into_boxed_str()
        });
        if items.len() <= FEW {
            TextSet::Few { items: items.collect(), nocase }
        } else {
            TextSet::Many { items: items.collect(), nocase }
        }
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        match self {
            TextSet::Few { items, nocase: true } => {
                items.iter().any(|item| item.eq_ignore_ascii_case(text))
            }
            TextSet::Few { items, nocase: false } => items.iter().any(|item| **item == *text),
            TextSet::Many { items, nocase } => {
                if *nocase && text.bytes().any(|b| b.is_ascii_uppercase()) {
                    items.contains(text.to_ascii_lowercase().as_str())
                } else {
                    items.contains(text)
                }
            }
        }
    }

    /// A domain or one above it is in the set.
    pub(super) fn contains_suffix(&self, domain: &str) -> bool {
        let mut rest = domain;
        loop {
            if !rest.is_empty() && self.contains(rest) {
                return true;
            }
            match rest.split_once('.') {
                Some((_, above)) => rest = above,
                None => return false,
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            TextSet::Few { items, .. } => items.len(),
            TextSet::Many { items, .. } => items.len(),
        }
    }
}

/// What the items of a named list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListType {
    Ip,
    Domain,
    /// `local@domain`, or `@domain` for all of a domain.
    Address,
    Text,
}

impl ListType {
    pub(super) const NAMES: [&'static str; 4] = ["ip", "domain", "address", "string"];

    pub(super) fn from_name(name: &str) -> Option<ListType> {
        match name {
            "ip" => Some(ListType::Ip),
            "domain" => Some(ListType::Domain),
            "address" => Some(ListType::Address),
            "string" => Some(ListType::Text),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            ListType::Ip => "ip",
            ListType::Domain => "domain",
            ListType::Address => "address",
            ListType::Text => "string",
        }
    }

    /// The item as it is compared, or what is wrong with it.
    pub(super) fn check(self, item: &str) -> Result<String, String> {
        match self {
            ListType::Ip => parse_net(item).map(|_| item.to_owned()),
            ListType::Domain => domain(item),
            ListType::Address => match item.rsplit_once('@') {
                Some((local, name)) => Ok(format!("{local}@{}", domain(name)?)),
                None => {
                    Err(format!("`{item}` is not an address; write `local@domain` or `@domain`"))
                }
            },
            ListType::Text => Ok(item.to_owned()),
        }
    }
}

/// A domain as facts hold it: A-labels, lower case, no final dot.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let plain = text.strip_suffix('.').unwrap_or(text);
    if plain.is_ascii() {
        let fits = !plain.is_empty()
            && plain.len() <= 253
            && plain.split('.').all(|label| !label.is_empty() && label.len() <= 63)
            && plain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if fits {
            return Ok(plain.to_ascii_lowercase());
        }
    } else if let Ok(ascii) = idna::domain_to_ascii(plain) {
        return Ok(ascii);
    }
    Err(format!("`{text}` is not a domain name"))
}

#[derive(Debug)]
pub(super) enum Items {
    Nets(NetSet),
    Texts(TextSet),
}

/// A named list, owned once.
#[derive(Debug)]
pub(super) struct List {
    pub(super) ty: ListType,
    pub(super) items: Items,
}

impl List {
    /// The items must have passed [`ListType::check`].
    pub(super) fn new(ty: ListType, items: Vec<String>) -> Self {
        let items = match ty {
            ListType::Ip => {
                Items::Nets(NetSet::new(items.iter().filter_map(|item| parse_net(item).ok())))
            }
            ListType::Domain | ListType::Address => Items::Texts(TextSet::new(items, true)),
            ListType::Text => Items::Texts(TextSet::new(items, true)),
        };
        List { ty, items }
    }

    pub(super) fn len(&self) -> usize {
        match &self.items {
            Items::Nets(set) => set.len(),
            Items::Texts(set) => set.len(),
        }
    }

    pub(super) fn contains_ip(&self, ip: IpAddr) -> bool {
        matches!(&self.items, Items::Nets(set) if set.contains(ip))
    }

    pub(super) fn contains_text(&self, text: &str) -> bool {
        match &self.items {
            Items::Texts(set) if set.contains(text) => true,
            Items::Texts(set) if self.ty == ListType::Address => {
                text.rfind('@').is_some_and(|at| set.contains(&text[at..]))
            }
            _ => false,
        }
    }

    pub(super) fn contains_suffix(&self, domain: &str) -> bool {
        matches!(&self.items, Items::Texts(set) if set.contains_suffix(domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks() {
        let nets = ["192.0.2.0/24", "192.0.2.128/25", "10.0.0.1", "2001:db8::/32", "0.0.0.0/32"];
        let set = NetSet::new(nets.iter().map(|net| parse_net(net).unwrap()));
        assert_eq!(set.len(), 4);
        for inside in
            ["192.0.2.0", "192.0.2.255", "10.0.0.1", "2001:db8:ffff::1", "::ffff:10.0.0.1"]
        {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in ["192.0.1.255", "192.0.3.0", "10.0.0.2", "2001:db9::", "::1"] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
        let all = NetSet::new([parse_net("0.0.0.0/0").unwrap(), parse_net("::/0").unwrap()]);
        assert!(all.contains(ip("255.255.255.255")) && all.contains(ip("ffff::")));
        for wrong in ["192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+8", "x", "1.2.3"] {
            assert!(parse_net(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_few_and_many() {
        for count in [2, 200] {
            let items = |n: usize| (0..n).map(|n| format!("Name{n}.example")).collect::<Vec<_>>();
            let set = TextSet::new(items(count), true);
            assert!(set.contains("name1.EXAMPLE") && !set.contains("name1"));
            assert!(
                set.contains_suffix("a.b.name1.example") && set.contains_suffix("name1.example")
            );
            assert!(!set.contains_suffix("xname1.example") && !set.contains_suffix("example"));
            assert!(!TextSet::new(items(count), false).contains("name1.example"));
        }
    }

    #[test]
    fn address_lists_take_whole_domains() {
        let items =
            ["joe@example.com", "@example.net"].map(|item| ListType::Address.check(item).unwrap());
        let list = List::new(ListType::Address, items.to_vec());
        assert!(list.contains_text("Joe@example.com") && list.contains_text("any@example.net"));
        assert!(!list.contains_text("any@example.com") && !list.contains_text("@example.com"));
        assert!(ListType::Address.check("example.com").is_err());
        assert_eq!(
            ListType::Domain.check("B\u{fc}cher.example.").unwrap(),
            "xn--bcher-kva.example"
        );
        assert!(ListType::Domain.check("a..b").is_err());
    }
}
