//! Identifier alignment (RFC 9989 3.2.10, 4.10.2).

use super::tree_walk::Walks;
use crate::checks::dkim::signature::is_within;
use crate::dns::DnsError;

/// Whether an authenticated domain is aligned with the author's. Walks only where the answer
/// depends on it: a domain that is not within the author's Organizational Domain can't have the same
/// one.
pub async fn aligned(
    walks: &mut Walks<'_>,
    author: &str,
    domain: &str,
    strict: bool,
) -> Result<bool, DnsError> {
    if domain == author {
        return Ok(true);
    }
    if strict || domain.is_empty() {
        return Ok(false);
    }
    let author = walks.walk(author).await?;
    let organization = author.organizational_domain();
    if !is_within(domain, organization) {
        return Ok(false);
    }
    Ok(walks.walk(domain).await?.organizational_domain() == organization)
}

/// Whether two domains belong together: one above the other, or the same Organizational Domain.
pub async fn related(walks: &mut Walks<'_>, a: &str, b: &str) -> Result<bool, DnsError> {
    let (longer, shorter) = if a.len() < b.len() { (b, a) } else { (a, b) };
    if shorter.contains('.') && is_within(longer, shorter) {
        return Ok(true);
    }
    if last_two_labels(a) != last_two_labels(b) {
        return Ok(false);
    }
    let a = walks.walk(a).await?;
    Ok(walks.walk(b).await?.organizational_domain() == a.organizational_domain())
}

fn last_two_labels(name: &str) -> &str {
    name.rmatch_indices('.').nth(1).map_or(name, |(at, _)| name.get(at + 1..).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Budget;
    use crate::dns::fake::FakeDns;
    use std::time::Duration;

    const ZONE: &str = "_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n\
        _dmarc.sub.example.com. TXT \"v=DMARC1; p=none\"\n\
        _dmarc.own.example.com. TXT \"v=DMARC1; p=none; psd=n\"\n\
        _dmarc.bank. TXT \"v=DMARC1; p=none; psd=y\"\n\
        _dmarc.broken.example.com. SERVFAIL\n";

    #[tokio::test]
    async fn strict_and_relaxed() {
        let dns = FakeDns::parse(ZONE).expect("zone text");
        let budget = Budget::new(dns.resolver(), 1000, Duration::from_secs(5));
        for (author, domain, strict, expected) in [
            ("example.com", "example.com", true, Ok(true)),
            ("example.com", "mail.example.com", true, Ok(false)),
            ("example.com", "mail.example.com", false, Ok(true)),
            ("mail.example.com", "example.com", false, Ok(true)),
            ("a.sub.example.com", "b.sub.example.com", false, Ok(true)),
            ("sub.example.com", "example.com", false, Ok(true)),
            ("own.example.com", "example.com", false, Ok(false)),
            ("example.com", "own.example.com", false, Ok(false)),
            ("example.com", "x.own.example.com", false, Ok(false)),
            ("x.own.example.com", "y.own.example.com", false, Ok(true)),
            ("example.com", "badexample.com", false, Ok(false)),
            ("example.com", "example.org", false, Ok(false)),
            ("example.com", "com", false, Ok(false)),
            ("example.com", "", false, Ok(false)),
            ("one.bank", "two.bank", false, Ok(false)),
            ("a.one.bank", "one.bank", false, Ok(true)),
            ("nothing.example", "a.nothing.example", false, Ok(false)),
            ("example.com", "a.broken.example.com", false, Err(DnsError::Temporary)),
        ] {
            let seen = aligned(&mut Walks::new(&budget), author, domain, strict).await;
            assert_eq!(seen, expected, "{author} {domain}");
        }
    }

    #[tokio::test]
    async fn what_belongs_together() {
        let dns = FakeDns::parse(ZONE).expect("zone text");
        let budget = Budget::new(dns.resolver(), 1000, Duration::from_secs(5));
        for (a, b, expected) in [
            ("users.lists.example.net", "lists.example.net", true),
            ("users.lists.example.net", "example.net", true),
            ("users.lists.example.com", "bounce.example.com", true),
            ("users.lists.example.net", "bounce.example.net", false), // no record says so
            ("users.lists.example.com", "com", false),
            ("users.lists.example.com", "x.own.example.com", false),
            ("users.lists.example.com", "example.org", false),
        ] {
            assert_eq!(related(&mut Walks::new(&budget), a, b).await, Ok(expected), "{a} {b}");
        }
    }
}
