//! Reading the ARC-Authentication-Results of a trusted sealer: did the mail pass when it came there?

use crate::checks::dkim::signature::{domain_name, is_within};
use crate::message::auth_results;

/// What in the results speaks for the author's domain; `None` when nothing does.
///
/// `author` is the domain of From. Alignment is taken as "the same, or one beneath the other": the
/// sealer, whom the administrator trusts, has already met the records of that domain.
pub fn vouched(value: &[u8], author: &str) -> Option<&'static str> {
    if author.is_empty() {
        return None;
    }
    let results = auth_results::parse(value)?.results;
    let passes = |method: &str, fits: &dyn Fn(&[Property]) -> bool| {
        results.iter().any(|(name, result, properties)| {
            name == method && result == "pass" && fits(properties)
        })
    };
    let speaks = |properties: &[Property], names: &[&str]| {
        domains(properties, names).any(|domain| related(&domain, author))
    };
    if passes("dmarc", &|properties| domains(properties, &["header.from"]).all(|d| d == author)) {
        Some("dmarc=pass")
    } else if passes("dkim", &|properties| speaks(properties, &["header.d", "header.i"])) {
        Some("dkim=pass, aligned")
    } else if passes("spf", &|properties| speaks(properties, &["smtp.mailfrom", "smtp.mfrom"])) {
        Some("spf=pass, aligned")
    } else {
        None
    }
}

type Property = (String, String);

/// The domains of some properties; what is no domain is an empty one.
fn domains(properties: &[Property], names: &[&str]) -> impl Iterator<Item = String> {
    properties
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(_, value)| domain_name(value.rsplit('@').next().unwrap_or("")).unwrap_or_default())
}

fn related(a: &str, b: &str) -> bool {
    let (longer, shorter) = if a.len() < b.len() { (b, a) } else { (a, b) };
    shorter.contains('.') && is_within(longer, shorter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vouches_for_an_author() {
        for (results, expected) in [
            ("dmarc=pass", Some("dmarc=pass")),
            ("spf=fail; dmarc = pass (p=none) header.from=Example.com", Some("dmarc=pass")),
            ("dmarc/1=pass header.from=\"example.com\"", Some("dmarc=pass")),
            ("dmarc=pass header.from=example.org", None),
            ("dmarc=fail header.from=example.com", None),
            ("spf=pass (dmarc=pass) smtp.mailfrom=example.org", None),
            ("spf=pass reason=\"; dmarc=pass\" smtp.mailfrom=example.org", None),
            ("spf=pass reason=\"a \\\"; dmarc=pass\"", None),
            ("spf=pass (a (nested; dmarc=pass) \\) ; dmarc=pass", None),
            ("dkim=pass header.d=mail.example.com", Some("dkim=pass, aligned")),
            ("dkim=pass header.i=@example.com header.s=x", Some("dkim=pass, aligned")),
            ("dkim=pass header.d=com", None),
            ("dkim=pass header.d=notexample.com", None),
            ("dkim=fail header.d=example.com", None),
            ("dkim=fail header.d=example.com; dkim=pass header.d=list.example", None),
            ("spf=pass smtp.mfrom=joe@example.com", Some("spf=pass, aligned")),
            ("spf=pass smtp.helo=example.com", None),
            ("none", None),
            ("", None),
        ] {
            let value = format!(" i=1; lists.example.org; {results}");
            assert_eq!(vouched(value.as_bytes(), "example.com"), expected, "{results}");
            assert_eq!(vouched(value.as_bytes(), ""), None);
        }
    }

    #[test]
    fn the_first_two_parts_are_no_results() {
        assert_eq!(vouched(b" i=1; dmarc=pass", "example.com"), None);
    }
}
