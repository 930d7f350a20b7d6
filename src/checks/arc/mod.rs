//! ARC: what the hops before us found, when they can be believed (RFC 8617).
//!
//! A chain that fails is as good as none (5.2); all its errors are permanent (5.2.1). A chain that
//! passes means something only when its last sealer is trusted by the administrator (7.2, 9.3).

use std::collections::BTreeSet;

use serde_json::json;

use crate::checks::dkim::canonical::FieldIndex;
use crate::checks::dkim::lookup::Keys;
use crate::checks::dkim::signature::{Reason, Signed, is_within};
use crate::checks::dkim::verify::{Evidence, Outcome, before_key, verify_signed};
use crate::checks::{AuthResult, Check, Context, Findings, MessageView};
use crate::dns::BoxFuture;
use crate::facts::{Stage, registry};
use crate::message::{HashSpec, Header};

pub mod chain;
pub mod results;
pub mod verify;

#[cfg(test)]
mod tests;

use chain::Set;

/// Different keys that one chain may need. A chain of 50 sets by 50 strangers would spend the
/// questions that other checks of the message have left; real ones have two or three sealers.
pub const MAX_KEYS: usize = 10;

#[derive(Debug, Clone, Default)]
pub struct ArcConfig {
    /// Domains whose seals are believed, and what is beneath them; lower case, A-labels.
    pub trusted_sealers: Vec<String>,
}

/// The check "arc".
#[derive(Debug, Default)]
pub struct ArcCheck {
    config: ArcConfig,
}

/// What the body must be hashed for: the last ARC-Message-Signature is the only one verified, the
/// ones before it do not hold any more after a change on the way (RFC 8617 5.2 step 4).
pub fn body_hash(header: &Header) -> Option<HashSpec> {
    let field = chain::last_message_signature(header)?;
    chain::message_signature(field).ok().map(|signed| signed.body)
}

impl ArcCheck {
    pub fn new(config: ArcConfig) -> ArcCheck {
        ArcCheck { config }
    }

    async fn find(&self, cx: &Context<'_>) -> Findings {
        let Some(message) = cx.message else { return Findings::default() };
        let (sets, verified) = match chain::collect(message.header) {
            Ok(sets) if sets.is_empty() => return none(),
            Ok(sets) => {
                let verified = verified(cx, message, &sets).await;
                (sets, verified)
            }
            Err(reason) => (Vec::new(), Err(reason)),
        };
        let author = cx.facts.text(registry::HEADER_FROM_DOMAIN);
        let trust = verified.as_ref().ok().map(|signed| self.trust(&sets, signed, author));
        findings(cx, &sets, verified.err(), trust)
    }

    /// Why a passing chain speaks for the author, or why it does not. `signed` is its last message
    /// signature.
    fn trust(
        &self,
        sets: &[Set<'_>],
        signed: &Signed,
        author: &str,
    ) -> Result<&'static str, Reason> {
        let last = sets.last().ok_or("there is no set")?;
        let sealer = &last.sealed.domain;
        if !self.config.trusted_sealers.iter().any(|trusted| is_within(sealer, trusted)) {
            return Err("the sealer is not in the list of trusted ones");
        }
        // Else the From that was seen there and the one here may be different ones.
        if !signed.names.iter().any(|name| name == "from") {
            return Err("the last message signature does not cover From");
        }
        results::vouched(last.results.value, author)
            .ok_or("the sealer found no pass for the author's domain")
    }
}

/// Verifies a chain of at least one set (RFC 8617 5.2); its last message signature when it passes.
async fn verified(
    cx: &Context<'_>,
    message: MessageView<'_>,
    sets: &[Set<'_>],
) -> Result<Signed, Reason> {
    let last = sets.last().ok_or("there is no set")?;
    let signed = chain::message_signature(last.message)?;
    let index = FieldIndex::new(message.header);
    let evidence = Evidence {
        fields: &index,
        bodies: message.body_hashes,
        now: cx.now,
        allow_unsigned_tail: false,
    };
    before_key(&signed, &evidence).map_err(|verdict| verdict.reason)?;
    let names = sets.iter().map(|set| set.sealed.key_name()).chain([signed.key_name()]);
    let names: BTreeSet<String> = names.collect();
    if names.len() > MAX_KEYS {
        return Err("the chain needs too many keys");
    }
    let keys = Keys::fetch(cx.dns, names).await;
    let verdict = verify_signed(&signed, None, last.message, &evidence, &keys);
    if verdict.outcome != Outcome::Pass {
        return Err(verdict.reason);
    }
    verify::seals(sets, &keys)?;
    Ok(signed)
}

fn none() -> Findings {
    let mut found = Findings::default();
    found.set(registry::ARC, "none");
    found.set(registry::ARC_SEALER, "");
    found.set(registry::ARC_TRUSTED, false);
    found.results.push(auth_result("none", None, Vec::new()));
    found.evidence = json!({ "result": "none" });
    found
}

/// `failed` is why the chain fails; `trust` is about one that passes.
fn findings(
    cx: &Context<'_>,
    sets: &[Set<'_>],
    failed: Option<Reason>,
    trust: Option<Result<&'static str, Reason>>,
) -> Findings {
    let mut found = Findings::default();
    let result = if failed.is_some() { "fail" } else { "pass" };
    let sealer = sets.last().filter(|_| failed.is_none());
    found.set(registry::ARC, result);
    found.set(registry::ARC_SEALER, sealer.map_or("", |set| set.sealed.domain.as_str()));
    found.set(registry::ARC_TRUSTED, matches!(trust, Some(Ok(_))));
    // RFC 8617 10.1 registers the property.
    let properties = vec![("smtp.remote-ip", cx.client_ip.to_string())];
    found.results.push(auth_result(result, failed, properties));

    let seals = sets.iter().enumerate().map(
        |(n, Set { sealed, .. })| json!({ "i": n + 1, "d": sealed.domain, "s": sealed.selector }),
    );
    found.evidence = json!({ "result": result, "sets": seals.collect::<Vec<_>>() });
    if let Some(reason) = failed {
        found.evidence["reason"] = reason.into();
    }
    match trust {
        Some(Ok(why)) => found.evidence["trusted"] = why.into(),
        Some(Err(why)) => found.evidence["not_trusted"] = why.into(),
        None => {}
    }
    found
}

fn auth_result(
    result: &'static str,
    reason: Option<&str>,
    properties: Vec<(&'static str, String)>,
) -> AuthResult {
    AuthResult { method: "arc", result, reason: reason.map(str::to_owned), properties }
}

impl Check for ArcCheck {
    fn name(&self) -> &'static str {
        "arc"
    }

    fn stage(&self) -> Stage {
        Stage::Message
    }

    fn after(&self) -> &'static [&'static str] {
        &["header"]
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(self.find(cx))
    }

    /// No chain: that is what one that can't be verified counts as.
    fn failed(&self) -> Findings {
        let mut found = Findings::default();
        found.set(registry::ARC, "fail");
        found.set(registry::ARC_TRUSTED, false);
        found.results.push(auth_result("fail", Some("not evaluated in time"), Vec::new()));
        found
    }
}
