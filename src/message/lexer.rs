//! The small parts that structured fields are made of (RFC 5322 3.2).

/// A place in the value of a structured field.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|b| !belongs(*b)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Skips white space, folding and nested comments. `None` for a comment without end.
    pub fn skip_cfws(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'(') => depth += 1,
                Some(b')') if depth > 0 => depth -= 1,
                Some(b'\\') if depth > 0 => {
                    self.at += 1;
                    self.peek()?;
                }
                Some(b' ' | b'\t' | b'\r' | b'\n') => {}
                Some(_) if depth > 0 => {}
                None if depth > 0 => return None,
                _ => return Some(()),
            }
            self.at += 1;
        }
    }

    /// The content of a quoted-string, without quotes, backslashes and folding. `None`, and no step
    /// made, when there is none or it has no end.
    pub fn quoted_string(&mut self) -> Option<Vec<u8>> {
        let mut ahead = self.clone();
        if !ahead.eat(b'"') {
            return None;
        }
        let mut content = Vec::new();
        loop {
            match ahead.bump()? {
                b'"' => break,
                b'\\' => content.push(ahead.bump()?),
                b'\r' | b'\n' => {}
                byte => content.push(byte),
            }
        }
        *self = ahead;
        Some(content)
    }
}

/// May stand in an atom: `atext`, and octets over 127 (RFC 6532 3.2).
pub fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || byte >= 0x80
}

/// May stand in a MIME token (RFC 2045 5.1).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_nest_and_end() {
        let mut cursor = Cursor::new(b" (a (b \\) c) d)\r\n\t (e)x");
        assert_eq!(cursor.skip_cfws(), Some(()));
        assert_eq!(cursor.rest(), b"x");
        assert_eq!(Cursor::new(b"(a (b)").skip_cfws(), None);
        assert_eq!(Cursor::new(b"(a \\").skip_cfws(), None);
        let mut cursor = Cursor::new(b") x");
        assert_eq!(cursor.skip_cfws(), Some(()));
        assert_eq!(cursor.rest(), b") x");
    }

    #[test]
    fn quoted_strings() {
        let mut cursor = Cursor::new(b"\"a \\\" b\r\n c\"d");
        assert_eq!(cursor.quoted_string(), Some(b"a \" b c".to_vec()));
        assert_eq!(cursor.rest(), b"d");
        for open in [&b"\"abc"[..], b"\"abc\\", b"abc", b""] {
            let mut cursor = Cursor::new(open);
            assert_eq!(cursor.quoted_string(), None);
            assert_eq!(cursor.rest(), open);
        }
    }
}
