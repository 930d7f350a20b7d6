//! Message text as it is sent.

use portcullis::smtp::stuffer::Stuffer;

/// Canonical content, cut anywhere, as it goes to a server, with the dot that ends it.
pub(crate) fn stuffed<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut stuffer = Stuffer::new();
    let mut wire = Vec::new();
    for part in parts {
        let mut rest = part;
        while !rest.is_empty() {
            let (now, later) = stuffer.split(rest).expect("canonical content");
            wire.extend_from_slice(now);
            if !later.is_empty() {
                wire.push(b'.');
            }
            rest = later;
        }
    }
    wire.extend_from_slice(stuffer.end().expect("canonical content"));
    wire
}
