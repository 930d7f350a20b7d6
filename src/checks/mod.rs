//! Finding facts. One file a check, all behind [`Check`].
//!
//! A check looks at what is known, may ask DNS, and returns [`Findings`]: values of fields, the
//! evidence they stand on, and what Authentication-Results should say. It never refuses and never
//! makes a reply: what a finding means is a rule's business. A check that fails or runs out of time
//! finds `temperror` (or the field's equivalent), and that too is a rule's business.

use std::net::IpAddr;

use crate::dns::{BoxFuture, Budget};
use crate::facts::{Facts, FieldId, Stage, Value};
use crate::message::{BodyHash, Header};

pub use crate::message::AuthResult;

pub mod arc;
pub mod dkim;
pub mod dmarc;
pub mod dnsbl;
pub mod header;
pub mod iprev;
pub mod rate;
pub mod runner;
pub mod sender_domain;
pub mod spf;

/// What a check may look at.
pub struct Context<'a> {
    /// What is known so far: the session's own facts, and the findings of the checks named in
    /// [`Check::after`].
    pub facts: &'a Facts,
    pub message: Option<MessageView<'a>>,
    pub client_ip: IpAddr,
    /// As given, for SPF's `%{h}`; empty before EHLO.
    pub helo: &'a str,
    /// Our own name, for SPF's `%{r}` and for comparing HELO.
    pub hostname: &'a str,
    /// Questions and time that are left for this mail.
    pub dns: &'a Budget,
    /// Seconds since 1970, for the validity of signatures.
    pub now: u64,
}

/// What a check sees of a message: its header, and the hashes of its body that were computed while
/// it came in. The body itself may be in a file.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    pub header: &'a Header,
    pub size: u64,
    pub body_hashes: &'a [BodyHash],
}

/// A finder of facts. Build one from its configuration, share it among all sessions.
pub trait Check: Send + Sync {
    /// The name used in `skip`, in the registry's `check`, in logs and in the record.
    fn name(&self) -> &'static str;

    /// The stage at which all that it looks at is known.
    fn stage(&self) -> Stage;

    /// The checks whose findings it reads: they have finished before it runs.
    fn after(&self) -> &'static [&'static str] {
        &[]
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings>;

    /// What is recorded when it ran out of time or panicked.
    fn failed(&self) -> Findings;
}

impl<T: Check> Check for std::sync::Arc<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn stage(&self) -> Stage {
        (**self).stage()
    }

    fn after(&self) -> &'static [&'static str] {
        (**self).after()
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        (**self).run(cx)
    }

    fn failed(&self) -> Findings {
        (**self).failed()
    }
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    pub values: Vec<(FieldId, Option<Box<str>>, Value)>,
    /// What the values stand on, for the decision record: the record that matched, the lookups
    /// made, each signature with its fate.
    pub evidence: serde_json::Value,
    /// Lines for Authentication-Results.
    pub results: Vec<AuthResult>,
}

impl Findings {
    pub fn set(&mut self, field: FieldId, value: impl Into<Value>) -> &mut Self {
        self.values.push((field, None, value.into()));
        self
    }

    pub fn set_keyed(&mut self, field: FieldId, key: &str, value: impl Into<Value>) -> &mut Self {
        self.values.push((field, Some(key.into()), value.into()));
        self
    }
}
