//! `[list.NAME]` and `[[rate]]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::{Diagnostic, Source};
use super::file::check_id;
use super::list::{List, ListType};
use super::ruleset::Options;
use super::toml_walk::{Report, Table, Text};
use super::units::duration;
use crate::facts::rate::{Per, Rate, What};

const LIST_ITEMS_MAX: usize = 1_000_000;

pub(super) fn read_list(
    table: &Table<'_, '_>,
    options: &Options<'_>,
    report: &mut Report,
) -> Option<List> {
    table.only(report, &["type", "items", "file", "note"]);
    table.text(report, "note");
    table.required(report, "type");
    let (ty, _) = table.choice(report, "type", &ListType::NAMES, ListType::from_name)?;
    let mut items = Vec::new();
    for item in table.texts(report, "items").unwrap_or_default() {
        match ty.check(&item.value) {
            Ok(item) => items.push(item),
            Err(message) => report.push(item.error_all("P0305", message)),
        }
    }
    if let Some(file) = table.text(report, "file") {
        let beside = table.source.path.parent().unwrap_or(Path::new(""));
        let path = beside.join(&file.value);
        match (options.read_list)(&path) {
            Ok(text) => read_list_file(ty, &path, text, &mut items, report),
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                report.push(file.error_all("P0601", message));
            }
        }
    } else if table.get("items").is_none() && table.get("file").is_none() {
        report.push(table.error("P0210", table.span.clone(), "a list needs `items` or `file`"));
    }
    if items.len() > LIST_ITEMS_MAX {
        let message = format!("a list has at most {LIST_ITEMS_MAX} items");
        report.push(table.error("P0602", table.span.clone(), message));
        return None;
    }
    Some(List::new(ty, items))
}

/// One item a line; `#` begins a comment at the start of a line or after a blank.
fn read_list_file(
    ty: ListType,
    path: &Path,
    text: String,
    items: &mut Vec<String>,
    report: &mut Report,
) {
    let mut wrong = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let plain = match line.find('#') {
            Some(at) if line[..at].trim_end().len() < at || at == 0 => &line[..at],
            _ => line,
        };
        let item = plain.trim();
        if !item.is_empty() {
            match ty.check(item) {
                Ok(item) => items.push(item),
                Err(message) => {
                    let at = start + (plain.len() - plain.trim_start().len());
                    wrong.push((at..at + item.len(), message));
                }
            }
        }
        start += line.len();
    }
    if wrong.is_empty() {
        return;
    }
    let source = Arc::new(Source { path: path.to_owned(), text });
    for (span, message) in wrong {
        report.push(Diagnostic::error("P0305", &source, span, message));
    }
}

pub(super) fn read_rate(table: &Table<'_, '_>, report: &mut Report) -> Option<(Rate, Text)> {
    table.only(report, &["name", "what", "per", "limit", "within", "note"]);
    table.text(report, "note");
    for key in ["name", "what", "per", "limit", "within"] {
        if table.get(key).is_none() {
            let message = format!("a rate needs `{key}`");
            report.push(table.error("P0210", table.span.clone(), message));
        }
    }
    let name = table.text(report, "name").filter(|name| check_id(name, "a rate", report));
    let what = table.choice(report, "what", &What::ALL.map(What::name), What::from_name);
    let per = table.choice(report, "per", &Per::ALL.map(Per::name), Per::from_name);
    let limit = table.int(report, "limit", 1..1_000_001);
    let within = table.text(report, "within").and_then(|text| match duration(&text.value) {
        Some(ms @ 1_000..=604_800_000) => Some(Duration::from_millis(ms.unsigned_abs())),
        _ => {
            report.push(text.error_all("P0307", "`within` is a time from \"1s\" to \"7d\""));
            None
        }
    });
    let name = name?;
    let ((what, _), (per, given)) = (what?, per?);
    let rate = Rate {
        name: name.value.clone(),
        what,
        per: vec![per],
        limit: u32::try_from(limit?).ok()?,
        within: within?,
    };
    if let Some(per) = rate.unknowable() {
        let message = format!(
            "`{}` are counted before `{}` is known: this rate would count nothing",
            rate.what.name(),
            per.name()
        );
        report.push(given.error_all("P0315", message));
        return None;
    }
    Some((rate, name))
}
