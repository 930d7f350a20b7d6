//! The cryptography of DKIM and ARC, all of it in this file: hashes, public keys, signatures.
//!
//! Signatures are verified by `mail-auth`, over octets that [`super::canonical`] has made: choosing
//! and canonicalising the fields is what must be exact, and is ours. Keys are looked at strictly
//! before it sees them. Its version stands here and nowhere else.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

/// RFC 8301 3.2: verifiers must not accept less and must take up to 4096. More would only cost time.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    RsaSha256,
    Ed25519Sha256,
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
        }
    }
}

/// A public key that may be used: an RSA key is within [`RSA_BITS`].
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    bits: usize,
    raw: Box<[u8]>,
    verifier: Arc<DomainKey>,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        (self.algorithm, &self.raw) == (other.algorithm, &other.raw)
    }
}

impl Eq for PublicKey {}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bits", self.algorithm.name(), self.bits)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKey {
    Malformed,
    /// Bits of an RSA key outside of [`RSA_BITS`].
    Length(usize),
}

impl PublicKey {
    /// From DER: an `RSAPublicKey` (RFC 6376 3.6.1), or the `SubjectPublicKeyInfo` around one that
    /// everybody publishes (RFC 6376 errata 3017).
    pub fn rsa(der: &[u8]) -> Result<PublicKey, BadKey> {
        let n = rsa_modulus(der).ok_or(BadKey::Malformed)?;
        let bits = n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(BadKey::Length(bits));
        }
        PublicKey::new(Algorithm::RsaSha256, bits, der)
    }

    /// From the 32 octets of the key itself (RFC 8463 4.2).
    pub fn ed25519(raw: &[u8]) -> Result<PublicKey, BadKey> {
        match raw.len() {
            32 => PublicKey::new(Algorithm::Ed25519Sha256, 256, raw),
            _ => Err(BadKey::Malformed),
        }
    }

    /// The library takes keys in the form of a record; ours was parsed already.
    fn new(algorithm: Algorithm, bits: usize, raw: &[u8]) -> Result<PublicKey, BadKey> {
        let kind = match algorithm {
            Algorithm::RsaSha256 => "rsa",
            Algorithm::Ed25519Sha256 => "ed25519",
        };
        let record = format!("v=DKIM1; k={kind}; p={}", STANDARD.encode(raw));
        let verifier = DomainKey::parse(record.as_bytes()).map_err(|_| BadKey::Malformed)?;
        Ok(PublicKey { algorithm, bits, raw: raw.into(), verifier: Arc::new(verifier) })
    }

    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm == algorithm
    }

    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Whether `signature` is this key's over `data`. Ed25519 signs the SHA-256 of the data
    /// (RFC 8463 3).
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::RsaSha256 => crypto::Algorithm::RsaSha256,
            Algorithm::Ed25519Sha256 => crypto::Algorithm::Ed25519Sha256,
        };
        self.verifier.p.verify_bytes(data, signature, algorithm).is_ok()
    }
}

/// A private key, for signing.
pub enum SigningKey {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new Ed25519 key, `None` when the system has no randomness.
    pub fn generate_ed25519() -> Option<SigningKey> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).ok().map(SigningKey::Ed25519)
    }

    pub fn ed25519_from_seed(seed: &[u8]) -> Option<SigningKey> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(SigningKey::Ed25519)
    }

    /// An RSA key of at least 2048 bits, from PEM or bare base64 of PKCS#8.
    pub fn rsa_from_pkcs8_pem(pem: &str) -> Option<SigningKey> {
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).ok()?;
        RsaKeyPair::from_pkcs8(&der).ok().map(SigningKey::Rsa)
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            SigningKey::Rsa(_) => Algorithm::RsaSha256,
            SigningKey::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    /// The text of the key record to publish.
    pub fn record(&self) -> String {
        match self {
            SigningKey::Rsa(pair) => {
                format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(pair.public_key().as_ref()))
            }
            SigningKey::Ed25519(pair) => {
                format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(pair.public_key().as_ref()))
            }
        }
    }

    /// `None` when the system has no randomness for RSA's blinding.
    pub fn sign(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            SigningKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature).ok()?;
                Some(signature)
            }
            SigningKey::Ed25519(pair) => Some(pair.sign(&sha256(data)).as_ref().to_vec()),
        }
    }
}

pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// The modulus, without leading zeros, of a key that is well formed.
fn rsa_modulus(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    /// 1.2.840.113549.1.1.1, rsaEncryption.
    const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

    let (mut body, []) = element(der, SEQUENCE)? else { return None };
    if let Some((algorithm, key)) = element(body, SEQUENCE) {
        let (bits, []) = element(key, BIT_STRING)? else { return None };
        // The first octet of a bit string counts the unused bits.
        let (key, []) = element(bits.strip_prefix(&[0])?, SEQUENCE)? else { return None };
        body = algorithm.starts_with(RSA).then_some(key)?;
    }
    let (n, rest) = element(body, INTEGER)?;
    let (e, []) = element(rest, INTEGER)? else { return None };
    positive(e)?;
    positive(n)
}

/// The contents of the first element, which must be of this type, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn positive(integer: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = integer.split_first()?;
    match first {
        0 if !rest.is_empty() => Some(rest),
        1..0x80 => Some(integer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_random_bytes_is_malformed() {
        for der in [&b""[..], b"\x30", b"\x30\x82", b"\x30\x03\x02\x01\x00", b"\x30\x80\0\0"] {
            assert_eq!(PublicKey::rsa(der), Err(BadKey::Malformed), "{der:?}");
        }
        assert_eq!(PublicKey::ed25519(&[0; 31]), Err(BadKey::Malformed));
    }

    #[test]
    fn an_ed25519_key_verifies_its_signature_only() {
        let key = SigningKey::ed25519_from_seed(&[7; 32]).expect("a key");
        let SigningKey::Ed25519(pair) = &key else { panic!("ed25519") };
        let public = PublicKey::ed25519(pair.public_key().as_ref()).expect("a public key");
        let signature = key.sign(b"data").expect("a signature");
        assert!(public.verify(b"data", &signature));
        assert!(!public.verify(b"date", &signature));
        assert!(!public.verify(b"data", &signature[1..]));
    }
}
