//! Rule files: lists, rates, overrides, rules. Every mistake of every file is told in one run.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::check::{NamedList, Scope};
use super::diagnostic::{Diagnostic, Severity, Source, nearest};
use super::file_list::{read_list, read_rate};
use super::file_rule::{Override, read_id, read_rule};
use super::lint;
use super::rule::Rule;
use super::ruleset::{Options, RuleFile};
use super::toml_walk::{Report, Table, Text};
use crate::facts::rate::Rate;
use crate::facts::registry::RATE;

const RULES_MAX: usize = 10_000;
const RATES_MAX: usize = 100;

const TOP_KEYS: [&str; 5] = ["rule", "list", "rate", "override", "test"];

pub(super) struct Compiled {
    pub(super) rules: Vec<Rule>,
    pub(super) rates: Vec<Rate>,
    pub(super) list_items: usize,
}

/// A rule and where it was written, for the lints.
pub(super) struct Placed {
    pub(super) rule: Rule,
    pub(super) source: Arc<Source>,
    pub(super) span: Range<usize>,
    pub(super) reply: Option<Text>,
    /// `at` was given, by the rule or its override.
    pub(super) at: Option<Text>,
}

pub(super) struct Parsed<'f> {
    pub(super) file: &'f RuleFile,
    pub(super) table: Spanned<DeTable<'f>>,
}

impl<'f> Parsed<'f> {
    /// What could be read of a file; what could not is reported.
    pub(super) fn new(file: &'f RuleFile, report: &mut Report) -> Self {
        let (table, errors) = DeTable::parse_recoverable(&file.source.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            report.push(Diagnostic::error("P0101", &file.source, span, error.message()));
        }
        Parsed { file, table }
    }

    pub(super) fn top(&self) -> Table<'_, 'f> {
        Table {
            source: &self.file.source,
            table: self.table.get_ref(),
            span: 0..0,
            what: "a rule file",
        }
    }
}

/// What rules refer to by name.
#[derive(Default)]
struct Declared {
    lists: BTreeMap<String, NamedList>,
    list_places: Vec<(String, Place)>,
    rates: Vec<Rate>,
    /// In the order of `rates`; whether they are shipped.
    rate_places: Vec<(Place, bool)>,
    overrides: BTreeMap<String, Override>,
}

pub(super) fn compile_files(
    files: &[RuleFile],
    options: &Options<'_>,
    report: &mut Report,
) -> Compiled {
    let parsed: Vec<Parsed<'_>> = files.iter().map(|file| Parsed::new(file, report)).collect();
    let mut declared = Declared::default();
    for file in &parsed {
        let top = file.top();
        top.only(report, &TOP_KEYS);
        declared.read_lists(&top, options, report);
        declared.read_rates(&top, file.file.shipped, report);
        declared.read_overrides(&top, report);
    }
    let placed = read_rules(&parsed, &declared, options, report);
    // A rule that did not compile would make others look useless.
    if report.diagnostics.iter().all(|found| found.severity != Severity::Error) {
        lint::lint(&placed, report);
        declared.unused(&placed, report);
    }
    Compiled {
        rules: placed.into_iter().map(|placed| placed.rule).collect(),
        list_items: declared.lists.values().map(|list| list.list.len()).sum(),
        rates: declared.rates,
    }
}

