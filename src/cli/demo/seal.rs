//! The ARC set of a first forwarder (RFC 8617 5.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::world::SELECTOR;
use crate::checks::dkim::canonical::{FieldIndex, push_field, push_own_field};
use crate::checks::dkim::crypto::{SigningKey, sha256};
use crate::checks::dkim::sign;
use crate::message::Header;

/// Puts a set of `domain` on top. `results` are what it says to have found. `None` when the system
/// has no randomness.
pub(super) fn seal(message: &str, domain: &str, key: &SigningKey, results: &str) -> Option<String> {
    const SIGNED: &str = "from:to:subject:date:message-id";
    let (_, body) = sign::split(message.as_bytes());
    let algorithm = key.algorithm().name();
    let signed = |unsigned: String, data: Vec<u8>| {
        Some(format!("{unsigned}{}\r\n", STANDARD.encode(key.sign(&data)?)))
    };
    let own = format!(
        "ARC-Message-Signature: i=1; a={algorithm}; c=relaxed/relaxed; d={domain};\r\n\t\
         s={SELECTOR}; h={SIGNED};\r\n\tbh={};\r\n\tb=",
        STANDARD.encode(sha256(&sign::canonical_body(body, true)))
    );
    let header = Header::parse(format!("{own}\r\n{message}").into_bytes().into());
    let data =
        FieldIndex::new(&header).signed_data(SIGNED.split(':'), header.fields().next()?, true);
    let signature = signed(own, data)?;
    let results = format!("ARC-Authentication-Results: i=1; {domain};\r\n\t{results}\r\n");
    let own = format!("ARC-Seal: i=1; a={algorithm}; cv=none; d={domain}; s={SELECTOR};\r\n\tb=");
    let mut data = Vec::new();
    push_field(&mut data, results.as_bytes(), true);
    push_field(&mut data, signature.as_bytes(), true);
    push_own_field(&mut data, own.as_bytes(), true);
    let seal = signed(own, data)?;
    Some(format!("{seal}{signature}{results}{message}"))
}
