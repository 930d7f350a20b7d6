//! One signature, verified (RFC 6376 6.1).

use super::canonical::FieldIndex;
use super::lookup::{Keys, NoKey};
use super::signature::{Signature, Signed, domain_name};
use crate::message::{BodyHash, HeaderField};

/// The result of one signature in the words of RFC 8601 2.7.1, from the best down.
///
/// `Fail` is a signature that was understood and does not hold: hash, signature, expiry, `l=` beyond
/// the body. `PermError` is one that can't be understood or has no usable key, which includes
/// rsa-sha1 and short RSA keys (RFC 8301). A temporary error comes right after a pass, because that
/// is what it may have been. A signature without verdict does not occur, so `neutral` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Pass,
    TempError,
    /// Holds, and is not acceptable here; or was not looked at, there being too many.
    Policy,
    Fail,
    PermError,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::TempError => "temperror",
            Outcome::Policy => "policy",
            Outcome::Fail => "fail",
            Outcome::PermError => "permerror",
        }
    }
}

/// What became of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Empty for a pass.
    pub reason: &'static str,
    /// `t=y` in the key record.
    pub testing: bool,
    pub key_bits: Option<usize>,
}

impl Verdict {
    pub fn new(outcome: Outcome, reason: &'static str) -> Verdict {
        Verdict { outcome, reason, testing: false, key_bits: None }
    }
}

/// What is the same for all signatures of a message.
pub struct Evidence<'a> {
    pub fields: &'a FieldIndex<'a>,
    pub bodies: &'a [BodyHash],
    /// Seconds since 1970.
    pub now: u64,
    /// Accept signatures whose `l=` leaves a part of the body unsigned.
    pub allow_unsigned_tail: bool,
}

/// Verifies a DKIM-Signature.
pub fn verify(
    signature: &Signature,
    own: HeaderField<'_>,
    evidence: &Evidence<'_>,
    keys: &Keys,
) -> Verdict {
    verify_signed(&signature.signed, signature.identity.as_deref(), own, evidence, keys)
}

/// What can be said without a key: the part of the body that was hashed for the signature, or why it
/// does not hold. Keys of signatures that fail here need not be fetched.
pub fn before_key<'e>(signed: &Signed, evidence: &Evidence<'e>) -> Result<&'e BodyHash, Verdict> {
    let fail = |reason| Err(Verdict::new(Outcome::Fail, reason));
    if signed.expires.is_some_and(|x| x < evidence.now) {
        return fail("signature has expired");
    }
    let Some(body) = evidence.bodies.iter().find(|body| body.spec == signed.body) else {
        return Err(Verdict::new(Outcome::Policy, "body was not hashed for it"));
    };
    if signed.body.limit.is_some_and(|limit| limit > body.canonical_length) {
        return fail("l= is larger than the body");
    }
    if body.sha256 != *signed.body_hash {
        return fail("body hash does not match");
    }
    Ok(body)
}

/// Verifies what DKIM-Signature and ARC-Message-Signature have in common.
pub fn verify_signed(
    signed: &Signed,
    identity: Option<&str>,
    own: HeaderField<'_>,
    evidence: &Evidence<'_>,
    keys: &Keys,
) -> Verdict {
    let body = match before_key(signed, evidence) {
        Ok(body) => body,
        Err(verdict) => return verdict,
    };
    let record = match keys.get(&signed.key_name(), signed.algorithm) {
        Ok(record) => record,
        Err(NoKey::Temporary(_)) => {
            return Verdict::new(Outcome::TempError, "key server unavailable");
        }
        Err(NoKey::Permanent(reason)) => return Verdict::new(Outcome::PermError, reason),
    };
    let (outcome, reason) = if record.strict && !is_exactly(identity, &signed.domain) {
        // RFC 6376 3.6.1, t=s.
        (Outcome::PermError, "i= is not of d= itself, as the key demands")
    } else {
        let names = signed.names.iter().map(String::as_str);
        let data = evidence.fields.signed_data(names, own, signed.relaxed_header);
        if !record.key.verify(&data, &signed.signature) {
            (Outcome::Fail, "signature does not match")
        } else if signed.body.limit.is_some_and(|limit| limit < body.canonical_length)
            && !evidence.allow_unsigned_tail
        {
            // RFC 6376 8.2: anything may have been added below.
            (Outcome::Policy, "l= leaves a part of the body unsigned")
        } else {
            (Outcome::Pass, "")
        }
    };
    let key_bits = Some(record.key.bits());
    Verdict { outcome, reason, testing: record.testing, key_bits }
}

fn is_exactly(identity: Option<&str>, domain: &str) -> bool {
    let host = identity.and_then(|identity| identity.rsplit_once('@'));
    host.is_none_or(|(_, host)| domain_name(host).as_deref() == Some(domain))
}