fn read_rules(
    files: &[Parsed<'_>],
    declared: &Declared,
    options: &Options<'_>,
    report: &mut Report,
) -> Vec<Placed> {
    let scope = Scope { lists: &declared.lists, rates: &declared.rates, zones: options.zones };
    let mut placed: Vec<Placed> = Vec::new();
    let mut ids: BTreeSet<String> = BTreeSet::new();
    for file in files {
        for table in file.top().tables(report, "rule", "a rule") {
            if ids.len() == RULES_MAX {
                report.push(table.error("P0602", table.span.clone(), "at most 10,000 rules"));
                return placed;
            }
            let Some(id) = read_id(&table, report) else { continue };
            if !ids.insert(id.value.clone()) {
                let message = format!("there is a rule `{}` already", id.value);
                report.push(
                    id.error_all("P0209", message)
                        .help(format!("to change it, write [override.\"{}\"]", id.value)),
                );
            }
            let change = declared.overrides.get(&id.value);
            let shipped = file.file.shipped;
            placed.extend(read_rule(&table, &id, shipped, change, &scope, options, report));
        }
    }
    for (id, change) in declared.overrides.iter().filter(|(id, _)| !ids.contains(*id)) {
        let message = format!("there is no rule `{id}` to override");
        let mut error = Diagnostic::error("P0208", &change.source, change.span.clone(), message);
        if let Some(meant) = nearest(id, ids.iter().map(String::as_str)) {
            error = error.help(format!("did you mean `{meant}`?"));
        }
        report.push(error);
    }
    placed
}

impl Declared {
    fn read_lists(&mut self, top: &Table<'_, '_>, options: &Options<'_>, report: &mut Report) {
        let Some(tables) = top.table(report, "list", "`list`") else { return };
        for (name, span, item) in tables.entries() {
            let Some(table) = Table::of(report, top.source, item, "a list") else { continue };
            if self.lists.contains_key(name) {
                let message = format!("there is a list `{name}` already");
                report.push(top.error("P0209", span, message));
            } else if let Some(list) = read_list(&table, options, report) {
                self.list_places.push((name.to_owned(), (top.source.clone(), span)));
                let list = NamedList { list: Arc::new(list), used: Cell::new(false) };
                self.lists.insert(name.to_owned(), list);
            }
        }
    }

    fn read_rates(&mut self, top: &Table<'_, '_>, shipped: bool, report: &mut Report) {
        for table in top.tables(report, "rate", "a rate") {
            let Some((rate, name)) = read_rate(&table, report) else { continue };
            if self.rates.iter().any(|known| known.name == rate.name) {
                // The administrator's own numbers stand before shipped ones.
                if !shipped {
                    let message = format!("there is a rate `{}` already", rate.name);
                    report.push(name.error_all("P0209", message));
                }
            } else if self.rates.len() == RATES_MAX {
                report.push(name.error_all("P0602", format!("at most {RATES_MAX} rates")));
            } else {
                self.rate_places.push(((top.source.clone(), name.span.clone()), shipped));
                self.rates.push(rate);
            }
        }
    }

    fn read_overrides(&mut self, top: &Table<'_, '_>, report: &mut Report) {
        let Some(tables) = top.table(report, "override", "`override`") else { return };
        for (id, span, item) in tables.entries() {
            let Some(table) = Table::of(report, top.source, item, "an override") else {
                continue;
            };
            if self.overrides.contains_key(id) {
                let message = format!("`{id}` is overridden already");
                report.push(top.error("P0209", span, message));
            } else {
                self.overrides.insert(id.to_owned(), Override::read(&table, span, report));
            }
        }
    }

    fn unused(&self, placed: &[Placed], report: &mut Report) {
        for (name, (source, span)) in &self.list_places {
            let Some(list) = self.lists.get(name) else { continue };
            if !list.used.get() {
                let message = format!("no rule uses the list `{name}`");
                report.push(Diagnostic::warning("P0503", source, span.clone(), message));
            } else if list.list.len() == 0 {
                let message = format!("the list `{name}` is empty");
                report.push(Diagnostic::warning("P0505", source, span.clone(), message));
            }
        }
        for (rate, ((source, span), shipped)) in self.rates.iter().zip(&self.rate_places) {
            let mut used = *shipped;
            for rule in placed {
                rule.rule.leaves(|leaf| {
                    used |= leaf.field == RATE && leaf.key.as_deref() == Some(&*rate.name);
                });
            }
            if !used {
                let message = format!("no rule uses the rate `{}`", rate.name);
                report.push(Diagnostic::warning("P0504", source, span.clone(), message));
            }
        }
    }
}

type Place = (Arc<Source>, Range<usize>);

/// Names are lower case so that they can be typed, grepped and used as metric labels.
pub(super) fn check_id(name: &Text, what: &str, report: &mut Report) -> bool {
    let value = &name.value;
    let fits = (1..=64).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && !value.starts_with(['-', '_']);
    if !fits {
        let message = format!("the name of {what} is 1 to 64 of a-z, 0-9, - and _");
        report.push(name.error_all("P0309", message));
    }
    fits
}
