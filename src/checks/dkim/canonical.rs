//! Canonical header fields, and the octets a header signature covers (RFC 6376 3.4, 3.7, 5.4.2).

use std::collections::HashMap;

use crate::message::{Header, HeaderField};

/// Appends a field in its canonical form, with its final CRLF.
pub fn push_field(out: &mut Vec<u8>, raw: &[u8], relaxed: bool) {
    if !relaxed {
        out.extend_from_slice(raw);
        return;
    }
    let colon = memchr::memchr(b':', raw).unwrap_or(raw.len());
    let (name, value) = raw.split_at(colon);
    out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut pending = false;
    let mut empty = true;
    for &byte in value.iter().skip(1) {
        match byte {
            b' ' | b'\t' => pending = true,
            // Unfolding; lines end in CRLF and nowhere else.
            b'\r' | b'\n' => {}
            _ => {
                if pending && !empty {
                    out.push(b' ');
                }
                pending = false;
                empty = false;
                out.push(byte);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the field that holds the signature: the value of `b=` removed, and no final CRLF.
pub fn push_own_field(out: &mut Vec<u8>, raw: &[u8], relaxed: bool) {
    push_field(out, &without_signature(raw), relaxed);
    if out.ends_with(b"\r\n") {
        out.truncate(out.len() - 2);
    }
}

/// The fields of a header by name, so that a header of many fields and a long `h=` stay cheap.
#[derive(Default)]
pub struct FieldIndex<'a> {
    by_name: HashMap<Vec<u8>, Vec<HeaderField<'a>>>,
}

impl<'a> FieldIndex<'a> {
    pub fn new(header: &'a Header) -> FieldIndex<'a> {
        let mut by_name: HashMap<Vec<u8>, Vec<HeaderField<'a>>> = HashMap::new();
        for field in header.fields().filter(|field| !field.name.is_empty()) {
            by_name.entry(field.name.to_ascii_lowercase()).or_default().push(field);
        }
        FieldIndex { by_name }
    }

    /// What a signature covers: the fields of `names` (lower case), each name taking the lowest
    /// field not yet taken, and then its own field. A name without a field left stands for nothing.
    pub fn signed_data<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        own: HeaderField<'_>,
        relaxed: bool,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024 + own.raw.len());
        let mut left: HashMap<&str, &[HeaderField<'a>]> = HashMap::new();
        for name in names {
            let fields = left.entry(name).or_insert_with(|| {
                self.by_name.get(name.as_bytes()).map_or(&[], |fields| fields.as_slice())
            });
            while let Some((field, above)) = fields.split_last() {
                *fields = above;
                if field.index != own.index {
                    push_field(&mut out, field.raw, relaxed);
                    break;
                }
            }
        }
        push_own_field(&mut out, own.raw, relaxed);
        out
    }
}

/// The field with the value of its `b=` removed, the white space around it too (RFC 6376 3.5).
fn without_signature(raw: &[u8]) -> Vec<u8> {
    let line = raw.strip_suffix(b"\r\n").unwrap_or(raw);
    let mut start = memchr::memchr(b':', line).map_or(line.len(), |at| at + 1);
    while start < line.len() {
        let end = memchr::memchr(b';', &line[start..]).map_or(line.len(), |at| start + at);
        let tag = &line[start..end];
        if let Some(equals) = memchr::memchr(b'=', tag)
            && tag[..equals].trim_ascii() == b"b"
        {
            return [&line[..=start + equals], &line[end..], b"\r\n"].concat();
        }
        start = end + 1;
    }
    raw.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(raw: &str, relaxed: bool) -> String {
        let mut out = Vec::new();
        push_field(&mut out, raw.as_bytes(), relaxed);
        String::from_utf8(out).expect("text")
    }

    /// The examples of RFC 6376 3.4.5.
    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(field("A: X\r\n", true), "a:X\r\n");
        assert_eq!(field("B : Y\t\r\n\tZ  \r\n", true), "b:Y Z\r\n");
        assert_eq!(field("B : Y\t\r\n\tZ  \r\n", false), "B : Y\t\r\n\tZ  \r\n");
    }

    #[test]
    fn relaxed_corners() {
        assert_eq!(field("Subject:\r\n", true), "subject:\r\n");
        assert_eq!(field("Subject: \t \r\n", true), "subject:\r\n");
        assert_eq!(field("Subject:\r\n a\r\n\t \r\n b\r\n", true), "subject:a b\r\n");
        assert_eq!(field("X:a:b : c\r\n", true), "x:a:b : c\r\n");
    }

    /// RFC 6376 3.5, `b=`; 3.7: without final CRLF.
    #[test]
    fn the_signature_is_taken_out() {
        for (raw, expected) in [
            ("D: a=x; b=AA\r\n BB ; c=y\r\n", "D: a=x; b=; c=y"),
            ("D: a=x; b=AA=\r\n", "D: a=x; b="),
            ("D: b =\r\n AA\r\n", "D: b ="),
            ("D: bh=b; b=AA; x=1\r\n", "D: bh=b; b=; x=1"),
            ("D:b=AA;\r\n", "D:b=;"),
            ("D: a=x\r\n", "D: a=x"),
        ] {
            let mut out = Vec::new();
            push_own_field(&mut out, raw.as_bytes(), false);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    /// RFC 6376 5.4.2: from the bottom up, a name too many is the null string.
    #[test]
    fn fields_are_taken_from_the_bottom() {
        let raw = "D: b=x\r\nA: 1\r\nB: 2\r\nA: 3\r\n";
        let header = Header::parse(raw.as_bytes().into());
        let own = header.fields().next().expect("a field");
        let index = FieldIndex::new(&header);
        let data = index.signed_data(["a", "a", "a", "d", "b"].into_iter(), own, true);
        assert_eq!(String::from_utf8_lossy(&data), "a:3\r\na:1\r\nb:2\r\nd:b=");
    }
}
