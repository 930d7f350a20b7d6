//! ARC: what the hops before us found, when they can be believed (RFC 8617).
//!
//! A chain that fails is as good as none (5.2); all its errors are permanent (5.2.1). A chain that
//! passes means something only when its last sealer is trusted by the administrator (7.2, 9.3).

use std::collections::BTreeSet;

use serde_json::json;

use crate::checks::dkim::canonical::FieldIndex;
use crate::checks::dkim::lookup::Keys;
use crate::checks::dkim::signature::{Reason, Signed, is_within};
use crate::checks::dkim::verify::{Evidence, Outcome, verify_signed};
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

/// A chain that passes.
struct Chain<'a> {
    sets: Vec<Set<'a>>,
    /// Of the last set.
    message: Signed,
}

impl ArcCheck {
    pub fn new(config: ArcConfig) -> ArcCheck {
        ArcCheck { config }
    }

    async fn find(&self, cx: &Context<'_>) -> Findings {
        let Some(message) = cx.message else { return Findings::default() };
        let chain = verified(cx, message).await;
        let trust = match &chain {
            Ok(Some(chain)) => self.trust(chain, cx.facts.text(registry::HEADER_FROM_DOMAIN)),
            _ => Err(""),
        };
        findings(cx, &chain, trust)
    }

    /// Why the chain speaks for the author, or why it does not.
    fn trust(&self, chain: &Chain<'_>, author: &str) -> Result<&'static str, Reason> {
        let last = chain.sets.last().ok_or("there is no set")?;
        let sealer = &last.sealed.domain;
        if !self.config.trusted_sealers.iter().any(|trusted| is_within(sealer, trusted)) {
            return Err("the sealer is not in the list of trusted ones");
        }
        // Else the From that was seen there and the one here may be different ones.
        if !chain.message.names.iter().any(|name| name == "from") {
            return Err("the last message signature does not cover From");
        }
        results::vouched(last.results.value, author)
            .ok_or("the sealer found no pass for the author's domain")
    }
}

/// RFC 8617 5.2; `None` without any ARC field.
async fn verified<'a>(
    cx: &Context<'_>,
    message: MessageView<'a>,
) -> Result<Option<Chain<'a>>, Reason> {
    let sets = chain::collect(message.header)?;
    let Some(last) = sets.last() else { return Ok(None) };
    let signed = chain::message_signature(last.message)?;
    let names = sets.iter().map(|set| set.sealed.key_name()).chain([signed.key_name()]);
    let names: BTreeSet<String> = names.collect();
    if names.len() > MAX_KEYS {
        return Err("the chain needs too many keys");
    }
    let keys = Keys::fetch(cx.dns, names).await;
    let index = FieldIndex::new(message.header);
    let evidence = Evidence {
        fields: &index,
        bodies: message.body_hashes,
        keys: &keys,
        now: cx.now,
        allow_unsigned_tail: false,
    };
    let verdict = verify_signed(&signed, None, last.message, &evidence);
    if verdict.outcome != Outcome::Pass {
        return Err(verdict.reason);
    }
    verify::seals(&sets, &keys)?;
    Ok(Some(Chain { sets, message: signed }))
}

fn findings(
    cx: &Context<'_>,
    chain: &Result<Option<Chain<'_>>, Reason>,
    trust: Result<&'static str, Reason>,
) -> Findings {
    let mut found = Findings::default();
    let (result, reason, sets) = match chain {
        Ok(None) => ("none", None, &[][..]),
        Ok(Some(chain)) => ("pass", None, chain.sets.as_slice()),
        Err(reason) => ("fail", Some(*reason), &[][..]),
    };
    let sealer = sets.last().map_or("", |set| set.sealed.domain.as_str());
    found.set(registry::ARC, result);
    found.set(registry::ARC_SEALER, sealer);
    found.set(registry::ARC_TRUSTED, trust.is_ok());
    // RFC 8617 10.1 registers the property.
    let properties = match result {
        "none" => Vec::new(),
        _ => vec![("smtp.remote-ip", cx.client_ip.to_string())],
    };
    let reason_text = reason.map(str::to_owned);
    found.results.push(AuthResult { method: "arc", result, reason: reason_text, properties });
    let seals: Vec<_> = sets
        .iter()
        .enumerate()
        .map(|(n, set)| json!({"i": n + 1, "d": set.sealed.domain, "s": set.sealed.selector}))
        .collect();
    found.evidence = json!({ "result": result, "sets": seals });
    if let Some(reason) = reason {
        found.evidence["reason"] = reason.into();
    }
    match trust {
        Ok(why) => found.evidence["trusted"] = why.into(),
        Err(why) if !why.is_empty() => found.evidence["not_trusted"] = why.into(),
        Err(_) => {}
    }
    found
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
        found.results.push(AuthResult {
            method: "arc",
            result: "fail",
            reason: Some("not evaluated in time".to_owned()),
            properties: Vec::new(),
        });
        found
    }
}
