//! DKIM-Signature (RFC 6376 3.5, RFC 8463), and the tags that ARC shares with it (RFC 8617 4.1).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::crypto::Algorithm;
use super::tags::{TagList, colon_list, is_fws, without_fws};
use crate::message::HashSpec;

/// More names than this in `h=` are an error: real signatures name a few dozen.
const MAX_NAMES: usize = 256;

/// Octets of a field name in `h=`: a line is not longer (RFC 5322 2.1.1).
const MAX_NAME: usize = 998;

/// Octets of a name in DNS as text (RFC 1035 2.3.4).
const MAX_DNS_NAME: usize = 253;

/// What ties signer, key and content together: the part that DKIM-Signature and
/// ARC-Message-Signature have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub algorithm: Algorithm,
    pub signature: Vec<u8>,
    pub body_hash: Vec<u8>,
    pub relaxed_header: bool,
    pub body: HashSpec,
    /// `d=`, in A-labels and lower case.
    pub domain: String,
    pub selector: String,
    /// `h=`, lower case, in its order.
    pub names: Vec<String>,
    pub timestamp: Option<u64>,
    pub expires: Option<u64>,
}

/// A DKIM-Signature whose tags are all in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub signed: Signed,
    /// `i=` as given, `None` when absent.
    pub identity: Option<String>,
}

/// Why a field is no signature: permanent, whatever the key (RFC 6376 6.1.1).
pub type Reason = &'static str;

impl Signature {
    pub fn parse(value: &[u8]) -> Result<Signature, Reason> {
        let tags = TagList::parse(value).map_err(|error| error.reason())?;
        if required(&tags, "v", "v= missing")? != "1" {
            return Err("v= is not 1");
        }
        required(&tags, "h", "h= missing")?;
        let signed = Signed::from_tags(&tags, false)?;
        if signed.names.iter().any(String::is_empty) {
            return Err("h= is not a list of names");
        }
        if !signed.names.iter().any(|name| name == "from") {
            return Err("From is not in h=");
        }
        if let Some(methods) = tags.get("q")
            && !colon_list(methods).any(|method| method.eq_ignore_ascii_case("dns/txt"))
        {
            return Err("q= names no known way to the key");
        }
        let identity = match tags.get("i") {
            None => None,
            Some(identity) => {
                let identity = without_fws(identity);
                let (_, host) = identity.rsplit_once('@').ok_or("i= has no @")?;
                let host = domain_name(host).ok_or("i= has no domain")?;
                if !is_within(&host, &signed.domain) {
                    return Err("i= is not within d=");
                }
                Some(identity)
            }
        };
        Ok(Signature { signed, identity })
    }
}

impl Signed {
    /// The tags a, b, bh, c, d, h, l, s, t and x.
    ///
    /// `relaxed` is what an absent `c=` means. Empty names in `h=`, which the grammar does not know,
    /// are let through here: they stand for no field, and the ARC validation suite has them.
    pub fn from_tags(tags: &TagList<'_>, relaxed: bool) -> Result<Signed, Reason> {
        let algorithm = algorithm(tags)?;
        let body_hash = base64(required(tags, "bh", "bh= missing")?).ok_or("bh= is not base64")?;
        let (relaxed_header, relaxed_body) = match tags.get("c") {
            None => (relaxed, relaxed),
            Some(text) => canonicalization(text).ok_or("c= unknown")?,
        };
        let limit = number(tags, "l", "l= is not a number")?;
        let timestamp = number(tags, "t", "t= is not a number")?;
        let expires = number(tags, "x", "x= is not a number")?;
        if let (Some(t), Some(x)) = (timestamp, expires)
            && x <= t
        {
            return Err("x= is not after t=");
        }
        let (selector, domain) = key_place(tags)?;
        Ok(Signed {
            algorithm,
            signature: signature(tags)?,
            body_hash,
            relaxed_header,
            body: HashSpec { relaxed: relaxed_body, limit },
            domain,
            selector,
            names: names(tags.get("h").ok_or("h= missing")?)?,
            timestamp,
            expires,
        })
    }

    pub fn key_name(&self) -> String {
        key_name(&self.selector, &self.domain)
    }
}

/// Where a key is published (RFC 6376 3.6.2.1).
pub fn key_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// A tag that must be there and not be empty.
pub fn required<'a>(tags: &TagList<'a>, name: &str, missing: Reason) -> Result<&'a str, Reason> {
    tags.get(name).filter(|value| !value.is_empty()).ok_or(missing)
}

