//! One connection to a backend, speaking for one client.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::backend::Timeouts;
use super::body::{self, MessageSource};
use super::dial::Stream;
use super::failure::{Failure, Step};
use super::wire::Wire;
use crate::smtp::ehlo::Capabilities;
use crate::smtp::reply::{Class, Reply};
use crate::verdict::Cleared;

/// The longest command line with CRLF: Postfix cuts longer ones and executes what is left.
const COMMAND_MAX: usize = 2048;
/// AUTH's lines with CRLF (RFC 4954 4).
const AUTH_MAX: usize = 12288;
/// How long QUIT may take: nothing hangs on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that has passed greeting, identity and EHLO.
///
/// Each reply belongs to one command. While replies are outstanding, after a [`Failure`] and after
/// a dropped call the connection is of no use; dropping it never ends a message.
pub struct Connection {
    wire: Wire,
    timeouts: Arc<Timeouts>,
    capabilities: Arc<Capabilities>,
    host: Box<str>,
    /// Given back when the connection is dropped.
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        timeouts: Arc<Timeouts>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Connection {
            wire: Wire::new(stream),
            timeouts,
            capabilities: Arc::default(),
            host: Box::default(),
            _place: place,
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
        self.wire.quiet(Step::Command).await.is_ok()
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
        self.wire.quiet(Step::Mail).await?;
        fit(mail, COMMAND_MAX)?;
        fit(rcpt, COMMAND_MAX)?;
        let mut lines = Vec::with_capacity(mail.len() + rcpt.len() + 4);
        for line in [mail, rcpt] {
            lines.extend_from_slice(line);
            lines.extend_from_slice(b"\r\n");
        }
        self.wire.send(Step::Mail, &lines, 2, deadline).await?;
        let mail = self.wire.final_reply(Step::Mail, deadline).await?;
        let deadline = Instant::now() + self.timeouts.command;
        let rcpt = self.wire.final_reply(Step::Rcpt, deadline).await?;
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
        Err(self.wire.garbage(Step::Rset, "a refusal of RSET"))
    }

    /// Any other command: AUTH and its lines, VRFY, EXPN, ETRN, HELP, NOOP. The answer may be 334.
    pub async fn command(&mut self, line: &[u8], timeout: Duration) -> Result<Reply, Failure> {
        let deadline = Instant::now() + timeout;
        self.wire.quiet(Step::Command).await?;
        fit(line, AUTH_MAX)?;
        self.send(Step::Command, line, deadline).await?;
        let reply = self.wire.reply(Step::Command, deadline).await?;
        if reply.class() == Class::Intermediate && reply.code() != 334 {
            return Err(self.wire.garbage(Step::Command, "an intermediate reply"));
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
        self.wire.quiet(Step::Data).await?;
        self.send(Step::Data, b"DATA", deadline).await?;
        let reply = self.wire.reply(Step::Data, deadline).await?;
        match (reply.class(), reply.code()) {
            (Class::Transient | Class::Permanent, _) => return Ok(reply),
            (_, 354) => {}
            _ => return Err(self.wire.garbage(Step::Data, "a reply other than 354")),
        }
        self.wire.quiet(Step::Body).await?;
        body::send(&mut self.wire, message, &self.timeouts).await?;
        let deadline = Instant::now() + self.timeouts.data_reply;
        self.wire.final_reply(Step::Dot, deadline).await
    }

    /// Says QUIT, waits a little for its reply, and closes. Never fails; may be detached.
    pub async fn quit(mut self) {
        let deadline = Instant::now() + QUIT_TIMEOUT;
        if self.exchange(Step::Command, b"QUIT", deadline).await.is_ok() {
            self.wire.close(deadline).await;
        }
    }

    /// One command and its reply, 2xx, 4xx or 5xx.
    pub(super) async fn exchange(
        &mut self,
        step: Step,
        line: &[u8],
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        self.wire.quiet(step).await?;
        fit(line, COMMAND_MAX)?;
        self.send(step, line, deadline).await?;
        self.wire.final_reply(step, deadline).await
    }

    pub(super) async fn greeting(&mut self, deadline: Instant) -> Result<Reply, Failure> {
        self.wire.reply(Step::Greeting, deadline).await
    }

    async fn send(&mut self, step: Step, line: &[u8], deadline: Instant) -> Result<(), Failure> {
        let mut out = Vec::with_capacity(line.len() + 2);
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        self.wire.send(step, &out, 1, deadline).await
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A line with an end of line or NUL within would be two commands; a longer one would be cut.
fn fit(line: &[u8], max: usize) -> Result<(), Failure> {
    if line.len() + 2 <= max && memchr::memchr3(b'\r', b'\n', 0, line).is_none() {
        return Ok(());
    }
    Err(Failure::Source(io::Error::new(io::ErrorKind::InvalidInput, "not a command line")))
}
