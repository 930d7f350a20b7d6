//! Walking a parsed TOML file with its positions, so that every mistake is told where it is.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source, nearest};
pub(super) use super::toml_text::Text;

pub(super) type Item<'i> = Spanned<DeValue<'i>>;

/// Where mistakes are collected.
pub(super) struct Report {
    pub(super) diagnostics: Vec<Diagnostic>,
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

/// The values of an array or a single value, as texts.
pub(super) fn one_or_many(source: &Arc<Source>, item: &Item<'_>) -> Option<Vec<Text>> {
    match item.get_ref() {
        DeValue::Array(items) => items.iter().map(|item| text_of(source, item)).collect(),
        _ => text_of(source, item).map(|text| vec![text]),
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
    1 + memchr::memchr_iter(b'\n', before).count()
}