pub fn algorithm(tags: &TagList<'_>) -> Result<Algorithm, Reason> {
    match required(tags, "a", "a= missing")? {
        "rsa-sha256" => Ok(Algorithm::RsaSha256),
        "ed25519-sha256" => Ok(Algorithm::Ed25519Sha256),
        // RFC 8301 3.1: must not be verified.
        "rsa-sha1" => Err("rsa-sha1 is not accepted"),
        _ => Err("a= unknown"),
    }
}

pub fn signature(tags: &TagList<'_>) -> Result<Vec<u8>, Reason> {
    base64(required(tags, "b", "b= missing")?).ok_or("b= is not base64")
}

/// `s=` and `d=`. A name too long for DNS would look like a failure of DNS when it is asked, and so
/// let a stranger make a temporary error for a domain that is not his.
pub fn key_place(tags: &TagList<'_>) -> Result<(String, String), Reason> {
    let domain = domain_name(required(tags, "d", "d= missing")?)
        .filter(|domain| domain.contains('.'))
        .ok_or("d= is not a domain")?;
    let selector = domain_name(required(tags, "s", "s= missing")?).ok_or("s= is not a selector")?;
    if key_name(&selector, &domain).len() > MAX_DNS_NAME {
        return Err("s= and d= are too long");
    }
    Ok((selector, domain))
}

/// A whole number, of at most 76 digits (RFC 6376 3.5); what is too large for us is the largest.
pub fn number(tags: &TagList<'_>, name: &str, wrong: Reason) -> Result<Option<u64>, Reason> {
    let Some(text) = tags.get(name) else { return Ok(None) };
    let digits = !text.is_empty() && text.len() <= 76 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { Ok(Some(text.parse().unwrap_or(u64::MAX))) } else { Err(wrong) }
}

/// The grammar of RFC 6376 2.10 asks for no padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 with folding white space anywhere, at least one octet.
pub fn base64(value: &str) -> Option<Vec<u8>> {
    BASE64.decode(without_fws(value)).ok().filter(|bytes| !bytes.is_empty())
}

/// `c=`: relaxed header, relaxed body. The body's part is simple when it is left out.
fn canonicalization(text: &str) -> Option<(bool, bool)> {
    let relaxed = |word: &str| match word {
        "relaxed" => Some(true),
        "simple" => Some(false),
        _ => None,
    };
    let (header, body) = text.split_once('/').unwrap_or((text, "simple"));
    Some((relaxed(header)?, relaxed(body)?))
}

fn names(value: &str) -> Result<Vec<String>, Reason> {
    let names: Vec<String> = colon_list(value).map(str::to_ascii_lowercase).collect();
    if names.len() > MAX_NAMES {
        return Err("too many names in h=");
    }
    // RFC 5322 3.6.8: a field name is printable and has no white space.
    let proper =
        |name: &String| name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_graphic());
    if names.iter().all(proper) { Ok(names) } else { Err("h= is not a list of names") }
}

