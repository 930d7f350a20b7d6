//! Does for the session what the shell does: carries out actions, brings events, keeps what is not
//! yet taken; and turns the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::session::{Action, Answer, Event, Limits, Role, Settings, Wants};
use portcullis::smtp::command::Command;
use portcullis::smtp::ehlo::Capabilities;

use crate::backend::Backend;
use crate::client::{Client, GOALS, Goal, Step};
use crate::coverage::Coverage;
use crate::observer::{Check, Observer};
use crate::planted::{Bug, Subject};
use crate::rng::Rng;
use crate::stream::Mode;

const STEPS: usize = 60;

pub(crate) struct Run {
    pub(crate) outcome: Check,
    pub(crate) coverage: Coverage,
    pub(crate) transcript: Vec<String>,
}

struct World {
    session: Box<dyn Subject>,
    observer: Observer,
    client: Client,
    backend: Backend,
    rng: Rng,
    now: Instant,
    /// Taken from the network, not yet by the session.
    parked: Vec<u8>,
    /// Still in the network.
    coming: Vec<u8>,
    receiving: Option<Vec<u8>>,
    /// Octets of a message came before anybody was told to get ready.
    lost: bool,
    transcript: Option<Vec<String>>,
}

/// One session from its start to its end.
pub(crate) fn play(seed: u64, bug: Option<Bug>, transcript: bool) -> Run {
    let mut world = World::new(seed, bug, transcript);
    let outcome = world.play();
    Run {
        outcome,
        coverage: world.observer.coverage,
        transcript: world.transcript.unwrap_or_default(),
    }
}

impl World {
    fn new(seed: u64, bug: Option<Bug>, transcript: bool) -> World {
        let mut rng = Rng::new(seed);
        let goal = *rng.pick(GOALS);
        let wants_tls = goal == Goal::Challenged || rng.permille(600);
        let role = match rng.below(4) {
            // Without TLS nobody gets far on a submission listener.
            0 | 1 if wants_tls && goal != Goal::Challenged => Role::Mx,
            _ if !wants_tls && rng.permille(800) => Role::Mx,
            0 | 2 => Role::Submission,
            _ => Role::Submissions,
        };
        let tls = role == Role::Submissions;
        let settings = Arc::new(settings(&mut rng, goal, role, wants_tls));
        let backend = (!rng.permille(20)).then(|| Arc::new(capabilities(&mut rng, goal)));
        let now = Instant::now();
        let ids = rng.bits();
        World {
            session: crate::planted::subject(bug, &settings, backend, tls, ids, now),
            observer: Observer::new(settings, tls, now),
            client: Client { rng: rng.fork(), goal, wants_tls, role },
            backend: Backend {
                rng: rng.fork(),
                faults: *rng.pick(&[0, 100, 300, 600]),
                refuses_connection: goal == Goal::Refused || rng.permille(30),
            },
            rng,
            now,
            parked: Vec::new(),
            coming: Vec::new(),
            receiving: None,
            lost: false,
            transcript: transcript.then(Vec::new),
        }
    }

