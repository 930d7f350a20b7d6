//! The session state machine (pure): what the client says and what it is answered.
//!
//! A session is a function of its state, the time it is told, and an event, to actions and output.
//! It knows what is *legal*; what is *wanted* it asks ([`Action::Ask`]) and waits for the verdict.
//! 2xx to RCPT and to the end of a message come from the backend alone, and a message is delivered
//! only with the [`Cleared`](crate::verdict::Cleared) that a verdict brought.
//!
//! One thing at a time: while an action waits for its answer the session takes no input, so replies
//! are one a command and in order however the client pipelines.

mod answers;
mod auth;
mod commands;
mod counts;
mod event;
mod id;
mod offer;
mod settings;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::facts::Stage;
use crate::smtp::command::{Command, is_tls_handshake};
use crate::smtp::data::DataScanner;
use crate::smtp::ehlo::Capabilities;
use crate::smtp::line::{AUTH_LINE_MAX, COMMAND_LINE_MAX, Framed, LineFramer};
use crate::smtp::params::RcptCommand;
use crate::smtp::reply::Reply;
use crate::verdict::Reason;

pub use counts::Counts;
pub use event::{Action, Answer, Event, Wants};
pub use id::{DecisionId, Ids};
pub use settings::{Limits, Role, Settings};
pub use transaction::Transaction;

use offer::Offer;

#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    /// What the backend offers; `None` until it was first reached.
    backend: Option<Arc<Capabilities>>,
    state: State,
    tls: bool,
    esmtp: bool,
    helo: Option<Box<str>>,
    auth: Option<Box<Authenticated>>,
    mail: Option<Box<Transaction>>,
    ids: Ids,
    id: DecisionId,
    framer: LineFramer,
    output: Vec<u8>,
    actions: VecDeque<Action>,
    deadline: Instant,
    errors: u32,
    auth_failures: u32,
    messages: u32,
    idle_commands: u32,
    counts: Counts,
    closing: bool,
    /// The command last given.
    verb: &'static str,
}

/// Who the client has proved to be.
#[derive(Debug)]
pub struct Authenticated {
    pub user: Box<str>,
    pub mechanism: &'static str,
}

#[derive(Debug)]
enum State {
    New,
    /// Waits for a command.
    Ready,
    /// Waits for the answer to an action.
    Waiting(Waiting),
    Data(Box<Receiving>),
    /// The client's next line answers a SASL challenge.
    Challenged(Box<auth::Exchange>),
    /// Refused by its greeting; nothing but QUIT is left (RFC 5321 3.1).
    Refused,
    Closed,
}

#[derive(Debug)]
enum Waiting {
    Connect,
    Helo { name: Box<str>, esmtp: bool },
    Mail,
    Rcpt,
    Recipient,
    Message,
    Delivery,
    Tls,
    Auth(Box<auth::Exchange>),
    Pass,
}

#[derive(Debug)]
struct Receiving {
    scanner: DataScanner,
    since: Instant,
    /// Octets from the client.
    received: u64,
    /// Octets of the message in them.
    size: u64,
}

impl Session {
    pub fn new(
        settings: Arc<Settings>,
        backend: Option<Arc<Capabilities>>,
        tls: bool,
        seed: u64,
        now: Instant,
    ) -> Session {
        let mut ids = Ids::new(seed);
        let id = ids.next_id();
        Session {
            deadline: now + settings.limits.command_time,
            settings,
            backend,
            state: State::New,
            tls,
            esmtp: false,
            helo: None,
            auth: None,
            mail: None,
            ids,
            id,
            framer: LineFramer::new(),
            output: Vec::new(),
            actions: VecDeque::new(),
            errors: 0,
            auth_failures: 0,
            messages: 0,
            idle_commands: 0,
            counts: Counts::default(),
            closing: false,
            verb: "CONNECT",
        }
    }

    /// The client has connected.
    pub fn start(&mut self, now: Instant) {
        if self.backend.is_none() {
            self.refuse(Reason::BackendUnknown, "");
        } else if self.settings.ask_connect {
            self.wait(Action::Ask(Stage::Connect), Waiting::Connect);
        } else {
            self.greet(now);
        }
    }

