//! Domains, address literals and host names (RFC 5321 4.1.2, 4.1.3; RFC 1123 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a domain (RFC 5321 4.5.3.1.2).
pub const DOMAIN_MAX: usize = 255;
/// Octets of one label (RFC 1035 2.3.4).
const LABEL_MAX: usize = 63;

/// A domain that can be sent: LDH labels (underscores are let through, as DNS does), U-labels that
/// have an A-label form, or an address literal.
pub(super) fn valid_domain(text: &str) -> bool {
    if text.len() > DOMAIN_MAX {
        return false;
    }
    if text.starts_with('[') {
        return literal_ip(text).is_some();
    }
    text.is_ascii() && is_ldh(text) || !text.is_ascii() && to_ascii(text).is_some()
}

/// Letters, digits and hyphens, and the underscore that many names have.
fn is_ldh(text: &str) -> bool {
    text.split('.').all(|label| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

/// In lower case and A-labels, when all labels can be looked up.
pub(super) fn to_ascii(domain: &str) -> Option<String> {
    if domain.is_ascii() {
        return Some(domain.to_ascii_lowercase());
    }
    let ascii = idna::domain_to_ascii(domain).ok()?;
    (ascii.len() <= DOMAIN_MAX && is_ldh(&ascii)).then_some(ascii)
}

/// The address in `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3). Other kinds of literal
/// have never been registered.
pub fn literal_ip(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    match inside.split_at_checked("IPv6:".len()) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => inside.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// A host name (RFC 1123 2.1) of at most 255 octets, without final dot, that cannot be taken for an
/// IPv4 address; underscores, which many reverse zones have, are let through. For names that DNS
/// told us: anything else may be an injection.
pub fn valid_hostname(name: &str) -> bool {
    name.len() <= DOMAIN_MAX && is_ldh(name) && !ends_numeric(name)
}

/// No top level label is all digits (RFC 3696 2).
fn ends_numeric(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

/// What kind of name a client gave in HELO or EHLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeloForm {
    /// Two labels or more, a final dot and underscores let pass.
    Fqdn,
    /// `[192.0.2.1]`
    Literal,
    SingleLabel,
    /// An address without brackets.
    BareIp,
    Invalid,
}

pub fn helo_form(name: &str) -> HeloForm {
    if literal_ip(name).is_some() {
        return HeloForm::Literal;
    }
    if name.parse::<IpAddr>().is_ok() {
        return HeloForm::BareIp;
    }
    let host = name.strip_suffix('.').unwrap_or(name);
    if !valid_hostname(host) {
        HeloForm::Invalid
    } else if host.contains('.') {
        HeloForm::Fqdn
    } else {
        HeloForm::SingleLabel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in ["mail.example.com", "a", "1-2-3-4.example", "3com.c", "a-b.c", "a_b.c"] {
            assert!(valid_hostname(good), "{good}");
        }
        let long = format!("{}a", "a.".repeat(128));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a.b",
            "a-.b",
            "x/y",
            "a(.b",
            "a b",
            "a\r\nb",
            "192.0.2.1",
            "1",
            "\u{e9}.example",
            "a.b\0",
            "[192.0.2.1]",
            "a=b",
            "a+b",
            &"a".repeat(64),
            &long,
        ] {
            assert!(!valid_hostname(bad), "{bad:?}");
        }
    }

    #[test]
    fn helo_forms() {
        for (name, form) in [
            ("mail.example.com", HeloForm::Fqdn),
            ("mail.example.com.", HeloForm::Fqdn),
            ("my_pc.example", HeloForm::Fqdn),
            ("[192.0.2.1]", HeloForm::Literal),
            ("[IPv6:::1]", HeloForm::Literal),
            ("localhost", HeloForm::SingleLabel),
            ("WIN-8K2", HeloForm::SingleLabel),
            ("192.0.2.1", HeloForm::BareIp),
            ("2001:db8::1", HeloForm::BareIp),
            ("", HeloForm::Invalid),
            (".", HeloForm::Invalid),
            ("a..b", HeloForm::Invalid),
            ("-a.example", HeloForm::Invalid),
            ("999.999.999.999", HeloForm::Invalid),
            ("[192.0.2.1", HeloForm::Invalid),
            ("[2001:db8::1]", HeloForm::Invalid),
            ("a;b", HeloForm::Invalid),
            ("user@example.com", HeloForm::Invalid),
        ] {
            assert_eq!(helo_form(name), form, "{name}");
        }
    }
}
