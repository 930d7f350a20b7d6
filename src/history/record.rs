//! The decision record: the inputs, what each check found and on what evidence, which rules
//! matched, and what was said. Log lines, the demonstration's lines and the tests' expectations are
//! read from it. It serialises; a change that old readers would misread gets a new version.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::facts::{Facts, Stage, Value};

pub const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    /// Stands in the refusal's text and in the log.
    pub id: String,
    /// Milliseconds since 1970.
    pub time: u64,
    /// Who decided.
    pub host: String,
    /// Counts reloads: which rules were in force.
    pub generation: u64,
    pub client: Client,
    pub helo: String,
    /// SMTP or ESMTP.
    pub proto: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// The reverse-path without brackets; `None` before MAIL.
    pub from: Option<String>,
    pub facts: Vec<Fact>,
    pub checks: Vec<CheckRun>,
    pub not_run: Vec<NotRun>,
    pub rules: Vec<RuleMatch>,
    /// In the order in which they were made: one a refused command, one a recipient, one for the
    /// message.
    pub decisions: Vec<Decision>,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Client {
    pub ip: String,
    pub port: u16,
    /// Forward-confirmed, or "unknown".
    pub name: String,
}

/// One fact that the decision was made from.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Fact {
    pub field: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    pub value: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct CheckRun {
    pub check: Cow<'static, str>,
    pub stage: Stage,
    pub micros: u64,
    /// Why it found nothing: out of time, or a fault of ours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "serde_json::Value::is_null", default)]
    pub evidence: serde_json::Value,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct NotRun {
    pub check: Cow<'static, str>,
    pub why: String,
}

/// A rule whose condition holds.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct RuleMatch {
    pub rule: String,
    pub action: String,
    pub stage: Stage,
    /// It had its effect; in monitor mode it had none.
    pub applied: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// 2xx of the backend was passed on.
    Accept,
    Defer,
    Reject,
    /// A rule in monitor mode would have refused.
    Warning,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A rule of that id.
    Rule(String),
    /// A reason of our own.
    Reason(String),
    Backend,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Decision {
    pub kind: Kind,
    pub by: By,
    /// The command that was answered: CONNECT, EHLO, MAIL, RCPT, END-OF-MESSAGE, AUTH.
    pub stage: String,
    /// What was said to the client, in one line.
    pub reply: String,
    /// The recipients it holds for.
    pub recipients: Vec<String>,
    /// What strangers are not told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
}

impl Record {
    /// Replaces the facts by what is known now.
    pub fn note_facts(&mut self, facts: &Facts) {
        self.facts = facts
            .iter()
            .map(|(field, key, value)| Fact {
                field: field.name().into(),
                key: key.map(str::to_owned),
                value: value.clone(),
            })
            .collect();
    }

    /// A fact's value as text, empty when it is not there.
    pub fn fact(&self, field: &str) -> String {
        self.facts
            .iter()
            .find(|fact| fact.field == field && fact.key.is_none())
            .map(|fact| fact.value.to_string())
            .unwrap_or_default()
    }
}

impl By {
    pub fn rule(&self) -> Option<&str> {
        match self {
            By::Rule(id) => Some(id),
            _ => None,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            By::Rule(name) | By::Reason(name) => name,
            By::Backend => "backend",
        }
    }
}
