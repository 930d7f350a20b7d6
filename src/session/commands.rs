//! Is it legal now? Then ask what is to become of it.

use std::time::Instant;

use crate::facts::Stage;
use crate::smtp::address::{ForwardPath, ReversePath};
use crate::smtp::command::{Command, SyntaxError};
use crate::smtp::data::DataScanner;
use crate::smtp::params::{MailCommand, RcptCommand};
use crate::verdict::Reason;

use super::{Action, Receiving, Session, State, Transaction, Waiting};

impl Session {
    pub(super) fn command(&mut self, now: Instant, command: Command, more: bool) {
        self.verb = command.verb();
        self.counts.add(self.verb);
        if let State::Refused = self.state {
            return match command {
                Command::Quit => self.quit(),
                _ => self.wrong(now, Reason::RefusedBefore, ""),
            };
        }
        if is_idle_command(&command) && self.idled() {
            return;
        }
        match command {
            Command::Ehlo(name) => self.hello(now, name, true),
            Command::Helo(name) => self.hello(now, name, false),
            Command::Mail(mail) => self.mail_command(now, mail),
            Command::Rcpt(rcpt) => self.rcpt_command(now, rcpt),
            Command::Data => self.data_command(now),
            Command::Rset => {
                self.end_mail();
                self.say(Reason::Ok, "");
                self.ready(now);
            }
            Command::Noop => {
                self.say(Reason::Ok, "");
                self.ready(now);
            }
            Command::Help(_) => {
                self.say(Reason::Help, "");
                self.ready(now);
            }
            Command::Quit => self.quit(),
            Command::Vrfy(_) if self.settings.pass_vrfy => self.pass(now, &command),
            Command::Expn(_) if self.settings.pass_expn => self.pass(now, &command),
            Command::Etrn(_) if self.may_etrn() => self.pass(now, &command),
            Command::Vrfy(_) => {
                self.say(Reason::Vrfy, "");
                self.ready(now);
            }
            Command::Expn(_) | Command::Etrn(_) | Command::Bdat { .. } => {
                self.wrong(now, Reason::CommandUnimplemented, "");
            }
            Command::StartTls => self.starttls_command(now, more),
            Command::Auth { mechanism, initial } => {
                self.auth_command(now, &mechanism, initial.as_deref());
            }
            Command::Obsolete(_) => self.wrong(now, Reason::CommandObsolete, ""),
            Command::Forbidden(_) => self.wrong(now, Reason::CommandForbidden, ""),
            Command::Http => self.refuse(Reason::Http, ""),
            Command::Unknown(_) => self.wrong(now, Reason::CommandUnknown, ""),
        }
    }

    pub(super) fn syntax_error(&mut self, now: Instant, error: SyntaxError) {
        self.verb = "UNKNOWN";
        self.counts.add(self.verb);
        match error {
            SyntaxError::Arguments { usage, .. } => {
                self.wrong(now, Reason::CommandArguments, usage);
            }
            SyntaxError::HeloName => self.wrong(now, Reason::HeloName, ""),
            SyntaxError::SenderAddress => self.wrong(now, Reason::SenderSyntax, ""),
            SyntaxError::RecipientAddress => self.wrong(now, Reason::RecipientSyntax, ""),
            SyntaxError::UnknownParameter(name) => {
                self.wrong(now, Reason::ParameterUnknown, &name);
            }
            SyntaxError::BadParameter(name) => self.wrong(now, Reason::ParameterBad, &name),
            SyntaxError::DuplicateParameter(name) => {
                self.wrong(now, Reason::ParameterTwice, &name);
            }
            SyntaxError::NotAscii => self.wrong(now, Reason::CommandNotAscii, ""),
        }
    }

    fn quit(&mut self) {
        self.say(Reason::Bye, "");
        self.end_mail();
        self.close();
    }

    fn hello(&mut self, now: Instant, name: Box<str>, esmtp: bool) {
        // EHLO acts as RSET (RFC 5321 4.1.4). What was proved by AUTH stays.
        self.end_mail();
        if self.settings.ask_helo {
            self.wait(Action::Ask(Stage::Helo), Waiting::Helo { name, esmtp });
        } else {
            self.hello_accepted(now, name, esmtp);
        }
    }

