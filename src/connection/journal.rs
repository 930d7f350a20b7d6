//! Writes the decision record of the mail under way, and tells the reporter of each decision.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::facts::{Facts, Stage, registry};
use crate::history::record::{Client, VERSION};
use crate::history::{By, CheckRun, Decision, Kind, NotRun, Record, RuleMatch};
use crate::observe::Reporter;
use crate::policy::{Effect, Evaluation, Outcome};
use crate::session::{DecisionId, Session, Transaction};
use crate::smtp::address::Mailbox;
use crate::smtp::reply::{Class, Reply};
use crate::verdict::{Reason, Verdict};

use super::clock;
use super::snapshot::Snapshot;

pub(super) struct Journal {
    snapshot: Arc<Snapshot>,
    reporter: Arc<dyn Reporter>,
    client: SocketAddr,
    /// Of the mail that the session is at.
    id: DecisionId,
    record: Option<Box<Record>>,
    /// The client's name, once it is known.
    name: Option<Box<str>>,
    /// The last stage that was judged.
    stage: Stage,
    /// The recipients of the message that came last: when it is refused its transaction is over.
    recipients: Vec<String>,
    /// What strangers are not told of the next refusal.
    pub(super) cause: Option<String>,
}

impl Journal {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        reporter: Arc<dyn Reporter>,
        client: SocketAddr,
        id: DecisionId,
    ) -> Journal {
        let (record, name, stage, cause) = (None, None, Stage::Connect, None);
        let recipients = Vec::new();
        Journal { snapshot, reporter, client, id, record, name, stage, recipients, cause }
    }

    /// What the rules said at a stage.
    pub(super) fn evaluated(
        &mut self,
        stage: Stage,
        session: &Session,
        facts: &Facts,
        evaluation: &Evaluation,
        verdict: &Verdict,
    ) {
        self.stage = stage;
        let name = facts.text(registry::CLIENT_NAME);
        if !name.is_empty() && self.name.as_deref() != Some(name) {
            self.name = Some(name.into());
        }
        if evaluation.matched.is_empty() {
            return;
        }
        let snapshot = self.snapshot.clone();
        let record = self.record(session, session.id());
        let mut warnings = Vec::new();
        for found in &evaluation.matched {
            let Some(rule) = snapshot.rules.rules().get(found.rule) else { continue };
            let known = record.rules.iter().any(|known| *known.rule == *rule.id);
            if found.effect == Effect::Pending || known {
                continue;
            }
            let applied = found.effect == Effect::Applied;
            record.rules.push(RuleMatch {
                rule: rule.id.to_string(),
                action: rule.action.name().to_owned(),
                stage,
                applied,
            });
            if let (false, Some(reply)) = (applied, rule.action.reply()) {
                let class = reply.code / 100;
                let text = format!(
                    "would refuse: {} {class}.{}.{}",
                    reply.code, reply.subject, reply.detail
                );
                warnings.push((Kind::Warning, By::Rule(rule.id.to_string()), text));
            }
        }
        if let (Verdict::Refuse(refusal), Outcome::Refuse { rule, .. }) =
            (verdict, &evaluation.outcome)
        {
            let id = snapshot.rules.rules().get(*rule).map(|rule| rule.id.to_string());
            let by = By::Rule(id.unwrap_or_default());
            warnings.push((kind_of(&refusal.reply), by, refusal.reply.to_line()));
        }
        for (kind, by, reply) in warnings {
            self.decided(session, session.id(), session.stage_name(), kind, by, reply, None);
        }
    }

    /// A refusal for a reason of our own. The session may have moved on from the mail it was for.
    pub(super) fn refused(
        &mut self,
        session: &Session,
        id: DecisionId,
        stage: &str,
        reason: Reason,
        reply: &Reply,
        cause: Option<String>,
    ) {
        let by = By::Reason(reason.id().to_owned());
        self.decided(session, id, stage, kind_of(reply), by, reply.to_line(), cause);
    }

    /// A message follows.
    pub(super) fn message_begins(&mut self, session: &Session) {
        self.recipients = session.mail().map(recipients_of).unwrap_or_default();
    }

    /// What the backend said, passed on: a refusal, or the acceptance of a message.
    pub(super) fn answered(&mut self, session: &Session, reply: &Reply) {
        let (id, stage) = (session.id(), session.stage_name());
        self.decided(session, id, stage, kind_of(reply), By::Backend, reply.to_line(), None);
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one decision")]
    fn decided(
        &mut self,
        session: &Session,
        id: DecisionId,
        stage: &str,
        kind: Kind,
        by: By,
        reply: String,
        cause: Option<String>,
    ) {
        let reporter = self.reporter.clone();
        let kept_cause = self.cause.take();
        let recipients = match session.mail() {
            Some(mail) if session.id() == id => recipients_of(mail),
            _ if stage == "END-OF-MESSAGE" => std::mem::take(&mut self.recipients),
            _ => Vec::new(),
        };
        let record = self.record(session, id);
        let stage = stage.to_owned();
        let cause = cause.or(kept_cause);
        let decision = Decision { kind, by, stage, reply, recipients, cause };
        reporter.decided(record, &decision);
        record.decisions.push(decision);
    }

    /// Whether the session has come to another mail.
    pub(super) fn turn(&mut self, id: DecisionId) -> bool {
        std::mem::replace(&mut self.id, id) != id
    }

    /// The mail is over: its record is completed by what was known and found, and handed on.
    pub(super) fn finish(&mut self, facts: Option<&Facts>, runs: &[CheckRun]) {
        if let Some(record) = &mut self.record
            && self.reporter.keeps_records()
        {
            if let Some(facts) = facts {
                record.note_facts(facts);
            }
            record.checks = runs.to_vec();
            note_not_run(record, &self.snapshot, self.stage);
        }
        self.hand_on();
    }

    /// Somebody keeps records, and with them what was found out.
    pub(super) fn keeps_records(&self) -> bool {
        self.reporter.keeps_records()
    }

    /// `mail.example.org[192.0.2.1]`, or unknown as long as the name is.
    pub(super) fn client_name(&self) -> String {
        format!("{}[{}]", self.name.as_deref().unwrap_or("unknown"), self.client.ip())
    }

    fn hand_on(&mut self) {
        if let Some(record) = self.record.take()
            && !record.decisions.is_empty()
        {
            self.reporter.finished(&record);
        }
    }

    fn record(&mut self, session: &Session, id: DecisionId) -> &mut Record {
        let id = id.to_string();
        if self.record.as_ref().is_some_and(|record| record.id != id) {
            self.hand_on();
        }
        let record = self.record.get_or_insert_with(|| {
            Box::new(Record {
                version: VERSION,
                id,
                time: clock::unix_millis(),
                host: self.snapshot.hostname.clone(),
                generation: self.snapshot.generation,
                client: Client {
                    ip: self.client.ip().to_string(),
                    port: self.client.port(),
                    name: self.name.as_deref().unwrap_or("unknown").to_owned(),
                },
                helo: String::new(),
                proto: String::new(),
                user: None,
                from: None,
                facts: Vec::new(),
                checks: Vec::new(),
                not_run: Vec::new(),
                rules: Vec::new(),
                decisions: Vec::new(),
            })
        });
        if let Some(helo) = session.helo() {
            helo.clone_into(&mut record.helo);
            record.proto = if session.esmtp() { "ESMTP".into() } else { "SMTP".into() };
        }
        if let Some(mail) = session.mail() {
            record.from = Some(mail.mail.path.mailbox().map(Mailbox::address).unwrap_or_default());
        }
        record.user = session.auth().map(|auth| auth.user.to_string());
        record
    }
}

fn kind_of(reply: &Reply) -> Kind {
    match reply.class() {
        Class::Success | Class::Intermediate => Kind::Accept,
        Class::Transient => Kind::Defer,
        Class::Permanent => Kind::Reject,
    }
}

/// The recipient in question, else those that were accepted.
fn recipients_of(mail: &Transaction) -> Vec<String> {
    match &mail.current {
        Some(current) => vec![current.path.address()],
        None => mail.accepted.iter().map(|rcpt| rcpt.path.address()).collect(),
    }
}

fn note_not_run(record: &mut Record, snapshot: &Snapshot, stage: Stage) {
    let ran = |name: &str| record.checks.iter().any(|run| run.check == name);
    record.not_run = snapshot
        .checks
        .iter()
        .filter(|check| !ran(check.name()))
        .map(|check| NotRun {
            check: check.name().into(),
            why: if check.stage() > stage {
                format!("decided at {}", stage.name())
            } else {
                "no rule that could still matter uses it".to_owned()
            },
        })
        .collect();
}
