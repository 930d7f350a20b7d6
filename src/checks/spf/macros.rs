//! Macro strings (RFC 7208 section 7): parsed once with the record, expanded at evaluation.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

/// More than this after expansion can be no name and is no explanation worth reading.
const EXPANDED_MAX: usize = 8 * 1024;

/// A parsed `macro-string`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroString {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Expand(Macro),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Macro {
    /// Lower case.
    letter: char,
    /// The letter was written in upper case: the value is URL-escaped.
    escape: bool,
    /// How many parts are kept, from the right.
    keep: usize,
    reverse: bool,
    /// Where the value is split.
    delimiters: Box<str>,
}

/// What the letters stand for (RFC 7208 7.2).
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// `%{s}`
    pub sender: &'a str,
    /// `%{l}`
    pub local: &'a str,
    /// `%{o}`
    pub sender_domain: &'a str,
    /// `%{d}`: the domain whose record is evaluated.
    pub domain: &'a str,
    /// `%{i}`, `%{c}`, `%{v}`; never IPv4-mapped.
    pub ip: IpAddr,
    /// `%{p}`
    pub validated: &'a str,
    /// `%{h}`
    pub helo: &'a str,
    /// `%{r}`
    pub receiver: &'a str,
    /// `%{t}`: seconds since 1970.
    pub now: u64,
}

/// Where a macro string stands: `c`, `r` and `t` exist in explanation texts only (7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Record,
    Explanation,
}

impl MacroString {
    /// Parses a `macro-string`, or an `explain-string`, which may contain spaces as well.
    pub fn parse(text: &str, place: Place) -> Result<Self, &'static str> {
        scan(text, place).map(|(string, _)| string)
    }

    /// Parses a `domain-spec`: a macro string that ends in a macro or in a dot and a top label.
    pub fn parse_domain_spec(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("the domain is empty");
        }
        let (string, tail) = scan(text, Place::Record)?;
        if !tail.is_empty() {
            let (_, top) = tail
                .strip_suffix('.')
                .unwrap_or(tail)
                .rsplit_once('.')
                .ok_or("the domain has one label only")?;
            if !is_top_label(top) {
                return Err("the domain does not end in a top-level label");
            }
        }
        Ok(string)
    }

    /// Whether expanding it needs the validated name of the client.
    pub fn uses_validated_name(&self) -> bool {
        self.uses(&['p'])
    }

    /// Whether the local part of the sender occurs in it.
    pub fn uses_local_part(&self) -> bool {
        self.uses(&['l', 's'])
    }

    fn uses(&self, letters: &[char]) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Expand(found) if letters.contains(&found.letter)))
    }

    /// `None` when the result is longer than anything that could be used.
    pub fn expand(&self, values: &Values<'_>) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Expand(found) => found.expand(values, &mut out),
            }
            if out.len() > EXPANDED_MAX {
                return None;
            }
        }
        Some(out)
    }
}

/// Returns the string and what follows its last macro.
fn scan(text: &str, place: Place) -> Result<(MacroString, &str), &'static str> {
    let allowed =
        |byte| matches!(byte, 0x21..=0x7e) || (byte == b' ' && place == Place::Explanation);
    if !text.bytes().all(allowed) {
        return Err("a character that is not printable US-ASCII");
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        literal.push_str(before);
        rest = if let Some(rest) = after.strip_prefix('%') {
            literal.push('%');
            rest
        } else if let Some(rest) = after.strip_prefix('_') {
            literal.push(' ');
            rest
        } else if let Some(rest) = after.strip_prefix('-') {
            literal.push_str("%20");
            rest
        } else if let Some(body) = after.strip_prefix('{') {
            let (body, rest) = body.split_once('}').ok_or("a macro without closing brace")?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Expand(Macro::parse(body, place)?));
            rest
        } else {
            return Err("a % that begins no macro");
        };
    }
    let tail = rest;
    literal.push_str(tail);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.into()));
    }
    Ok((MacroString { parts }, tail))
}

/// `( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum )`
fn is_top_label(label: &str) -> bool {
    let alphanum = |c: char| c.is_ascii_alphanumeric();
    label.chars().all(|c| alphanum(c) || c == '-')
        && label.starts_with(alphanum)
        && label.ends_with(alphanum)
        && label.chars().any(|c| !c.is_ascii_digit())
}

