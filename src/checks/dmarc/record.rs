//! DMARC Policy Records (RFC 9989 4.7, 4.8).

/// What the owner of a domain wants done with mail that fails, from the mildest up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    None,
    Quarantine,
    Reject,
}

impl Policy {
    pub fn name(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
        }
    }

    /// What `t=y` makes of it: one level lower (RFC 9989 4.7).
    pub fn lowered(self) -> Policy {
        match self {
            Policy::Reject => Policy::Quarantine,
            Policy::Quarantine | Policy::None => Policy::None,
        }
    }

    fn parse(value: &str) -> Option<Policy> {
        [Policy::None, Policy::Quarantine, Policy::Reject]
            .into_iter()
            .find(|policy| value.eq_ignore_ascii_case(policy.name()))
    }
}

/// `psd=`: whether the name is a Public Suffix Domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Psd {
    Yes,
    /// It is an Organizational Domain.
    No,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// As published.
    pub text: String,
    /// `None` when the record can't be applied: `p`, `sp` or `np` is not valid and there is no valid
    /// reporting URI. With one it is [`Policy::None`], and so are the other two (RFC 9989 4.10.1).
    pub p: Option<Policy>,
    pub sp: Option<Policy>,
    pub np: Option<Policy>,
    pub strict_dkim: bool,
    pub strict_spf: bool,
    pub psd: Psd,
    /// `t=y`.
    pub testing: bool,
    /// The valid reporting URIs of `rua=`, the first [`MAX_URIS`] of them.
    pub rua: Vec<String>,
    /// `fo=` as published, for reports.
    pub fo: Option<String>,
}

impl Record {
    /// `None` when the text is no DMARC record of this version. Past the version, unknown tags and
    /// syntax errors are ignored; of a tag that stands twice the first counts.
    pub fn parse(text: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.split(';');
        // The version stands first, without white space before it.
        let (name, version) = parts.next()?.split_once('=')?;
        let is_v = trim_end(name).eq_ignore_ascii_case("v");
        if !is_v || trim(version) != "DMARC1" {
            return None;
        }
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for part in parts {
            if let Some((name, value)) = part.split_once('=') {
                let (name, value) = (trim(name), trim(value));
                let known = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name));
                if let Some(known) = known
                    && !tags.iter().any(|tag| tag.0 == *known)
                {
                    tags.push((known, value));
                }
            }
        }
        let tag = |name| tags.iter().find(|tag| tag.0 == name).map(|tag| tag.1);
        let yes = |name, yes| tag(name).is_some_and(|value| value.eq_ignore_ascii_case(yes));

        let rua: Vec<String> = tag("rua")
            .map(|list| list.split(',').map(trim).filter(|uri| is_uri(uri)).map(str::to_owned))
            .map(|uris| uris.take(MAX_URIS).collect())
            .unwrap_or_default();
        let policies = ["p", "sp", "np"].map(|name| tag(name).map(Policy::parse));
        let (p, sp, np) = match policies {
            [Some(Some(p)), sp @ (None | Some(Some(_))), np @ (None | Some(Some(_)))] => {
                (Some(p), sp.flatten(), np.flatten())
            }
            _ if rua.is_empty() => (None, None, None),
            _ => (Some(Policy::None), None, None),
        };
        Some(Record {
            text: text.to_owned(),
            p,
            sp,
            np,
            strict_dkim: yes("adkim", "s"),
            strict_spf: yes("aspf", "s"),
            psd: match () {
                () if yes("psd", "y") => Psd::Yes,
                () if yes("psd", "n") => Psd::No,
                () => Psd::Unknown,
            },
            testing: yes("t", "y"),
            rua,
            fo: tag("fo").filter(|fo| fo.len() <= MAX_FO).map(str::to_owned),
        })
    }
}

/// Reporting URIs kept of one record, and the octets of each.
pub const MAX_URIS: usize = 8;
const MAX_URI: usize = 512;

/// `0:1:d:s` and white space.
const MAX_FO: usize = 16;

const KNOWN: [&str; 9] = ["p", "sp", "np", "adkim", "aspf", "psd", "t", "rua", "fo"];

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches([' ', '\t'])
}

