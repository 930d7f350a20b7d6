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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::dns::{Answer, Budget, DnsError, Kind, Records, Resolver};
    use crate::facts::{Facts, Value};

    /// Publishes a policy for example.org with a long explanation.
    struct Policy;

    impl Resolver for Policy {
        fn lookup<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
            let text = match (name, kind) {
                ("example.org", Kind::Txt) => {
                    b"v=spf1 ip4:192.0.2.1 -all exp=why.example.org".as_slice()
                }
                ("why.example.org", Kind::Txt) => {
                    b"%{i} may not: see %{l}. %{s} %{s} %{s} %{s} %{s} %{s} %{s} %{s} %{s} %{s} %{s} %{s}"
                }
                _ => return Box::pin(async { Err(DnsError::NoName) }),
            };
            Box::pin(async move { Ok(Arc::new(Records::Txt(vec![text.into()]))) })
        }
    }

    fn found(check: &dyn Check, ip: &str, helo: &str, from: &str) -> Findings {
        let mut facts = Facts::new();
        let (local, domain) = from.rsplit_once('@').unwrap_or_default();
        facts.set(registry::FROM, from);
        facts.set(registry::FROM_LOCAL, local);
        facts.set(registry::FROM_DOMAIN, domain);
        let dns = Budget::new(Arc::new(Policy), 100, Duration::from_secs(5));
        let cx = Context {
            facts: &facts,
            message: None,
            client_ip: ip.parse().unwrap(),
            helo,
            hostname: "gate.example",
            dns: &dns,
            now: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(check.run(&cx))
    }

    fn text(findings: &Findings, field: FieldId) -> String {
        let value = findings.values.iter().find(|(id, ..)| *id == field).map(|(.., value)| value);
        value.map(Value::to_string).unwrap_or_default()
    }

    #[test]
    fn a_fail_with_its_evidence() {
        let findings = found(&Spf, "192.0.2.7", "mx.example.net", "jo\u{e9}@example.org");
        assert_eq!(text(&findings, registry::SPF), "fail");
        assert_eq!(text(&findings, registry::SPF_DOMAIN), "example.org");
        let words = text(&findings, registry::SPF_EXPLANATION);
        assert!(words.starts_with("192.0.2.7 may not: see jo?"), "{words}");
        assert_eq!(words.len(), EXPLANATION_MAX);
        assert_eq!(findings.results[0].result, "fail");
        assert_eq!(findings.results[0].properties, [("smtp.mailfrom", "example.org".to_owned())]);
        assert_eq!(findings.evidence["matched"][0]["term"], "-all");
        assert_eq!(findings.evidence["records"][0]["domain"], "example.org");
        assert_eq!(findings.evidence["lookups"][1]["name"], "why.example.org");
        assert_eq!(findings.evidence["lookups"][1]["kind"], "TXT");
    }

    #[test]
    fn the_null_reverse_path_is_postmaster_at_helo() {
        let findings = found(&Spf, "192.0.2.7", "Example.ORG", "");
        assert_eq!(text(&findings, registry::SPF), "fail");
        assert_eq!(text(&findings, registry::SPF_DOMAIN), "example.org");
        assert!(text(&findings, registry::SPF_EXPLANATION).contains("see postmaster"));
        let findings = found(&SpfHelo, "192.0.2.1", "example.org", "x@elsewhere.example");
        assert_eq!(text(&findings, registry::SPF_HELO), "pass");
        assert_eq!(findings.results[0].properties, [("smtp.helo", "example.org".to_owned())]);
    }

    #[test]
    fn a_name_that_is_no_domain_is_none() {
        for helo in
            ["", "localhost", "[192.0.2.1]", "[IPv6:2001:db8::1.2]", "a..b", "\u{fc}.example"]
        {
            let findings = found(&SpfHelo, "192.0.2.1", helo, "");
            assert_eq!(text(&findings, registry::SPF_HELO), "none", "{helo}");
            assert!(findings.results[0].properties.is_empty());
            assert_eq!(text(&found(&Spf, "192.0.2.1", helo, ""), registry::SPF_DOMAIN), "");
        }
        assert_eq!(text(&found(&Spf, "192.0.2.1", "x", "a@example.com"), registry::SPF), "none");
        assert_eq!(text(&Spf.failed(), registry::SPF), "temperror");
    }
}