    fn note(&mut self, who: &str, what: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.push(format!("{who} {}", what()));
        }
    }

    fn play(&mut self) -> Check {
        self.session.start(self.now);
        self.pump()?;
        for _ in 0..STEPS {
            if self.observer.closed {
                break;
            }
            match self.client.next(self.observer.view()) {
                Step::Send(octets) => self.send(octets)?,
                Step::Elapse(time) => self.elapse(time)?,
                Step::Shutdown => self.shut_down()?,
                Step::Disconnect => self.disconnect()?,
            }
        }
        // A client that wants to go can go, whatever it has done before.
        for _ in 0..6 {
            if !self.observer.closed {
                let octets = self.client.leave(self.observer.view());
                self.send(octets)?;
            }
        }
        if !self.observer.closed {
            return Err("the session does not end".into());
        }
        self.afterwards()
    }

    /// What comes late changes nothing.
    fn afterwards(&mut self) -> Check {
        let now = self.now + Duration::from_secs(10_000);
        let answer = self.backend.delivery().1;
        for event in [
            Event::Tick,
            Event::Answered(answer),
            Event::TlsDone,
            Event::Shutdown,
            Event::ClientGone,
        ] {
            self.session.handle(now, event);
        }
        let taken = self.session.input(now, b"NOOP\r\n", &mut |_| {});
        let silent = self.session.output().is_empty() && self.session.action().is_none();
        if taken == 0 && silent && self.session.wants() == Wants::Nothing {
            Ok(())
        } else {
            Err("a session that is over wakes up".into())
        }
    }

    fn send(&mut self, octets: Vec<u8>) -> Check {
        self.note("C:", || shown(&octets));
        self.coming.extend(octets);
        while !self.coming.is_empty() && !self.observer.closed {
            let length = self.client.chunk(self.coming.len());
            let chunk: Vec<u8> = self.coming.drain(..length).collect();
            self.observer.sent(self.now, &chunk);
            self.parked.extend(chunk);
            self.feed()?;
            if self.rng.permille(100) {
                self.now += Duration::from_millis(self.rng.below(2000) as u64);
            }
        }
        Ok(())
    }

    fn feed(&mut self) -> Check {
        while !self.parked.is_empty() && !self.observer.closed {
            let (receiving, lost) = (&mut self.receiving, &mut self.lost);
            let used = self.session.input(self.now, &self.parked, &mut |octets| match receiving {
                Some(body) => body.extend_from_slice(octets),
                None => *lost = true,
            });
            if self.lost {
                return Err("octets that nobody was ready for".into());
            }
            self.parked.drain(..used);
            self.pump()?;
            if used == 0 {
                break;
            }
        }
        let parked = self.parked.len();
        self.observer.settled(self.now, self.session.wants(), parked)
    }

    /// All that the session has to say and to do.
    fn pump(&mut self) -> Check {
        self.listen()?;
        while let Some(action) = self.session.action() {
            self.note("A:", || format!("{action:?}"));
            self.observer.action(&action, self.receiving.as_deref())?;
            if let Some(event) = self.perform(action)? {
                self.note("E:", || format!("{event:?}"));
                self.session.handle(self.now, event);
                self.listen()?;
            }
        }
        self.listen()
    }

    fn listen(&mut self) -> Check {
        let output = std::mem::take(self.session.output());
        if !output.is_empty() {
            self.note("S:", || shown(&output));
        }
        self.observer.output(self.now, &output)
    }

    fn perform(&mut self, action: Action) -> Result<Option<Event>, String> {
        match action {
            Action::BeginMessage => self.receiving = Some(Vec::new()),
            Action::DropMessage => self.receiving = None,
            _ => {}
        }
        let awaited = matches!(
            action,
            Action::Ask(_)
                | Action::Recipient
                | Action::Deliver(_)
                | Action::Auth(_)
                | Action::Pass(_)
                | Action::StartTls
        );
        if !awaited {
            return Ok(None);
        }
        if let Some(event) = self.meanwhile()? {
            return Ok(Some(event));
        }
        Ok(Some(match action {
            Action::Ask(stage) => {
                let (verdict, reason) = self.backend.decide(stage, &self.address());
                if let Some(reason) = reason {
                    self.observer.coverage.give(reason);
                }
                self.observer.decided(stage, &verdict);
                Event::Decided(verdict)
            }
            Action::StartTls => {
                // Octets that are still on their way come in the clear: that is no handshake.
                if !self.parked.is_empty() || !self.coming.is_empty() || self.rng.permille(50) {
                    self.observer.coverage.meet("end: TLS failed");
                    self.observer.gone();
                    return Ok(Some(Event::TlsFailed));
                }
                self.observer.tls_done(self.now);
                Event::TlsDone
            }
            action => self.ask_backend(&action),
        }))
    }

    fn ask_backend(&mut self, action: &Action) -> Event {
        self.now += Duration::from_millis(self.rng.below(9000) as u64);
        let responded = self.observer.view().mode == Mode::Response;
        let (of, (kind, answer)) = match action {
            Action::Recipient => ("recipient", self.backend.recipient(&self.address())),
            Action::Deliver(_) => ("delivery", self.backend.delivery()),
            Action::Auth(line) => {
                let initial = line.expose().split(|octet| *octet == b' ').count() == 3;
                ("auth", self.backend.auth(responded || initial))
            }
            _ => ("pass", self.backend.pass()),
        };
        self.observer.coverage.meet(&format!("{of}: {kind}"));
        self.observer.answered(&answer);
        if let Answer::Failed(reason) = &answer {
            let reason = *reason;
            self.note("B:", || format!("{reason:?}"));
        }
        Event::Answered(answer)
    }

    /// Things that happen while an answer is awaited.
    fn meanwhile(&mut self) -> Result<Option<Event>, String> {
        if self.rng.permille(100) {
            let deadline = self.now + Duration::from_secs(100_000);
            self.session.handle(deadline, Event::Tick);
            if self.session.input(self.now, b"NOOP\r\n", &mut |_| {}) > 0 {
                return Err(
                    "executed out of turn: input was taken while an answer is outstanding".into()
                );
            }
            self.listen()?;
        }
        if self.rng.permille(8) {
            self.observer.stopped();
            self.session.handle(self.now, Event::Shutdown);
            self.listen()?;
        }
        if self.rng.permille(8) {
            self.observer.gone();
            return Ok(Some(Event::ClientGone));
        }
        Ok(None)
    }

    fn elapse(&mut self, time: Duration) -> Check {
        let Wants::Input { deadline } = self.session.wants() else { return Ok(()) };
        let until = self.now + time;
        self.now = until;
        let due = until >= deadline;
        self.note("T:", || format!("{time:?}, due {due}"));
        let received = self.observer.stream.rest().len();
        self.session.handle(self.now, Event::Tick);
        self.pump()?;
        if due {
            self.observer.timed_out(received > 0)?;
        }
        self.feed()
    }

    fn shut_down(&mut self) -> Check {
        self.note("T:", || "shutdown".into());
        self.observer.stopped();
        self.session.handle(self.now, Event::Shutdown);
        self.pump()?;
        self.feed()
    }

    fn disconnect(&mut self) -> Check {
        self.note("T:", || "the client is gone".into());
        self.observer.gone();
        self.session.handle(self.now, Event::ClientGone);
        self.pump()?;
        self.feed()
    }

    /// The local part of the command that is being worked on.
    fn address(&self) -> String {
        let view = self.observer.view();
        let unit = self.observer.stream.peek(view.mode, view.tls);
        match unit.and_then(|unit| unit.command().ok()) {
            Some(Command::Mail(mail)) => mail.path.to_string().replace('<', ""),
            Some(Command::Rcpt(rcpt)) => rcpt.path.to_string().replace('<', ""),
            _ => String::new(),
        }
    }
}