    pub(super) fn hello_accepted(&mut self, now: Instant, name: Box<str>, esmtp: bool) {
        self.helo = Some(name);
        self.esmtp = esmtp;
        if esmtp {
            let mut output = std::mem::take(&mut self.output);
            self.offer().write_to(&mut output);
            self.output = output;
        } else {
            let line = format!("250 {}\r\n", self.settings.hostname);
            self.output.extend_from_slice(line.as_bytes());
        }
        self.ready(now);
    }

    fn mail_command(&mut self, now: Instant, mail: MailCommand) {
        if self.helo.is_none() {
            return self.wrong(now, Reason::CommandSequence, "send EHLO first");
        }
        if self.mail.is_some() {
            return self.wrong(now, Reason::CommandSequence, "nested MAIL");
        }
        if self.settings.role.is_submission() && self.auth.is_none() {
            let reason = if self.tls { Reason::AuthRequired } else { Reason::TlsRequired };
            return self.wrong(now, reason, "");
        }
        if self.messages >= self.settings.limits.messages {
            return self.refuse(Reason::TooManyMessages, "");
        }
        let missing = mail.params.keywords().find(|(keyword, _)| !self.offer().has(keyword));
        if let Some((_, parameter)) = missing {
            return self.wrong(now, Reason::ParameterUnknown, parameter);
        }
        if let ReversePath::Mailbox(mailbox) = &mail.path
            && !mailbox.is_ascii()
            && !mail.params.smtputf8
        {
            return self.wrong(now, Reason::SenderUtf8, "");
        }
        if mail.params.size.is_some_and(|size| size > self.offer().size()) {
            return self.refuse_mail(now, Reason::SizeDeclared);
        }
        self.mail = Some(Box::new(Transaction::new(mail)));
        if self.settings.ask_mail {
            self.wait(Action::Ask(Stage::Mail), Waiting::Mail);
        } else {
            self.mail_accepted(now);
        }
    }

    pub(super) fn mail_accepted(&mut self, now: Instant) {
        self.messages += 1;
        self.idle_commands = 0;
        self.say(Reason::MailOk, "");
        self.ready(now);
    }

    fn rcpt_command(&mut self, now: Instant, rcpt: RcptCommand) {
        let Some(mail) = self.mail.as_deref_mut() else {
            return self.wrong(now, Reason::CommandSequence, "need MAIL before RCPT");
        };
        mail.named += 1;
        let limits = &self.settings.limits;
        if mail.named > limits.recipients.saturating_add(limits.idle_commands as usize) {
            return self.refuse(Reason::TooManyErrors, "");
        }
        let smtputf8 = mail.mail.params.smtputf8;
        let full = mail.accepted.len() >= self.settings.limits.recipients;
        let missing = rcpt.params.keywords().find(|(keyword, _)| !self.offer().has(keyword));
        if let Some((_, parameter)) = missing {
            return self.wrong(now, Reason::ParameterUnknown, parameter);
        }
        if let ForwardPath::Mailbox(mailbox) = &rcpt.path
            && !mailbox.is_ascii()
            && !smtputf8
        {
            return self.wrong(now, Reason::RecipientUtf8, "");
        }
        if full {
            self.refuse(Reason::TooManyRecipients, "");
            return self.rest(now);
        }
        if let Some(mail) = self.mail.as_deref_mut() {
            mail.current = Some(rcpt);
        }
        self.wait(Action::Ask(Stage::Rcpt), Waiting::Rcpt);
    }

    fn data_command(&mut self, now: Instant) {
        match self.mail.as_deref() {
            None => self.wrong(now, Reason::CommandSequence, "need MAIL and RCPT before DATA"),
            Some(mail) if mail.named == 0 => {
                self.wrong(now, Reason::CommandSequence, "need RCPT before DATA");
            }
            Some(mail) if mail.accepted.is_empty() => {
                self.refuse_mail(now, Reason::NoRecipients);
            }
            Some(_) => {
                self.say(Reason::StartMail, "");
                self.actions.push_back(Action::BeginMessage);
                self.state = State::Data(Box::new(Receiving {
                    scanner: DataScanner::new(),
                    since: now,
                    received: 0,
                    size: 0,
                }));
                self.deadline = now + self.settings.limits.data_time;
            }
        }
    }

