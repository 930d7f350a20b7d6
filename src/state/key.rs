//! Keys of counters: a keyed hash, so that nobody outside can choose keys that collide.

use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};

use ring::hmac;

/// 128 bits of an HMAC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterKey(pub(super) [u64; 2]);

impl Hash for CounterKey {
    /// The key is a hash already.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Makes keys. Machines that share counters share the secret.
pub struct KeyHasher {
    key: hmac::Key,
}

impl KeyHasher {
    /// With a secret of this process's own.
    pub fn random() -> Self {
        // RandomState is keyed by the operating system's random numbers.
        let random = RandomState::new();
        let mut secret = [0; 32];
        for (n, part) in secret.chunks_mut(8).enumerate() {
            part.copy_from_slice(&random.hash_one(n).to_be_bytes());
        }
        KeyHasher::from_secret(&secret)
    }

    pub fn from_secret(secret: &[u8]) -> Self {
        KeyHasher { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    pub fn start(&self) -> KeyBuilder {
        KeyBuilder { context: hmac::Context::with_key(&self.key) }
    }
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

/// A key in the making: one part after the other, each kept apart from the next.
pub struct KeyBuilder {
    context: hmac::Context,
}

impl KeyBuilder {
    pub fn bytes(&mut self, part: &[u8]) {
        self.context.update(&(part.len() as u64).to_be_bytes());
        self.context.update(part);
    }

    /// Without regard to ASCII case.
    pub fn text(&mut self, part: &str) {
        self.context.update(&(part.len() as u64).to_be_bytes());
        let mut lower = [0; 64];
        for chunk in part.as_bytes().chunks(64) {
            if let Some(lower) = lower.get_mut(..chunk.len()) {
                lower.copy_from_slice(chunk);
                lower.make_ascii_lowercase();
                self.context.update(lower);
            }
        }
    }

    pub fn finish(self) -> CounterKey {
        let tag = self.context.sign();
        let mut key = [0; 2];
        for (word, bytes) in key.iter_mut().zip(tag.as_ref().chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        CounterKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hasher: &KeyHasher, parts: &[&str]) -> CounterKey {
        let mut builder = hasher.start();
        parts.iter().for_each(|part| builder.text(part));
        builder.finish()
    }

    #[test]
    fn parts_stay_apart_and_case_does_not_matter() {
        let hasher = KeyHasher::random();
        assert_eq!(key(&hasher, &["a", "B@Example"]), key(&hasher, &["A", "b@exAMPLE"]));
        assert_ne!(key(&hasher, &["ab", "c"]), key(&hasher, &["a", "bc"]));
        let long = "X".repeat(200);
        assert_eq!(key(&hasher, &[&long]), key(&hasher, &[&long.to_lowercase()]));
        assert_ne!(key(&hasher, &[&long]), key(&hasher, &[&long[..199]]));
    }

    #[test]
    fn the_secret_decides() {
        let parts = &["client", "192.0.2.1"];
        assert_ne!(key(&KeyHasher::random(), parts), key(&KeyHasher::random(), parts));
        let shared = || KeyHasher::from_secret(b"one secret on two machines");
        assert_eq!(key(&shared(), parts), key(&shared(), parts));
    }
}