    fn greet(&mut self, now: Instant) {
        self.say(Reason::Greeting, "");
        self.ready(now);
    }

    /// Takes received octets and says how many it took; those it did not take are to come again,
    /// before the next. Message octets go to `body`. It takes none while there are actions to carry
    /// out or an answer is awaited: who reads on after DATA must be ready for the message.
    pub fn input(&mut self, now: Instant, input: &[u8], body: &mut dyn FnMut(&[u8])) -> usize {
        let mut used = 0;
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) {
            if !self.actions.is_empty() {
                break;
            }
            used += match self.state {
                State::Ready | State::Refused if self.is_tls_record(rest) => {
                    self.verb = "HTTP";
                    self.refuse(Reason::Http, "");
                    rest.len()
                }
                State::Ready | State::Refused | State::Challenged(_) => {
                    let max = match self.state {
                        State::Challenged(_) => AUTH_LINE_MAX,
                        _ => COMMAND_LINE_MAX,
                    };
                    let (taken, framed) = self.framer.next(rest, max);
                    if let Some(framed) = framed {
                        self.line(now, framed, taken < rest.len());
                    } else if taken == 0 {
                        break;
                    }
                    taken
                }
                State::Data(_) => self.message_octets(now, rest, body),
                State::New | State::Waiting(_) | State::Closed => break,
            };
        }
        used
    }

    /// TLS without STARTTLS: a client that took this for another port. There is no line in it to
    /// wait for.
    fn is_tls_record(&self, input: &[u8]) -> bool {
        !self.tls && self.framer.at_line_start() && is_tls_handshake(input)
    }

    fn line(&mut self, now: Instant, framed: Framed<'_>, more: bool) {
        if let State::Challenged(_) = self.state {
            return self.challenge_answered(now, framed);
        }
        let line = match framed {
            Framed::Line(line) => line,
            Framed::TooLong => return self.wrong(now, Reason::LineTooLong, ""),
            Framed::BareLf => return self.wrong(now, Reason::CommandBareLf, ""),
            Framed::BareCr => return self.wrong(now, Reason::CommandBareCr, ""),
            Framed::Nul => return self.wrong(now, Reason::CommandNul, ""),
        };
        match Command::parse(line) {
            Ok(command) => self.command(now, command, more),
            Err(error) => self.syntax_error(now, error),
        }
    }

    /// What is next to be done, until there is nothing.
    pub fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is to be sent. The shell takes it before it waits for anything.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub fn wants(&self) -> Wants {
        match self.state {
            State::New | State::Waiting(_) => Wants::Answer,
            State::Closed => Wants::Nothing,
            _ => Wants::Input { deadline: self.deadline },
        }
    }

    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Decided(verdict) => self.decided(now, verdict),
            Event::Answered(answer) => self.answered(now, answer),
            Event::TlsDone => self.tls_done(now),
            Event::TlsFailed | Event::ClientGone => self.gone(),
            Event::Tick => self.tick(now),
            Event::Shutdown => self.shutdown(),
        }
    }

    fn tick(&mut self, now: Instant) {
        if let Wants::Input { deadline } = self.wants()
            && now >= deadline
        {
            self.refuse(Reason::Idle, "");
        }
    }

    fn shutdown(&mut self) {
        self.closing = true;
        if self.mail.is_none() && matches!(self.state, State::Ready | State::Refused) {
            self.refuse(Reason::Shutdown, "");
        }
    }

    /// The client is gone, in the middle of whatever it was.
    fn gone(&mut self) {
        if let State::Data(_) = self.state {
            self.actions.push_back(Action::DropMessage);
        }
        self.end_mail();
        self.close();
    }

    // ---- what others may look at

    pub fn id(&self) -> DecisionId {
        self.id
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn helo(&self) -> Option<&str> {
        match &self.state {
            State::Waiting(Waiting::Helo { name, .. }) => Some(name),
            _ => self.helo.as_deref(),
        }
    }

    pub fn esmtp(&self) -> bool {
        self.esmtp
    }

    pub fn tls(&self) -> bool {
        self.tls
    }

    pub fn auth(&self) -> Option<&Authenticated> {
        self.auth.as_deref()
    }

    pub fn mail(&self) -> Option<&Transaction> {
        self.mail.as_deref()
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The command that is being answered, as logs name it.
    pub fn stage_name(&self) -> &'static str {
        match &self.state {
            State::New | State::Waiting(Waiting::Connect) => "CONNECT",
            State::Waiting(Waiting::Helo { .. }) => "EHLO",
            State::Waiting(Waiting::Mail) => "MAIL",
            State::Waiting(Waiting::Rcpt | Waiting::Recipient) => "RCPT",
            State::Waiting(Waiting::Message | Waiting::Delivery) | State::Data(_) => {
                "END-OF-MESSAGE"
            }
            State::Waiting(Waiting::Auth(_)) | State::Challenged(_) => "AUTH",
            _ => self.verb,
        }
    }

    // ---- small steps that the other files share

    fn offer(&self) -> Offer<'_> {
        Offer {
            settings: &self.settings,
            backend: self.backend.as_deref(),
            tls: self.tls,
            authenticated: self.auth.is_some(),
        }
    }

    /// Counts a command that brought no mail further. True, and the session is over, when there
    /// were too many since the last MAIL that was accepted.
    fn idled(&mut self) -> bool {
        self.idle_commands += 1;
        let spent = self.idle_commands > self.settings.limits.idle_commands;
        if spent {
            self.refuse(Reason::TooManyErrors, "");
        }
        spent
    }

    fn ready(&mut self, now: Instant) {
        if self.closing && self.mail.is_none() {
            return self.refuse(Reason::Shutdown, "");
        }
        self.state = State::Ready;
        self.deadline = now + self.settings.limits.command_time;
    }

    fn wait(&mut self, action: Action, waiting: Waiting) {
        self.state = State::Waiting(waiting);
        self.actions.push_back(action);
    }

    /// Says something that is no refusal, or a refusal that is mere protocol.
    fn say(&mut self, reason: Reason, argument: &str) {
        reason.write_to(&self.settings.hostname, argument, &mut self.output);
    }

    fn send(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    /// Refuses for a reason of our own, records it where it is a decision, and closes where the
    /// reply is 421. The state is the caller's to set otherwise.
    fn refuse(&mut self, reason: Reason, argument: &str) {
        let mut reply = reason.reply(&self.settings.hostname, argument);
        if reason.row().decision {
            self.note_refusal(reason, &mut reply);
        }
        self.send(&reply);
        if reason.closes() {
            if let State::Data(_) = self.state {
                self.actions.push_back(Action::DropMessage);
            }
            self.end_mail();
            self.close();
        }
    }

    /// A refusal that is a decision: its reply gets the id, the shell is told. Outside a mail each
    /// has an id of its own.
    fn note_refusal(&mut self, reason: Reason, reply: &mut Reply) {
        reply.push_id(self.id);
        let (id, stage) = (self.id, self.stage_name());
        self.actions.push_back(Action::Refused { id, stage, reason, reply: reply.clone() });
        if self.mail.is_none() {
            self.id = self.ids.next_id();
        }
    }

    /// Refuses a command that was wrong, against the error budget.
    fn wrong(&mut self, now: Instant, reason: Reason, argument: &str) {
        self.errors += 1;
        if self.errors > self.settings.limits.errors {
            return self.refuse(Reason::TooManyErrors, "");
        }
        match self.state {
            State::Refused => self.refuse(Reason::RefusedBefore, ""),
            _ => self.refuse(reason, argument),
        }
        self.rest(now);
    }

    /// Back to waiting for a command, in the state the session was in before it.
    fn rest(&mut self, now: Instant) {
        match self.state {
            State::Closed => {}
            State::Refused => self.deadline = now + self.settings.limits.command_time,
            _ => self.ready(now),
        }
    }

    fn close(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Closed;
            self.actions.push_back(Action::Close);
        }
    }

    /// Forgets the mail, here and at the backend.
    fn end_mail(&mut self) {
        if let Some(mail) = self.mail.take() {
            if mail.upstream {
                self.actions.push_back(Action::Reset);
            }
            self.id = self.ids.next_id();
        }
    }

    /// Hands out the recipient that is being asked about.
    fn current(&mut self) -> Option<RcptCommand> {
        self.mail.as_mut().and_then(|mail| mail.current.take())
    }
}
