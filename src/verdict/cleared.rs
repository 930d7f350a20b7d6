//! The proof that nothing stands against a message.

/// Only a verdict makes one, and sending a message to the backend takes one. It can't be copied:
/// one verdict lets one message go.
#[derive(Debug)]
pub struct Cleared(());

impl Cleared {
    pub(super) fn new() -> Self {
        Cleared(())
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Cleared(())
    }
}
