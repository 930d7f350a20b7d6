//! DKIM: finds which domains take responsibility for a message (RFC 6376, 8301, 8463, 8616).
//!
//! [`body_hashes`] tells the receiver of a message what to hash while the body comes in; [`DkimCheck`]
//! then needs the header, those hashes, and the keys from DNS.

use serde_json::json;

use crate::checks::{AuthResult, Check, Context, Findings, arc};
use crate::dns::BoxFuture;
use crate::facts::{Stage, registry};
use crate::message::{HashSpec, Header, HeaderField};

pub mod canonical;
pub mod crypto;
pub mod key;
pub mod lookup;
pub mod sign;
pub mod signature;
pub mod tags;
pub mod verify;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use canonical::FieldIndex;
use lookup::Keys;
use signature::{Reason, Signature, Signed};
use tags::TagList;
use verify::{Evidence, Outcome, Verdict};

/// Signatures tried in one message, from the top down (RFC 6376 6.1 and 8.4 allow a limit).
pub const MAX_SIGNATURES: usize = 10;

/// The most that [`body_hashes`] asks for.
pub const MAX_BODY_HASHES: usize = MAX_SIGNATURES + 1;

const SIGNATURE_FIELD: &str = "DKIM-Signature";

#[derive(Debug, Clone, Default)]
pub struct DkimConfig {
    /// Let a signature pass whose `l=` leaves a part of the body unsigned. Off: such a part can be
    /// anything, put there by anybody (RFC 6376 8.2).
    pub allow_unsigned_tail: bool,
}

/// The check "dkim".
#[derive(Debug, Default)]
pub struct DkimCheck {
    config: DkimConfig,
}

/// What the body of a message with this header must be hashed for: one way for each DKIM-Signature
/// that is tried, and one for ARC.
pub fn body_hashes(header: &Header) -> Vec<HashSpec> {
    let mut specs = Vec::new();
    for field in header.named(SIGNATURE_FIELD).take(MAX_SIGNATURES) {
        if let Ok(signature) = Signature::parse(field.value)
            && !specs.contains(&signature.signed.body)
        {
            specs.push(signature.signed.body);
        }
    }
    if let Some(spec) = arc::body_hash(header)
        && !specs.contains(&spec)
    {
        specs.push(spec);
    }
    specs
}

/// Names of `h=` in the record of decisions.
const MAX_NAMES_SHOWN: usize = 64;

/// Characters of a tag's value in the record and in Authentication-Results: the longest address.
const MAX_VALUE_SHOWN: usize = 320;

/// What a signature says of itself, as far as it can be read, for the record.
#[derive(Debug, Default)]
struct Label {
    d: String,
    s: String,
    i: String,
    a: String,
    b: String,
}

impl Label {
    fn read(value: &[u8]) -> Label {
        let Ok(tags) = TagList::parse(value) else { return Label::default() };
        let text = |name| -> String {
            tags::without_fws(tags.get(name).unwrap_or("")).chars().take(MAX_VALUE_SHOWN).collect()
        };
        // RFC 6008 4: enough to tell the signatures of a message apart.
        let b = text("b").chars().take(8).collect();
        Label { d: text("d"), s: text("s"), i: text("i"), a: text("a"), b }
    }
}

/// One signature of the message with its fate.
struct Tried<'a> {
    field: HeaderField<'a>,
    parsed: Result<Signature, Reason>,
    verdict: Verdict,
}

impl DkimCheck {
    pub fn new(config: DkimConfig) -> DkimCheck {
        DkimCheck { config }
    }

    async fn find(&self, cx: &Context<'_>) -> Findings {
        let Some(message) = cx.message else { return Findings::default() };
        let fields: Vec<_> = message.header.named(SIGNATURE_FIELD).collect();
        let parsed: Vec<_> =
            fields.iter().take(MAX_SIGNATURES).map(|f| Signature::parse(f.value)).collect();
        let index =
            if fields.is_empty() { FieldIndex::default() } else { FieldIndex::new(message.header) };
        let evidence = Evidence {
            fields: &index,
            bodies: message.body_hashes,
            now: cx.now,
            allow_unsigned_tail: self.config.allow_unsigned_tail,
        };
        let hopeful = parsed.iter().flatten().map(|signature| &signature.signed);
        let hopeful = hopeful.filter(|signed| verify::before_key(signed, &evidence).is_ok());
        let keys = Keys::fetch(cx.dns, hopeful.map(Signed::key_name)).await;
        let tried: Vec<_> = fields
            .iter()
            .zip(parsed)
            .map(|(&field, parsed)| {
                let verdict = match &parsed {
                    Ok(signature) => verify::verify(signature, field, &evidence, &keys),
                    Err(reason) => Verdict::new(Outcome::PermError, reason),
                };
                Tried { field, parsed, verdict }
            })
            .collect();
        findings(&tried, fields.len(), &keys)
    }
}

