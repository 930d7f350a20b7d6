//! What was decided, and from what: one record a mail transaction.

pub mod record;

pub use record::{By, CheckRun, Decision, Fact, Kind, NotRun, Record, RuleMatch};
