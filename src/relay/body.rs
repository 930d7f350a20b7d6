//! The message on its way to the backend: where it comes from, and its dots.

use std::io;

use tokio::time::Instant;

use super::backend::Timeouts;
use super::failure::{Failure, Step};
use super::wire::{Wire, Written};
use crate::smtp::stuffer::{NotCanonical, Stuffer};

/// Message bytes are gathered to this before they are written.
const WRITE_SIZE: usize = 32 * 1024;

/// A message that was judged, in canonical form: lines that end with CRLF, no bare CR, bare LF or
/// NUL, dots not doubled.
pub trait MessageSource: Send {
    /// The next bytes, cut anywhere; `None` at the end.
    fn next_chunk(&mut self) -> io::Result<Option<&[u8]>>;
}

/// Sends the message text and the dot.
pub(super) async fn send(
    wire: &mut Wire,
    message: &mut dyn MessageSource,
    timeouts: &Timeouts,
) -> Result<(), Failure> {
    let end = Instant::now() + timeouts.body;
    let block = |now: Instant| end.min(now + timeouts.data_block);
    let mut stuffer = Stuffer::new();
    let mut out = Vec::with_capacity(WRITE_SIZE);
    wire.begin_text();
    while let Some(chunk) = message.next_chunk().map_err(Failure::Source)? {
        let mut rest = chunk;
        while !rest.is_empty() {
            let (now, later) = stuffer.split(rest).map_err(not_canonical)?;
            if out.len() + now.len() >= WRITE_SIZE {
                write(wire, &out, block(Instant::now())).await?;
                out.clear();
            }
            if now.len() >= WRITE_SIZE {
                write(wire, now, block(Instant::now())).await?;
            } else {
                out.extend_from_slice(now);
            }
            if !later.is_empty() {
                out.push(b'.');
            }
            rest = later;
        }
    }
    let last = stuffer.end().map_err(not_canonical)?;
    // What the backend says before the dot it does not say about the message. A refusal needs no
    // dot any more; an acceptance would be false.
    if wire.has_spoken().await {
        return Err(wire.last_words(Step::Body).await);
    }
    out.extend_from_slice(last);
    // Once a part of it is written, the dot may have arrived.
    match wire.write_watching(&out, block(Instant::now())).await {
        Written::All => Ok(()),
        Written::Late => Err(Failure::Timeout { step: Step::Dot }),
        Written::Lost => Err(wire.last_words(Step::Dot).await),
        Written::Interrupted => Err(wire.last_words(Step::Body).await),
    }
}

async fn write(wire: &mut Wire, bytes: &[u8], deadline: Instant) -> Result<(), Failure> {
    match wire.write_watching(bytes, deadline).await {
        Written::All => Ok(()),
        Written::Late => Err(Failure::Timeout { step: Step::Body }),
        Written::Lost | Written::Interrupted => Err(wire.last_words(Step::Body).await),
    }
}

fn not_canonical(error: NotCanonical) -> Failure {
    Failure::Source(io::Error::new(io::ErrorKind::InvalidData, error))
}
