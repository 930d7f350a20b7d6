//! Walking a parsed TOML file with its positions, so that every mistake is told where it is.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source, nearest};

pub(super) type Item<'i> = Spanned<DeValue<'i>>;

/// Where mistakes are collected.
pub(super) struct Report {
    pub(super) diagnostics: Vec<Diagnostic>,
}

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
    fn new(source: &Arc<Source>, span: Range<usize>, value: &str) -> Self {
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

impl Report {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

/// One table of a file, with the means to report on it.
pub(super) struct Table<'t, 'i> {
    pub(super) source: &'t Arc<Source>,
    pub(super) table: &'t DeTable<'i>,
    /// The whole of it, for what is missing.
    pub(super) span: Range<usize>,
    /// What it is, for messages: "a rule".
    pub(super) what: &'static str,
}

impl<'t, 'i> Table<'t, 'i> {
    /// A table out of a value; anything else is reported.
    pub(super) fn of(
        report: &mut Report,
        source: &'t Arc<Source>,
        item: &'t Item<'i>,
        what: &'static str,
    ) -> Option<Self> {
        match item.get_ref() {
            DeValue::Table(table) => Some(Table { source, table, span: item.span(), what }),
            other => {
                report.push(Diagnostic::error(
                    "P0301",
                    source,
                    item.span(),
                    format!("{what} must be a table, this is {}", kind(other)),
                ));
                None
            }
        }
    }

    /// Reports every key that is not known, with the nearest that is.
    pub(super) fn only(&self, report: &mut Report, known: &[&str]) {
        for key in self.table.keys() {
            self.known(report, key, known);
        }
    }

    fn known(&self, report: &mut Report, key: &Spanned<DeString<'_>>, known: &[&str]) {
        let name = key.get_ref().as_ref();
        if known.contains(&name) {
            return;
        }
        let mut error = Diagnostic::error(
            "P0201",
            self.source,
            key.span(),
            format!("{} has no key `{name}`", self.what),
        );
        error = match nearest(name, known.iter().copied()) {
            Some(meant) => error.help(format!("did you mean `{meant}`?")),
            None => error.help(format!("its keys are {}", known.join(", "))),
        };
        report.push(error);
    }

    pub(super) fn get(&self, key: &str) -> Option<&'t Item<'i>> {
        self.table.get(key)
    }

    pub(super) fn error(
        &self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, self.source, span, message)
    }

    fn wrong(&self, report: &mut Report, key: &str, item: &Item<'_>, wanted: &str) {
        report.push(self.error(
            "P0301",
            item.span(),
            format!("`{key}` must be {wanted}, this is {}", kind(item.get_ref())),
        ));
    }

    pub(super) fn text(&self, report: &mut Report, key: &str) -> Option<Text> {
        let item = self.get(key)?;
        match item.get_ref() {
            DeValue::String(value) => Some(Text::new(self.source, item.span(), value)),
            _ => {
                self.wrong(report, key, item, "a string");
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, report: &mut Report, key: &str) -> Option<Text> {
        if self.get(key).is_none() {
            report.push(self.error(
                "P0210",
                self.span.clone(),
                format!("{} needs `{key}`", self.what),
            ));
        }
        self.text(report, key)
    }

    /// A string that must be one of the names.
    pub(super) fn choice<T>(
        &self,
        report: &mut Report,
        key: &str,
        names: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<(T, Text)> {
        let text = self.text(report, key)?;
        match parse(&text.value) {
            Some(value) => Some((value, text)),
            None => {
                report.push(not_one_of(&text, &format!("`{key}`"), names));
                None
            }
        }
    }

    pub(super) fn int(&self, report: &mut Report, key: &str, range: Range<i64>) -> Option<i64> {
        let item = self.get(key)?;
        let Some(value) = int_of(item) else {
            self.wrong(report, key, item, "a whole number");
            return None;
        };
        if !range.contains(&value) {
            report.push(self.error(
                "P0308",
                item.span(),
                format!("`{key}` must be {} to {}", range.start, range.end - 1),
            ));
            return None;
        }
        Some(value)
    }

    pub(super) fn texts(&self, report: &mut Report, key: &str) -> Option<Vec<Text>> {
        let item = self.get(key)?;
        let DeValue::Array(items) = item.get_ref() else {
            self.wrong(report, key, item, "an array of strings");
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(value) => texts.push(Text::new(self.source, item.span(), value)),
                _ => self.wrong(report, key, item, "an array of strings"),
            }
        }
        Some(texts)
    }

    pub(super) fn table(
        &self,
        report: &mut Report,
        key: &str,
        what: &'static str,
    ) -> Option<Table<'t, 'i>> {
        Table::of(report, self.source, self.get(key)?, what)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t str, Range<usize>, &'t Item<'i>)> {
        self.table.iter().map(|(key, item)| (key.get_ref().as_ref(), key.span(), item))
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(
        &self,
        report: &mut Report,
        key: &str,
        what: &'static str,
    ) -> Vec<Table<'t, 'i>> {
        let Some(item) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = item.get_ref() else {
            report.push(self.error(
                "P0301",
                item.span(),
                format!("{what} is written as [[{key}]]"),
            ));
            return Vec::new();
        };
        items.iter().filter_map(|item| Table::of(report, self.source, item, what)).collect()
    }
}

fn kind(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

pub(super) fn int_of(item: &Item<'_>) -> Option<i64> {
    match item.get_ref() {
        DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix()).ok(),
        _ => None,
    }
}

/// A string that stands in an array or a table of free keys.
pub(super) fn text_of(source: &Arc<Source>, item: &Item<'_>) -> Option<Text> {
    match item.get_ref() {
        DeValue::String(value) => Some(Text::new(source, item.span(), value)),
        _ => None,
    }
}

pub(super) fn not_one_of(text: &Text, what: &str, names: &[&str]) -> Diagnostic {
    let error = text.error_all("P0302", format!("{what} cannot be \"{}\"", text.value));
    match nearest(&text.value, names.iter().copied()) {
        Some(meant) => error.help(format!("did you mean \"{meant}\"?")),
        None => error.help(format!("write one of {}", names.join(", "))),
    }
}

/// The line of an offset, from 1.
pub(super) fn line_of(source: &Source, offset: usize) -> usize {
    let before = source.text.as_bytes().get(..offset).unwrap_or(source.text.as_bytes());
    1 + before.iter().filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

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
