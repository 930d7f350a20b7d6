//! How often each command was given, for the line at the end of a session.

use std::fmt;

#[derive(Debug, Clone, Copy, Default)]
pub struct Counts([u16; VERBS.len()]);

const VERBS: [&str; 12] = [
    "ehlo", "helo", "starttls", "auth", "mail", "rcpt", "data", "rset", "noop", "vrfy", "quit",
    "unknown",
];

impl Counts {
    pub(super) fn add(&mut self, verb: &str) {
        let at = VERBS
            .iter()
            .position(|known| known.eq_ignore_ascii_case(verb))
            .unwrap_or(VERBS.len() - 1);
        if let Some(count) = self.0.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    pub fn total(&self) -> u32 {
        self.0.iter().map(|count| u32::from(*count)).sum()
    }
}

/// As Postfix says it: `ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (verb, count) in VERBS.iter().zip(&self.0) {
            if *count > 0 {
                write!(f, "{verb}={count} ")?;
            }
        }
        write!(f, "commands={}", self.total())
    }
}
