//! The only loop that does the session's I/O: octets and timers become events, actions become I/O.
//! It decides nothing.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::checks::dkim;
use crate::dns::BoxFuture;
use crate::facts::Stage;
use crate::facts::rate::What;
use crate::message::{Limits, Message, ReceiveError, Receiver};
use crate::observe::{Level, Reporter};
use crate::session::{Action, Answer, Event, Session, Wants};
use crate::smtp::auth::Secret;
use crate::smtp::reply::{Class, Reply};
use crate::verdict::{Cleared, Reason, Verdict};

use super::io::Io;
use super::judge::Judge;
use super::snapshot::{Door, Snapshot};
use super::tls::TlsFacts;
use super::upstream::{Trouble, Upstream};

/// A message header; over it the message is refused.
const HEADER_MAX: u64 = 1 << 20;
/// Output kept for the next reply; more is given back while the session is idle.
const OUTPUT_KEPT: usize = 512;
/// For a client that does not read what it is told.
const WRITE_TIME: Duration = Duration::from_secs(120);
const HANDSHAKE_TIME: Duration = Duration::from_secs(60);
/// From the end of a message to our reply, so that no client gives up before: RFC 5321 4.5.3.2.6
/// has ten minutes, many have less; RFC 6409 5.3 has two on submission.
const ANSWER_TIME: Duration = Duration::from_secs(290);
const ANSWER_TIME_SUBMISSION: Duration = Duration::from_secs(110);

/// What a session is made of, besides its stream.
pub struct Visit {
    pub client: SocketAddr,
    pub local: SocketAddr,
    pub door: Arc<Door>,
    pub snapshot: Arc<Snapshot>,
    pub reporter: Arc<dyn Reporter>,
    /// Octets that came with a PROXY header.
    pub early: Vec<u8>,
    /// Becomes true when Portcullis stops.
    pub stop: watch::Receiver<bool>,
    /// For decision ids.
    pub seed: u64,
}

struct Shell<S> {
    io: Io<S>,
    session: Session,
    judge: Judge,
    upstream: Upstream,
    receiver: Option<Box<Receiver>>,
    message: Option<Box<Message>>,
    /// Received and not yet taken by the session.
    parked: Vec<u8>,
    door: Arc<Door>,
    snapshot: Arc<Snapshot>,
    reporter: Arc<dyn Reporter>,
    /// The client has not yet been sent the backend's 250 for this message.
    untold: bool,
}

/// Serves one client to its end.
pub async fn serve<S>(stream: S, visit: Visit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut io = Io::Plain(stream);
    let mut tls = None;
    if visit.door.implicit_tls {
        tls = Box::pin(handshake(&mut io, &visit.door)).await;
        if tls.is_none() {
            return;
        }
    }
    let stop = visit.stop.clone();
    let mut shell = Shell::new(io, tls, visit);
    shell.run(stop).await;
    // The client is let go before the backend.
    shell.io = Io::Gone;
    shell.judge.finish();
    let counts = shell.session.counts().to_string();
    shell.reporter.disconnected(&shell.judge.journal.client_name(), &counts);
    shell.upstream.quit().await;
}

