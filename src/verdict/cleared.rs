//! The proof that a message may go on.

/// Only a verdict makes one, and handing a message to the backend takes one: what was not judged
/// cannot be sent.
#[derive(Debug)]
pub struct Cleared(pub(in crate::verdict) ());

impl Cleared {
    #[cfg(test)]
    pub(crate) fn for_tests() -> Cleared {
        Cleared(())
    }
}
