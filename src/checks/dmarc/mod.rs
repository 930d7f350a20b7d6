//! DMARC: whether the domain of From stands behind the mail, and what it wants done when it does not
//! (RFC 9989).
//!
//! RFC 9989 7.4 does not let `p=reject` alone be a reason to refuse. So the check also finds signs
//! that the mail took an indirect way (`indirect`), and the rules weigh both.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::checks::dkim::signature::is_within;
use crate::checks::{AuthResult, Check, Context, Findings};
use crate::dns::{BoxFuture, DnsError};
use crate::facts::{Facts, Stage, registry};

pub mod alignment;
pub mod record;
pub mod tree_walk;

#[cfg(test)]
mod tests;

use record::{Policy, Record};
use tree_walk::Walks;

#[derive(Debug, Clone, Default)]
pub struct DmarcConfig {
    /// Domains that forward mail to us, and what is beneath them; lower case, A-labels. Their SPF or
    /// DKIM pass is a sign of an indirect way.
    pub forwarders: Vec<String>,
}

/// The check "dmarc".
#[derive(Debug, Default)]
pub struct DmarcCheck {
    config: DmarcConfig,
}

/// An identity that SPF or DKIM authenticated, or may have, had DNS answered.
struct Identity<'a> {
    spf: bool,
    domain: &'a str,
    passed: bool,
    aligned: Result<bool, DnsError>,
}

/// The record that applies, and what it says for this author.
struct Applied {
    domain: String,
    record: Arc<Record>,
    policy: Policy,
    /// The tag the policy was taken from.
    tag: &'static str,
}

/// What the evaluation came to.
#[derive(Default)]
struct Evaluation<'a> {
    result: &'static str,
    reason: Option<&'static str>,
    applied: Option<Applied>,
    identities: Vec<Identity<'a>>,
}

impl Evaluation<'_> {
    fn ended(result: &'static str, reason: Option<&'static str>) -> Self {
        Evaluation { result, reason, ..Evaluation::default() }
    }
}

impl DmarcCheck {
    pub fn new(config: DmarcConfig) -> DmarcCheck {
        DmarcCheck { config }
    }

    async fn find(&self, cx: &Context<'_>) -> Findings {
        let author = cx.facts.text(registry::HEADER_FROM_DOMAIN);
        let mut walks = Walks::new(cx.dns);
        let evaluation = evaluate(cx, author, &mut walks).await;
        let indirect = self.indirect(cx.facts, &mut walks).await;
        findings(author, &evaluation, indirect, &walks)
    }

    /// The authenticated sign of an indirect way, if there is one. A header field alone is none:
    /// anybody can write one.
    async fn indirect(&self, facts: &Facts, walks: &mut Walks<'_>) -> Option<String> {
        if facts.flag(registry::ARC_TRUSTED) {
            return Some("the ARC chain of a trusted sealer passes".to_owned());
        }
        let list = facts.text(registry::HEADER_LIST_ID_DOMAIN);
        for (_, domain) in passed(facts) {
            if self.config.forwarders.iter().any(|forwarder| is_within(domain, forwarder)) {
                return Some(format!("{domain} is a forwarder and passes"));
            }
            if list.is_empty() {
                continue;
            }
            // An unknown answer must not become a refusal for good.
            match alignment::related(walks, list, domain).await {
                Ok(true) => return Some(format!("{domain} passes for the list {list}")),
                Ok(false) => {}
                Err(_) => return Some(format!("{domain} passes, maybe for the list {list}")),
            }
        }
        None
    }
}

/// The domains with an SPF pass (first) or a DKIM pass.
fn passed(facts: &Facts) -> impl Iterator<Item = (bool, &str)> {
    let spf = spf_domain(facts, "pass").map(|domain| (true, domain));
    spf.into_iter().chain(facts.texts(registry::DKIM_DOMAINS).map(|domain| (false, domain)))
}

fn spf_domain<'a>(facts: &'a Facts, result: &str) -> Option<&'a str> {
    let domain = facts.text(registry::SPF_DOMAIN);
    (facts.text(registry::SPF) == result && !domain.is_empty()).then_some(domain)
}

