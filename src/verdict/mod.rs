//! Deciding (pure): the table of reasons, and the proof that a message may go on.

pub mod cleared;
pub mod decide;
pub mod reason;

pub use cleared::Cleared;
pub use decide::{decide, refuse};
pub use reason::Reason;

use crate::smtp::reply::Reply;

/// What is to become of a command or a message.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on. `group` tells recipients apart whose policies differ: those of different
    /// groups can't share a message.
    Pass {
        cleared: Cleared,
        group: u64,
    },
    Refuse(Refusal),
}

/// A refusal by a rule or by one of our own reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reply: Reply,
    /// The connection ends with it.
    pub close: bool,
}
