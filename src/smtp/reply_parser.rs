//! Reads a backend's replies strictly.
//!
//! A reply is `ddd-text` lines and a last `ddd text` line, all with the same code and each ended by
//! CRLF (RFC 5321 4.2). Anything else is garbage, not something to be guessed at: after it nobody
//! knows which reply belongs to which command. What is read is built anew as a [`Reply`], never
//! copied on.

use super::reply::{Enhanced, Reply};

/// The longest line with its CRLF. RFC 5321 has 512; real servers exceed it.
pub const LINE_MAX: usize = 2048;
/// The most lines of one reply.
pub const LINES_MAX: usize = 100;
/// The most octets of one reply.
pub const REPLY_MAX: usize = 16 * 1024;

/// What makes bytes no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Garbage {
    /// A line that ends with LF alone, or has a CR within.
    LineEnd,
    /// A line that does not start with three digits, 200 to 599, and a space or hyphen.
    Code,
    /// The lines of one reply have different codes.
    CodeChanged,
    LineTooLong,
    TooManyLines,
    ReplyTooLong,
}

impl Garbage {
    pub fn name(self) -> &'static str {
        match self {
            Garbage::LineEnd => "a line not ended by CRLF",
            Garbage::Code => "a line without a reply code",
            Garbage::CodeChanged => "different codes in one reply",
            Garbage::LineTooLong => "a line of more than 2048 octets",
            Garbage::TooManyLines => "a reply of more than 100 lines",
            Garbage::ReplyTooLong => "a reply of more than 16 KiB",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    NeedMore,
    Reply(Reply),
    Garbage(Garbage),
}

/// The state of one reply while its bytes arrive. After a [`Parsed::Reply`] it is as new; after
/// [`Parsed::Garbage`] it must not be fed again.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// A line whose end has not come yet.
    partial: Vec<u8>,
    code: u16,
    enhanced: Option<Enhanced>,
    text: String,
    lines: usize,
    octets: usize,
}

impl ReplyParser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes up to the end of the reply. Returns how many were taken: the others belong to
    /// what comes after this reply.
    pub fn feed(&mut self, input: &[u8]) -> (usize, Parsed) {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest);
            let piece = end.map_or(rest, |at| rest.get(..=at).unwrap_or(rest));
            taken += piece.len();
            self.octets += piece.len();
            if self.partial.len() + piece.len() > LINE_MAX {
                return (taken, Parsed::Garbage(Garbage::LineTooLong));
            }
            if self.octets > REPLY_MAX {
                return (taken, Parsed::Garbage(Garbage::ReplyTooLong));
            }
            if end.is_none() {
                self.partial.extend_from_slice(piece);
                break;
            }
            let outcome = if self.partial.is_empty() {
                self.line(piece)
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(piece);
                self.line(&line)
            };
            match outcome {
                Err(garbage) => return (taken, Parsed::Garbage(garbage)),
                Ok(false) => {}
                Ok(true) => return (taken, Parsed::Reply(self.finish())),
            }
        }
        (taken, Parsed::NeedMore)
    }

    /// One line with its LF; true if it is the last of the reply.
    fn line(&mut self, line: &[u8]) -> Result<bool, Garbage> {
        let line = line.strip_suffix(b"\r\n").ok_or(Garbage::LineEnd)?;
        if memchr::memchr(b'\r', line).is_some() {
            return Err(Garbage::LineEnd);
        }
        let (code, rest) = line.split_first_chunk::<3>().ok_or(Garbage::Code)?;
        let code = digits(code).filter(|c| (200..=599).contains(c)).ok_or(Garbage::Code)?;
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(Garbage::Code),
        };
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(Garbage::TooManyLines);
        }
        let text = match split_enhanced(text, code / 100) {
            Some((enhanced, text)) if self.lines == 1 => {
                self.enhanced = Some(enhanced);
                text
            }
            Some((enhanced, text)) if self.enhanced == Some(enhanced) => text,
            _ => text,
        };
        if self.lines == 1 {
            self.code = code;
        } else if self.code != code {
            return Err(Garbage::CodeChanged);
        } else {
            self.text.push('\n');
        }
        self.text.push_str(&String::from_utf8_lossy(text));
        Ok(last)
    }

    fn finish(&mut self) -> Reply {
        let done = std::mem::take(self);
        match done.enhanced {
            Some(enhanced) => Reply::new(done.code, enhanced, done.text),
            None => Reply::bare(done.code, done.text),
        }
    }
}

fn digits(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 3 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
}

/// `5.7.1 text` of the class of the basic code (RFC 2034 4). A code of another class is left in
/// the text: it says nothing that could be trusted.
fn split_enhanced(text: &[u8], class: u16) -> Option<(Enhanced, &[u8])> {
    if !matches!(class, 2 | 4 | 5) {
        return None;
    }
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let (code, rest) = text.split_at_checked(end)?;
    let mut parts = code.split(|b| *b == b'.');
    let (first, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || first.len() != 1 || digits(first)? != class {
        return None;
    }
    let enhanced = Enhanced::new(digits(subject)?, digits(detail)?);
    Some((enhanced, rest.strip_prefix(b" ").unwrap_or(rest)))
}