/// A domain or selector in lower case and A-labels (RFC 8616). Underscores are let through: they
/// are against the grammar, are in use as selectors, and can be looked up.
pub fn domain_name(text: &str) -> Option<String> {
    let name = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else if text.contains(is_fws) {
        return None;
    } else {
        idna::domain_to_ascii(text).ok()?
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    (name.len() <= MAX_DNS_NAME && name.split('.').all(label)).then_some(name)
}

/// Whether a name is `domain` or beneath it.
pub fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        ("v", "1"),
        ("a", "rsa-sha256"),
        ("c", "relaxed/simple"),
        ("d", "example.com"),
        ("s", "sel"),
        ("h", "From : To"),
        ("bh", "AAAA"),
        ("b", "BBBB"),
    ];

    fn with(change: &[(&str, Option<&str>)]) -> Result<Signature, Reason> {
        let mut tags: Vec<(&str, &str)> = GOOD.to_vec();
        for (name, value) in change {
            tags.retain(|tag| tag.0 != *name);
            if let Some(value) = value {
                tags.push((name, value));
            }
        }
        let text: Vec<String> = tags.iter().map(|(n, v)| format!("{n}={v}")).collect();
        Signature::parse(text.join("; ").as_bytes())
    }

    /// RFC 6376 3.5: v, a, b, bh, d, h and s are required; empty is as bad as missing.
    #[test]
    fn each_required_tag_missing_empty_or_doubled() {
        for name in ["v", "a", "b", "bh", "d", "h", "s"] {
            let missing = with(&[(name, None)]);
            assert_eq!(missing, with(&[(name, Some(""))]), "{name}");
            assert!(missing.is_err_and(|r| r == format!("{name}= missing")), "{name}");
            let twice = format!("{name}=1; {}", "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=A; b=A");
            assert_eq!(Signature::parse(twice.as_bytes()), Err("duplicate tag"), "{name}");
        }
    }

    #[test]
    fn each_tag_malformed() {
        for (name, value, expected) in [
            ("v", "2", "v= is not 1"),
            ("v", "1.0", "v= is not 1"),
            ("a", "rsa-sha1", "rsa-sha1 is not accepted"), // RFC 8301 3.1
            ("a", "rsa-sha512", "a= unknown"),
            ("a", "RSA-SHA256", "a= unknown"),
            ("b", "A", "b= is not base64"),
            ("b", "A!==", "b= is not base64"),
            ("bh", "%%%%", "bh= is not base64"),
            ("c", "", "c= unknown"),
            ("c", "relaxed/", "c= unknown"),
            ("c", "nowsp", "c= unknown"),
            ("c", "simple/simple/simple", "c= unknown"),
            ("d", "com", "d= is not a domain"),
            ("d", "exa mple.com", "d= is not a domain"),
            ("d", "example..com", "d= is not a domain"),
            ("d", ".example.com", "d= is not a domain"),
            ("d", "-x.example.com", "d= is not a domain"),
            ("s", "a..b", "s= is not a selector"),
            ("s", "a b", "s= is not a selector"),
            ("h", "To:Subject", "From is not in h="), // 5.4
            ("h", "From::To", "h= is not a list of names"),
            ("h", "From:", "h= is not a list of names"),
            ("h", "From: a b", "h= is not a list of names"),
            ("i", "joe", "i= has no @"),
            ("i", "joe@", "i= has no domain"),
            ("i", "joe@example.org", "i= is not within d="), // 6.1.1
            ("i", "joe@badexample.com", "i= is not within d="),
            ("i", "joe@com", "i= is not within d="),
            ("l", "", "l= is not a number"),
            ("l", "-1", "l= is not a number"),
            ("l", "0x10", "l= is not a number"),
            ("t", "soon", "t= is not a number"),
            ("x", "1e9", "x= is not a number"),
            ("q", "dns/srv", "q= names no known way to the key"),
            ("q", "", "q= names no known way to the key"),
        ] {
            assert_eq!(with(&[(name, Some(value))]), Err(expected), "{name}={value}");
        }
        let label = "x".repeat(62);
        let (s, d) = ([label.as_str(); 2].join("."), [label.as_str(); 2].join(".") + ".example");
        let long = [("s", Some(s.as_str())), ("d", Some(d.as_str()))];
        assert_eq!(with(&long), Err("s= and d= are too long"));
        let times = [("t", Some("100")), ("x", Some("100"))];
        assert_eq!(with(&times), Err("x= is not after t="));
    }

    #[test]
    fn what_is_understood() {
        let signature = with(&[
            ("i", Some("@mail.Example.com")),
            ("l", Some("12")),
            ("t", Some("5")),
            ("x", Some("9999999999999999999999999")),
            ("q", Some("dns/foo : dns/txt")),
            ("z", Some("From:foo@eng.example.net|To:joe@example.com")),
            ("unknown", Some("")),
            ("d", Some("EXAMPLE.com")),
        ])
        .expect("a signature");
        assert_eq!(signature.identity.as_deref(), Some("@mail.Example.com"));
        let signed = signature.signed;
        assert_eq!(signed.body, HashSpec { relaxed: false, limit: Some(12) });
        assert!(signed.relaxed_header);
        assert_eq!(signed.expires, Some(u64::MAX));
        assert_eq!(signed.names, ["from", "to"]);
        assert_eq!(signed.key_name(), "sel._domainkey.example.com");
        assert_eq!(with(&[("c", None)]).map(|s| s.signed.relaxed_header), Ok(false));
        assert_eq!(with(&[("c", Some("relaxed"))]).map(|s| s.signed.body.relaxed), Ok(false));
    }

    /// RFC 8616 5: U-labels stand for their A-labels.
    #[test]
    fn internationalised_domains() {
        let signature = with(&[("d", Some("b\u{fc}cher.example"))]).expect("a signature");
        assert_eq!(signature.signed.domain, "xn--bcher-kva.example");
    }
}