impl Macro {
    /// `macro-letter transformers *delimiter`, the text between the braces.
    fn parse(body: &str, place: Place) -> Result<Self, &'static str> {
        let letter = body.chars().next().ok_or("a macro without letter")?;
        let lower = letter.to_ascii_lowercase();
        match lower {
            's' | 'l' | 'o' | 'd' | 'i' | 'p' | 'h' | 'v' => {}
            'c' | 'r' | 't' if place == Place::Explanation => {}
            'c' | 'r' | 't' => return Err("a macro that is allowed in explanations only"),
            _ => return Err("an unknown macro letter"),
        }
        let rest = &body[letter.len_utf8()..];
        let after_digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &rest[..rest.len() - after_digits.len()];
        let keep = match digits {
            "" => usize::MAX,
            // More digits than fit are more parts than there can be.
            _ => digits.parse().unwrap_or(usize::MAX),
        };
        if keep == 0 {
            return Err("a macro that keeps no part");
        }
        let delimiters = after_digits.strip_prefix(['r', 'R']);
        let reverse = delimiters.is_some();
        let delimiters = delimiters.unwrap_or(after_digits);
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return Err("an unknown macro delimiter");
        }
        let delimiters = if delimiters.is_empty() { "." } else { delimiters };
        Ok(Macro {
            letter: lower,
            escape: letter.is_ascii_uppercase(),
            keep,
            reverse,
            delimiters: delimiters.into(),
        })
    }

    fn expand(&self, values: &Values<'_>, out: &mut String) {
        let value = self.value(values);
        let value = if self.keep == usize::MAX && !self.reverse && &*self.delimiters == "." {
            value
        } else {
            let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
            if self.reverse {
                parts.reverse();
            }
            let dropped = parts.len().saturating_sub(self.keep);
            Cow::Owned(parts.get(dropped..).unwrap_or_default().join("."))
        };
        if self.escape {
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        } else {
            out.push_str(&value);
        }
    }

    fn value<'a>(&self, values: &Values<'a>) -> Cow<'a, str> {
        match self.letter {
            's' => values.sender.into(),
            'l' => values.local.into(),
            'o' => values.sender_domain.into(),
            'd' => values.domain.into(),
            'i' => dotted(values.ip).into(),
            'p' => values.validated.into(),
            'h' => values.helo.into(),
            'v' if values.ip.is_ipv4() => "in-addr".into(),
            'v' => "ip6".into(),
            'c' => values.ip.to_string().into(),
            'r' => values.receiver.into(),
            't' => values.now.to_string().into(),
            _ => "".into(),
        }
    }
}

/// IPv4 as usual, IPv6 as 32 nibbles with dots (7.3).
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let mut out = String::with_capacity(63);
            for byte in ip.octets() {
                if !out.is_empty() {
                    out.push('.');
                }
                let _ = write!(out, "{:X}.{:X}", byte >> 4, byte & 15);
            }
            out
        }
    }
}

/// The name that is asked for: without final dot, and with labels removed from the left until it
/// has at most 253 octets (7.3).
pub fn target_name(expanded: &str) -> &str {
    let mut name = expanded.strip_suffix('.').unwrap_or(expanded);
    while name.len() > 253 {
        match name.split_once('.') {
            Some((_, rest)) => name = rest,
            None => break,
        }
    }
    name
}

/// Whether a DNS query can be made of it (RFC 1035 2.3.4). A backslash could be taken for an
/// escape on the way to the query, so it counts as impossible.
pub fn is_askable(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| (1..=63).contains(&label.len()))
        && name.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(ip: &str) -> Values<'static> {
        Values {
            sender: "strong-bad@email.example.com",
            local: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            ip: ip.parse().unwrap(),
            validated: "mx.example.org",
            helo: "mx.example.org",
            receiver: "gate.example",
            now: 1_700_000_000,
        }
    }

    fn expand(text: &str, ip: &str) -> String {
        MacroString::parse(text, Place::Explanation).unwrap().expand(&values(ip)).unwrap()
    }

    /// The table of RFC 7208 7.4.
    #[test]
    fn the_examples_of_the_rfc() {
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ] {
            assert_eq!(expand(text, "192.0.2.3"), expected, "{text}");
        }
        assert_eq!(
            expand("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01").to_lowercase(),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn upper_case_escapes_and_explanations_know_more_letters() {
        assert_eq!(expand("%{S}", "192.0.2.3"), "strong-bad%40email.example.com");
        assert_eq!(expand("100%% %_%-", "192.0.2.3"), "100%  %20");
        assert_eq!(expand("%{c} %{R} %{t}", "2001:db8::1"), "2001:db8::1 gate.example 1700000000");
        assert!(MacroString::parse("%{c}", Place::Record).is_err());
    }

    #[test]
    fn syntax() {
        for bad in ["%", "%a", "%{", "%{}", "%{q}", "%{d0}", "%{d00r}", "%{d:}", "%{dr2}", "a b"] {
            assert!(MacroString::parse(bad, Place::Record).is_err(), "{bad}");
        }
        for good in [
            "%{d}",
            "x%%",
            ".com",
            "a.b.c2",
            "a.xn--p1ai",
            "a.1a",
            "a.1-1",
            "a.com.",
            "%{d99999999999999999999}",
        ] {
            assert!(MacroString::parse_domain_spec(good).is_ok(), "{good}");
        }
        for bad in ["", "com", "com.", "a.12", "a.-b", "a.b-", "%{d}.", "%{d}com", "a..", "a.b_c"] {
            assert!(MacroString::parse_domain_spec(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_cut_from_the_left() {
        let label = "a".repeat(60);
        let long = format!("{label}.{label}.{label}.{label}.{label}.example.");
        let name = target_name(&long);
        assert!(name.len() <= 253 && name.ends_with(".example") && is_askable(name));
        assert_eq!(target_name(&"x".repeat(300)).len(), 300);
        assert!(!is_askable(&"x".repeat(64)) && !is_askable("a..b") && !is_askable(""));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(%\\{[a-zA-Z][0-9]{0,3}r?[-.+=]?\\}|%|[!-~ é]){0,12}") {
            if let Ok(string) = MacroString::parse(&text, Place::Explanation) {
                let _ = string.expand(&values("192.0.2.3")).map(|name| is_askable(target_name(&name)));
            }
            let _ = MacroString::parse_domain_spec(&text);
        }
    }
}
