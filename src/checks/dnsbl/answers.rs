//! Which answers of a DNS list are listings.

use std::net::Ipv4Addr;

/// The answers that a list is known to give: `127.0.0.2`, `127.0.0.2-11`, `127.0.*.1-3`, and for
/// lists of bits `127.0.0.&12`, which holds when one of the bits is set (RFC 5782 2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerSet {
    patterns: Vec<[Octet; 4]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Octet {
    Range(u8, u8),
    AnyBit(u8),
}

/// What an address in the answer means, whatever the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// In 127/8: a listing if the list declares it.
    Code,
    /// 127.255.255.0/24: the list refuses to answer us.
    Refusal,
    /// Outside 127/8: nothing that a DNS list says (RFC 5782 2.1).
    Foreign,
}

impl Meaning {
    pub fn of(address: Ipv4Addr) -> Meaning {
        match address.octets() {
            [127, 255, 255, _] => Meaning::Refusal,
            [127, ..] => Meaning::Code,
            _ => Meaning::Foreign,
        }
    }
}

impl AnswerSet {
    /// One pattern or several, separated by commas or spaces.
    pub fn parse(text: &str) -> Result<AnswerSet, String> {
        let patterns = text
            .split([',', ' '])
            .filter(|pattern| !pattern.is_empty())
            .map(|pattern| parse_pattern(pattern).map_err(|error| format!("`{pattern}`: {error}")))
            .collect::<Result<Vec<_>, _>>()?;
        match patterns.is_empty() {
            true => Err("no answer is given: every answer would be ignored".into()),
            false => Ok(AnswerSet { patterns }),
        }
    }

    /// Refusals and foreign addresses never match, whatever the patterns say.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        Meaning::of(address) == Meaning::Code
            && self.patterns.iter().any(|pattern| {
                pattern.iter().zip(address.octets()).all(|(octet, value)| octet.holds(value))
            })
    }
}

impl Octet {
    fn holds(self, value: u8) -> bool {
        match self {
            Octet::Range(low, high) => (low..=high).contains(&value),
            Octet::AnyBit(mask) => value & mask != 0,
        }
    }

    fn parse(text: &str) -> Result<Octet, String> {
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<u8>().map_err(|_| format!("`{text}` is not a number up to 255")),
            false => Err(format!("`{text}` is not a number up to 255")),
        };
        if text == "*" {
            return Ok(Octet::Range(0, 255));
        }
        if let Some(mask) = text.strip_prefix('&') {
            return match number(mask)? {
                0 => Err("a mask of 0 matches nothing".into()),
                mask => Ok(Octet::AnyBit(mask)),
            };
        }
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        match (number(low)?, number(high)?) {
            (low, high) if low <= high => Ok(Octet::Range(low, high)),
            _ => Err(format!("the range `{text}` is empty")),
        }
    }
}

fn parse_pattern(text: &str) -> Result<[Octet; 4], String> {
    let octets = text.split('.').map(Octet::parse).collect::<Result<Vec<_>, _>>()?;
    let octets: [Octet; 4] = octets.try_into().map_err(|_| "an answer has four numbers")?;
    let last = Octet::Range(255, 255);
    match octets {
        [Octet::Range(127, 127), second, third, _] if second == last && third == last => {
            Err("127.255.255.0/24 are errors, never listings".into())
        }
        [Octet::Range(127, 127), ..] => Ok(octets),
        _ => Err("answers of DNS lists are in 127.0.0.0/8".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(patterns: &str, address: &str) -> bool {
        AnswerSet::parse(patterns).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn patterns() {
        assert!(matches("127.0.0.2", "127.0.0.2"));
        assert!(!matches("127.0.0.2", "127.0.0.3"));
        assert!(matches("127.0.0.2-11", "127.0.0.11"));
        assert!(!matches("127.0.0.2-11", "127.0.0.12"));
        assert!(!matches("127.0.0.2-11", "127.0.0.1"));
        assert!(matches("127.0.*.1-3", "127.0.15.3"));
        assert!(!matches("127.0.*.1-3", "127.0.15.0"));
        assert!(matches("127.0.0.2, 127.0.0.9-11", "127.0.0.10"));
        assert!(matches("127.0.0.&12", "127.0.0.9"));
        assert!(!matches("127.0.0.&12", "127.0.0.3"));
    }

    #[test]
    fn errors_never_match() {
        assert!(!matches("127.*.*.*", "127.255.255.254"));
        assert!(matches("127.*.*.*", "127.255.254.1"));
        assert_eq!(Meaning::of([192, 0, 2, 1].into()), Meaning::Foreign);
    }

    #[test]
    fn what_is_no_answer() {
        for (text, wanted) in [
            ("", "no answer"),
            ("127.0.0", "four numbers"),
            ("127.0.0.2.3", "four numbers"),
            ("10.0.0.1", "127.0.0.0/8"),
            ("*.0.0.1", "127.0.0.0/8"),
            ("127.0.0.256", "up to 255"),
            ("127.0.0.+2", "up to 255"),
            ("127.0.0.", "up to 255"),
            ("127.0.0.9-2", "is empty"),
            ("127.0.0.&0", "matches nothing"),
            ("127.255.255.254", "never listings"),
        ] {
            let error = AnswerSet::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text:?} gave {error}");
        }
    }
}