    /// Refuses a command that is no error: not against the error budget, but not for ever either.
    fn refuse_mail(&mut self, now: Instant, reason: Reason) {
        if !self.idled() {
            self.refuse(reason, "");
            self.rest(now);
        }
    }

    /// Takes octets of the message. Whatever is wrong with it is told after its true end, so that
    /// nothing of it can be read as a command.
    pub(super) fn message_octets(
        &mut self,
        now: Instant,
        input: &[u8],
        body: &mut dyn FnMut(&[u8]),
    ) -> usize {
        let State::Data(receiving) = &mut self.state else { return 0 };
        let size = &mut receiving.size;
        let (used, ended) = receiving.scanner.scan(input, &mut |octets| {
            *size += octets.len() as u64;
            body(octets);
        });
        receiving.received += used as u64;
        if ended {
            self.message_ended(now);
            return used;
        }
        // Progress buys time, but on the whole a message must come at the least rate.
        let limits = &self.settings.limits;
        let slowest = receiving.since
            + limits.data_time
            + std::time::Duration::from_secs(receiving.received / limits.data_rate.max(1));
        self.deadline = slowest.min(now + limits.data_time);
        used
    }

    fn message_ended(&mut self, now: Instant) {
        let State::Data(receiving) = std::mem::replace(&mut self.state, State::Ready) else {
            return;
        };
        let flaws = receiving.scanner.flaws();
        let limits = &self.settings.limits;
        let size_max = self.offer().size();
        let refusal = if receiving.size > size_max {
            Some(Reason::SizeActual)
        } else if flaws.nul {
            Some(Reason::DataNul)
        } else if flaws.bare_lf {
            Some(Reason::DataBareLf)
        } else if flaws.bare_cr {
            Some(Reason::DataBareCr)
        } else if flaws.longest_line > limits.line {
            Some(Reason::DataLine)
        } else {
            None
        };
        if let Some(mail) = self.mail.as_deref_mut() {
            mail.size = receiving.size;
        }
        match refusal {
            Some(reason) => {
                self.state = State::Waiting(Waiting::Message);
                self.actions.push_back(Action::DropMessage);
                self.refuse(reason, "");
                self.end_mail();
                self.ready(now);
            }
            None => self.wait(Action::Ask(Stage::Message), Waiting::Message),
        }
    }

    fn starttls_command(&mut self, now: Instant, more: bool) {
        if self.tls {
            return self.wrong(now, Reason::TlsAgain, "");
        }
        if !self.settings.tls {
            return self.wrong(now, Reason::CommandUnimplemented, "");
        }
        if more {
            return self.refuse(Reason::TlsInjected, "");
        }
        self.end_mail();
        self.say(Reason::TlsReady, "");
        self.wait(Action::StartTls, Waiting::Tls);
    }

    pub(super) fn tls_done(&mut self, now: Instant) {
        if !matches!(self.state, State::Waiting(Waiting::Tls)) {
            return;
        }
        // Everything said in the clear is forgotten (RFC 3207 4.2).
        self.tls = true;
        self.helo = None;
        self.esmtp = false;
        self.auth = None;
        self.ready(now);
    }

    fn may_etrn(&self) -> bool {
        self.settings.pass_etrn
            && !self.settings.role.is_submission()
            && self.backend.as_deref().is_some_and(|backend| backend.etrn)
    }

    fn pass(&mut self, now: Instant, command: &Command) {
        if self.helo.is_none() {
            return self.wrong(now, Reason::CommandSequence, "send EHLO first");
        }
        if self.mail.is_some() {
            return self.wrong(now, Reason::CommandSequence, "not inside a mail transaction");
        }
        let mut line = Vec::new();
        command.write_to(&mut line);
        self.wait(Action::Pass(line), Waiting::Pass);
    }
}

/// What brings no mail further, whatever is answered.
fn is_idle_command(command: &Command) -> bool {
    !matches!(
        command,
        Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::Quit | Command::Auth { .. }
    )
}
