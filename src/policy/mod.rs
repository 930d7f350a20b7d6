//! The rule language: conditions over facts, compiled once, evaluated in file order.
//!
//! [`compile`] turns rule files into a [`RuleSet`] or into every mistake of every file at once.
//! [`RuleSet::needs`] names the checks whose findings can still matter, [`RuleSet::evaluate`] gives
//! the outcome of what is known. Nothing here does I/O, reads a clock or knows a field by itself:
//! fields come from [`crate::facts::registry`].

mod check;
mod check_text;
mod check_value;
pub mod checkset;
pub mod codes;
pub mod diagnostic;
mod evaluate;
mod expr;
mod file;
mod file_list;
mod file_reply;
mod file_rule;
mod lexer;
mod lint;
mod list;
mod parser;
mod reply;
mod rule;
mod ruleset;
mod selftest;
mod shipped;
mod toml_text;
mod toml_walk;
mod units;

#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod semantics;

pub use checkset::CheckSet;
pub use evaluate::{Effect, Evaluation, Match, Outcome};
pub use rule::{Action, Mode, Rule};
pub use ruleset::{Delay, Options, RuleFile, RuleSet, compile};
pub use selftest::{TestOutcome, run_tests};
pub use shipped::{PROFILES, shipped};