fn findings(tried: &[Tried<'_>], count: usize, keys: &Keys) -> Findings {
    let mut found = Findings::default();
    let best = tried.iter().map(|one| one.verdict.outcome).min();
    found.set(registry::DKIM, best.map_or("none", Outcome::name));
    found.set(registry::DKIM_COUNT, i64::try_from(count).unwrap_or(i64::MAX));
    found.set(registry::DKIM_DOMAINS, domains(tried, Outcome::Pass));
    found.set(registry::DKIM_TEMPERROR_DOMAINS, domains(tried, Outcome::TempError));

    let mut evidence = Vec::with_capacity(tried.len());
    for one in tried {
        let mut label = Label::read(one.field.value);
        if let Ok(signature) = &one.parsed {
            label.d.clone_from(&signature.signed.domain);
            label.s.clone_from(&signature.signed.selector);
        }
        evidence.push(describe(one, &label, keys));
        found.results.push(auth_result(&one.verdict, label));
    }
    if count == 0 {
        found.results.push(AuthResult {
            method: "dkim",
            result: "none",
            reason: None,
            properties: Vec::new(),
        });
    }
    found.evidence = json!({
        "signatures": evidence,
        "not_tried": count - tried.len(),
    });
    found
}

/// The different `d=` with this outcome, in the order of the signatures.
fn domains(tried: &[Tried<'_>], outcome: Outcome) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    for one in tried {
        if let Ok(signature) = &one.parsed
            && one.verdict.outcome == outcome
            && !domains.contains(&signature.signed.domain)
        {
            domains.push(signature.signed.domain.clone());
        }
    }
    domains
}

fn describe(one: &Tried<'_>, label: &Label, keys: &Keys) -> serde_json::Value {
    let verdict = &one.verdict;
    let mut out = json!({
        "result": verdict.outcome.name(),
        "d": label.d,
        "s": label.s,
        "a": label.a,
        "b": label.b,
    });
    let mut add = |name: &str, value: serde_json::Value| out[name] = value;
    if !verdict.reason.is_empty() {
        add("reason", verdict.reason.into());
    }
    if !label.i.is_empty() {
        add("i", label.i.as_str().into());
    }
    if let Ok(signature) = &one.parsed {
        let signed = &signature.signed;
        let names: Vec<_> = signed.names.iter().take(MAX_NAMES_SHOWN).collect();
        add("h", json!(names));
        if let Some(limit) = signed.body.limit {
            add("l", limit.into());
        }
        if let Some(expires) = signed.expires {
            add("x", expires.into());
        }
        let records = keys.count(&signed.key_name());
        if records > 1 {
            add("key_records", records.into());
        }
    }
    if let Some(bits) = verdict.key_bits {
        add("key_bits", bits.into());
    }
    if verdict.testing {
        add("testing", true.into());
    }
    out
}

/// RFC 8601 2.7.1, RFC 6008 for `header.b`.
fn auth_result(verdict: &Verdict, label: Label) -> AuthResult {
    let properties = [
        ("header.d", label.d),
        ("header.i", label.i),
        ("header.s", label.s),
        ("header.a", label.a),
        ("header.b", label.b),
    ];
    AuthResult {
        method: "dkim",
        result: verdict.outcome.name(),
        reason: (!verdict.reason.is_empty()).then(|| verdict.reason.to_owned()),
        properties: properties.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
    }
}

impl Check for DkimCheck {
    fn name(&self) -> &'static str {
        "dkim"
    }

    fn stage(&self) -> Stage {
        Stage::Message
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(self.find(cx))
    }

    fn failed(&self) -> Findings {
        let mut found = Findings::default();
        found.set(registry::DKIM, "temperror");
        found.results.push(AuthResult {
            method: "dkim",
            result: "temperror",
            reason: None,
            properties: Vec::new(),
        });
        found
    }
}