async fn evaluate<'a>(cx: &Context<'a>, author: &str, walks: &mut Walks<'_>) -> Evaluation<'a> {
    if author.is_empty() {
        // RFC 9989 5.3.1: not possible.
        return Evaluation::ended("permerror", Some("From does not name exactly one domain"));
    }
    let applied = match discover(cx, author, walks).await {
        Ok(None) => return Evaluation::ended("none", None),
        Ok(Some(applied)) => applied,
        Err(DiscoveryError::Dns) => {
            return Evaluation::ended("temperror", Some("the policy could not be looked up"));
        }
        Err(DiscoveryError::Unusable) => {
            return Evaluation::ended("permerror", Some("the record has no valid policy"));
        }
    };
    let mut identities = identities(cx.facts);
    for identity in &mut identities {
        let record = &applied.record;
        let strict = if identity.spf { record.strict_spf } else { record.strict_dkim };
        identity.aligned = alignment::aligned(walks, author, identity.domain, strict).await;
    }
    let pass = identities.iter().any(|id| id.passed && id.aligned == Ok(true));
    // RFC 9989 5.3.6: an identity that could have passed, had DNS answered, is no failure.
    let open = unfinished(cx.facts) || identities.iter().any(|id| id.aligned != Ok(false));
    let (result, reason) = match (pass, open) {
        (true, _) => ("pass", None),
        (false, true) => ("temperror", Some("an aligned identity could not be looked up")),
        (false, false) => ("fail", Some("no aligned identity passes")),
    };
    Evaluation { result, reason, applied: Some(applied), identities }
}

/// Whether SPF or DKIM has a temporary error without a domain: the check itself did not finish, and
/// what it would have found is not known.
fn unfinished(facts: &Facts) -> bool {
    let spf =
        facts.text(registry::SPF) == "temperror" && facts.text(registry::SPF_DOMAIN).is_empty();
    let dkim = facts.text(registry::DKIM) == "temperror"
        && facts.texts(registry::DKIM_TEMPERROR_DOMAINS).next().is_none();
    spf || dkim
}

enum DiscoveryError {
    Dns,
    Unusable,
}

/// The policy that applies to the author's domain (RFC 9989 4.10.1).
async fn discover(
    cx: &Context<'_>,
    author: &str,
    walks: &mut Walks<'_>,
) -> Result<Option<Applied>, DiscoveryError> {
    let own = walks.record(author).await.map_err(|_| DiscoveryError::Dns)?;
    let (domain, record) = match own {
        Some(record) => (author.to_owned(), record),
        None => {
            let walk = walks.walk(author).await.map_err(|_| DiscoveryError::Dns)?;
            match walk.policy_record() {
                Some((name, record)) => (name.clone(), record.clone()),
                None => return Ok(None),
            }
        }
    };
    let p = record.p.ok_or(DiscoveryError::Unusable)?;
    let (policy, tag) = if domain == author {
        (p, "p")
    } else {
        let existing = record.sp.map_or((p, "p"), |sp| (sp, "sp"));
        match record.np {
            Some(np) if np != existing.0 && !exists(cx, author).await => (np, "np"),
            _ => existing,
        }
    };
    let policy = if record.testing { policy.lowered() } else { policy };
    Ok(Some(Applied { domain, record, policy, tag }))
}

/// NXDOMAIN says that a name does not exist, whatever was asked for (RFC 9989 3.2.13, RFC 8020).
/// While DNS does not answer, the name is taken to exist.
async fn exists(cx: &Context<'_>, name: &str) -> bool {
    !matches!(cx.dns.a(name).await, Err(DnsError::NoName))
}

fn identities(facts: &Facts) -> Vec<Identity<'_>> {
    let unknown = spf_domain(facts, "temperror").map(|domain| (true, domain));
    let unknown = unknown
        .into_iter()
        .chain(facts.texts(registry::DKIM_TEMPERROR_DOMAINS).map(|domain| (false, domain)));
    let identity =
        |passed| move |(spf, domain)| Identity { spf, domain, passed, aligned: Ok(false) };
    passed(facts).map(identity(true)).chain(unknown.map(identity(false))).collect()
}

