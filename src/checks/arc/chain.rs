//! The ARC sets of a header, and the rules for their shape (RFC 8617 4, 5.2 steps 1 to 3).

use crate::checks::dkim::crypto::Algorithm;
use crate::checks::dkim::signature::{self, Reason, Signed, key_name, required};
use crate::checks::dkim::tags::{TagList, trim};
use crate::message::{Header, HeaderField};

/// RFC 8617 4.2.1.
pub const MAX_SETS: usize = 50;

const RESULTS_FIELD: &str = "ARC-Authentication-Results";
const MESSAGE_FIELD: &str = "ARC-Message-Signature";
const SEAL_FIELD: &str = "ARC-Seal";

/// What one hop added.
#[derive(Debug)]
pub struct Set<'a> {
    pub results: HeaderField<'a>,
    pub message: HeaderField<'a>,
    pub seal: HeaderField<'a>,
    pub sealed: Seal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    pub algorithm: Algorithm,
    pub signature: Vec<u8>,
    pub domain: String,
    pub selector: String,
    pub cv: ChainValue,
}

/// `cv=`: what the sealer found the chain before it to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainValue {
    None,
    Fail,
    Pass,
}

impl Seal {
    /// RFC 8617 4.1.3.
    pub fn parse(value: &[u8]) -> Result<Seal, Reason> {
        let tags = TagList::parse(value).map_err(|error| error.reason())?;
        if tags.get("h").is_some() {
            return Err("ARC-Seal has h=");
        }
        signature::number(&tags, "t", "t= is not a number")?;
        let (selector, domain) = signature::key_place(&tags)?;
        Ok(Seal {
            algorithm: signature::algorithm(&tags)?,
            signature: signature::signature(&tags)?,
            domain,
            selector,
            cv: match required(&tags, "cv", "cv= missing")? {
                "none" => ChainValue::None,
                "fail" => ChainValue::Fail,
                "pass" => ChainValue::Pass,
                _ => return Err("cv= unknown"),
            },
        })
    }

    pub fn key_name(&self) -> String {
        key_name(&self.selector, &self.domain)
    }
}

/// The sets, the first hop's first; none when the header has no ARC field at all.
pub fn collect(header: &Header) -> Result<Vec<Set<'_>>, Reason> {
    let results = by_instance(header, RESULTS_FIELD, results_instance)?;
    let messages = by_instance(header, MESSAGE_FIELD, tag_instance)?;
    let seals = by_instance(header, SEAL_FIELD, tag_instance)?;
    if results.len() != messages.len() || messages.len() != seals.len() {
        return Err("an ARC set is not complete");
    }
    let mut sets = Vec::with_capacity(seals.len());
    for ((results, message), seal) in results.into_iter().zip(messages).zip(seals) {
        sets.push(Set { results, message, seal, sealed: Seal::parse(seal.value)? });
    }
    for (n, set) in sets.iter().enumerate() {
        match set.sealed.cv {
            ChainValue::Fail => return Err("a sealer found the chain failed"),
            ChainValue::None if n > 0 => return Err("cv=none after the first set"),
            ChainValue::Pass if n == 0 => return Err("cv=pass in the first set"),
            _ => {}
        }
    }
    Ok(sets)
}

/// The ARC-Message-Signature of the last set, which is the one that must hold.
pub fn message_signature(field: HeaderField<'_>) -> Result<Signed, Reason> {
    let tags = TagList::parse(field.value).map_err(|error| error.reason())?;
    // RFC 6376 would have an absent `c=` mean simple/simple. Sealers that leave it out mean what the
    // seal itself is made with (RFC 8617 5.1.1): the validation suite is signed that way.
    let signed = Signed::from_tags(&tags, true)?;
    // RFC 8617 4.1.2.
    if signed.names.iter().any(|name| name == "arc-seal") {
        return Err("ARC-Seal is in h=");
    }
    Ok(signed)
}

/// The field with the highest instance, whatever else is wrong.
pub fn last_message_signature(header: &Header) -> Option<HeaderField<'_>> {
    header
        .named(MESSAGE_FIELD)
        .take(MAX_SETS)
        .filter_map(|field| Some((tag_instance(field.value)?, field)))
        .max_by_key(|(instance, _)| *instance)
        .map(|(_, field)| field)
}

