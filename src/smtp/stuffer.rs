//! Message text for sending: dots that begin a line are doubled, and nothing passes that is not
//! canonical. The inverse of [`super::data`].

use std::fmt;

/// A bare CR, a bare LF or a NUL: text that some server could take for more than one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCanonical;

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bare CR, bare LF or NUL in the message")
    }
}

impl std::error::Error for NotCanonical {}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
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
#[derive(Debug, Default)]
pub struct Stuffer {
    at: At,
}

impl Stuffer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits a chunk before the next dot that must be doubled; the second part is empty if there
    /// is none. To go on, put a dot after the first part and call again with the second.
    pub fn split<'c>(&mut self, chunk: &'c [u8]) -> Result<(&'c [u8], &'c [u8]), NotCanonical> {
        let Some(first) = chunk.first() else { return Ok((chunk, chunk)) };
        match self.at {
            At::LineStart if *first == b'.' => {
                self.at = At::Dot;
                return Ok((&[], chunk));
            }
            At::Cr if *first != b'\n' => return Err(NotCanonical),
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
                _ => return Err(NotCanonical),
            }
        }
        self.at = match after_cr {
            Some(due) if due == chunk.len() => At::Cr,
            Some(_) => return Err(NotCanonical),
            None if chunk.last() == Some(&b'\n') => At::LineStart,
            None => At::Within,
        };
        Ok((chunk, &[]))
    }

    /// What ends the message: CRLF if the last line has none, then the dot.
    pub fn end(&self) -> Result<&'static [u8], NotCanonical> {
        match self.at {
            At::LineStart => Ok(b".\r\n"),
            At::Within | At::Dot => Ok(b"\r\n.\r\n"),
            At::Cr => Err(NotCanonical),
        }
    }
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
