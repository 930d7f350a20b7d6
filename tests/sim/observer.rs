//! Watches a session from outside and knows what SMTP allows. It reads what the client sent, what
//! it was answered, the actions and the events; of the session it knows nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::facts::Stage;
use portcullis::session::{Action, Answer, Settings, Wants};
use portcullis::smtp::command::Command;
use portcullis::smtp::reply::Class;
use portcullis::verdict::{Reason, Verdict};

use crate::client::View;
use crate::coverage::Coverage;
use crate::reply::{self, Reply};
use crate::stream::{Mode, Stream, Unit};

pub(crate) type Check = Result<(), String>;

/// A session's output between two looks, and what of its input may lie untaken.
const OUTPUT_MAX: usize = 128 << 10;
const PARKED_MAX: usize = 12288;

#[derive(Debug, Default)]
struct Mail {
    groups: Vec<u64>,
    named: usize,
}

/// What was done for the command that is not yet answered.
#[derive(Debug, Default)]
struct Work {
    passed: Option<Stage>,
    refused: Option<(Stage, u16)>,
    group: u64,
    /// What the backend said, as what the client must be told.
    told: Option<u16>,
    recipient: bool,
    delivered: bool,
    last_refusal: Option<(u16, String)>,
}

#[derive(Debug)]
pub(crate) struct Observer {
    settings: Arc<Settings>,
    pub(crate) stream: Stream,
    pub(crate) coverage: Coverage,
    mode: Mode,
    greeted: bool,
    refused: bool,
    tls: bool,
    helo: bool,
    authenticated: bool,
    mail: Option<Mail>,
    /// The backend was given a recipient, and neither the message nor a reset since.
    upstream: bool,
    /// The backend waits in a SASL exchange.
    sasl: bool,
    outstanding: Option<&'static str>,
    work: Work,
    /// 221 or 421 was said.
    over: bool,
    gone: bool,
    stopping: bool,
    pub(crate) closed: bool,
    /// When the client was last told something, or TLS came.
    since: Instant,
    octets: Instant,
    wrong: u32,
    auth_failures: u32,
    messages: u32,
    /// Commands since the last MAIL that was accepted, without RCPT.
    idle: u32,
    ids: Vec<String>,
}

impl Observer {
    pub(crate) fn new(settings: Arc<Settings>, tls: bool, now: Instant) -> Observer {
        Observer {
            settings,
            stream: Stream::default(),
            coverage: Coverage::default(),
            mode: Mode::Command,
            greeted: false,
            refused: false,
            tls,
            helo: false,
            authenticated: false,
            mail: None,
            upstream: false,
            sasl: false,
            outstanding: None,
            work: Work::default(),
            over: false,
            gone: false,
            stopping: false,
            closed: false,
            since: now,
            octets: now,
            wrong: 0,
            auth_failures: 0,
            messages: 0,
            idle: 0,
            ids: Vec::new(),
        }
    }

    pub(crate) fn view(&self) -> View {
        View {
            mode: self.mode,
            refused: self.refused,
            tls: self.tls,
            helo: self.helo,
            mail: self.mail.is_some(),
            named: self.mail.as_ref().is_some_and(|mail| mail.named > 0),
            accepted: self.mail.as_ref().map_or(0, |mail| mail.groups.len()),
            authenticated: self.authenticated,
            partial: !self.stream.rest().is_empty(),
        }
    }

