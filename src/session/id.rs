//! Decision ids: 40 bits as eight letters of Crockford's base 32 in two groups, `7f3k-9q2m`. They
//! can be read out on the telephone, and stand in the refusal, the log and the record.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(u64);

const BITS: u32 = 40;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl DecisionId {
    pub fn from_bits(bits: u64) -> Self {
        DecisionId(bits & ((1 << BITS) - 1))
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for n in (0..8).rev() {
            let digit = (self.0 >> (5 * n)) & 31;
            f.write_str(char::from(ALPHABET[digit as usize]).encode_utf8(&mut [0; 4]))?;
            if n == 4 {
                f.write_str("-")?;
            }
        }
        Ok(())
    }
}

/// Gives out ids: a counter that starts at random and is scrambled by a bijection, so that two of
/// one session are never equal and the order of sessions cannot be read off.
#[derive(Debug, Clone)]
pub struct Ids(u64);

impl Ids {
    pub fn new(seed: u64) -> Self {
        Ids(seed)
    }

    pub fn next_id(&mut self) -> DecisionId {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        DecisionId::from_bits(z ^ (z >> 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_letters_in_two_groups() {
        let id = Ids::new(7).next_id().to_string();
        assert_eq!(id.len(), 9);
        assert!(id.bytes().enumerate().all(|(n, b)| (n == 4) == (b == b'-')));
        assert!(!id.contains(['i', 'l', 'o', 'u']));
    }
}
