//! Body hashes for DKIM and ARC, computed while the message comes in.

/// What of a body is hashed (RFC 6376 3.4, 3.5 `c=` and `l=`), always with SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashSpec {
    pub relaxed: bool,
    /// Octets of the canonical body that count; `None` for all.
    pub limit: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub struct BodyHash {
    pub spec: HashSpec,
    pub sha256: [u8; 32],
    /// The length of the whole canonical body: over `limit` there is an unsigned tail, under it the
    /// signature covers more than was sent.
    pub canonical_length: u64,
}
