//! From a question of the session to a verdict: the facts are gathered, the checks that can still
//! matter are run, the rules are asked, and all of it goes into the decision record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::checks::{AuthResult, Check, Context, MessageView, runner};
use crate::dns::Budget;
use crate::facts::rate::What;
use crate::facts::registry::{self, SIZE};
use crate::facts::{Facts, Stage};
use crate::history::CheckRun;
use crate::message::{Edits, Message};
use crate::observe::Reporter;
use crate::policy::CheckSet;
use crate::relay::Identity;
use crate::session::{DecisionId, Session};
use crate::smtp::reply::Reply;
use crate::verdict::{self, Reason, Verdict};

use super::clock;
use super::journal::Journal;
use super::known;
use super::snapshot::Snapshot;
use super::tls::TlsFacts;

/// The checks are given up this long after their budget's end: one that keeps the time tells what it
/// has found so far.
const GRACE: Duration = Duration::from_millis(250);

pub(super) struct Judge {
    snapshot: Arc<Snapshot>,
    client: SocketAddr,
    local: SocketAddr,
    pub(super) early_talker: bool,
    pub(super) tls: Option<TlsFacts>,
    /// Made with the first question: a session that says nothing costs nothing.
    facts: Option<Facts>,
    found: Found,
    pub(super) journal: Journal,
    edits: Edits,
}

/// What the checks found, with the stage of each: what was found for the connection stays for the
/// next mail.
#[derive(Default)]
struct Found {
    ran: CheckSet,
    runs: Vec<CheckRun>,
    results: Vec<(Stage, AuthResult)>,
}