    fn place(&self) -> &'static str {
        let tls = usize::from(self.tls);
        match &self.mail {
            _ if self.refused => "refused",
            None if !self.helo => ["greeted", "tls greeted"][tls],
            None => ["hello", "tls hello"][tls],
            Some(mail) if mail.named == 0 => ["mail", "tls mail"][tls],
            Some(mail) if mail.groups.is_empty() => ["mail without", "tls mail without"][tls],
            Some(_) => ["mail with recipients", "tls mail with recipients"][tls],
        }
    }

    // ---- what happens

    pub(crate) fn sent(&mut self, now: Instant, octets: &[u8]) {
        self.stream.push(octets);
        self.octets = now;
    }

    pub(crate) fn gone(&mut self) {
        let place = match self.mode {
            _ if !self.greeted => "in greeting",
            _ if self.outstanding.is_some() => "while waiting",
            Mode::Command => "in command",
            Mode::Response => "in response",
            Mode::Data => "in data",
        };
        self.coverage.meet(&format!("end: gone {place}"));
        self.gone = true;
        self.outstanding = None;
        self.mail = None;
    }

    pub(crate) fn stopped(&mut self) {
        let place = match self.mode {
            _ if self.outstanding.is_some() => "while waiting",
            Mode::Command if self.mail.is_none() => "at rest",
            Mode::Command => "in mail",
            Mode::Response => "in response",
            Mode::Data => "in data",
        };
        self.coverage.meet(&format!("end: stopped {place}"));
        self.stopping = true;
    }

    pub(crate) fn decided(&mut self, stage: Stage, verdict: &Verdict) {
        self.outstanding = None;
        match verdict {
            Verdict::Pass { group, .. } => {
                self.work.passed = Some(stage);
                self.work.group = *group;
            }
            Verdict::Refuse(refusal) => self.work.refused = Some((stage, refusal.reply.code())),
        }
    }

    pub(crate) fn answered(&mut self, answer: &Answer) {
        let of = self.outstanding.take().unwrap_or_default();
        self.work.told = Some(match answer {
            Answer::Failed(_) if of == "auth" => 454,
            Answer::Failed(reason) => reason.row().code,
            Answer::Reply(reply) => match (of, reply.code(), reply.class()) {
                ("auth", 334, _) if !reply.text().contains('\n') => 334,
                ("auth", 235, _) => 235,
                ("auth", _, Class::Success | Class::Intermediate) | (_, _, Class::Intermediate) => {
                    451
                }
                (_, code, _) => code,
            },
        });
        match of {
            "delivery" => self.upstream = false,
            // In the middle of an exchange, or nobody knows.
            "auth" => {
                self.sasl = matches!(answer, Answer::Reply(reply)
                    if reply.code() != 235 && reply.code() != 421
                        && matches!(reply.class(), Class::Success | Class::Intermediate));
            }
            _ => {}
        }
    }

    pub(crate) fn tls_done(&mut self, now: Instant) {
        self.coverage.meet("end: TLS done");
        self.outstanding = None;
        self.tls = true;
        self.helo = false;
        self.authenticated = false;
        self.since = now;
    }

    pub(crate) fn output(&mut self, now: Instant, output: &[u8]) -> Check {
        if output.is_empty() {
            return Ok(());
        }
        if self.gone || self.closed {
            return Err("output after the end".into());
        }
        if self.outstanding.is_some() {
            return Err("executed out of turn: a reply while an answer is outstanding".into());
        }
        if output.len() > OUTPUT_MAX {
            return Err(format!("{} octets of output", output.len()));
        }
        for reply in reply::parse(output)? {
            self.reply(now, &reply)?;
        }
        Ok(())
    }

    fn reply(&mut self, now: Instant, reply: &Reply) -> Check {
        if self.over {
            return Err(format!("a reply after 221 or 421: {reply:?}"));
        }
        let line = reply.lines.first().map_or("", String::as_str);
        let host = &self.settings.hostname;
        self.coverage.tell(host, reply.code, reply.enhanced.as_deref(), line);
        self.since = now;
        if !self.greeted {
            self.greeted = true;
            return self.greeting(reply);
        }
        let Some(unit) = self.stream.peek(self.mode, self.tls) else {
            self.over = reply.code == 421;
            self.mail = None;
            return if self.over {
                Ok(())
            } else {
                Err(format!("reply without a command: {reply:?}"))
            };
        };
        let more = self.stream.rest().len() > unit.raw.len();
        self.stream.take(&unit);
        self.over |= reply.code == 421;
        let outcome = match unit.mode {
            Mode::Command => self.command(&unit, reply, more),
            Mode::Response => self.response(&unit, reply),
            Mode::Data => self.message(&unit, reply),
        };
        if self.over {
            self.mail = None;
        }
        let work = std::mem::take(&mut self.work);
        self.work.last_refusal = Some((reply.code, reply.lines.concat()));
        let shown = String::from_utf8_lossy(&unit.raw).chars().take(200).collect::<String>();
        outcome.map_err(|error| format!("{error}; after {shown:?} {work:?} said {reply:?}"))
    }

    // ---- what may be said

    fn greeting(&mut self, reply: &Reply) -> Check {
        match reply.code {
            220 if reply.enhanced.is_none() => {
                let asked = self.work.passed == Some(Stage::Connect);
                if asked != self.settings.ask_connect {
                    return Err("a greeting without a verdict".into());
                }
            }
            421 => self.over = true,
            code if self.work.refused == Some((Stage::Connect, code)) => self.refused = true,
            _ => return Err(format!("a greeting of {reply:?}")),
        }
        self.work = Work::default();
        self.work.last_refusal = Some((reply.code, reply.lines.concat()));
        Ok(())
    }

    fn command(&mut self, unit: &Unit, reply: &Reply, more: bool) -> Check {
        let command = unit.command();
        let name = match &command {
            Ok(Command::Obsolete(_)) => "obsolete",
            Ok(Command::Forbidden(_)) => "forbidden",
            Ok(command) => command.verb(),
            Err(what) => what,
        };
        let place = self.place();
        self.coverage.meet(&format!("{place}: {name}"));
        if unit.record {
            self.coverage.meet("end: TLS record");
        }
        self.count(&command, reply)?;
        let ehlo = matches!(command, Ok(Command::Ehlo(_) | Command::Helo(_)));
        let bare = reply.code / 100 == 3 || ehlo && reply.is_success();
        if reply.enhanced.is_none() != bare {
            return Err("an enhanced code too many or too few".into());
        }
        let (code, over) = (reply.code, reply.code == 421);
        if self.refused && !matches!(command, Ok(Command::Quit)) {
            return expect(over || code == 503, "served after a refusing greeting");
        }
        if let Some((_, refused)) = self.work.refused {
            let asked = matches!(
                command,
                Ok(Command::Ehlo(_) | Command::Helo(_) | Command::Mail(_) | Command::Rcpt(_))
            );
            expect(asked && (code == refused || over), "the policy said otherwise")?;
        }
        match command {
            Ok(Command::Ehlo(_) | Command::Helo(_)) => {
                if reply.is_success() {
                    let asked = self.work.passed == Some(Stage::Helo);
                    expect(
                        code == 250 && asked == self.settings.ask_helo,
                        "EHLO without a verdict",
                    )?;
                    self.helo = true;
                }
                self.mail = None;
                expect(reply.is_success() || over || self.work.refused.is_some(), "EHLO refused")
            }
            Ok(Command::Mail(_)) => self.mail(code),
            Ok(Command::Rcpt(_)) => self.rcpt(code),
            Ok(Command::Data) => self.data(code),
            Ok(Command::Rset) => {
                self.mail = None;
                expect(over || code == 250, "RSET is always granted")
            }
            Ok(Command::Noop) => expect(over || code == 250, "NOOP is always granted"),
            Ok(Command::Help(_)) => expect(over || code == 214, "HELP is always granted"),
            Ok(Command::Quit) => {
                self.over = true;
                self.mail = None;
                expect(code == 221, "QUIT is always granted")
            }
            Ok(Command::Vrfy(_) | Command::Expn(_) | Command::Etrn(_)) => match self.work.told {
                Some(told) => expect(code == told, "the backend said otherwise"),
                None => expect([252, 421, 502, 503].contains(&code), "nothing was asked"),
            },
            Ok(Command::StartTls) => {
                if code == 220 {
                    expect(!self.tls && self.settings.tls && !more, "STARTTLS granted")?;
                    self.mail = None;
                }
                if more && over {
                    self.coverage.meet("end: TLS injected");
                }
                let fits = !self.tls && self.settings.tls && !more;
                expect(over || (code == 220) == fits, "STARTTLS is granted where it can be")
            }
            Ok(Command::Auth { .. }) => self.auth(code),
            Ok(Command::Bdat { .. } | Command::Obsolete(_)) => {
                expect(over || code == 502, "not offered")
            }
            Ok(Command::Forbidden(_)) => expect(over || code == 550, "not for strangers"),
            Ok(Command::Http) => expect(over, "HTTP"),
            Ok(Command::Unknown(_)) => expect(over || code == 500, "not known"),
            Err(_) => expect(over || [500, 501, 555].contains(&code), "malformed"),
        }
    }

    /// Budgets: wrong commands, and commands that lead nowhere.
    fn count(&mut self, command: &Result<Command, &'static str>, reply: &Reply) -> Check {
        let limits = &self.settings.limits;
        // Neither the policy nor the backend of the simulation has these.
        if matches!(reply.code, 500..=504 | 530 | 538 | 555) {
            self.wrong += 1;
        }
        expect(self.wrong <= limits.errors, "the error budget is overdrawn")?;
        match command {
            Ok(Command::Rcpt(_)) => {
                let named = self.mail.as_mut().map_or(0, |mail| {
                    mail.named += 1;
                    mail.named
                });
                let most = limits.recipients + limits.idle_commands as usize + 1;
                expect(named <= most, "recipients without end")
            }
            Ok(Command::Mail(_)) if reply.code == 250 => {
                self.idle = 0;
                self.messages += 1;
                expect(self.messages <= limits.messages, "mails without end")
            }
            _ => {
                self.idle += 1;
                let most = limits.idle_commands + limits.errors + limits.auth_failures + 3;
                expect(self.idle <= most, "commands without end")
            }
        }
    }

    fn mail(&mut self, code: u16) -> Check {
        if code / 100 == 2 {
            let submission = self.settings.role.is_submission();
            expect(!submission || self.authenticated, "MAIL without AUTH")?;
            expect(self.helo, "MAIL without EHLO")?;
            expect(self.mail.is_none(), "nested MAIL")?;
            let asked = self.work.passed == Some(Stage::Mail);
            expect(code == 250 && asked == self.settings.ask_mail, "MAIL without a verdict")?;
            self.mail = Some(Mail::default());
            return Ok(());
        }
        if !self.helo || self.mail.is_some() {
            return expect(code == 503 || code == 421, "MAIL out of order");
        }
        Ok(())
    }

    fn rcpt(&mut self, code: u16) -> Check {
        let work = &self.work;
        let Some(mail) = &mut self.mail else {
            return expect(code == 503 || code == 421, "RCPT without MAIL");
        };
        if let Some(told) = work.told {
            expect(code == told, "the backend said otherwise to RCPT")?;
        }
        if code / 100 == 2 {
            expect(work.recipient && work.passed == Some(Stage::Rcpt), "RCPT accepted by itself")?;
            mail.groups.push(work.group);
            expect(mail.groups.len() <= self.settings.limits.recipients, "too many recipients")?;
            expect(
                mail.groups.iter().all(|group| *group == mail.groups[0]),
                "recipients of two groups",
            )?;
        }
        Ok(())
    }

    fn data(&mut self, code: u16) -> Check {
        let over = code == 421;
        match &self.mail {
            None => expect(over || code == 503, "DATA without MAIL"),
            Some(mail) if mail.groups.is_empty() && mail.named == 0 => {
                expect(over || code == 503, "DATA without RCPT")
            }
            Some(mail) if mail.groups.is_empty() => {
                expect(over || code == 554, "DATA after none was accepted")
            }
            Some(_) => {
                self.mode = Mode::Data;
                if !self.stream.rest().is_empty() {
                    self.coverage.meet("end: message pipelined after DATA");
                }
                expect(code == 354, "DATA is granted")
            }
        }
    }

    fn auth(&mut self, code: u16) -> Check {
        self.mode = if code == 334 { Mode::Response } else { Mode::Command };
        let Some(told) = self.work.told else {
            return expect(code / 100 >= 4, "AUTH granted without the backend");
        };
        let legal =
            self.settings.role.is_submission() && self.tls && self.helo && self.mail.is_none();
        expect(legal && !self.authenticated, "AUTH out of order")?;
        expect(code == told || code == 421, "the backend said otherwise to AUTH")?;
        self.authenticated |= code == 235;
        if told / 100 == 5 {
            self.auth_failures += 1;
            let most = self.settings.limits.auth_failures;
            expect(self.auth_failures < most || code == 421, "passwords without end")?;
        }
        Ok(())
    }

    fn response(&mut self, unit: &Unit, reply: &Reply) -> Check {
        let kind = unit.response();
        self.coverage.meet(&format!("response: {kind}"));
        let bare = reply.code / 100 == 3;
        expect(reply.enhanced.is_none() == bare, "an enhanced code too many or too few")?;
        self.mode = Mode::Command;
        if kind == "base64" {
            return self.auth(reply.code);
        }
        expect(self.work.told.is_none(), "a malformed response was relayed")?;
        if matches!(reply.code, 500..=504) {
            self.wrong += 1;
        }
        expect(self.wrong <= self.settings.limits.errors, "the error budget is overdrawn")?;
        expect([421, 500, 501].contains(&reply.code), "a malformed response was taken")
    }

    fn message(&mut self, unit: &Unit, reply: &Reply) -> Check {
        self.mode = Mode::Command;
        self.mail = None;
        let message = unit.message();
        let flawed = message.flawed;
        self.coverage.meet(if flawed { "end: message flawed" } else { "end: message sound" });
        if message.text.is_empty() {
            self.coverage.meet("end: message empty");
        }
        if message.text.windows(3).any(|window| window == b"\n..") {
            self.coverage.meet("end: message with dots");
        }
        expect(reply.enhanced.is_some(), "no enhanced code")?;
        if let Some((stage, code)) = self.work.refused {
            expect(stage == Stage::Message && code == reply.code, "the policy said otherwise")?;
        }
        if let Some(told) = self.work.told {
            expect(told == reply.code, "the backend said otherwise to the message")?;
        }
        if flawed || message.longest_line as u64 > self.settings.limits.line {
            expect(reply.code / 100 == 5, "a flawed message was not refused")?;
        }
        if reply.is_success() {
            expect(self.work.delivered, "accepted without the backend")?;
        }
        Ok(())
    }

    // ---- what may be done

    pub(crate) fn action(&mut self, action: &Action, body: Option<&[u8]>) -> Check {
        if self.closed {
            return Err(format!("an action after the end: {action:?}"));
        }
        if let Some(awaited) = self.outstanding
            && !self.gone
            && !matches!(action, Action::Refused { .. } | Action::Reset | Action::DropMessage)
        {
            return Err(format!("executed out of turn: {action:?} while {awaited} is outstanding"));
        }
        let unit = self.stream.peek(self.mode, self.tls);
        let command = unit.as_ref().filter(|unit| unit.mode == Mode::Command);
        let command = command.and_then(|unit| unit.command().ok());
        match action {
            Action::Ask(stage) => {
                let fits = match (stage, &command) {
                    (Stage::Connect, _) => !self.greeted,
                    (Stage::Helo, Some(Command::Ehlo(_) | Command::Helo(_))) => true,
                    (Stage::Mail, Some(Command::Mail(_))) => self.helo && self.mail.is_none(),
                    (Stage::Rcpt, Some(Command::Rcpt(_))) => self.mail.is_some(),
                    (Stage::Message, None) => unit.as_ref().is_some_and(|unit| {
                        let message = unit.message();
                        unit.mode == Mode::Data
                            && !message.flawed
                            && message.text.len() as u64 <= self.settings.limits.message_size
                            && message.longest_line as u64 <= self.settings.limits.line
                    }),
                    _ => false,
                };
                self.outstanding = Some("verdict");
                if *stage == Stage::Helo {
                    self.mail = None;
                }
                expect(fits, &format!("asked for {stage:?} out of place"))
            }
            Action::Recipient => {
                let passed = self.work.passed == Some(Stage::Rcpt);
                let fits = passed && matches!(command, Some(Command::Rcpt(_)));
                self.outstanding = Some("recipient");
                self.work.recipient = true;
                expect(fits && !self.sasl, "a recipient out of place")?;
                let first = self.mail.as_ref().is_none_or(|mail| mail.named == 0);
                expect(!(first && self.upstream), "the backend was not reset before a recipient")?;
                self.upstream = true;
                Ok(())
            }
            Action::BeginMessage => expect(self.mode == Mode::Data, "a message without 354"),
            Action::DropMessage => Ok(()),
            Action::Deliver(_) => {
                self.outstanding = Some("delivery");
                let refused = self.work.refused.is_some();
                expect(!refused, "refused, yet delivered")?;
                expect(self.work.passed == Some(Stage::Message), "delivered without a verdict")?;
                expect(!self.work.delivered, "delivered twice")?;
                self.work.delivered = true;
                let accepted = self.mail.as_ref().map_or(0, |mail| mail.groups.len());
                expect(accepted > 0, "delivered to nobody")?;
                let unit = unit.filter(|unit| unit.mode == Mode::Data);
                let Some(message) = unit.map(|unit| unit.message()) else {
                    return Err(
                        "executed out of turn: delivered before the end of the message".into()
                    );
                };
                expect(body == Some(&message.text), "the message differs from what was sent")
            }
            Action::Reset => {
                expect(self.upstream || self.sasl || self.gone, "a reset of nothing")?;
                self.upstream = false;
                self.sasl = false;
                Ok(())
            }
            Action::Auth(line) => {
                let response = unit.as_ref().is_some_and(|unit| unit.mode == Mode::Response);
                let fits = match command {
                    Some(Command::Auth { .. }) => !self.sasl,
                    _ => response && self.sasl,
                };
                self.outstanding = Some("auth");
                expect(fits && self.tls, "AUTH out of place")?;
                let line = line.expose();
                let one = !line.iter().any(|octet| b"\r\n\0".contains(octet));
                expect(one, "more than one line for the backend")
            }
            Action::Pass(line) => {
                let fits =
                    matches!(command, Some(Command::Vrfy(_) | Command::Expn(_) | Command::Etrn(_)));
                self.outstanding = Some("pass");
                let one = !line.iter().any(|octet| octet.is_ascii_control());
                expect(fits && one && !self.sasl && !self.upstream, "passed on out of place")
            }
            Action::StartTls => {
                self.outstanding = Some("tls");
                Ok(())
            }
            Action::Refused { id, reason, reply, .. } => {
                self.noted(&id.to_string(), *reason, reply)
            }
            Action::Close => {
                self.closed = true;
                let said = self.over || self.gone || self.refused && self.stopping;
                expect(said, "closed without a word")?;
                expect(!self.upstream || self.gone, "the backend was not reset at the end")
            }
        }
    }

    /// A refusal that is logged is the one that was told, and shows its id.
    fn noted(&mut self, id: &str, reason: Reason, reply: &portcullis::smtp::reply::Reply) -> Check {
        self.coverage.give(reason);
        let Some((code, text)) = &self.work.last_refusal else {
            return Err(format!("{reason:?} was noted and not told"));
        };
        if matches!(reason, Reason::AuthBad | Reason::AuthTemporary) && *code == 421 {
            return Ok(());
        }
        expect(reply.code() == *code && text.contains(id), "noted and told differ")?;
        self.ids.push(id.into());
        Ok(())
    }

    // ---- at rest

    pub(crate) fn settled(&mut self, now: Instant, wants: Wants, parked: usize) -> Check {
        if self.over && !self.closed {
            return Err("after 221 or 421 the connection was not closed".into());
        }
        if self.closed {
            return expect(wants == Wants::Nothing, "the session is over and wants more");
        }
        if self.gone {
            return Err("the client is gone and the session was not closed".into());
        }
        let Wants::Input { deadline } = wants else {
            return Err(format!("the session waits for nobody: {wants:?}"));
        };
        if let Some(unit) = self.stream.peek(self.mode, self.tls) {
            let shown = String::from_utf8_lossy(&unit.raw).into_owned();
            return Err(format!("a command without a reply: {shown:?}"));
        }
        if self.mail.is_none() && self.upstream {
            return Err("the backend's transaction is over and was not reset".into());
        }
        if self.sasl && self.mode != Mode::Response {
            return Err("the backend's SASL exchange is over and was not reset".into());
        }
        expect(parked <= PARKED_MAX, "too much is parked")?;
        let limits = &self.settings.limits;
        match self.mode {
            Mode::Data => {
                let received = self.stream.rest().len() as u64;
                let slowest = self.since
                    + limits.data_time
                    + Duration::from_secs(received / limits.data_rate.max(1));
                let fits = deadline <= slowest
                    && deadline <= self.octets.max(self.since) + limits.data_time;
                expect(fits && deadline >= now.min(slowest), "the deadline of the message is wrong")
            }
            _ => expect(deadline == self.since + limits.command_time, "the deadline has moved"),
        }
    }

    /// The clock was looked at, at the deadline or after.
    pub(crate) fn timed_out(&mut self, slow: bool) -> Check {
        let place = match self.mode {
            Mode::Command => "idle in command",
            Mode::Response => "idle in response",
            Mode::Data if slow => "slow in data",
            Mode::Data => "idle in data",
        };
        self.coverage.meet(&format!("end: {place}"));
        expect(self.over && self.closed, "a session outlives its deadline")
    }
}

fn expect(holds: bool, what: &str) -> Check {
    if holds { Ok(()) } else { Err(what.into()) }
}
