//! Strings of a TOML file that know where each of their octets stands in it.

use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Source};

/// A string and where each of its octets stands in the file.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) source: Arc<Source>,
    /// With its quotes.
    pub(super) span: Range<usize>,
    places: Places,
}

#[derive(Debug, Clone)]
enum Places {
    /// No escapes: the content starts here.
    From(usize),
    /// One place for each octet, and one for the end.
    Each(Vec<usize>),
}

impl Text {
    pub(super) fn new(source: &Arc<Source>, span: Range<usize>, value: &str) -> Self {
        let places = places(source.text.get(span.clone()).unwrap_or(""), span.start, value);
        Text { value: value.to_owned(), source: source.clone(), span, places }
    }

    /// A range of the value as a range of the file.
    pub(super) fn place(&self, range: Range<usize>) -> Range<usize> {
        match &self.places {
            Places::From(start) => start + range.start..start + range.end,
            Places::Each(places) => match (places.get(range.start), places.get(range.end)) {
                (Some(start), Some(end)) => *start..*end,
                _ => self.span.clone(),
            },
        }
    }

    pub(super) fn error(
        &self,
        code: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, &self.source, self.place(range), message)
    }

    /// About the whole of it.
    pub(super) fn error_all(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, &self.source, self.span.clone(), message)
    }
}

/// Follows the escapes of a TOML string (TOML 1.1, String).
fn places(raw: &str, start: usize, value: &str) -> Places {
    let quotes = if raw.starts_with("'''") || raw.starts_with("\"\"\"") { 3 } else { 1 };
    let mut at = quotes;
    if quotes == 3 {
        let rest = raw.get(at..).unwrap_or("");
        at += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let content = raw.get(at..raw.len().saturating_sub(quotes)).unwrap_or("");
    if content == value {
        return Places::From(start + at);
    }
    let base = start + at;
    let mut places = Vec::with_capacity(value.len() + 1);
    let mut rest = content;
    while let Some(c) = rest.chars().next() {
        let place = base + content.len() - rest.len();
        let (octets, used) = match (c, rest.chars().nth(1)) {
            ('\\', Some('x')) => (hex(rest, 2), 4),
            ('\\', Some('u')) => (hex(rest, 4), 6),
            ('\\', Some('U')) => (hex(rest, 8), 10),
            ('\\', Some(' ' | '\t' | '\r' | '\n')) => {
                let blank = rest[1..].len() - rest[1..].trim_start().len();
                (0, 1 + blank)
            }
            ('\\', Some(escaped)) => (1, 1 + escaped.len_utf8()),
            _ => (c.len_utf8(), c.len_utf8()),
        };
        for octet in 0..octets {
            places.push(if octets == used { place + octet } else { place });
        }
        rest = rest.get(used..).unwrap_or("");
    }
    places.push(base + content.len());
    Places::Each(places)
}

/// How many octets `\xHH` and its kin stand for.
fn hex(escape: &str, digits: usize) -> usize {
    escape
        .get(2..2 + digits)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .and_then(char::from_u32)
        .map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;
    use crate::policy::toml_walk::{Report, Table};

    fn shown(toml: &str, part: &str) -> String {
        let source = Arc::new(Source { path: "x.toml".into(), text: toml.into() });
        let parsed = DeTable::parse(toml).unwrap();
        let table = Table { source: &source, table: parsed.get_ref(), span: 0..0, what: "a test" };
        let mut report = Report { diagnostics: Vec::new() };
        let text = table.text(&mut report, "k").unwrap();
        let at = text.value.find(part).unwrap();
        toml[text.place(at..at + part.len())].to_owned()
    }

    #[test]
    fn places_through_every_kind_of_string() {
        assert_eq!(shown("k = 'a == b'", "=="), "==");
        assert_eq!(shown("k = '''\na == b'''", "=="), "==");
        assert_eq!(shown("k = \"a \\\"x\\\" == b\"", "=="), "==");
        assert_eq!(shown("k = \"\\u00e9 == \\U0001F600 b\"", "=="), "==");
        assert_eq!(shown("k = \"\\u00e9 == \\U0001F600 b\"", "b"), "b");
        assert_eq!(shown("k = \"\"\"\na \\\n   == b\"\"\"", "== b"), "== b");
        assert_eq!(shown("k = \"a \\\"x\\\" == b\"", "\"x\""), "\\\"x\\\"");
    }
}
