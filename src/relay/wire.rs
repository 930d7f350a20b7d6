//! The stream of a backend connection, with its replies counted.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::dial::Stream;
use super::failure::{Failure, Step};
use crate::smtp::reply::{Class, Reply};
use crate::smtp::reply_parser::{Parsed, ReplyParser};

const READ_SIZE: usize = 1024;
/// How long a failing connection is listened to for the reason.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// Read and not yet parsed.
    input: Vec<u8>,
    /// Replies due. Stays above zero once something failed or a call was dropped halfway.
    outstanding: u8,
}

/// How a write ended.
pub(super) enum Written {
    All,
    Late,
    Lost,
    Interrupted,
}

impl Wire {
    /// The greeting is due: a reply to nothing we sent.
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Wire { stream, input: Vec::new(), outstanding: 1 }
    }

    /// Fails unless everything asked is answered and nothing came that was not asked for.
    pub(super) async fn quiet(&mut self, step: Step) -> Result<(), Failure> {
        if self.outstanding > 0 {
            return Err(Failure::Lost { step, after_dot: false });
        }
        if self.has_spoken().await {
            return Err(self.last_words(step).await);
        }
        Ok(())
    }

    /// Something has come, or the end of the stream.
    pub(super) async fn has_spoken(&mut self) -> bool {
        !self.input.is_empty() || poll_fn(|cx| Poll::Ready(self.poll_input(cx).is_ready())).await
    }

    /// Writes commands, whole lines, to which `replies` replies are due.
    pub(super) async fn send(
        &mut self,
        step: Step,
        lines: &[u8],
        replies: u8,
        deadline: Instant,
    ) -> Result<(), Failure> {
        self.outstanding = replies;
        let writing = async {
            self.stream.write_all(lines).await?;
            self.stream.flush().await
        };
        match timeout_at(deadline, writing).await {
            Err(_) => Err(Failure::Timeout { step }),
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.last_words(step).await),
        }
    }

    /// Message text follows, to which one reply is due.
    pub(super) fn begin_text(&mut self) {
        self.outstanding = 1;
    }

    /// Writes, and stops when the backend says something meanwhile: it may read no further.
    pub(super) async fn write_watching(&mut self, mut bytes: &[u8], deadline: Instant) -> Written {
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

    /// A reply that is 2xx, 4xx or 5xx.
    pub(super) async fn final_reply(
        &mut self,
        step: Step,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let reply = self.reply(step, deadline).await?;
        if reply.class() == Class::Intermediate {
            return Err(self.garbage(step, "an intermediate reply"));
        }
        Ok(reply)
    }

    /// The connection is over; finds out whether the backend says why.
    pub(super) async fn last_words(&mut self, step: Step) -> Failure {
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

    pub(super) fn garbage(&mut self, step: Step, what: &'static str) -> Failure {
        self.outstanding = 1;
        Failure::Garbage { step, what }
    }

    pub(super) async fn close(&mut self, deadline: Instant) {
        let _ = timeout_at(deadline, self.stream.shutdown()).await;
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
