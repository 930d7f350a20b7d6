//! Message data: the one place where dots are unstuffed and the end is found (RFC 5321 4.1.1.4,
//! 4.5.2).

use memchr::{memchr, memchr_iter};

/// What is wrong with or worth knowing of the data so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flaws {
    /// A LF without CR before it.
    pub bare_lf: bool,
    /// A CR without LF after it.
    pub bare_cr: bool,
    pub nul: bool,
    /// Octets of the longest complete line, with CRLF, without a stuffed dot (RFC 5321
    /// 4.5.3.1.6 allows 1000).
    pub longest_line: u64,
}

impl Flaws {
    /// Whether the content cannot be passed on.
    pub fn any(&self) -> bool {
        self.bare_lf || self.bare_cr || self.nul
    }
}

/// Where in a line the next octet falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    /// After a dot that began the line and is dropped.
    Dot,
    /// After such a dot and CR.
    DotCr,
    Text,
}

/// Finds the end of data and removes stuffed dots. Only `CRLF . CRLF` ends data; the start counts
/// as after CRLF.
///
/// The sink sees neither bare CR, bare LF nor NUL: from the first flaw on nothing more is handed
/// to it, while the scanner goes on looking for the true end.
#[derive(Debug, Clone)]
pub struct DataScanner {
    at: At,
    /// The last octet was CR; it has not been handed on yet.
    held_cr: bool,
    /// Nothing goes to the sink any more.
    stopped: bool,
    /// Content octets of the current line from input before.
    line: u64,
    flaws: Flaws,
}

impl Default for DataScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl DataScanner {
    pub fn new() -> Self {
        DataScanner {
            at: At::LineStart,
            held_cr: false,
            stopped: false,
            line: 0,
            flaws: Flaws::default(),
        }
    }

    pub fn flaws(&self) -> &Flaws {
        &self.flaws
    }

    /// Takes received bytes and hands the content to `sink`, in order, in slices as large as
    /// possible, without the line that ends the data. Returns how many bytes were consumed and
    /// whether the end was found; bytes after the end are not touched.
    pub fn scan(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> (usize, bool) {
        let Some(first) = input.first() else { return (0, false) };
        // The slice to hand on next, and the CRLFs that lie in it.
        let mut start = 0;
        let mut pairs = 0;
        if self.held_cr {
            if *first != b'\n' {
                self.flaws.bare_cr = true;
                self.stopped = true;
            } else if self.at == At::Text {
                self.hand_on(b"\r\n", 1, sink);
                start = 1;
            }
        }
        let mut line_start = 0;
        let mut pos = 0;
        while let Some(&octet) = input.get(pos) {
            match (self.at, octet) {
                (At::LineStart, b'.') => {
                    self.hand_on(between(input, start, pos), pairs, sink);
                    pos += 1;
                    (start, pairs, line_start) = (pos, 0, pos);
                    self.at = At::Dot;
                }
                (At::Dot, b'\r') => {
                    pos += 1;
                    self.at = At::DotCr;
                }
                (At::DotCr, b'\n') => {
                    self.held_cr = false;
                    return (pos + 1, true);
                }
                (At::LineStart | At::Dot | At::DotCr, _) => {
                    self.at = At::Text;
                }
                (At::Text, _) => {
                    let Some(lf) = memchr(b'\n', between(input, pos, input.len())) else { break };
                    let lf = pos + lf;
                    let before = match lf.checked_sub(1) {
                        Some(at) => input.get(at) == Some(&b'\r'),
                        None => self.held_cr,
                    };
                    pos = lf + 1;
                    self.flaws.longest_line =
                        self.flaws.longest_line.max(self.line + (pos - line_start) as u64);
                    self.line = 0;
                    line_start = pos;
                    if before {
                        self.at = At::LineStart;
                        pairs += usize::from(lf > 0);
                    } else {
                        self.flaws.bare_lf = true;
                    }
                }
            }
        }
        self.line += (input.len() - line_start) as u64;
        self.held_cr = input.last() == Some(&b'\r');
        let end = input.len() - usize::from(self.held_cr);
        self.hand_on(between(input, start, end), pairs, sink);
        (input.len(), false)
    }

    /// Looks for flaws first. No slice ends in CR, so the CRs in it are those of its CRLFs or bare.
    fn hand_on(&mut self, slice: &[u8], pairs: usize, sink: &mut dyn FnMut(&[u8])) {
        self.flaws.nul |= memchr(0, slice).is_some();
        self.flaws.bare_cr |= memchr_iter(b'\r', slice).count() != pairs;
        if self.stopped {
            return;
        }
        let mut sound = slice;
        if self.flaws.any() {
            self.stopped = true;
            sound = between(slice, 0, first_flaw(slice));
        }
        if !sound.is_empty() {
            sink(sound);
        }
    }
}

/// The place of the first NUL, bare CR or bare LF.
fn first_flaw(slice: &[u8]) -> usize {
    let mut before = None;
    for (at, &octet) in slice.iter().enumerate() {
        let flawed = match octet {
            0 => true,
            b'\n' => before != Some(b'\r'),
            b'\r' => slice.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        if flawed {
            return at;
        }
        before = Some(octet);
    }
    slice.len()
}

/// A range that is empty when it would be out of bounds.
fn between(input: &[u8], start: usize, end: usize) -> &[u8] {
    input.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(input: &[u8]) -> (Vec<u8>, usize, bool, Flaws) {
        let mut out = Vec::new();
        let mut scanner = DataScanner::new();
        let (consumed, end) = scanner.scan(input, &mut |slice| out.extend_from_slice(slice));
        (out, consumed, end, scanner.flaws().clone())
    }

    fn clean(input: &str) -> (String, usize) {
        let (out, consumed, end, flaws) = scan(input.as_bytes());
        assert!(end, "{input:?}");
        assert!(!flaws.any(), "{input:?}");
        (String::from_utf8(out).expect("text"), consumed)
    }

    #[test]
    fn ends_and_dots() {
        assert_eq!(clean(".\r\n"), (String::new(), 3));
        assert_eq!(clean("a\r\n.\r\nQUIT\r\n"), ("a\r\n".into(), 6));
        assert_eq!(clean("..\r\n.a\r\n.\r\n"), (".\r\na\r\n".into(), 11));
        assert_eq!(clean("...\r\n\r\n.\r\n"), ("..\r\n\r\n".into(), 10));
    }

    #[test]
    fn nothing_else_ends_data() {
        for input in
            ["a\n.\n", "a\n.\r\n", "a\r\n.\n", "a\r.\r\n", "a\r\n.\r", "a\r\n.\r\r\n", "\n.\r\n"]
        {
            assert!(!scan(input.as_bytes()).2, "{input:?}");
        }
    }

    #[test]
    fn the_sink_gets_what_stands_before_the_first_flaw() {
        for input in ["a\r\nb\nc\r\n.\r\n", "a\r\nb\rc\r\n.\r\n", "a\r\nb\0c\r\n.\r\n"] {
            let (out, consumed, end, flaws) = scan(input.as_bytes());
            assert_eq!((out.as_slice(), consumed, end), (&b"a\r\nb"[..], 11, true), "{input:?}");
            assert!(flaws.any());
        }
    }

    #[test]
    fn measures() {
        let flaws = scan(b"12345678\r\n..\r\n\xc3\xa9\r\n.\r\n").3;
        assert_eq!(flaws.longest_line, 10);
        assert!(!flaws.any());
        assert_eq!(scan(b".1\r\n.\r\n").3.longest_line, 3);
        assert_eq!(scan(b".\r\n").3, Flaws::default());
    }
}
