//! Signing: for the demonstration's senders and for tests. Portcullis itself signs nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::canonical::FieldIndex;
use super::crypto::{SigningKey, sha256};
use crate::message::Header;

/// Makes the DKIM-Signature field, with its final CRLF, to be put before the message: relaxed
/// header and simple body unless `extra` says otherwise with a `c=`.
///
/// `message` is header, empty line and body, lines ended by CRLF. `headers` are the names of `h=`.
/// `extra` are further tags, such as `&[("t", "1700000000")]`. `None` when the system has no
/// randomness.
pub fn sign(
    message: &[u8],
    domain: &str,
    selector: &str,
    key: &SigningKey,
    headers: &[&str],
    extra: &[(&str, &str)],
) -> Option<String> {
    let (header, body) = split(message);
    let tag = |name| extra.iter().find(|tag| tag.0 == name).map(|tag| tag.1);
    let canonical = canonical_body(body, tag("c").is_some_and(|c| c.ends_with("/relaxed")));
    let limit = tag("l").and_then(|l| l.parse().ok()).unwrap_or(usize::MAX);
    let hash = sha256(canonical.get(..limit).unwrap_or(&canonical));

    let mut field = format!(
        "DKIM-Signature: v=1; a={}; d={domain}; s={selector};\r\n\th={};\r\n\tbh={};\r\n\t",
        key.algorithm().name(),
        headers.join(":"),
        STANDARD.encode(hash),
    );
    if tag("c").is_none() {
        field.push_str("c=relaxed/simple; ");
    }
    for (name, value) in extra {
        field.push_str(&format!("{name}={value}; "));
    }
    field.push_str("b=");
    let relaxed = tag("c").is_none_or(|c| c.starts_with("relaxed"));
    let signature = key.sign(&header_data(header, &field, headers, relaxed)?)?;
    field.push_str(&STANDARD.encode(signature));
    field.push_str("\r\n");
    Some(field)
}

/// The octets to sign, with the unfinished field on top of the header.
fn header_data(header: &[u8], field: &str, names: &[&str], relaxed: bool) -> Option<Vec<u8>> {
    let raw = [field.as_bytes(), b"\r\n", header].concat();
    let header = Header::parse(raw.into());
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let own = header.fields().next()?;
    let index = FieldIndex::new(&header);
    Some(index.signed_data(names.iter().map(String::as_str), own, relaxed))
}

/// Header with the final CRLF of its last field, and body.
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = message.strip_prefix(b"\r\n") {
        return (&[], body);
    }
    match memchr::memmem::find(message, b"\r\n\r\n") {
        Some(at) => (&message[..at + 2], &message[at + 4..]),
        None => (message, &[]),
    }
}

/// The canonical body (RFC 6376 3.4.3, 3.4.4) of one that is held whole.
pub fn canonical_body(body: &[u8], relaxed: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 2);
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n");
        let (line, next) = match end {
            Some(at) => (&rest[..at], &rest[at + 2..]),
            None => (rest, &rest[rest.len()..]),
        };
        if relaxed {
            let mut space = false;
            for &byte in line {
                if matches!(byte, b' ' | b'\t') {
                    space = true;
                } else {
                    if std::mem::take(&mut space) {
                        out.push(b' ');
                    }
                    out.push(byte);
                }
            }
        } else {
            out.extend_from_slice(line);
        }
        out.extend_from_slice(b"\r\n");
        rest = next;
    }
    while out.ends_with(b"\r\n\r\n") {
        out.truncate(out.len() - 2);
    }
    // An empty body is empty when relaxed and one CRLF when simple.
    if out == b"\r\n" && relaxed {
        out.clear();
    } else if out.is_empty() && !relaxed {
        out.extend_from_slice(b"\r\n");
    }
    out
}
