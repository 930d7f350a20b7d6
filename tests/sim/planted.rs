//! Sessions with a bug in them: the simulation must find each, or it would find none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use portcullis::facts::Stage;
use portcullis::policy::Evaluation;
use portcullis::session::{Action, Answer, Event, Role, Session, Settings, Wants};
use portcullis::smtp::ehlo::Capabilities;
use portcullis::smtp::reply::Reply;
use portcullis::verdict::{Verdict, decide};

/// A session, or what pretends to be one.
pub(crate) trait Subject {
    fn start(&mut self, now: Instant);
    fn input(&mut self, now: Instant, input: &[u8], body: &mut dyn FnMut(&[u8])) -> usize;
    fn action(&mut self) -> Option<Action>;
    fn output(&mut self) -> &mut Vec<u8>;
    fn wants(&self) -> Wants;
    fn handle(&mut self, now: Instant, event: Event);
}

impl Subject for Session {
    fn start(&mut self, now: Instant) {
        Session::start(self, now);
    }

    fn input(&mut self, now: Instant, input: &[u8], body: &mut dyn FnMut(&[u8])) -> usize {
        Session::input(self, now, input, body)
    }

    fn action(&mut self) -> Option<Action> {
        Session::action(self)
    }

    fn output(&mut self) -> &mut Vec<u8> {
        Session::output(self)
    }

    fn wants(&self) -> Wants {
        Session::wants(self)
    }

    fn handle(&mut self, now: Instant, event: Event) {
        Session::handle(self, now, event);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The end of a message is answered 250 before the backend has it.
    OwnOk,
    /// One reply is not sent.
    DroppedReply,
    /// RSET is answered and forgets nothing.
    LostRset,
    /// The backend is not told of the reset.
    SilentReset,
    /// LF.LF ends a message.
    LfDotLf,
    /// Stuffed dots stay.
    DotsStay,
    /// A submission listener takes mail without AUTH.
    NoAuth,
    /// Each octet buys time.
    MovingDeadline,
    /// What the policy says of messages is not heard.
    RefusalIgnored,
    /// A recipient that the backend defers is accepted.
    InventedRecipient,
    /// Recipients of all groups share a message.
    MixedGroups,
    /// 421, and on it goes.
    NoClose,
    /// A message that comes with DATA is read before anybody is ready for it.
    EarlyOctets,
}

pub(crate) fn subject(
    bug: Option<Bug>,
    settings: &Arc<Settings>,
    backend: Option<Arc<Capabilities>>,
    tls: bool,
    seed: u64,
    now: Instant,
) -> Box<dyn Subject> {
    let mut settings = settings.clone();
    if bug == Some(Bug::NoAuth) {
        settings = Arc::new(Settings { role: Role::Mx, ..(*settings).clone() });
    }
    let session = Session::new(settings, backend, tls, seed, now);
    match bug {
        None => Box::new(session),
        Some(bug) => Box::new(Planted {
            session,
            bug,
            replies: 0,
            in_data: false,
            last_input: now,
            stage: None,
            recipient: false,
            queue: VecDeque::new(),
        }),
    }
}

struct Planted {
    session: Session,
    bug: Bug,
    replies: usize,
    in_data: bool,
    last_input: Instant,
    stage: Option<Stage>,
    recipient: bool,
    queue: VecDeque<Action>,
}

impl Planted {
    fn spoil_output(&mut self) {
        let output = self.session.output();
        if output.is_empty() {
            return;
        }
        self.in_data = output.ends_with(b"<CR><LF>.<CR><LF>\r\n");
        self.replies += 1;
        if self.bug == Bug::DroppedReply && self.replies == 4 && !output.starts_with(b"421") {
            output.clear();
        }
    }

    /// What the session is given in place of what came, and how much of that it stands for.
    fn spoil_input(&self, input: &[u8]) -> Option<(Vec<u8>, usize)> {
        let find = |what: &[u8]| input.windows(what.len()).position(|window| window == what);
        match self.bug {
            Bug::LostRset if !self.in_data && input.starts_with(b"RSET\r\n") => {
                Some((b"NOOP\r\n".to_vec(), 6))
            }
            Bug::LfDotLf if self.in_data => {
                let at = find(b"\n.\n")?;
                Some(([&input[..at], b"\r\n.\r\n"].concat(), at + 3))
            }
            Bug::DotsStay if self.in_data => {
                let at = find(b"\r\n..")?;
                Some(([&input[..at + 4], b"."].concat(), at + 4))
            }
            _ => None,
        }
    }
}

impl Subject for Planted {
    fn start(&mut self, now: Instant) {
        self.session.start(now);
        self.spoil_output();
    }

    fn input(&mut self, now: Instant, input: &[u8], body: &mut dyn FnMut(&[u8])) -> usize {
        self.last_input = now;
        let mut used = match self.spoil_input(input) {
            Some((spoilt, stands_for)) => match self.session.input(now, &spoilt, body) {
                taken if taken == spoilt.len() => stands_for,
                taken => taken.min(stands_for),
            },
            None => self.session.input(now, input, body),
        };
        if self.bug == Bug::EarlyOctets {
            while let Some(action) = self.session.action() {
                self.queue.push_back(action);
                used += self.session.input(now, &input[used..], body);
            }
        }
        self.spoil_output();
        used
    }

    fn action(&mut self) -> Option<Action> {
        let action = self.queue.pop_front().or_else(|| self.session.action())?;
        match (self.bug, action) {
            (Bug::OwnOk, Action::Deliver(_)) => {
                let reply = Reply::bare(250, "queued");
                self.session.handle(self.last_input, Event::Answered(Answer::Reply(reply)));
                self.action()
            }
            (Bug::SilentReset, Action::Reset) | (Bug::NoClose, Action::Close) => self.action(),
            (_, action) => {
                if let Action::Ask(stage) = action {
                    self.stage = Some(stage);
                }
                self.recipient = matches!(action, Action::Recipient);
                Some(action)
            }
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        self.session.output()
    }

    fn wants(&self) -> Wants {
        match self.session.wants() {
            Wants::Input { deadline } if self.bug == Bug::MovingDeadline => {
                let limit = self.session.settings().limits.command_time;
                Wants::Input { deadline: deadline.max(self.last_input + limit) }
            }
            wants => wants,
        }
    }

    fn handle(&mut self, now: Instant, event: Event) {
        let pass = |group| decide(&Evaluation::default(), group, |_| {});
        let event = match (self.bug, event) {
            (Bug::RefusalIgnored, Event::Decided(Verdict::Refuse(_)))
                if self.stage == Some(Stage::Message) =>
            {
                Event::Decided(pass(0))
            }
            (Bug::MixedGroups, Event::Decided(Verdict::Pass { .. })) => Event::Decided(pass(0)),
            (Bug::InventedRecipient, Event::Answered(Answer::Reply(reply)))
                if self.recipient && reply.code() / 100 == 4 =>
            {
                Event::Answered(Answer::Reply(Reply::bare(250, "ok")))
            }
            (_, event) => event,
        };
        self.session.handle(now, event);
        self.spoil_output();
    }
}
