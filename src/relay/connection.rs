//! One connection to a backend, speaking for one client.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::backend::Timeouts;
use super::body::{MessageSource, Stuffer};
use super::dial::Stream;
use super::failure::{Failure, Step};
use crate::smtp::ehlo::Capabilities;
use crate::smtp::reply::{Class, Reply};
use crate::smtp::reply_parser::{Parsed, ReplyParser};
use crate::verdict::Cleared;

/// The longest command line with CRLF: Postfix cuts longer ones and executes what is left.
const COMMAND_MAX: usize = 2048;
/// AUTH's lines with CRLF (RFC 4954 4).
const AUTH_MAX: usize = 12288;
/// Message bytes are gathered to this before they are written.
const WRITE_SIZE: usize = 32 * 1024;
const READ_SIZE: usize = 1024;
/// How long a failing connection is listened to for the reason.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long QUIT may take: nothing hangs on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that has passed greeting, identity and EHLO.
///
/// Each reply belongs to one command. While replies are outstanding, after a [`Failure`] and after
/// a dropped call the connection is of no use; dropping it never ends a message.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// Read and not yet parsed.
    input: Vec<u8>,
    outstanding: u8,
    timeouts: Arc<Timeouts>,
    capabilities: Arc<Capabilities>,
    host: Box<str>,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, timeouts: Arc<Timeouts>) -> Self {
        Connection {
            stream,
            input: Vec::new(),
            // The greeting, a reply to nothing we sent.
            outstanding: 1,
            timeouts,
            capabilities: Arc::default(),
            host: Box::default(),
        }
    }

    pub fn capabilities(&self) -> &Arc<Capabilities> {
        &self.capabilities
    }

    /// The name the backend gave itself in its answer to EHLO or HELO.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn introduced(&mut self, host: &str, capabilities: Arc<Capabilities>) {
        self.host = host.into();
        self.capabilities = capabilities;
    }

    /// Nothing is outstanding, nothing unasked has come, and the backend has not closed, as far as
    /// can be seen without waiting.
    pub async fn is_usable(&mut self) -> bool {
        self.quiet(Step::Command).await.is_ok()
    }

    /// MAIL and the first RCPT, in one write if the backend has PIPELINING. The second reply is
    /// absent when MAIL was refused before RCPT was sent. Lines are complete, without CRLF.
    pub async fn mail_and_rcpt(
        &mut self,
        mail: &[u8],
        rcpt: &[u8],
    ) -> Result<(Reply, Option<Reply>), Failure> {
        let deadline = Instant::now() + self.timeouts.command;
        if !self.capabilities.pipelining {
            let reply = self.exchange(Step::Mail, mail, deadline).await?;
            if !reply.is_success() {
                return Ok((reply, None));
            }
            let deadline = Instant::now() + self.timeouts.command;
            return Ok((reply, Some(self.exchange(Step::Rcpt, rcpt, deadline).await?)));
        }
        self.quiet(Step::Mail).await?;
        fit(mail, COMMAND_MAX)?;
        fit(rcpt, COMMAND_MAX)?;
        let mut lines = Vec::with_capacity(mail.len() + rcpt.len() + 4);
        for line in [mail, rcpt] {
            lines.extend_from_slice(line);
            lines.extend_from_slice(b"\r\n");
        }
        self.outstanding = 2;
        self.write(Step::Mail, &lines, deadline).await?;
        let mail = self.final_reply(Step::Mail, deadline).await?;
        let deadline = Instant::now() + self.timeouts.command;
        let rcpt = self.final_reply(Step::Rcpt, deadline).await?;
        Ok((mail, Some(rcpt)))
    }

    pub async fn rcpt(&mut self, line: &[u8]) -> Result<Reply, Failure> {
        let deadline = Instant::now() + self.timeouts.command;
        self.exchange(Step::Rcpt, line, deadline).await
    }

    /// Ends the transaction; the connection keeps its identity. Any answer but 2xx is a failure.
    pub async fn rset(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.timeouts.command;
        let reply = self.exchange(Step::Rset, b"RSET", deadline).await?;
        if reply.is_success() {
            return Ok(());
        }
        self.outstanding = 1;
        Err(Failure::Garbage { step: Step::Rset, what: "a refusal of RSET" })
    }

    /// Any other command: AUTH and its lines, VRFY, EXPN, ETRN, HELP, NOOP. The answer may be 334.
    pub async fn command(&mut self, line: &[u8], timeout: Duration) -> Result<Reply, Failure> {
        let deadline = Instant::now() + timeout;
        self.quiet(Step::Command).await?;
        fit(line, AUTH_MAX)?;
        self.send(Step::Command, line, deadline).await?;
        let reply = self.reply(Step::Command, deadline).await?;
        if reply.class() == Class::Intermediate && reply.code() != 334 {
            return Err(self.garbage(Step::Command, "an intermediate reply"));
        }
        Ok(reply)
    }

    /// Sends DATA, the message and its final dot, and returns the answer to the dot; or the
    /// refusal of DATA, after which RSET makes the connection usable again. The proof is used up:
    /// one verdict, one hand-over.
    pub async fn data(
        &mut self,
        message: &mut dyn MessageSource,
        _cleared: Cleared,
    ) -> Result<Reply, Failure> {
        let deadline = Instant::now() + self.timeouts.data_command;
        self.quiet(Step::Data).await?;
        self.send(Step::Data, b"DATA", deadline).await?;
        let reply = self.reply(Step::Data, deadline).await?;
        match (reply.class(), reply.code()) {
            (Class::Transient | Class::Permanent, _) => return Ok(reply),
            (_, 354) => {}
            _ => return Err(self.garbage(Step::Data, "a reply other than 354")),
        }
        self.quiet(Step::Body).await?;
        self.outstanding = 1;
        self.body(message).await?;
        let deadline = Instant::now() + self.timeouts.data_reply;
        self.final_reply(Step::Dot, deadline).await
    }

    /// Says QUIT, waits a little for its reply, and closes. Never fails; may be detached.
    pub async fn quit(mut self) {
        let deadline = Instant::now() + QUIT_TIMEOUT;
        if self.exchange(Step::Command, b"QUIT", deadline).await.is_ok() {
            let _ = timeout_at(deadline, self.stream.shutdown()).await;
        }
    }

    /// One command and its reply, 2xx, 4xx or 5xx.
    pub(super) async fn exchange(
        &mut self,
        step: Step,
        line: &[u8],
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        self.quiet(step).await?;
        fit(line, COMMAND_MAX)?;
        self.send(step, line, deadline).await?;
        self.final_reply(step, deadline).await
    }

    async fn send(&mut self, step: Step, line: &[u8], deadline: Instant) -> Result<(), Failure> {
        let mut out = Vec::with_capacity(line.len() + 2);
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        self.outstanding = 1;
        self.write(step, &out, deadline).await
    }

    async fn final_reply(&mut self, step: Step, deadline: Instant) -> Result<Reply, Failure> {
        let reply = self.reply(step, deadline).await?;
        if reply.class() == Class::Intermediate {
            return Err(self.garbage(step, "an intermediate reply"));
        }
        Ok(reply)
    }

    /// Reads the reply that is due next.
    pub(super) async fn reply(&mut self, step: Step, deadline: Instant) -> Result<Reply, Failure> {
        let mut parser = ReplyParser::new();
        loop {
            let (taken, parsed) = parser.feed(&self.input);
            self.input.drain(..taken);
            match parsed {
                Parsed::Reply(reply) if reply.code() == 421 => {
                    self.outstanding = 1;
                    return Err(Failure::Shutdown(reply));
                }
                Parsed::Reply(reply) => {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    return Ok(reply);
                }
                Parsed::Garbage(garbage) => return Err(self.garbage(step, garbage.name())),
                Parsed::NeedMore => {}
            }
            match timeout_at(deadline, poll_fn(|cx| self.poll_input(cx))).await {
                Err(_) => return Err(Failure::Timeout { step }),
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Failure::Lost { step, after_dot: step == Step::Dot }),
            }
        }
    }

    /// Writes the message text and the dot.
    async fn body(&mut self, message: &mut dyn MessageSource) -> Result<(), Failure> {
        let end = Instant::now() + self.timeouts.body;
        let mut stuffer = Stuffer::new();
        let mut out = Vec::with_capacity(WRITE_SIZE);
        while let Some(chunk) = message.next_chunk().map_err(Failure::Source)? {
            let mut rest = chunk;
            while !rest.is_empty() {
                let (now, later) = stuffer.split(rest).map_err(Failure::Source)?;
                if out.len() + now.len() >= WRITE_SIZE {
                    self.write_body(&out, end).await?;
                    out.clear();
                }
                if now.len() >= WRITE_SIZE {
                    self.write_body(now, end).await?;
                } else {
                    out.extend_from_slice(now);
                }
                if !later.is_empty() {
                    out.push(b'.');
                }
                rest = later;
            }
        }
        // What the backend says before the dot it does not say about the message. A refusal
        // needs no dot any more; an acceptance would be false.
        let last = stuffer.end().map_err(Failure::Source)?;
        if poll_fn(|cx| Poll::Ready(self.poll_input(cx).is_ready())).await {
            return Err(self.last_words(Step::Body).await);
        }
        out.extend_from_slice(last);
        let deadline = end.min(Instant::now() + self.timeouts.data_block);
        // Once a part of it is written, the dot may have arrived.
        match self.write_watching(&out, deadline).await {
            Written::All => Ok(()),
            Written::Late => Err(Failure::Timeout { step: Step::Dot }),
            Written::Lost => Err(Failure::Lost { step: Step::Dot, after_dot: true }),
            Written::Interrupted => Err(self.last_words(Step::Body).await),
        }
    }

    async fn write_body(&mut self, bytes: &[u8], end: Instant) -> Result<(), Failure> {
        let deadline = end.min(Instant::now() + self.timeouts.data_block);
        match self.write_watching(bytes, deadline).await {
            Written::All => Ok(()),
            Written::Late => Err(Failure::Timeout { step: Step::Body }),
            Written::Lost | Written::Interrupted => Err(self.last_words(Step::Body).await),
        }
    }

    /// Writes, and stops when the backend says something meanwhile: it may read no further.
    async fn write_watching(&mut self, mut bytes: &[u8], deadline: Instant) -> Written {
        let writing = poll_fn(|cx| {
            while !bytes.is_empty() {
                match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                    Poll::Ready(Ok(n)) if n > 0 => bytes = bytes.get(n..).unwrap_or_default(),
                    Poll::Ready(_) => return Poll::Ready(Written::Lost),
                    Poll::Pending => {
                        return self.poll_input(cx).map(|read| match read {
                            Ok(()) => Written::Interrupted,
                            Err(_) => Written::Lost,
                        });
                    }
                }
            }
            Pin::new(&mut self.stream).poll_flush(cx).map(|flushed| match flushed {
                Ok(()) => Written::All,
                Err(_) => Written::Lost,
            })
        });
        timeout_at(deadline, writing).await.unwrap_or(Written::Late)
    }

    async fn write(&mut self, step: Step, bytes: &[u8], deadline: Instant) -> Result<(), Failure> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout_at(deadline, writing).await {
            Err(_) => Err(Failure::Timeout { step }),
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.last_words(step).await),
        }
    }

    /// Fails unless everything asked is answered and nothing came that was not asked for.
    async fn quiet(&mut self, step: Step) -> Result<(), Failure> {
        if self.outstanding > 0 {
            return Err(Failure::Lost { step, after_dot: false });
        }
        if self.input.is_empty() && !poll_fn(|cx| Poll::Ready(self.poll_input(cx).is_ready())).await
        {
            return Ok(());
        }
        Err(self.last_words(step).await)
    }

    /// The connection is over; finds out whether the backend says why.
    async fn last_words(&mut self, step: Step) -> Failure {
        self.outstanding = 1;
        let reply = self.reply(step, Instant::now() + LAST_WORDS).await;
        self.outstanding = 1;
        match reply {
            Ok(reply) if matches!(reply.class(), Class::Transient | Class::Permanent) => {
                Failure::Shutdown(reply)
            }
            Ok(_) => Failure::Garbage { step, what: "a reply to nothing" },
            Err(Failure::Timeout { .. }) => Failure::Lost { step, after_dot: step == Step::Dot },
            Err(failure) => failure,
        }
    }

    fn garbage(&mut self, step: Step, what: &'static str) -> Failure {
        self.outstanding = 1;
        Failure::Garbage { step, what }
    }

    /// Reads what there is. The end of the stream is an error: no reply ends with it.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; READ_SIZE];
        let mut read = ReadBuf::new(&mut space);
        match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if read.filled().is_empty() => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(())) => {
                self.input.extend_from_slice(read.filled());
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connection { host, outstanding, .. } = self;
        f.debug_struct("Connection")
            .field("host", host)
            .field("outstanding", outstanding)
            .finish_non_exhaustive()
    }
}

/// How a write ended.
enum Written {
    All,
    Late,
    Lost,
    Interrupted,
}

/// A line with an end of line or NUL within would be two commands; a longer one would be cut.
fn fit(line: &[u8], max: usize) -> Result<(), Failure> {
    if line.len() + 2 <= max && memchr::memchr3(b'\r', b'\n', 0, line).is_none() {
        return Ok(());
    }
    Err(Failure::Source(io::Error::new(io::ErrorKind::InvalidInput, "not a command line")))
}
