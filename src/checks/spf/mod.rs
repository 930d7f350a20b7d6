//! SPF (RFC 7208): an evaluator of our own behind our DNS door, and the two checks that use it.

mod evaluate;
mod lookups;
pub mod macros;
mod outcome;
pub mod record;

use serde_json::Value as Json;

pub use evaluate::{Query, check_host};
pub use outcome::{Lookup, Matched, Published, SpfOutcome, SpfResult};

use super::{AuthResult, Check, Context, Findings};
use crate::dns::BoxFuture;
use crate::facts::{FieldId, Stage, registry};

/// Octets of an explanation that are kept.
const EXPLANATION_MAX: usize = 200;

/// SPF of MAIL FROM; for the null reverse-path of `postmaster@` the HELO name (2.4).
#[derive(Debug, Clone, Copy, Default)]
pub struct Spf;

/// SPF of the HELO name (2.3).
#[derive(Debug, Clone, Copy, Default)]
pub struct SpfHelo;

impl Check for Spf {
    fn name(&self) -> &'static str {
        "spf"
    }

    fn stage(&self) -> Stage {
        Stage::Mail
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(async move {
            let from = cx.facts.text(registry::FROM);
            let (local, domain) = if from.is_empty() {
                ("postmaster", cx.helo)
            } else {
                (cx.facts.text(registry::FROM_LOCAL), cx.facts.text(registry::FROM_DOMAIN))
            };
            let outcome = check(cx, local, domain).await;
            let mut findings = findings(registry::SPF, "smtp.mailfrom", &outcome);
            findings
                .set(registry::SPF_DOMAIN, asked_domain(&outcome))
                .set(registry::SPF_EXPLANATION, explanation(&outcome));
            findings
        })
    }

    fn failed(&self) -> Findings {
        failed(registry::SPF)
    }
}

impl Check for SpfHelo {
    fn name(&self) -> &'static str {
        "spf_helo"
    }

    fn stage(&self) -> Stage {
        Stage::Helo
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(async move {
            let outcome = check(cx, "postmaster", cx.helo).await;
            findings(registry::SPF_HELO, "smtp.helo", &outcome)
        })
    }

    fn failed(&self) -> Findings {
        failed(registry::SPF_HELO)
    }
}

async fn check(cx: &Context<'_>, local: &str, domain: &str) -> SpfOutcome {
    let query = Query {
        ip: cx.client_ip,
        domain,
        sender: &format!("{local}@{domain}"),
        helo: cx.helo,
        receiver: cx.hostname,
        now: cx.now,
    };
    check_host(&query, cx.dns).await
}

/// Only the domain goes into Authentication-Results: the local part is not authenticated
/// (RFC 8601 2.7.2).
fn findings(field: FieldId, property: &'static str, outcome: &SpfOutcome) -> Findings {
    let domain = asked_domain(outcome);
    let properties =
        if domain.is_empty() { Vec::new() } else { vec![(property, domain.to_owned())] };
    let mut findings = Findings {
        evidence: serde_json::to_value(outcome).unwrap_or(Json::Null),
        results: vec![AuthResult {
            method: "spf",
            result: outcome.result.name(),
            reason: None,
            properties,
        }],
        ..Findings::default()
    };
    findings.set(field, outcome.result.name());
    findings
}

fn failed(field: FieldId) -> Findings {
    let mut findings = Findings {
        results: vec![AuthResult {
            method: "spf",
            result: SpfResult::Temperror.name(),
            reason: None,
            properties: Vec::new(),
        }],
        ..Findings::default()
    };
    findings.set(field, SpfResult::Temperror.name());
    findings
}

/// The domain when DNS was asked about it: an address literal or a single label is no domain.
fn asked_domain(outcome: &SpfOutcome) -> &str {
    if outcome.lookups.is_empty() { "" } else { &outcome.domain }
}

fn explanation(outcome: &SpfOutcome) -> &str {
    let text = outcome.explanation.as_deref().unwrap_or("");
    text.get(..EXPLANATION_MAX).unwrap_or(text)
}