impl Judge {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        reporter: Arc<dyn Reporter>,
        client: SocketAddr,
        local: SocketAddr,
        id: DecisionId,
    ) -> Judge {
        Judge {
            journal: Journal::new(snapshot.clone(), reporter, client, id),
            snapshot,
            client,
            local,
            early_talker: false,
            tls: None,
            facts: None,
            found: Found::default(),
            edits: Edits::default(),
        }
    }

    /// Decides one stage.
    pub(super) async fn decide(
        &mut self,
        stage: Stage,
        session: &Session,
        message: Option<&Message>,
    ) -> Verdict {
        self.gather(stage, session, message).await;
        self.find(stage, session, message).await;
        let facts = self.facts.get_or_insert_with(Facts::new);
        let evaluation = self.snapshot.rules.evaluate(stage, facts);
        let group = if stage == Stage::Rcpt { self.snapshot.rules.group(facts) } else { 0 };
        let id = session.id();
        let verdict = verdict::decide(&evaluation, group, |reply| {
            if reply.code() == 421 {
                reply.begin_with(&self.snapshot.hostname);
            }
            finish(reply, id, self.snapshot.help.as_deref());
        });
        self.journal.evaluated(stage, session, facts, &evaluation, &verdict);
        if let (Some(message), Verdict::Pass { .. }) = (message, &verdict) {
            let results = self.found.results.iter().map(|(_, result)| result);
            let tls = self.tls.as_ref();
            self.edits = super::edits::make(
                &self.snapshot,
                session,
                facts,
                message,
                results,
                tls,
                evaluation.tags,
            );
        }
        verdict
    }

    /// A refusal for a reason of ours that was found while judging.
    pub(super) fn refuse(
        &mut self,
        session: &Session,
        reason: Reason,
        cause: Option<String>,
    ) -> Verdict {
        let mut reply = reason.reply(&self.snapshot.hostname, "");
        finish(&mut reply, session.id(), self.snapshot.help.as_deref());
        self.journal.refused(session, session.id(), session.stage_name(), reason, &reply, cause);
        verdict::refuse(reply)
    }

    /// The header edits that the verdict on the message brought.
    pub(super) fn take_edits(&mut self) -> Edits {
        std::mem::take(&mut self.edits)
    }

    /// Whom the backend is told of.
    pub(super) fn identity<'a>(&'a self, session: &'a Session) -> Identity<'a> {
        known::identity(self.facts.as_ref(), session, self.client)
    }

    /// Counts an event that the session does not ask about.
    pub(super) async fn count(&mut self, what: What) {
        if let Some(facts) = &mut self.facts {
            self.snapshot.rates.count(what, facts, Instant::now()).await;
        }
    }

    /// After each round of actions: when the mail is over, what was found for it is forgotten.
    pub(super) fn settle(&mut self, session: &Session) {
        if !self.journal.turn(session.id()) {
            return;
        }
        self.finish();
        self.forget_from(Stage::Mail);
        self.edits = Edits::default();
    }

    /// The mail, or the session in the middle of one, is over.
    pub(super) fn finish(&mut self) {
        self.journal.finish(self.facts.as_ref(), &self.found.runs);
    }

    fn forget_from(&mut self, stage: Stage) {
        if let Some(facts) = &mut self.facts {
            facts.forget_from(stage);
            self.snapshot.rates.forget_mail(facts);
        }
        self.found.runs.retain(|run| run.stage < stage);
        self.found.results.retain(|(of, _)| *of < stage);
        self.found.ran = CheckSet::EMPTY;
        for run in &self.found.runs {
            self.found.ran.insert(CheckSet::of(&run.check).unwrap_or_default());
        }
    }

    /// Takes over what the session knows.
    async fn gather(&mut self, stage: Stage, session: &Session, message: Option<&Message>) {
        let now = Instant::now();
        let snapshot = self.snapshot.clone();
        if self.facts.is_none() {
            let facts = self.facts.insert(Facts::new());
            let trusted = (snapshot.trusted)(self.client.ip());
            known::connection(facts, session, self.client, self.local, trusted);
            facts.set(registry::CLIENT_EARLY_TALKER, self.early_talker);
            snapshot.rates.count(What::Connections, facts, now).await;
            snapshot.rates.peek(facts, now).await;
        }
        let helo = session.helo().unwrap_or("");
        let renamed = self
            .facts
            .as_ref()
            .is_some_and(|facts| !facts.text(registry::HELO).eq_ignore_ascii_case(helo));
        if stage >= Stage::Helo && renamed {
            self.forget_from(Stage::Helo);
        }
        let Some(facts) = &mut self.facts else { return };
        if stage >= Stage::Helo {
            known::hello(facts, session, self.local, &snapshot.hostname);
        }
        if stage >= Stage::Mail && facts.get(registry::FROM).is_none() {
            known::mail(facts, session, self.tls.as_ref());
            self.found.results.extend(session.auth().map(|auth| (Stage::Mail, known::login(auth))));
            snapshot.rates.count(What::Messages, facts, now).await;
            snapshot.rates.peek(facts, now).await;
        }
        if stage == Stage::Rcpt {
            known::recipient(facts, session);
            snapshot.rates.count(What::Recipients, facts, now).await;
            snapshot.rates.peek(facts, now).await;
        }
        if let Some(message) = message {
            known::first_recipient(facts, session);
            facts.set(SIZE, message.size() as i64);
        }
    }

    /// Runs the checks that can still matter, all that can run at once, until no more are needed.
    async fn find(&mut self, stage: Stage, session: &Session, message: Option<&Message>) {
        let snapshot = self.snapshot.clone();
        let time =
            if stage == Stage::Message { snapshot.message_time } else { snapshot.stage_time };
        let deadline = Instant::now() + time;
        let also = self.wanted_besides(stage, session);
        loop {
            let Some(facts) = &self.facts else { return };
            let mut wanted = snapshot.rules.needs(stage, facts);
            wanted.insert(also);
            let checks = ready(&snapshot, stage, wanted, self.found.ran);
            if checks.is_empty() {
                return;
            }
            // A round's checks share their questions. The next round has its own, so that a sender
            // whose SPF policy is a maze does not leave DMARC without any.
            let budget =
                Budget::until_deadline(snapshot.dns.clone(), snapshot.dns_questions, deadline)
                    .unexplained(!self.journal.keeps_records());
            let cx = Context {
                facts,
                message: message.map(|message| MessageView {
                    header: message.header(),
                    size: message.size(),
                    body_hashes: message.body_hashes(),
                }),
                client_ip: self.client.ip(),
                helo: session.helo().unwrap_or(""),
                hostname: &snapshot.hostname,
                dns: &budget,
                now: clock::unix_seconds(),
            };
            for ran in runner::run(&checks, &cx, deadline + GRACE).await {
                self.take(stage, ran);
            }
        }
    }

    /// Takes over what a check found; what it did not find is known to be nothing.
    fn take(&mut self, stage: Stage, ran: runner::Ran) {
        let facts = self.facts.get_or_insert_with(Facts::new);
        for (field, key, value) in ran.findings.values {
            match key {
                Some(key) => facts.set_keyed(field, &key, value),
                None => facts.set(field, value),
            }
        }
        self.snapshot.rules.settle(ran.check, stage, facts);
        self.found.ran.insert(CheckSet::of(ran.check).unwrap_or_default());
        let results = ran.findings.results.into_iter().map(|result| (ran.stage, result));
        self.found.results.extend(results);
        self.found.runs.push(CheckRun {
            check: ran.check.into(),
            stage: ran.stage,
            micros: ran.micros,
            failed: ran.failed.map(Into::into),
            evidence: ran.findings.evidence,
        });
    }

    /// What is needed though no rule asks: the name that the backend is told, and what
    /// Authentication-Results say. Neither is looked up for our own hosts and users.
    fn wanted_besides(&self, stage: Stage, session: &Session) -> CheckSet {
        let mut wanted = CheckSet::EMPTY;
        let mut want = |name| wanted.insert(CheckSet::of(name).unwrap_or_default());
        if stage == Stage::Rcpt && self.snapshot.client_name {
            want("iprev");
        }
        let ours = session.auth().is_some()
            || self.facts.as_ref().is_some_and(|facts| facts.flag(registry::CLIENT_TRUSTED));
        if stage == Stage::Message && self.snapshot.authentication_results && !ours {
            for name in ["spf", "dkim", "arc", "header", "dmarc"] {
                want(name);
            }
        }
        wanted
    }
}

