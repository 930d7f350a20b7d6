//! What an SPF check found, and what it stands on.

use serde::Serialize;

use crate::dns::Kind;

/// RFC 7208 2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpfResult {
    None,
    Neutral,
    Pass,
    Fail,
    Softfail,
    Temperror,
    Permerror,
}

impl SpfResult {
    pub fn name(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::Softfail => "softfail",
            SpfResult::Temperror => "temperror",
            SpfResult::Permerror => "permerror",
        }
    }
}

/// The answer of `check_host()` with its evidence. All text is printable US-ASCII.
#[derive(Debug, Clone, Serialize)]
pub struct SpfOutcome {
    pub result: SpfResult,
    /// The domain that was checked, lower case, without final dot.
    pub domain: String,
    /// The terms that led to the result: the matching one of the domain's own record (or of its
    /// redirect's), then what matched inside an include, inwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<Matched>,
    /// The domain's own words for a fail (6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// The records met, in the order of evaluation.
    pub records: Vec<Published>,
    /// The DNS questions asked, in order.
    pub lookups: Vec<Lookup>,
    /// How many of the 10 terms that may cause DNS questions were used (4.6.4).
    pub terms: u32,
    /// Why it is none, neutral without a match, temperror or permerror.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl SpfOutcome {
    /// The term that matched, as written in the record.
    pub fn mechanism(&self) -> Option<&str> {
        self.matched.first().map(|matched| &*matched.term)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matched {
    pub domain: String,
    pub term: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    pub domain: String,
    pub record: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lookup {
    pub name: String,
    #[serde(serialize_with = "kind_name")]
    pub kind: Kind,
    /// `found`, or the name of the [`crate::dns::DnsError`].
    pub answer: &'static str,
}

fn kind_name<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match kind {
        Kind::A => "A",
        Kind::Aaaa => "AAAA",
        Kind::Mx => "MX",
        Kind::Txt => "TXT",
        Kind::Ptr => "PTR",
    })
}
