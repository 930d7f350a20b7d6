//! Walks a file by the table of options: unknown keys, types, ranges, defaults.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::options::{self, SECTIONS, Unset};
use super::value::{self, FromValue, Wrong};
use crate::policy::diagnostic::{Diagnostic, Source, nearest};

pub(super) const P_UNKNOWN: &str = "P0251";
pub(super) const P_MISSING: &str = "P0252";

/// A table of the file, or its absence.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    /// As in [`SECTIONS`].
    pub(super) section: &'static str,
    pub(super) table: Option<&'a DeTable<'a>>,
    /// Where to point when something is missing in it.
    pub(super) place: Range<usize>,
}

impl Scope<'_> {
    /// Where the key's value stands, else the table.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        self.table.and_then(|table| table.get(key)).map_or(self.place.clone(), Spanned::span)
    }

    /// Whether an unknown key looks like this one: its own error says so already.
    fn misspells(&self, key: &str) -> bool {
        let known = known(self.section);
        let mut keys = self.table.iter().flat_map(|table| table.keys()).map(|name| name.get_ref());
        keys.any(|name| {
            !known.contains(&name.as_ref()) && nearest(name, known.iter().copied()) == Some(key)
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }
}

pub(super) struct Reader<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) found: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.put(Diagnostic::error(code, self.source, span, message))
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.put(Diagnostic::warning(code, self.source, span, message))
    }

    fn put(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        self.found.push(diagnostic);
        self.found.last_mut().expect("one was just pushed")
    }

    /// The value of a key that has a default. `None` when it is wrong, which was then reported.
    pub(super) fn get<T: FromValue>(&mut self, scope: &Scope<'_>, key: &str) -> Option<T> {
        let option = options::option(scope.section, key);
        let value = match scope.table.and_then(|table| table.get(key)) {
            Some(item) => self.read(option, item),
            None => match option.default {
                Unset::Is(text) => Some(default(option, text)),
                Unset::Required(_) if scope.misspells(key) => None,
                Unset::Required(example) => {
                    let error =
                        self.error(P_MISSING, scope.place.clone(), format!("`{key}` is missing"));
                    error.help.push(format!("add: {key} = {example}"));
                    None
                }
                Unset::Absent(..) => None,
            },
        };
        value.map(|value| T::from_value(value).expect("the option's kind is what the code reads"))
    }

    /// One of the words of a [`Kind::Choice`](options::Kind::Choice), as the value at its place.
    pub(super) fn choice<T: Copy, const N: usize>(
        &mut self,
        scope: &Scope<'_>,
        key: &str,
        values: [T; N],
    ) -> Option<T> {
        let value::Choice(at) = self.get(scope, key)?;
        values.get(at).copied()
    }

    fn read(&mut self, option: &options::Opt, item: &Spanned<DeValue<'_>>) -> Option<value::Value> {
        let mut wrong = Vec::new();
        let value = value::read(&option.kind, item, &mut wrong);
        for Wrong { code, span, message, label, help } in wrong {
            let message = format!("`{}`: {message}", option.key());
            let error = self.error(code, span, message);
            error.label = label;
            error.help.extend(help);
        }
        value
    }

    /// A table such as `[limits]`, which need not be there.
    pub(super) fn table<'t>(&mut self, root: &Scope<'t>, section: &'static str) -> Scope<'t> {
        let place = root.place.clone();
        let absent = Scope { section, table: None, place };
        let Some(item) = root.table.and_then(|table| table.get(section)) else {
            return absent;
        };
        match item.get_ref() {
            DeValue::Table(table) => {
                let place = header(root, section).unwrap_or(absent.place);
                let scope = Scope { section, table: Some(table), place };
                self.unknown(&scope);
                scope
            }
            _ => {
                let error =
                    self.error(value::P_TYPE, item.span(), format!("`{section}` is a table"));
                error
                    .help
                    .push(format!("write [{section}] on a line of its own, and the keys below it"));
                absent
            }
        }
    }

    /// The tables of `[[name]]`.
    pub(super) fn array<'t>(
        &mut self,
        root: &Scope<'t>,
        name: &str,
        section: &'static str,
    ) -> Vec<Scope<'t>> {
        let Some(item) = root.table.and_then(|table| table.get(name)) else {
            return Vec::new();
        };
        let mut scopes = Vec::new();
        if let DeValue::Array(items) = item.get_ref() {
            for item in items {
                if let DeValue::Table(table) = item.get_ref() {
                    scopes.push(Scope { section, table: Some(table), place: item.span() });
                } else {
                    self.not_an_array(name, item.span());
                }
            }
        } else {
            self.not_an_array(name, header(root, name).unwrap_or_else(|| item.span()));
        }
        for scope in &scopes {
            self.unknown(scope);
        }
        scopes
    }

    fn not_an_array(&mut self, name: &str, span: Range<usize>) {
        let error = self.error(value::P_TYPE, span, format!("`{name}` is a list of tables"));
        error.help.push(format!("write [[{name}]], with two brackets, once for each"));
    }

    /// Reports the keys of a table that nobody reads.
    pub(super) fn unknown(&mut self, scope: &Scope<'_>) {
        let Some(table) = scope.table else { return };
        let known = known(scope.section);
        let mut unknown: Vec<_> =
            table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).collect();
        unknown.sort_by_key(|key| key.span().start);
        for key in unknown {
            let name: &str = key.get_ref();
            let place = match scope.section {
                "" => String::new(),
                section => format!(" in `{}`", section.trim_end_matches("[]")),
            };
            let help = suggestion(scope.section, name, &known);
            let error = self.error(
                P_UNKNOWN,
                key.span(),
                format!("there is no key `{}`{place}", name.escape_debug()),
            );
            match help {
                Some((label, help)) => {
                    error.label = label;
                    error.help.extend(help);
                }
                None => error.help.push(format!("keys here: {}", known.join(", "))),
            }
        }
    }
}

/// Where the table's name stands in its header.
fn header(root: &Scope<'_>, name: &str) -> Option<Range<usize>> {
    root.table?.get_key_value(name).map(|(key, _)| key.span())
}

/// What may stand in a section: its options, and in the outermost one the other sections.
fn known(section: &str) -> Vec<&'static str> {
    let mut known: Vec<&str> = options::members(section).map(options::Opt::key).collect();
    if section.is_empty() {
        let tables =
            SECTIONS.iter().map(|s| s.path.trim_end_matches("[]").trim_end_matches(".NAME"));
        known.extend(tables.filter(|name| !name.is_empty() && *name != "backend"));
    }
    known
}

/// A label and perhaps a help for a key that does not exist: the nearest one here, or the same one
/// in another table.
fn suggestion(
    section: &str,
    name: &str,
    known: &[&'static str],
) -> Option<(String, Option<String>)> {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return Some((format!("did you mean `{near}`?"), None));
    }
    let elsewhere = options::OPTIONS.iter().find(|o| o.section() != section && o.key() == name)?;
    let header = SECTIONS.iter().find(|s| s.path == elsewhere.section())?;
    let place = match header.path {
        "" => "it stands at the top of the file, before the first [table]".to_owned(),
        _ => format!("it stands in {}", header.header()),
    };
    Some(("not here".to_owned(), Some(place)))
}

/// The default, read as if it stood in the file.
fn default(option: &options::Opt, text: &str) -> value::Value {
    let item = DeValue::parse(text).expect("defaults are TOML");
    value::read(&option.kind, &item, &mut Vec::new()).expect("defaults fit their options")
}
