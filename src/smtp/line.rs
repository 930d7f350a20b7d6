//! Framing of command lines: only CRLF ends a line (RFC 5321 2.3.8).

use memchr::{memchr, memchr2};

/// The longest command line with its CRLF. RFC 5321 4.5.3.1.4 asks for 512, its extensions for up
/// to some 1700 more.
pub const COMMAND_LINE_MAX: usize = 2048;
/// The longest line of an AUTH exchange with its CRLF (RFC 4954 4).
pub const AUTH_LINE_MAX: usize = 12288;

/// A line that was consumed whole, up to its LF. All but `Line` are not to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed<'a> {
    /// Without its CRLF.
    Line(&'a [u8]),
    TooLong,
    /// Ended by LF without CR.
    BareLf,
    /// Holds a CR that is not part of its end.
    BareCr,
    Nul,
}

/// Splits received bytes into lines. The bytes stay with the caller; the framer only remembers
/// whether it is dropping a line that was too long.
#[derive(Debug, Clone, Default)]
pub struct LineFramer {
    dropping: bool,
}

impl LineFramer {
    pub fn new() -> Self {
        Self::default()
    }

    /// What comes next begins a line.
    pub fn at_line_start(&self) -> bool {
        !self.dropping
    }

    /// Looks for a complete line at the start of `input`. `max` counts the CRLF.
    ///
    /// Returns how many bytes were consumed, and the line if it is complete. Without a line and
    /// with nothing consumed, more input is needed, and `input` is shorter than `max`. A line
    /// longer than `max` is consumed as it comes and is [`Framed::TooLong`] once its end was seen.
    pub fn next<'a>(&mut self, input: &'a [u8], max: usize) -> (usize, Option<Framed<'a>>) {
        let Some(lf) = memchr(b'\n', input) else {
            self.dropping |= input.len() >= max;
            return (if self.dropping { input.len() } else { 0 }, None);
        };
        let consumed = lf + 1;
        if std::mem::take(&mut self.dropping) || consumed > max {
            return (consumed, Some(Framed::TooLong));
        }
        let (text, _) = input.split_at(lf);
        let framed = match text.strip_suffix(b"\r") {
            None => Framed::BareLf,
            Some(line) => match memchr2(b'\r', 0, line).and_then(|at| line.get(at)) {
                None => Framed::Line(line),
                Some(0) => Framed::Nul,
                Some(_) => Framed::BareCr,
            },
        };
        (consumed, Some(framed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(input: &[u8], max: usize) -> (usize, Option<Framed<'_>>) {
        LineFramer::new().next(input, max)
    }

    #[test]
    fn outcomes() {
        assert_eq!(one(b"NOOP\r\nQUIT\r\n", 100), (6, Some(Framed::Line(b"NOOP"))));
        assert_eq!(one(b"\r\n", 100), (2, Some(Framed::Line(b""))));
        assert_eq!(one(b"NOOP\nQUIT\r\n", 100), (5, Some(Framed::BareLf)));
        assert_eq!(one(b"NO\0OP\n", 100), (6, Some(Framed::BareLf)));
        assert_eq!(one(b"NO\rOP\r\n", 100), (7, Some(Framed::BareCr)));
        assert_eq!(one(b"NOOP\r\r\n", 100), (7, Some(Framed::BareCr)));
        assert_eq!(one(b"NO\0OP\r\n", 100), (7, Some(Framed::Nul)));
        assert_eq!(one(b"NOOP\r", 100), (0, None));
        assert_eq!(one(b"", 100), (0, None));
    }

    #[test]
    fn the_limit_counts_crlf() {
        assert_eq!(one(b"123456\r\n", 8), (8, Some(Framed::Line(b"123456"))));
        assert_eq!(one(b"1234567\r\n", 8), (9, Some(Framed::TooLong)));
        assert_eq!(one(b"123456\r", 8), (0, None));
        assert_eq!(one(b"1234567\r", 8), (8, None));
    }

    #[test]
    fn a_long_line_is_dropped_and_told_once() {
        let mut framer = LineFramer::new();
        assert_eq!(framer.next(b"12345678", 8), (8, None));
        assert_eq!(framer.next(b"9", 8), (1, None));
        assert_eq!(framer.next(b"\r\nNOOP\r\n", 8), (2, Some(Framed::TooLong)));
        assert_eq!(framer.next(b"NOOP\r\n", 8), (6, Some(Framed::Line(b"NOOP"))));
    }
}