fn shown(octets: &[u8]) -> String {
    let text: String = octets.escape_ascii().to_string();
    if text.len() > 600 { format!("{}… ({})", &text[..600], octets.len()) } else { text }
}

fn settings(rng: &mut Rng, goal: Goal, role: Role, wants_tls: bool) -> Settings {
    let tiny = rng.permille(200);
    let pick = |small, large| if tiny { small } else { large };
    let limits = Limits {
        recipients: pick(2, 6),
        errors: pick(3, 30) as u32,
        auth_failures: pick(2, 3) as u32,
        messages: pick(2, 40) as u32,
        message_size: pick(60, 3000) as u64,
        line: pick(40, 50) as u64,
        idle_commands: pick(4, 60) as u32,
        command_time: Duration::from_secs(300),
        data_time: Duration::from_secs(180),
        data_rate: pick(1, 100) as u64,
    };
    Settings {
        hostname: "mx.example.com".into(),
        role,
        tls: wants_tls || rng.permille(500),
        ask_connect: goal == Goal::Refused || rng.permille(500),
        ask_helo: rng.permille(500),
        ask_mail: rng.permille(500),
        pass_vrfy: rng.permille(500),
        pass_expn: rng.permille(500),
        pass_etrn: rng.permille(500),
        limits,
    }
}

fn capabilities(rng: &mut Rng, goal: Goal) -> Capabilities {
    let mechanisms: &[&[&str]] =
        &[&["PLAIN", "LOGIN"], &["LOGIN", "PLAIN", "SCRAM-SHA-256"], &["PLAIN"], &[]];
    let auth = if goal == Goal::Challenged || rng.permille(700) { 0 } else { rng.below(4) };
    Capabilities {
        size: *rng.pick(&[None, Some(0), Some(100), Some(10_000_000)]),
        pipelining: rng.permille(500),
        eight_bit_mime: rng.permille(700),
        smtputf8: rng.permille(700),
        dsn: rng.permille(700),
        etrn: rng.permille(700),
        auth: mechanisms[auth].iter().map(|name| (*name).to_owned()).collect(),
        ..Capabilities::default()
    }
}