impl<S> Shell<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// No part of the future of [`serve`]: what it moves would take room there for good.
    fn new(io: Io<S>, tls: Option<TlsFacts>, visit: Visit) -> Shell<S> {
        let Visit { client, local, door, snapshot, reporter, early, stop: _, seed } = visit;
        let backend = door.backend.serving();
        let session = Session::new(door.settings.clone(), backend, tls.is_some(), seed, now());
        let mut judge = Judge::new(snapshot.clone(), reporter.clone(), client, local, session.id());
        judge.tls = tls;
        reporter.connected(&Peer(client).to_string());
        Shell {
            io,
            session,
            judge,
            upstream: Upstream::new(door.backend.clone()),
            receiver: None,
            message: None,
            parked: early,
            door,
            snapshot,
            reporter,
            untold: false,
        }
    }

    async fn run(&mut self, mut stop: watch::Receiver<bool>) {
        self.wait_for_early_talk().await;
        self.session.start(now());
        let mut stopping = pin!(async move {
            while !*stop.borrow_and_update() {
                if stop.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        });
        let mut told_to_stop = false;
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            while let Some(action) = self.session.action() {
                if let Action::Close = action {
                    let _ = self.flush().await;
                    if let Io::Tls(stream) = &mut self.io {
                        let _ = timeout(WRITE_TIME, stream.shutdown()).await;
                    }
                    return;
                }
                if let Some(work) = self.perform(action) {
                    work.await;
                }
            }
            self.judge.settle(&self.session);
            if !self.parked.is_empty() {
                let parked = std::mem::take(&mut self.parked);
                let used = self.take(&parked);
                if used < parked.len() {
                    self.parked.extend_from_slice(parked.get(used..).unwrap_or_default());
                }
                if used > 0 {
                    continue;
                }
            }
            if self.flush().await.is_err() {
                self.session.handle(now(), Event::ClientGone);
                continue;
            }
            let Wants::Input { deadline } = self.session.wants() else {
                // Every action was answered; nothing else can be wanted.
                debug_assert!(false, "the session waits for nothing");
                return;
            };
            let event = poll_fn(|cx| {
                match self.poll_input(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Some(Event::ClientGone)),
                    Poll::Ready(Ok(_)) => return Poll::Ready(None),
                    Poll::Ready(Err(_)) => return Poll::Ready(Some(Event::ClientGone)),
                    Poll::Pending => {}
                }
                if !told_to_stop && stopping.as_mut().poll(cx).is_ready() {
                    told_to_stop = true;
                    return Poll::Ready(Some(Event::Shutdown));
                }
                // The timer is set anew only when it goes off, since most commands come long
                // before, and when it would go off too late.
                if timer.deadline().into_std() > deadline {
                    timer.as_mut().reset(Instant::from_std(deadline));
                }
                while timer.as_mut().poll(cx).is_ready() {
                    if Instant::now().into_std() >= deadline {
                        return Poll::Ready(Some(Event::Tick));
                    }
                    timer.as_mut().reset(Instant::from_std(deadline));
                }
                Poll::Pending
            })
            .await;
            if let Some(event) = event {
                self.session.handle(now(), event);
            }
        }
    }

    fn poll_input(&mut self, cx: &mut std::task::Context<'_>) -> Poll<io::Result<usize>> {
        let Shell { io, session, receiver, parked, .. } = self;
        io.poll_take(cx, &mut |octets| {
            let mut body = |octets: &[u8]| {
                if let Some(receiver) = receiver {
                    receiver.push(octets);
                }
            };
            // The rest of a line whose beginning is parked is taken with it.
            let used = if parked.is_empty() { session.input(now(), octets, &mut body) } else { 0 };
            parked.extend_from_slice(octets.get(used..).unwrap_or_default());
        })
    }

    fn take(&mut self, octets: &[u8]) -> usize {
        let Shell { session, receiver, .. } = self;
        session.input(now(), octets, &mut |octets| {
            if let Some(receiver) = receiver {
                receiver.push(octets);
            }
        })
    }

    /// Whoever speaks before the greeting has not waited for it (RFC 5321 4.3.1).
    async fn wait_for_early_talk(&mut self) {
        let delay = self.door.greet_delay;
        if !delay.is_zero() && self.parked.is_empty() {
            let Shell { io, parked, .. } = self;
            let speak =
                poll_fn(|cx| io.poll_take(cx, &mut |octets| parked.extend_from_slice(octets)));
            let _ = timeout(delay, speak).await;
        }
        self.judge.early_talker = !self.parked.is_empty();
    }

    async fn flush(&mut self) -> io::Result<()> {
        let output = self.session.output();
        if output.is_empty() {
            return Ok(());
        }
        let writing = async {
            self.io.write_all(output).await?;
            self.io.flush().await
        };
        let outcome = match timeout(WRITE_TIME, writing).await {
            Ok(outcome) => outcome,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        output.clear();
        if output.capacity() > OUTPUT_KEPT {
            *output = Vec::new();
        }
        if outcome.is_err() && self.untold {
            let text = format!(
                "accepted-orphan: {} did not hear that its message was accepted and may send it \
                 again",
                self.judge.journal.client_name()
            );
            self.reporter.event(Level::Warning, &text);
        }
        self.untold = false;
        outcome
    }

    /// Does at once what can be done at once; the rest is boxed, for its futures are large and a
    /// session is idle most of the time.
    fn perform(&mut self, action: Action) -> Option<BoxFuture<'_, ()>> {
        match action {
            Action::Ask(stage) => return Some(Box::pin(self.ask(stage))),
            Action::Recipient => return Some(Box::pin(self.recipient())),
            Action::Deliver(cleared) => return Some(Box::pin(self.deliver(cleared))),
            Action::Auth(line) => return Some(Box::pin(self.auth(line))),
            Action::Pass(line) => return Some(Box::pin(self.pass(line))),
            Action::StartTls => return Some(Box::pin(self.start_tls())),
            Action::BeginMessage => self.begin_message(),
            Action::DropMessage => self.receiver = None,
            Action::Reset => self.upstream.reset(),
            Action::Refused { id, stage, reason, reply } => {
                self.judge.journal.refused(&self.session, id, stage, reason, &reply, None);
                if let Reason::AuthBad = reason {
                    return Some(Box::pin(self.judge.count(What::AuthFailures)));
                }
            }
            Action::Close => {}
        }
        None
    }

    async fn ask(&mut self, stage: Stage) {
        let verdict = if stage == Stage::Message {
            self.judge_message().await
        } else {
            self.flushing(stage, None).await
        };
        self.session.handle(now(), Event::Decided(verdict));
    }

    /// Judges; what the client is owed is sent when that takes time.
    async fn flushing(&mut self, stage: Stage, message: Option<&Message>) -> Verdict {
        if stage != Stage::Connect && !self.session.output().is_empty() {
            // A failure shows with the next write.
            let _ = self.flush().await;
        }
        self.judge.decide(stage, &self.session, message).await
    }

    async fn judge_message(&mut self) -> Verdict {
        let Some(receiver) = self.receiver.take() else {
            return self.judge.refuse(&self.session, Reason::Internal, None);
        };
        let message = match receiver.finish() {
            Ok(message) => Box::new(message),
            Err(error) => {
                let (reason, cause) = match error {
                    ReceiveError::TooBig => (Reason::SizeActual, None),
                    ReceiveError::HeaderTooBig => (Reason::HeaderTooBig, None),
                    ReceiveError::Spool(error) => (Reason::NoSpace, Some(error.to_string())),
                };
                return self.judge.refuse(&self.session, reason, cause);
            }
        };
        if message.received_count() > self.snapshot.hops {
            return self.judge.refuse(&self.session, Reason::Loop, None);
        }
        let verdict = self.flushing(Stage::Message, Some(&message)).await;
        if let Verdict::Pass { .. } = verdict {
            self.message = Some(message);
        }
        verdict
    }

    async fn recipient(&mut self) {
        let identity = self.judge.identity(&self.session);
        let outcome = match self.session.mail() {
            Some(mail) => match &mail.current {
                Some(rcpt) => self.upstream.recipient(&identity, mail, rcpt).await,
                None => return,
            },
            None => return,
        };
        if let Ok(reply) = &outcome
            && !reply.is_success()
        {
            if reply.class() == Class::Permanent {
                self.judge.count(What::UnknownRecipients).await;
            }
            self.judge.journal.answered(&self.session, reply);
        }
        self.answer(outcome);
    }

    async fn deliver(&mut self, cleared: Cleared) {
        let edits = self.judge.take_edits();
        let identity = self.judge.identity(&self.session);
        let time = if self.session.settings().role.is_submission() {
            ANSWER_TIME_SUBMISSION
        } else {
            ANSWER_TIME
        };
        let outcome = match (self.session.mail(), self.message.take()) {
            (Some(mail), Some(message)) => {
                let sending = self.upstream.deliver(&identity, mail, &message, &edits, cleared);
                timeout(time, sending).await
            }
            _ => Ok(Err(Trouble::internal("there is no message to deliver"))),
        };
        let outcome = outcome.unwrap_or_else(|_| {
            self.upstream.give_up();
            Err(Trouble::too_late())
        });
        if let Ok(reply) = &outcome {
            self.untold = reply.is_success();
            self.judge.journal.answered(&self.session, reply);
        }
        self.answer(outcome);
    }

    async fn auth(&mut self, line: Secret<Vec<u8>>) {
        let identity = self.judge.identity(&self.session);
        let outcome = self.upstream.command(&identity, line.expose(), true).await;
        self.answer(outcome);
    }

    async fn pass(&mut self, line: Vec<u8>) {
        let identity = self.judge.identity(&self.session);
        let outcome = self.upstream.command(&identity, &line, false).await;
        self.answer(outcome);
    }

    /// Hands the session what came of asking the backend, and notes why there was no answer.
    fn answer(&mut self, outcome: Result<Reply, Trouble>) {
        let answer = match outcome {
            Ok(reply) => Answer::Reply(reply),
            Err(trouble) => {
                self.judge.journal.cause = Some(trouble.cause);
                match trouble.shutdown {
                    Some(reply) => Answer::Reply(reply),
                    None => Answer::Failed(trouble.reason),
                }
            }
        };
        self.session.handle(now(), Event::Answered(answer));
    }

    fn begin_message(&mut self) {
        self.judge.journal.message_begins(&self.session);
        let limits =
            Limits { size: self.session.settings().limits.message_size, header: HEADER_MAX };
        let space = self.snapshot.spool.clone();
        self.receiver = Some(Box::new(Receiver::new(space, limits, dkim::body_hashes)));
    }

    async fn start_tls(&mut self) {
        let _ = self.flush().await;
        self.upstream.forget().await;
        match handshake(&mut self.io, &self.door).await {
            Some(facts) => {
                self.judge.tls = Some(facts);
                self.session.handle(now(), Event::TlsDone);
            }
            None => self.session.handle(now(), Event::TlsFailed),
        }
    }
}

async fn handshake<S>(io: &mut Io<S>, door: &Door) -> Option<TlsFacts>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Io::Plain(stream) = std::mem::replace(io, Io::Gone) else { return None };
    let acceptor = TlsAcceptor::from(door.tls.clone()?);
    let stream = timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await.ok()?.ok()?;
    let facts = TlsFacts::of(stream.get_ref().1);
    *io = Io::Tls(Box::new(stream));
    Some(facts)
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// `unknown[192.0.2.1]`, before the name is known.
struct Peer(SocketAddr);

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown[{}]", self.0.ip())
    }
}