/// The syntax of a URI (RFC 3986), as far as it decides whether somebody wants reports.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let address = !scheme.eq_ignore_ascii_case("mailto")
        || rest.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
    text.len() <= MAX_URI
        && scheme_ok
        && address
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Record> {
        Record::parse(text.as_bytes())
    }

    /// RFC 9989 4.7, 4.8: the version is first and exact.
    #[test]
    fn what_is_a_record() {
        for (text, expected) in [
            ("v=DMARC1", true),
            ("v=DMARC1;", true),
            ("v = DMARC1 ;p=none", true),
            ("V=DMARC1; p=none", true),
            (" v=DMARC1; p=none", false),
            ("v=dmarc1; p=none", false),
            ("v=DMARC2; p=none", false),
            ("v=DMARC1 p=none", false),
            ("v=DMARC10; p=none", false),
            ("p=none; v=DMARC1", false),
            ("v=spf1 -all", false),
            ("", false),
        ] {
            assert_eq!(parse(text).is_some(), expected, "{text:?}");
        }
        assert_eq!(Record::parse(b"v=DMARC1; p=\xff"), None);
    }

    /// RFC 9989 4.10.1: without valid policies it depends on rua.
    #[test]
    fn policies() {
        use Policy::{None as Not, Quarantine, Reject};
        for (tags, p, sp, np) in [
            ("p=none", Some(Not), None, None),
            ("p=REJECT", Some(Reject), None, None),
            (" p = quarantine ; sp = reject ; np=none", Some(Quarantine), Some(Reject), Some(Not)),
            ("sp=none; p=reject", Some(Reject), Some(Not), None),
            ("P=reject", Some(Reject), None, None),
            ("p=reject; p=none", Some(Reject), None, None),
            ("p=reject; unknown=x; ; junk; pct=0; ri=1", Some(Reject), None, None),
            ("", None, None, None),
            ("p=", None, None, None),
            ("p=rejct", None, None, None),
            ("p=reject none", None, None, None),
            ("p=reject; sp=x", None, None, None),
            ("p=reject; np=", None, None, None),
            ("rua=mailto:d@example.com", Some(Not), None, None),
            ("p=x; rua=mailto:d@example.com", Some(Not), None, None),
            ("p=reject; sp=x; rua=mailto:d@example.com", Some(Not), None, None),
            ("p=reject; np=x; rua=bad,https://example.com/r", Some(Not), None, None),
            ("p=x; rua=d@example.com", None, None, None),
            ("p=x; rua=mailto:", None, None, None),
            ("p=x; rua=mailto:a b@example.com", None, None, None),
            ("p=x; rua=1a:b", None, None, None),
        ] {
            let record = parse(&format!("v=DMARC1; {tags}")).expect("a record");
            assert_eq!((record.p, record.sp, record.np), (p, sp, np), "{tags}");
        }
    }

    #[test]
    fn the_other_tags() {
        let record = parse("v=DMARC1; p=none").expect("a record");
        assert!(!record.strict_dkim && !record.strict_spf && !record.testing);
        assert_eq!(record.psd, Psd::Unknown);
        let record =
            parse("v=DMARC1; p=none; adkim=S; aspf=s; t=y; psd=n; fo=1").expect("a record");
        assert!(record.strict_dkim && record.strict_spf && record.testing);
        assert_eq!((record.psd, record.fo.as_deref()), (Psd::No, Some("1")));
        let record = parse("v=DMARC1; p=none; adkim=x; aspf=; t=yes; psd=z").expect("a record");
        assert!(!record.strict_dkim && !record.strict_spf && !record.testing);
        assert_eq!(record.psd, Psd::Unknown);
        assert_eq!(parse("v=DMARC1; p=none; psd=y").expect("a record").psd, Psd::Yes);
        let record = parse("v=DMARC1; p=none; rua=mailto:a@b.example , x, mailto:c@d.example!10m");
        let rua = record.expect("a record").rua;
        assert_eq!(rua, ["mailto:a@b.example", "mailto:c@d.example!10m"]);
    }

    #[test]
    fn testing_lowers_by_one() {
        assert_eq!(Policy::Reject.lowered(), Policy::Quarantine);
        assert_eq!(Policy::Quarantine.lowered(), Policy::None);
        assert_eq!(Policy::None.lowered(), Policy::None);
    }
}
