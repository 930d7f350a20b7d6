//! Deciding: the table of reasons, and the proof that a message may go on.

mod cleared;

pub use cleared::Cleared;