fn findings(
    author: &str,
    evaluation: &Evaluation<'_>,
    indirect: Option<String>,
    walks: &Walks<'_>,
) -> Findings {
    let mut found = Findings::default();
    let applied = evaluation.applied.as_ref();
    let aligned = |spf| {
        evaluation.identities.iter().any(|id| id.spf == spf && id.passed && id.aligned == Ok(true))
    };
    found.set(registry::DMARC, evaluation.result);
    found.set(registry::DMARC_POLICY, applied.map_or("none", |applied| applied.policy.name()));
    found.set(registry::DMARC_DOMAIN, applied.map_or("", |applied| applied.domain.as_str()));
    found.set(registry::DMARC_SPF_ALIGNED, aligned(true));
    found.set(registry::DKIM_ALIGNED, aligned(false));
    found.set(registry::INDIRECT, indirect.is_some());
    found.evidence = evidence(author, evaluation, walks);
    if let Some(sign) = indirect {
        found.evidence["indirect"] = sign.into();
    }
    found.results.push(auth_result(author, evaluation));
    found
}

/// Characters of a record kept in the evidence.
const MAX_SHOWN: usize = 1000;

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// What a rule's reader and an aggregate report (RFC 9990) need to know.
fn evidence(author: &str, evaluation: &Evaluation<'_>, walks: &Walks<'_>) -> Json {
    let walk = walks.asked().iter().map(|(name, found)| match found {
        Ok(Some(record)) => json!({ "name": name, "record": shown(&record.text) }),
        Ok(None) => json!({ "name": name }),
        Err(error) => json!({ "name": name, "error": error.name() }),
    });
    let identities = evaluation.identities.iter().map(|id| {
        json!({
            "method": if id.spf { "spf" } else { "dkim" },
            "domain": id.domain,
            "result": if id.passed { "pass" } else { "temperror" },
            "aligned": id.aligned.map_or_else(|error| error.name().into(), Json::from),
        })
    });
    let mut out = json!({
        "author": author,
        "result": evaluation.result,
        "asked": walk.collect::<Vec<_>>(),
        "identities": identities.collect::<Vec<_>>(),
    });
    if let Some(reason) = evaluation.reason {
        out["reason"] = reason.into();
    }
    if let Some(applied) = &evaluation.applied {
        let record = &applied.record;
        let mode = |strict| if strict { "s" } else { "r" };
        out["policy"] = applied.policy.name().into();
        out["policy_tag"] = applied.tag.into();
        out["published"] = json!({
            "domain": applied.domain,
            "p": record.p.map(Policy::name),
            "sp": record.sp.map(Policy::name),
            "np": record.np.map(Policy::name),
            "adkim": mode(record.strict_dkim),
            "aspf": mode(record.strict_spf),
            "fo": record.fo,
            "testing": record.testing,
            "rua": record.rua,
            "discovery_method": "treewalk",
        });
    }
    out
}

/// RFC 8601; the properties of `polrec` are RFC 9989's.
fn auth_result(author: &str, evaluation: &Evaluation<'_>) -> AuthResult {
    let mut properties = Vec::new();
    if !author.is_empty() {
        properties.push(("header.from", author.to_owned()));
    }
    if let Some(applied) = &evaluation.applied {
        if let Some(p) = applied.record.p {
            properties.push(("polrec.p", p.name().to_owned()));
        }
        if applied.domain != author {
            properties.push(("polrec.domain", applied.domain.clone()));
        }
    }
    AuthResult {
        method: "dmarc",
        result: evaluation.result,
        reason: evaluation.reason.map(str::to_owned),
        properties,
    }
}

impl Check for DmarcCheck {
    fn name(&self) -> &'static str {
        "dmarc"
    }

    fn stage(&self) -> Stage {
        Stage::Message
    }

    fn after(&self) -> &'static [&'static str] {
        &["spf", "dkim", "arc", "header"]
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(self.find(cx))
    }

    fn failed(&self) -> Findings {
        let mut found = Findings::default();
        found.set(registry::DMARC, "temperror");
        found.results.push(AuthResult {
            method: "dmarc",
            result: "temperror",
            reason: None,
            properties: Vec::new(),
        });
        found
    }
}
