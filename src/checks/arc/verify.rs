//! The signatures of a chain (RFC 8617 5.2 steps 4 and 6).

use super::chain::Set;
use crate::checks::dkim::canonical::{push_field, push_own_field};
use crate::checks::dkim::lookup::{Keys, NoKey};
use crate::checks::dkim::signature::Reason;

/// Verifies every seal. A seal covers all sets up to its own in the order of their instances, each
/// as results, message signature, seal, in relaxed form (RFC 8617 5.1.1).
pub fn seals(sets: &[Set<'_>], keys: &Keys) -> Result<(), Reason> {
    let mut data = Vec::new();
    for set in sets {
        push_field(&mut data, set.results.raw, true);
        push_field(&mut data, set.message.raw, true);
        let before = data.len();
        push_own_field(&mut data, set.seal.raw, true);
        let seal = &set.sealed;
        let record = keys.get(&seal.key_name(), seal.algorithm).map_err(|no_key| match no_key {
            NoKey::Temporary(_) => "key server unavailable",
            NoKey::Permanent(reason) => reason,
        })?;
        if !record.key.verify(&data, &seal.signature) {
            return Err("a seal does not match");
        }
        data.truncate(before);
        push_field(&mut data, set.seal.raw, true);
    }
    Ok(())
}
