//! Rules and rates as compiled.

use std::sync::Arc;

use super::checkset::CheckSet;
use super::expr::{Expr, Leaf};
use super::reply::{ReplyTemplate, Template};
use crate::facts::{FieldId, Stage};

/// Whether a refusal is given, only recorded, or not even looked for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Off,
    Monitor,
    Enforce,
}

impl Mode {
    pub const NAMES: [&'static str; 3] = ["off", "monitor", "enforce"];

    pub fn from_name(name: &str) -> Option<Mode> {
        match name {
            "off" => Some(Mode::Off),
            "monitor" => Some(Mode::Monitor),
            "enforce" => Some(Mode::Enforce),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Monitor => "monitor",
            Mode::Enforce => "enforce",
        }
    }
}

/// What a rule does when its condition holds.
#[derive(Debug, Clone)]
pub enum Action {
    /// Ends the rules.
    Accept,
    /// Refuses for good, with 5yz.
    Reject(ReplyTemplate),
    /// Refuses for now, with 4yz.
    Defer(ReplyTemplate),
    /// Adds a header field to the message.
    Tag { name: Box<str>, value: Template },
    /// Hides the findings of checks from later rules.
    Skip(CheckSet),
}

impl Action {
    pub(super) const NAMES: [&'static str; 5] = ["accept", "reject", "defer", "tag", "skip"];

    pub fn name(&self) -> &'static str {
        match self {
            Action::Accept => "accept",
            Action::Reject(_) => "reject",
            Action::Defer(_) => "defer",
            Action::Tag { .. } => "tag",
            Action::Skip(_) => "skip",
        }
    }

    pub fn reply(&self) -> Option<&ReplyTemplate> {
        match self {
            Action::Reject(reply) | Action::Defer(reply) => Some(reply),
            _ => None,
        }
    }

    pub(super) fn refuses(&self) -> bool {
        self.reply().is_some()
    }
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub id: Arc<str>,
    /// One sentence for people; empty when not given.
    pub why: Arc<str>,
    /// What is known about its use, where it is written down, and which wanted mail it could hit:
    /// for people, empty when not given.
    pub evidence: Arc<str>,
    pub source: Arc<str>,
    pub risk: Arc<str>,
    /// The condition as written.
    pub when: Arc<str>,
    pub(super) condition: Arc<Expr>,
    pub action: Action,
    pub mode: Mode,
    /// The first stage at which all fields of the condition can be known.
    pub known_at: Stage,
    /// When a refusal is given, or the tag set.
    pub at: Stage,
    /// One of the built-in rules.
    pub shipped: bool,
    /// The file and its line, from 1.
    pub file: Arc<std::path::Path>,
    pub line: usize,
}

impl Rule {
    /// The fields the condition reads, with their keys, each once: what a match stands on.
    pub fn reads(&self) -> Vec<(FieldId, Option<&str>)> {
        let mut fields = Vec::new();
        self.leaves(|leaf| fields.push((leaf.field, leaf.key.as_deref())));
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    pub(super) fn leaves<'r>(&'r self, mut each: impl FnMut(&'r Leaf)) {
        self.condition.leaves(&mut each);
    }

    /// The fields shown in the reply or the tag.
    pub(super) fn shown(&self) -> &[FieldId] {
        match &self.action {
            Action::Reject(reply) | Action::Defer(reply) => reply.text.fields(),
            Action::Tag { value, .. } => value.fields(),
            Action::Accept | Action::Skip(_) => &[],
        }
    }
}
