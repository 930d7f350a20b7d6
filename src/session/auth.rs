//! AUTH, relayed line by line to the backend that checks the password (RFC 4954). It is offered on
//! submission listeners inside TLS only.

use std::time::Instant;

use crate::smtp::auth::{self, ClientLine, Secret};
use crate::smtp::line::Framed;
use crate::smtp::reply::{Class, Reply};
use crate::verdict::Reason;

use super::offer::MECHANISMS;
use super::{Action, Answer, Authenticated, Session, State, Waiting};

/// The mechanisms that are offered need two.
const CHALLENGES_MAX: u8 = 8;

/// One SASL exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    mechanism: &'static str,
    /// Read from the client's first response; a name, no secret.
    user: Option<String>,
    /// How many challenges were passed on.
    challenges: u8,
}

impl Session {
    pub(super) fn auth_command(&mut self, now: Instant, mechanism: &str, initial: Option<&str>) {
        let reason = if !self.settings.role.is_submission() {
            Reason::AuthOff
        } else if self.helo.is_none() {
            return self.wrong(now, Reason::CommandSequence, "send EHLO first");
        } else if self.mail.is_some() {
            Reason::AuthInMail
        } else if self.auth.is_some() {
            Reason::AuthAgain
        } else if !self.tls {
            Reason::AuthNeedsTls
        } else {
            match self.offered(mechanism) {
                Some(mechanism) => return self.begin_auth(now, mechanism, initial),
                None => Reason::AuthMechanism,
            }
        };
        self.wrong(now, reason, "");
    }

    fn offered(&self, mechanism: &str) -> Option<&'static str> {
        self.offer().mechanisms().find(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    fn begin_auth(&mut self, now: Instant, mechanism: &'static str, initial: Option<&str>) {
        let mut line = format!("AUTH {mechanism}").into_bytes();
        let mut exchange = Exchange { mechanism, user: None, challenges: 0 };
        if let Some(initial) = initial {
            if !auth::is_initial_response(initial) {
                return self.wrong(now, Reason::AuthBase64, "");
            }
            exchange.note_user(initial.as_bytes());
            line.push(b' ');
            line.extend_from_slice(initial.as_bytes());
        }
        self.wait(Action::Auth(Secret::new(line)), Waiting::Auth(Box::new(exchange)));
    }

    /// The client's line after a challenge.
    pub(super) fn challenge_answered(&mut self, now: Instant, framed: Framed<'_>) {
        let State::Challenged(mut exchange) = std::mem::replace(&mut self.state, State::Ready)
        else {
            return;
        };
        let line = match framed {
            Framed::Line(line) => line,
            Framed::TooLong => return self.abandon(now, Reason::AuthTooLong),
            Framed::BareLf | Framed::BareCr | Framed::Nul => {
                return self.abandon(now, Reason::AuthBase64);
            }
        };
        match auth::client_line(line) {
            ClientLine::Cancel => return self.abandon(now, Reason::AuthCancelled),
            ClientLine::Malformed => return self.abandon(now, Reason::AuthBase64),
            ClientLine::Response => {}
        }
        exchange.note_user(line);
        self.wait(Action::Auth(Secret::new(line.to_vec())), Waiting::Auth(exchange));
    }

    /// Ends an exchange that the backend still waits in: its connection is to be given up.
    fn abandon(&mut self, now: Instant, reason: Reason) {
        self.actions.push_back(Action::Reset);
        self.wrong(now, reason, "");
    }

    pub(super) fn auth_answered(&mut self, now: Instant, mut exchange: Exchange, answer: Answer) {
        let reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Failed(_) => {
                self.state = State::Waiting(Waiting::Auth(Box::new(exchange)));
                if !self.idled() {
                    self.refuse(Reason::AuthTemporary, "");
                }
                return self.rest(now);
            }
        };
        match (reply.code(), reply.class()) {
            (334, _) if exchange.challenges < CHALLENGES_MAX && !reply.text().contains('\n') => {
                exchange.challenges += 1;
                // A challenge has no enhanced code, and an empty one keeps its space.
                self.output.extend_from_slice(b"334 ");
                self.output.extend_from_slice(reply.text().as_bytes());
                self.output.extend_from_slice(b"\r\n");
                self.state = State::Challenged(Box::new(exchange));
                self.deadline = now + self.settings.limits.command_time;
            }
            (235, _) => {
                let user = exchange.user.unwrap_or_default().into();
                self.auth = Some(Box::new(Authenticated { user, mechanism: exchange.mechanism }));
                let reply = reply.with_enhanced();
                self.send(&reply);
                self.ready(now);
            }
            (421, _) => {
                self.state = State::Waiting(Waiting::Auth(Box::new(exchange)));
                self.refuse(Reason::BackendClosing, reply.text());
            }
            (_, Class::Success | Class::Intermediate) => {
                // Who knows what it waits for now.
                self.state = State::Waiting(Waiting::Auth(Box::new(exchange)));
                self.actions.push_back(Action::Reset);
                if !self.idled() {
                    self.refuse(Reason::BackendGarbage, "");
                }
                self.rest(now);
            }
            _ => self.auth_refused(now, exchange, reply.with_enhanced()),
        }
    }

    fn auth_refused(&mut self, now: Instant, exchange: Exchange, mut reply: Reply) {
        self.state = State::Waiting(Waiting::Auth(Box::new(exchange)));
        if self.idled() {
            return;
        }
        if reply.class() == Class::Permanent {
            self.auth_failures += 1;
            self.note_refusal(Reason::AuthBad, &mut reply);
        } else {
            self.note_refusal(Reason::AuthTemporary, &mut reply);
        }
        if self.auth_failures >= self.settings.limits.auth_failures {
            return self.refuse(Reason::AuthTooMany, "");
        }
        self.send(&reply);
        self.rest(now);
    }
}

impl Exchange {
    fn note_user(&mut self, response: &[u8]) {
        if self.user.is_some() {
            return;
        }
        debug_assert!(MECHANISMS.contains(&self.mechanism));
        self.user = if self.mechanism == "PLAIN" {
            auth::plain_user(response)
        } else {
            auth::login_user(response)
        };
    }
}
