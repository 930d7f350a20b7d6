//! The cryptography of DKIM and ARC, all of it in this file: hashes, public keys, signatures.
//!
//! It uses `ring` and nothing between: what a mail library adds to it (reading the header again,
//! choosing and canonicalising fields) is what must be exact here, and stands in [`super::canonical`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    Rsa { n: Box<[u8]>, e: Box<[u8]>, bits: usize },
    Ed25519([u8; 32]),
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
        let (n, e) = rsa_numbers(der).ok_or(BadKey::Malformed)?;
        let bits = n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(BadKey::Length(bits));
        }
        Ok(PublicKey::Rsa { n: n.into(), e: e.into(), bits })
    }

    /// From the 32 octets of the key itself (RFC 8463 4.2).
    pub fn ed25519(raw: &[u8]) -> Result<PublicKey, BadKey> {
        raw.try_into().map(PublicKey::Ed25519).map_err(|_| BadKey::Malformed)
    }

    pub fn fits(&self, algorithm: Algorithm) -> bool {
        matches!(
            (self, algorithm),
            (PublicKey::Rsa { .. }, Algorithm::RsaSha256)
                | (PublicKey::Ed25519(_), Algorithm::Ed25519Sha256)
        )
    }

    pub fn bits(&self) -> usize {
        match self {
            PublicKey::Rsa { bits, .. } => *bits,
            PublicKey::Ed25519(_) => 256,
        }
    }

    /// Whether `signature` is this key's over `data`. Ed25519 signs the SHA-256 of the data
    /// (RFC 8463 3).
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        match self {
            PublicKey::Rsa { n, e, .. } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, data, signature)
                .is_ok(),
            PublicKey::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(&sha256(data), signature).is_ok()
            }
        }
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

/// The modulus and exponent, without leading zeros.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
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
    Some((positive(n)?, positive(e)?))
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
