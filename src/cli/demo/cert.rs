//! A certificate for the submission port: self-signed, for this run only (RFC 5280 4.1, RFC 5480,
//! RFC 5758 3.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const GENERALIZED_TIME: u8 = 0x18;
const UTC_TIME: u8 = 0x17;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    /// PKCS#8.
    key: Vec<u8>,
}

impl Certificate {
    /// `None` when the system has no randomness.
    pub(super) fn new(host: &str) -> Option<Certificate> {
        let random = SystemRandom::new();
        let signing = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(signing, &random).ok()?;
        let pair = EcdsaKeyPair::from_pkcs8(signing, key.as_ref(), &random).ok()?;
        let algorithm = der(SEQUENCE, &[&der(OID, &[ECDSA_WITH_SHA256])]);
        let name = der(OID, &[COMMON_NAME]);
        let name = der(SEQUENCE, &[&name, &der(UTF8_STRING, &[host.as_bytes()])]);
        let name = der(SEQUENCE, &[&der(SET, &[&name])]);
        let from = der(UTC_TIME, &[b"250101000000Z"]);
        let to = der(GENERALIZED_TIME, &[b"99991231235959Z"]);
        let kind = der(SEQUENCE, &[&der(OID, &[EC_PUBLIC_KEY]), &der(OID, &[PRIME256V1])]);
        let public = der(BIT_STRING, &[&[0], pair.public_key().as_ref()]);
        let names = der(SEQUENCE, &[&der(DNS_NAME, &[host.as_bytes()])]);
        let names = [der(OID, &[SUBJECT_ALT_NAME]), der(OCTET_STRING, &[&names])].concat();
        let to_sign = der(
            SEQUENCE,
            &[
                &der(VERSION, &[&der(INTEGER, &[&[2]])]),
                &der(INTEGER, &[&[1]]),
                &algorithm,
                &name,
                &der(SEQUENCE, &[&from, &to]),
                &name,
                &der(SEQUENCE, &[&kind, &public]),
                &der(EXTENSIONS, &[&der(SEQUENCE, &[&der(SEQUENCE, &[&names])])]),
            ],
        );
        let signature = pair.sign(&random, &to_sign).ok()?;
        let signature = der(BIT_STRING, &[&[0], signature.as_ref()]);
        Some(Certificate {
            der: der(SEQUENCE, &[&to_sign, &algorithm, &signature]),
            key: key.as_ref().to_vec(),
        })
    }

    pub(super) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    pub(super) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

/// One element, of the concatenated parts.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [.., high, low] = content.len().to_be_bytes();
    let mut out = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    out.extend_from_slice(&content);
    out
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
