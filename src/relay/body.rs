//! The message on its way to the backend: where it comes from, and its dots.

use std::io;

use tokio::time::Instant;

use super::backend::Timeouts;
use super::failure::{Failure, Step};
use super::wire::{Wire, Written};

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
            let (now, later) = stuffer.split(rest).map_err(Failure::Source)?;
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
    let last = stuffer.end().map_err(Failure::Source)?;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Within,
    /// After a CR that wants its LF.
    Cr,
    /// Before a dot that was doubled already.
    Dot,
}

/// Whether a chunk that begins a line or goes on within one is canonical and has no dot to double,
/// which is nearly all there is: one pass without a branch, where going from line to line has many.
fn is_plain(first: u8, chunk: &[u8]) -> bool {
    let next = chunk.get(1..).unwrap_or_default();
    let wrong = chunk.iter().zip(next).fold(0, |wrong, (before, now)| {
        let (after_cr, lf) = (u8::from(*before == b'\r'), u8::from(*now == b'\n'));
        let dot = u8::from(*before == b'\n') & u8::from(*now == b'.');
        wrong | (after_cr ^ lf) | dot | u8::from(*now == 0)
    });
    wrong == 0 && first != b'\n' && first != 0
}

/// Doubles the dots that begin a line (RFC 5321 4.5.2), wherever the chunks are cut. It is also the
/// last guard against smuggling: it refuses what is not canonical, whoever let it pass before.
#[derive(Debug)]
struct Stuffer {
    at: At,
}

impl Stuffer {
    fn new() -> Self {
        Stuffer { at: At::LineStart }
    }

    /// Splits a chunk before the next dot that must be doubled; the second part is empty if there
    /// is none. To go on, put a dot after the first part and call again with the second.
    fn split<'c>(&mut self, chunk: &'c [u8]) -> io::Result<(&'c [u8], &'c [u8])> {
        let Some(first) = chunk.first() else { return Ok((chunk, chunk)) };
        match self.at {
            At::LineStart if *first == b'.' => {
                self.at = At::Dot;
                return Ok((&[], chunk));
            }
            At::Cr if *first != b'\n' => return Err(not_canonical()),
            At::LineStart | At::Within if is_plain(*first, chunk) => {
                self.at = match chunk.last() {
                    Some(b'\n') => At::LineStart,
                    Some(b'\r') => At::Cr,
                    _ => At::Within,
                };
                return Ok((chunk, &[]));
            }
            _ => {}
        }
        let mut after_cr = match self.at {
            At::Cr => Some(0),
            _ => None,
        };
        for at in memchr::memchr3_iter(b'\r', b'\n', 0, chunk) {
            match (chunk.get(at), after_cr) {
                (Some(b'\n'), Some(due)) if due == at => {
                    after_cr = None;
                    if chunk.get(at + 1) == Some(&b'.') {
                        self.at = At::Dot;
                        return Ok(chunk.split_at(at + 1));
                    }
                }
                (Some(b'\r'), None) => after_cr = Some(at + 1),
                _ => return Err(not_canonical()),
            }
        }
        self.at = match after_cr {
            Some(due) if due == chunk.len() => At::Cr,
            Some(_) => return Err(not_canonical()),
            None if chunk.last() == Some(&b'\n') => At::LineStart,
            None => At::Within,
        };
        Ok((chunk, &[]))
    }

    /// What ends the message: CRLF if the last line has none, then the dot.
    fn end(&self) -> io::Result<&'static [u8]> {
        match self.at {
            At::LineStart => Ok(b".\r\n"),
            At::Within | At::Dot => Ok(b"\r\n.\r\n"),
            At::Cr => Err(not_canonical()),
        }
    }
}

fn not_canonical() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "bare CR, bare LF or NUL in the message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_for_plain_is_plain() {
        let alphabet = *b"\r\n.\0a";
        let mut seen = 0;
        for length in 1..=6u32 {
            for number in 0..5usize.pow(length) {
                let octet = |n: u32| alphabet[number / 5usize.pow(n) % 5];
                let chunk: Vec<u8> = (0..length).map(octet).collect();
                let text = String::from_utf8_lossy(&chunk).replace("\r\n", "|");
                let text = text.strip_suffix('\r').unwrap_or(&text);
                let plain = !text.contains(['\r', '\n', '\0']) && !text.contains("|.");
                assert_eq!(is_plain(chunk[0], &chunk), plain, "{chunk:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, 19_530);
    }
}