/// A session that ends in the middle of a mail has decided something about it, perhaps.
impl Drop for Judge {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Of what is wanted: the checks that can run now. Those whose findings another one reads are run
/// before it, wanted or not.
fn ready(
    snapshot: &Snapshot,
    stage: Stage,
    mut wanted: CheckSet,
    ran: CheckSet,
) -> Vec<&dyn Check> {
    if wanted.without(ran).is_empty() {
        return Vec::new();
    }
    let set = |name: &str| CheckSet::of(name).unwrap_or_default();
    // The checks that have not run and whose stage has come, each as a set of itself.
    let open: Vec<(&dyn Check, CheckSet)> = snapshot
        .checks
        .iter()
        .map(|check| (&**check, set(check.name())))
        .filter(|(check, own)| check.stage() <= stage && !ran.intersects(*own))
        .collect();
    loop {
        let before = wanted;
        for (check, _) in open.iter().filter(|(_, own)| before.intersects(*own)) {
            check.after().iter().for_each(|name| wanted.insert(set(name)));
        }
        if wanted == before {
            break;
        }
    }
    let waits = |check: &dyn Check| {
        check.after().iter().any(|name| open.iter().any(|(_, own)| own.intersects(set(name))))
    };
    open.iter()
        .filter(|(check, own)| wanted.intersects(*own) && !waits(*check))
        .map(|(check, _)| *check)
        .collect()
}

/// What every refusal ends with: the decision's id, and the administrator's link.
fn finish(reply: &mut Reply, id: DecisionId, help: Option<&str>) {
    reply.push_id(id);
    if let Some(help) = help {
        reply.push_line(&help.replace("{id}", &id.to_string()));
    }
}
