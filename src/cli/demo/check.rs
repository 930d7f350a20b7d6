//! Whether what happened is what was to be expected.

use super::backend::Stored;
use super::scenes::{Expected, Scene};
use crate::history::{Kind, Record};

/// What came of a scene, on all sides.
pub(super) struct Outcome {
    /// What the client heard last.
    pub(super) reply: Result<String, String>,
    pub(super) records: Vec<Record>,
    pub(super) stored: Vec<Stored>,
}

/// What is not as expected, one line each.
pub(super) fn check(scene: &Scene, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    let reply = match &outcome.reply {
        Ok(reply) => reply.as_str(),
        Err(error) => {
            wrong.push(format!("the client was not answered: {error}"));
            ""
        }
    };
    let (kind, code, by) = match scene.expected {
        Expected::Kept { .. } => (Kind::Accept, "250 2.0.0", "backend"),
        Expected::Refused { code, by } if code.starts_with('4') => (Kind::Defer, code, by),
        Expected::Refused { code, by } => (Kind::Reject, code, by),
    };
    // A reply of several lines has a hyphen there.
    let heard = reply.replacen('-', " ", 1);
    if !heard.strip_prefix(code).is_some_and(|rest| rest.starts_with(' ')) {
        wrong.push(format!("expected {code}, the client heard: {}", reply.trim_end()));
    }
    let decisions: Vec<_> = outcome.records.iter().flat_map(|record| &record.decisions).collect();
    match decisions.iter().rfind(|decision| decision.kind != Kind::Warning) {
        None => wrong.push("there is no decision record".to_owned()),
        Some(made)
            if made.kind != kind || made.by.name() != by || !made.reply.starts_with(code) =>
        {
            let found = format!("{:?} {} by {}", made.kind, made.reply, made.by.name());
            wrong.push(format!("expected {kind:?} {code} by {by}, recorded: {found}"));
        }
        Some(_) => {}
    }
    match scene.expected {
        Expected::Kept { warning, tagged, declined } => {
            let warned = |rule: &str| {
                decisions.iter().any(|made| made.kind == Kind::Warning && made.by.name() == rule)
            };
            if let Some(rule) = warning.filter(|rule| !warned(rule)) {
                wrong.push(format!("rule {rule} did not warn"));
            }
            if !outcome.records.iter().any(|record| declining(record).eq(declined)) {
                wrong.push(format!("the DNS lists that decline are not {declined:?}"));
            }
            wrong.extend(check_stored(scene, tagged, &outcome.stored).err());
            if !tagged.is_none_or(|rule| has_applied(&outcome.records, rule)) {
                wrong.push(format!("no tag by rule {}", tagged.unwrap_or_default()));
            }
        }
        Expected::Refused { .. } if !outcome.stored.is_empty() => {
            wrong.push(format!("the backend has {} messages of it", outcome.stored.len()));
        }
        Expected::Refused { .. } => {}
    }
    wrong
}

/// The DNS lists whose answers were addresses and yet no listings.
pub(super) fn declining(record: &Record) -> impl Iterator<Item = &str> {
    let runs = record.checks.iter().filter(|run| run.check == "dnsbl");
    runs.filter_map(|run| run.evidence.as_array())
        .flatten()
        .filter(|list| list.get("answers").is_some() && list.get("weight").is_none())
        .filter_map(|list| list.get("zone")?.as_str())
}

fn has_applied(records: &[Record], rule: &str) -> bool {
    records.iter().flat_map(|record| &record.rules).any(|found| found.rule == rule && found.applied)
}

/// One message, of this client, with the octets that were sent below whole header fields.
fn check_stored(scene: &Scene, tagged: Option<&str>, stored: &[Stored]) -> Result<(), String> {
    let [message] = stored else {
        return Err(format!("the backend has {} messages instead of one", stored.len()));
    };
    let Some(added) = message.data.strip_suffix(scene.message()) else {
        return Err("the backend's message is not the one that was sent".to_owned());
    };
    let added = String::from_utf8_lossy(added);
    let names: Vec<&str> = added
        .split_inclusive('\n')
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split_once(':').map_or("?", |(name, _)| name))
        .collect();
    let mut expected = vec!["Authentication-Results"];
    if tagged.is_some() {
        expected.push("X-Portcullis-Quarantine");
    }
    if !added.ends_with("\r\n")
        || names.len() != expected.len()
        || !expected.iter().all(|name| names.contains(name))
    {
        return Err(format!("added fields are {names:?} instead of {expected:?}"));
    }
    let envelope = (message.from.as_str(), message.recipients.as_slice());
    if envelope != (scene.from, &[scene.to.to_owned()]) {
        return Err(format!("the backend was told {envelope:?}"));
    }
    if message.login.is_some() != scene.password.is_some() {
        return Err(format!("the backend takes the user for {:?}", message.login));
    }
    if message.client != scene.client.to_string() {
        return Err(format!("the backend takes the client for {}", message.client));
    }
    Ok(())
}
