//! What was sent: the header as fields, the body in a spool, and the edits made on the way.
//!
//! The bytes held here are canonical: dot-stuffing removed, every line ended by CRLF, no bare CR,
//! bare LF or NUL. They are what was hashed for DKIM and what is forwarded.

pub mod auth_results;
pub mod body_hash;
pub mod date;
pub mod edits;
pub mod header;
pub mod lexer;
pub mod mailbox;
pub mod receive;
pub mod received;
pub mod spool;

pub use auth_results::AuthResult;
pub use body_hash::{BodyHash, HashSpec};
pub use edits::{Edits, MessageReader};
pub use header::{Header, HeaderField};
pub use receive::{Limits, Message, ReceiveError, Receiver};
pub use spool::{SpoolConfig, SpoolError, SpoolSpace};
