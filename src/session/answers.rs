//! What comes back: verdicts, and the backend's replies.

use std::time::Instant;

use crate::smtp::reply::{Class, Reply};
use crate::verdict::{Cleared, Reason, Refusal, Verdict};

use super::{Action, Answer, Session, State, Waiting};

impl Session {
    pub(super) fn decided(&mut self, now: Instant, verdict: Verdict) {
        let Some(waiting) = self.awaited() else { return };
        match verdict {
            Verdict::Pass { cleared, group } => self.passed(now, waiting, cleared, group),
            Verdict::Refuse(refusal) => self.refused(now, waiting, &refusal),
        }
    }

    /// What was waited for. An event that comes late, after the client has gone, changes nothing.
    fn awaited(&mut self) -> Option<Waiting> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Waiting(waiting) => Some(waiting),
            other => {
                self.state = other;
                None
            }
        }
    }

    fn passed(&mut self, now: Instant, waiting: Waiting, cleared: Cleared, group: u64) {
        match waiting {
            Waiting::Connect => self.greet(now),
            Waiting::Helo { name, esmtp } => self.hello_accepted(now, name, esmtp),
            Waiting::Mail => self.mail_accepted(now),
            Waiting::Rcpt => self.recipient_passed(now, group),
            Waiting::Message => self.wait(Action::Deliver(cleared), Waiting::Delivery),
            other => {
                debug_assert!(false, "a verdict while waiting for {other:?}");
                self.state = State::Waiting(other);
            }
        }
    }

    fn recipient_passed(&mut self, now: Instant, group: u64) {
        let Some(mail) = self.mail.as_deref_mut() else { return self.ready(now) };
        if mail.group.is_some_and(|first| first != group) {
            self.state = State::Waiting(Waiting::Rcpt);
            self.refuse(Reason::MixedPolicy, "");
            self.current();
            return self.ready(now);
        }
        if mail.accepted.is_empty() {
            // Fixed for good only when the backend has accepted one.
            mail.group = Some(group);
        }
        mail.upstream = true;
        self.wait(Action::Recipient, Waiting::Recipient);
    }

    fn refused(&mut self, now: Instant, waiting: Waiting, refusal: &Refusal) {
        if let Waiting::Mail = waiting
            && self.idled()
        {
            return;
        }
        self.send(&refusal.reply);
        if refusal.close {
            self.end_mail();
            return self.close();
        }
        match waiting {
            Waiting::Connect => {
                self.id = self.ids.next_id();
                if self.closing {
                    return self.close();
                }
                self.state = State::Refused;
                self.deadline = now + self.settings.limits.command_time;
                return;
            }
            Waiting::Mail | Waiting::Message => self.end_mail(),
            Waiting::Rcpt => {
                self.current();
            }
            _ => self.id = self.ids.next_id(),
        }
        self.ready(now);
    }

    pub(super) fn answered(&mut self, now: Instant, answer: Answer) {
        let Some(waiting) = self.awaited() else { return };
        match waiting {
            Waiting::Recipient => self.recipient_answered(now, answer),
            Waiting::Delivery => self.delivery_answered(now, answer),
            Waiting::Auth(exchange) => self.auth_answered(now, *exchange, answer),
            Waiting::Pass => {
                self.pass_answer(answer);
                self.rest(now);
            }
            other => {
                debug_assert!(false, "an answer while waiting for {other:?}");
                self.state = State::Waiting(other);
            }
        }
    }

    fn recipient_answered(&mut self, now: Instant, answer: Answer) {
        self.state = State::Waiting(Waiting::Recipient);
        let recipient = self.current();
        let accepted = matches!(&answer, Answer::Reply(reply) if reply.is_success());
        if let Some(mail) = self.mail.as_deref_mut() {
            if accepted {
                mail.accepted.extend(recipient);
            } else if mail.accepted.is_empty() {
                mail.group = None;
            }
        }
        self.pass_answer(answer);
        self.rest(now);
    }

    fn delivery_answered(&mut self, now: Instant, answer: Answer) {
        self.state = State::Waiting(Waiting::Delivery);
        // With its answer the transaction is over at the backend too; after a failure the
        // connection is gone.
        if let Some(mail) = self.mail.as_deref_mut() {
            mail.upstream = false;
        }
        self.pass_answer(answer);
        self.end_mail();
        self.rest(now);
    }

    /// Says what the backend said, if it makes sense.
    fn pass_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Reply(reply) if reply.code() == 421 => {
                self.refuse(Reason::BackendClosing, reply.text());
            }
            Answer::Reply(reply) if reply.class() == Class::Intermediate => {
                self.refuse(Reason::BackendGarbage, "");
            }
            Answer::Reply(reply) => self.pass_on(&reply),
            Answer::Failed(reason) => self.refuse(reason, ""),
        }
    }

    fn pass_on(&mut self, reply: &Reply) {
        let reply = reply.clone().with_enhanced();
        self.send(&reply);
    }
}
