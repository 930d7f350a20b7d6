//! The message on its way to the backend: where it comes from, and its dots.

use std::io;

/// A message that was judged, in canonical form: lines that end with CRLF, no bare CR, bare LF or
/// NUL, dots not doubled.
pub trait MessageSource: Send {
    /// The next bytes, cut anywhere; `None` at the end.
    fn next_chunk(&mut self) -> io::Result<Option<&[u8]>>;
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

/// Doubles the dots that begin a line (RFC 5321 4.5.2), wherever the chunks are cut. It is also the
/// last guard against smuggling: it refuses what is not canonical, whoever let it pass before.
#[derive(Debug)]
pub(super) struct Stuffer {
    at: At,
}

impl Stuffer {
    pub(super) fn new() -> Self {
        Stuffer { at: At::LineStart }
    }

    /// Splits a chunk before the next dot that must be doubled; the second part is empty if there
    /// is none. To go on, put a dot after the first part and call again with the second.
    pub(super) fn split<'c>(&mut self, chunk: &'c [u8]) -> io::Result<(&'c [u8], &'c [u8])> {
        let Some(first) = chunk.first() else { return Ok((chunk, chunk)) };
        match self.at {
            At::LineStart if *first == b'.' => {
                self.at = At::Dot;
                return Ok((&[], chunk));
            }
            At::Cr if *first != b'\n' => return Err(not_canonical()),
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
    pub(super) fn end(&self) -> io::Result<&'static [u8]> {
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
