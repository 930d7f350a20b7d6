//! What was sent: the header as fields, the body in a spool, and the edits made on the way.
//!
//! The bytes held here are canonical: dot-stuffing removed, every line ended by CRLF, no bare CR,
//! bare LF or NUL. They are what was hashed for DKIM and what is forwarded.

pub mod body_hash;
pub mod header;

pub use body_hash::{BodyHash, HashSpec};
pub use header::{Header, HeaderField};