/// The fields of a name in the order of their instances, which must be 1, 2, 3 and so on.
fn by_instance<'a>(
    header: &'a Header,
    name: &'a str,
    instance: impl Fn(&[u8]) -> Option<usize>,
) -> Result<Vec<HeaderField<'a>>, Reason> {
    let mut slots: Vec<Option<HeaderField<'a>>> = Vec::new();
    let mut count = 0;
    for field in header.named(name) {
        let slot = instance(field.value).ok_or("i= is missing or not from 1 to 50")? - 1;
        count += 1;
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        match slots.get_mut(slot) {
            Some(free @ None) => *free = Some(field),
            _ => return Err("an instance stands twice"),
        }
    }
    let fields: Vec<_> = slots.into_iter().flatten().collect();
    // `count` fields in different slots leave a gap exactly when the last slot is beyond them.
    match fields.len() == count && fields.iter().all(|f| instance(f.value) <= Some(count)) {
        true => Ok(fields),
        false => Err("an instance is missing"),
    }
}

fn tag_instance(value: &[u8]) -> Option<usize> {
    number(TagList::parse(value).ok()?.get("i")?)
}

/// `i=1;` at the start (RFC 8617 4.1.1).
pub fn results_instance(value: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b';', value)?;
    let first = std::str::from_utf8(value.get(..end)?).ok()?;
    let (name, instance) = first.split_once('=')?;
    (trim(name) == "i").then(|| number(trim(instance)))?
}

fn number(text: &str) -> Option<usize> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let instance = if digits { text.parse().ok()? } else { return None };
    (1..=MAX_SETS).contains(&instance).then_some(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(instances: &[(usize, &str)]) -> Result<usize, Reason> {
        let mut raw = String::new();
        for (i, cv) in instances {
            raw += &format!("ARC-Seal: i={i}; a=rsa-sha256; cv={cv}; d=a.example; s=s; b=AAAA\r\n");
            raw += &format!("ARC-Message-Signature: i={i}; b=AAAA\r\n");
            raw += &format!("ARC-Authentication-Results: i={i}; mx.example; none\r\n");
        }
        collect(&Header::parse(raw.into_bytes().into())).map(|sets| sets.len())
    }

    /// RFC 8617 5.2 step 3.
    #[test]
    fn the_shape_of_a_chain() {
        let long: Vec<_> = (1..=50).rev().map(|i| (i, "pass")).collect();
        let mut fifty = long.clone();
        fifty[49] = (1, "none");
        for (instances, expected) in [
            (&[][..], Ok(0)),
            (&[(1, "none")], Ok(1)),
            (&[(2, "pass"), (1, "none")], Ok(2)),
            (&[(1, "none"), (2, "pass")], Ok(2)), // the order of the fields means nothing
            (&fifty, Ok(50)),
            (&long, Err("cv=pass in the first set")),
            (&[(2, "none"), (1, "none")], Err("cv=none after the first set")),
            (&[(2, "fail"), (1, "none")], Err("a sealer found the chain failed")),
            (&[(1, "PASS")], Err("cv= unknown")),
            (&[(1, "")], Err("cv= missing")),
            (&[(3, "pass"), (1, "none")], Err("an instance is missing")),
            (&[(2, "pass")], Err("an instance is missing")),
            (&[(1, "none"), (1, "none")], Err("an instance stands twice")),
            (&[(0, "none")], Err("i= is missing or not from 1 to 50")),
            (&[(51, "pass")], Err("i= is missing or not from 1 to 50")),
        ] {
            assert_eq!(sets(instances), expected, "{instances:?}");
        }
    }

    #[test]
    fn the_instance_of_authentication_results() {
        for (value, expected) in [
            (" i=1; mx.example; none", Some(1)),
            ("\r\n i = 50 ;mx.example", Some(50)),
            (" i=51; mx.example", None),
            (" i=; mx.example", None),
            (" i=001; mx.example", None),
            (" i=1 mx.example; none", None),
            (" mx.example; i=1; none", None),
            (" i=1", None),
        ] {
            assert_eq!(results_instance(value.as_bytes()), expected, "{value}");
        }
    }
}
