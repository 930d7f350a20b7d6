//! Deciding (pure): the table of reasons, and the proof that a message may go on.

pub mod cleared;
pub mod reason;

pub use cleared::Cleared;
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

impl Verdict {
    /// Nothing that was asked stands against it.
    pub fn pass(group: u64) -> Verdict {
        Verdict::Pass { cleared: Cleared::new(), group }
    }

    /// A refusal; 421 always closes (RFC 5321 4.2.2).
    pub fn refuse(reply: Reply) -> Verdict {
        let close = reply.code() == 421;
        Verdict::Refuse(Refusal { reply, close })
    }
}
