//! The header of a message, as fields over its raw bytes.

/// The header: everything before the first empty line, without that line.
#[derive(Debug, Clone, Default)]
pub struct Header {
    raw: Box<[u8]>,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    /// Of the colon; `start` when the line has none.
    colon: u32,
    end: u32,
}

/// One field, with its folded lines.
#[derive(Debug, Clone, Copy)]
pub struct HeaderField<'a> {
    /// Its place in the header, counted from the top.
    pub index: usize,
    /// As sent, without white space before the colon; empty for a line that is no field.
    pub name: &'a [u8],
    /// After the colon, with folding, without the final CRLF.
    pub value: &'a [u8],
    /// The whole field with its final CRLF.
    pub raw: &'a [u8],
}

impl Header {
    /// Takes lines ended by CRLF. A line that starts with white space continues the field before.
    pub fn parse(raw: Box<[u8]>) -> Header {
        let mut spans: Vec<Span> = Vec::new();
        let mut start = 0;
        while start < raw.len() {
            let end = memchr::memchr(b'\n', &raw[start..]).map_or(raw.len(), |at| start + at + 1);
            let line = &raw[start..end];
            match spans.last_mut() {
                Some(last) if matches!(line[0], b' ' | b'\t') => last.end = end as u32,
                _ => {
                    let colon = memchr::memchr(b':', line).unwrap_or(0);
                    spans.push(Span {
                        start: start as u32,
                        colon: (start + colon) as u32,
                        end: end as u32,
                    });
                }
            }
            start = end;
        }
        spans.shrink_to_fit();
        Header { raw, spans }
    }

    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// From the top down.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = HeaderField<'_>> + ExactSizeIterator {
        self.spans.iter().enumerate().map(|(index, span)| self.field(index, *span))
    }

    /// The fields of a name (ASCII case ignored), from the top down.
    pub fn named<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = HeaderField<'a>> {
        self.fields().filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Where a field is in [`raw`](Header::raw).
    pub fn range(&self, index: usize) -> Option<std::ops::Range<usize>> {
        self.spans.get(index).map(|span| span.start as usize..span.end as usize)
    }

    /// Octets of memory beside the raw header.
    pub(super) fn index_size(&self) -> u64 {
        (self.spans.capacity() * size_of::<Span>()) as u64
    }

    fn field(&self, index: usize, span: Span) -> HeaderField<'_> {
        let (start, colon, end) = (span.start as usize, span.colon as usize, span.end as usize);
        let raw = &self.raw[start..end];
        let value_start = if colon > start { colon + 1 } else { start };
        let value = &self.raw[value_start..end];
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        HeaderField {
            index,
            name: self.raw[start..colon].trim_ascii_end(),
            value: value.strip_suffix(b"\r").unwrap_or(value),
            raw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_fields_and_lines_without_colon() {
        let raw = b"From: a@example.com\r\nSubject : one\r\n\ttwo\r\nno field\r\nTo:\r\n";
        let header = Header::parse(raw.to_vec().into());
        let seen: Vec<_> = header.fields().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
        assert_eq!(
            seen,
            [
                (b"From".to_vec(), b" a@example.com".to_vec()),
                (b"Subject".to_vec(), b" one\r\n\ttwo".to_vec()),
                (b"".to_vec(), b"no field".to_vec()),
                (b"To".to_vec(), b"".to_vec()),
            ]
        );
        assert_eq!(header.fields().map(|f| f.raw).collect::<Vec<_>>().concat(), raw);
        assert_eq!(header.named("SUBJECT").next().map(|f| f.index), Some(1));
    }
}
