//! Rule files: lists, rates, overrides, rules. Every mistake of every file is told in one run.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::check::{NamedList, Scope, condition, duration, is_field_name};
use super::checkset::CheckSet;
use super::codes;
use super::diagnostic::{Diagnostic, Severity, Source, nearest};
use super::expr::Expr;
use super::lint;
use super::list::{List, ListType};
use super::reply::{ReplyTemplate, Template, TemplateError};
use super::rule::{Action, Mode, RateDecl, RatePer, RateWhat, Rule};
use super::ruleset::{Options, RuleFile};
use super::shipped::PROFILES;
use super::toml_walk::{Report, Table, Text, line_of, not_one_of, text_of};
use crate::facts::Stage;

const RULES_MAX: usize = 10_000;
const RATES_MAX: usize = 100;
const LIST_ITEMS_MAX: usize = 1_000_000;

const TOP_KEYS: [&str; 5] = ["rule", "list", "rate", "override", "test"];
const RULE_KEYS: [&str; 16] = [
    "id",
    "why",
    "when",
    "except",
    "action",
    "skip",
    "header",
    "value",
    "add_header",
    "reply",
    "mode",
    "at",
    "profiles",
    "evidence",
    "source",
    "risk",
];

pub(super) struct Compiled {
    pub(super) rules: Vec<Rule>,
    pub(super) rates: Vec<RateDecl>,
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

pub(super) fn compile_files(
    files: &[RuleFile],
    options: &Options<'_>,
    report: &mut Report,
) -> Compiled {
    let parsed: Vec<Parsed<'_>> = files.iter().map(|file| Parsed::new(file, report)).collect();
    let mut lists = BTreeMap::new();
    let mut list_places = Vec::new();
    let mut rates: Vec<RateDecl> = Vec::new();
    let mut rate_places = Vec::new();
    let mut overrides: BTreeMap<String, Override> = BTreeMap::new();
    for file in &parsed {
        let top = file.top();
        top.only(report, &TOP_KEYS);
        if let Some(tables) = top.table(report, "list", "`list`") {
            for (name, span, item) in tables.entries() {
                let Some(table) = Table::of(report, top.source, item, "a list") else { continue };
                if lists.contains_key(name) {
                    let message = format!("there is a list `{name}` already");
                    report.push(top.error("P0209", span, message));
                } else if let Some(list) = read_list(&table, options, report) {
                    list_places.push((name.to_owned(), (top.source.clone(), span)));
                    let list = NamedList { list: Arc::new(list), used: Cell::new(false) };
                    lists.insert(name.to_owned(), list);
                }
            }
        }
        for table in top.tables(report, "rate", "a rate") {
            let Some((rate, name)) = read_rate(&table, report) else { continue };
            if rates.iter().any(|known| known.name == rate.name) {
                if file.file.shipped {
                    // The administrator's own numbers stand.
                    continue;
                }
                let message = format!("there is a rate `{}` already", rate.name);
                report.push(name.error_all("P0209", message));
            } else if rates.len() == RATES_MAX {
                report.push(name.error_all("P0602", format!("at most {RATES_MAX} rates")));
            } else {
                rate_places.push(((top.source.clone(), name.span.clone()), file.file.shipped));
                rates.push(rate);
            }
        }
        if let Some(tables) = top.table(report, "override", "`override`") {
            for (id, span, item) in tables.entries() {
                let Some(table) = Table::of(report, top.source, item, "an override") else {
                    continue;
                };
                if overrides.contains_key(id) {
                    let message = format!("`{id}` is overridden already");
                    report.push(top.error("P0209", span, message));
                } else {
                    overrides.insert(id.to_owned(), Override::read(&table, span, report));
                }
            }
        }
    }

    let scope = Scope { lists: &lists, rates: &rates, zones: options.zones };
    let mut placed: Vec<Placed> = Vec::new();
    let mut ids: BTreeSet<String> = BTreeSet::new();
    for file in &parsed {
        for table in file.top().tables(report, "rule", "a rule") {
            if placed.len() == RULES_MAX {
                report.push(table.error("P0602", table.span.clone(), "at most 10,000 rules"));
                break;
            }
            let Some(id) = read_id(&table, report) else { continue };
            if !ids.insert(id.value.clone()) {
                let message = format!("there is a rule `{}` already", id.value);
                report.push(
                    id.error_all("P0209", message)
                        .help(format!("to change it, write [override.\"{}\"]", id.value)),
                );
            }
            let change = overrides.get(&id.value);
            placed.extend(read_rule(
                &table,
                &id,
                file.file.shipped,
                change,
                &scope,
                options,
                report,
            ));
        }
    }
    for (id, change) in &overrides {
        if !ids.contains(id) {
            let mut error = Diagnostic::error(
                "P0208",
                &change.source,
                change.span.clone(),
                format!("there is no rule `{id}` to override"),
            );
            if let Some(meant) = nearest(id, ids.iter().map(String::as_str)) {
                error = error.help(format!("did you mean `{meant}`?"));
            }
            report.push(error);
        }
    }
    // A rule that did not compile would make others look useless.
    if report.diagnostics.iter().all(|found| found.severity != Severity::Error) {
        lint::lint(&placed, report);
        unused(&placed, &lists, list_places, &rates, rate_places, report);
    }
    Compiled {
        rules: placed.into_iter().map(|placed| placed.rule).collect(),
        rates,
        list_items: lists.values().map(|list| list.list.len()).sum(),
    }
}

type Place = (Arc<Source>, Range<usize>);

fn unused(
    placed: &[Placed],
    lists: &BTreeMap<String, NamedList>,
    list_places: Vec<(String, Place)>,
    rates: &[RateDecl],
    rate_places: Vec<(Place, bool)>,
    report: &mut Report,
) {
    for (name, (source, span)) in list_places {
        let Some(list) = lists.get(&name) else { continue };
        if !list.used.get() {
            let message = format!("no rule uses the list `{name}`");
            report.push(Diagnostic::warning("P0503", &source, span.clone(), message));
        } else if list.list.len() == 0 {
            let message = format!("the list `{name}` is empty");
            report.push(Diagnostic::warning("P0505", &source, span, message));
        }
    }
    for (rate, ((source, span), shipped)) in rates.iter().zip(rate_places) {
        let mut used = false;
        for rule in placed {
            rule.rule.leaves(|leaf| used |= leaf.key.as_deref() == Some(&*rate.name));
        }
        if !used && !shipped {
            let message = format!("no rule uses the rate `{}`", rate.name);
            report.push(Diagnostic::warning("P0504", &source, span, message));
        }
    }
}

fn read_list(table: &Table<'_, '_>, options: &Options<'_>, report: &mut Report) -> Option<List> {
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

fn read_rate(table: &Table<'_, '_>, report: &mut Report) -> Option<(RateDecl, Text)> {
    table.only(report, &["name", "what", "per", "limit", "within", "note"]);
    table.text(report, "note");
    for key in ["name", "what", "per", "limit", "within"] {
        if table.get(key).is_none() {
            let message = format!("a rate needs `{key}`");
            report.push(table.error("P0210", table.span.clone(), message));
        }
    }
    let name = table.text(report, "name").filter(|name| check_id(name, "a rate", report));
    let whats = RateWhat::ALL.map(|(name, _)| name);
    let what = table.choice(report, "what", &whats, |name| {
        RateWhat::ALL.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
    });
    let pers = RatePer::ALL.map(|(name, _)| name);
    let per = table.choice(report, "per", &pers, |name| {
        RatePer::ALL.iter().find(|(known, _)| *known == name).map(|(_, per)| *per)
    });
    let limit = table.int(report, "limit", 1..1_000_001);
    let within = table.text(report, "within").and_then(|text| match duration(&text.value) {
        Some(ms @ 1_000..=604_800_000) => Some(Duration::from_millis(ms.unsigned_abs())),
        _ => {
            report.push(text.error_all("P0307", "`within` is a time from \"1s\" to \"7d\""));
            None
        }
    });
    let name = name?;
    let rate = RateDecl {
        name: name.value.as_str().into(),
        what: what?.0,
        per: per?.0,
        limit: u32::try_from(limit?).ok()?,
        within: within?,
    };
    Some((rate, name))
}

/// Names are lower case so that they can be typed, grepped and used as metric labels.
fn check_id(name: &Text, what: &str, report: &mut Report) -> bool {
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

fn read_id(table: &Table<'_, '_>, report: &mut Report) -> Option<Text> {
    table.required(report, "id").filter(|id| check_id(id, "a rule", report))
}

/// `[override."id"]`
struct Override {
    source: Arc<Source>,
    span: Range<usize>,
    mode: Option<Mode>,
    except: Option<Text>,
    reply: Option<Text>,
    at: Option<(Stage, Text)>,
}

impl Override {
    fn read(table: &Table<'_, '_>, span: Range<usize>, report: &mut Report) -> Self {
        table.only(report, &["mode", "except", "reply", "at", "note"]);
        table.text(report, "note");
        Override {
            source: table.source.clone(),
            span,
            mode: read_mode(table, report),
            except: table.text(report, "except"),
            reply: table.text(report, "reply"),
            at: read_at(table, report),
        }
    }
}

fn read_mode(table: &Table<'_, '_>, report: &mut Report) -> Option<Mode> {
    table.choice(report, "mode", &Mode::NAMES, Mode::from_name).map(|(mode, _)| mode)
}

fn read_at(table: &Table<'_, '_>, report: &mut Report) -> Option<(Stage, Text)> {
    table.choice(report, "at", &Stage::ALL.map(Stage::name), Stage::from_name)
}

/// The mode of a shipped rule: each names the profiles it is in.
fn read_profiles(
    table: &Table<'_, '_>,
    shipped: bool,
    profile: &str,
    report: &mut Report,
) -> Option<Mode> {
    let Some(profiles) = table.table(report, "profiles", "`profiles`") else {
        return shipped.then_some(Mode::Off);
    };
    if !shipped {
        let message = "`profiles` belongs to the built-in rules; this one takes `mode`";
        report.push(table.error("P0201", profiles.span.clone(), message));
        return None;
    }
    let known = PROFILES.get(1..).unwrap_or_default();
    profiles.only(report, known);
    let mut found = Mode::Off;
    for name in known {
        let mode = profiles.choice(report, name, &Mode::NAMES, Mode::from_name);
        if let (true, Some((mode, _))) = (*name == profile, mode) {
            found = mode;
        }
    }
    Some(found)
}

fn read_rule(
    table: &Table<'_, '_>,
    id: &Text,
    shipped: bool,
    change: Option<&Override>,
    scope: &Scope<'_>,
    options: &Options<'_>,
    report: &mut Report,
) -> Option<Placed> {
    table.only(report, &RULE_KEYS);
    let [why, evidence, source, risk] =
        ["why", "evidence", "source", "risk"].map(|key| -> Arc<str> {
            table.text(report, key).map_or("".into(), |text| text.value.as_str().into())
        });
    let own_mode = read_mode(table, report);
    let profile_mode = read_profiles(table, shipped, options.profile, report);
    let mode = change
        .and_then(|change| change.mode)
        .or(profile_mode)
        .or(own_mode)
        .unwrap_or(Mode::Enforce);

    let when = table.required(report, "when");
    let mut parts = Vec::new();
    let mut whole = when.is_some();
    if let Some(when) = &when {
        match condition(when, scope, report) {
            Some(expr) => parts.push(expr),
            None => whole = false,
        }
    }
    let own_except = table.text(report, "except");
    for except in [own_except.as_ref(), change.and_then(|change| change.except.as_ref())] {
        let Some(except) = except else { continue };
        match condition(except, scope, report) {
            Some(expr) => parts.push(Expr::Not(Box::new(expr))),
            None => whole = false,
        }
    }
    let expr = if parts.len() == 1 { parts.pop() } else { Some(Expr::And(parts.into())) };

    let own_reply = table.text(report, "reply");
    let reply = change.and_then(|change| change.reply.clone()).or(own_reply);
    let action = read_action(table, id, &why, reply.as_ref(), report);
    let own_at = read_at(table, report);
    let at = change.and_then(|change| change.at.clone()).or(own_at);
    let (expr, action) = (expr.filter(|_| whole)?, action?);

    let mut known_at = Stage::Connect;
    expr.leaves(&mut |leaf| known_at = known_at.max(leaf.stage));
    let at_stage = read_stage(&action, known_at, at.as_ref(), &expr, report)?;
    let mut rule = Rule {
        id: id.value.as_str().into(),
        why,
        evidence,
        source,
        risk,
        when: when?.value.as_str().into(),
        condition: Arc::new(expr),
        action,
        mode,
        known_at,
        at: at_stage,
        shipped,
        file: table.source.path.as_path().into(),
        line: line_of(table.source, table.span.start),
    };
    check_shown(&mut rule, reply.as_ref(), table, report);
    Some(Placed {
        rule,
        source: table.source.clone(),
        span: id.span.clone(),
        reply,
        at: at.map(|(_, text)| text),
    })
}

/// When the rule acts: not before all its fields can be known, and not before RCPT unless it says
/// so.
fn read_stage(
    action: &Action,
    known_at: Stage,
    at: Option<&(Stage, Text)>,
    expr: &Expr,
    report: &mut Report,
) -> Option<Stage> {
    let default = match action {
        Action::Accept | Action::Skip(_) => known_at,
        Action::Tag { .. } => Stage::Message,
        Action::Reject(_) | Action::Defer(_) => known_at.max(Stage::Rcpt),
    };
    let Some((at, text)) = at else { return Some(default) };
    if !action.refuses() {
        let message = format!("`at` is for refusals, not for `{}`", action.name());
        report.push(text.error_all("P0402", message));
        return None;
    }
    if *at < known_at {
        let mut late = "";
        expr.leaves(&mut |leaf| {
            if leaf.stage == known_at {
                late = leaf.field.name();
            }
        });
        report.push(
            text.error_all("P0402", format!("`{late}` is not known at {} yet", at.name()))
                .label(format!("the earliest is \"{}\"", known_at.name())),
        );
        return None;
    }
    Some(*at)
}

/// What a reply shows must be known when it is given.
fn check_shown(rule: &mut Rule, reply: Option<&Text>, table: &Table<'_, '_>, report: &mut Report) {
    for field in rule.shown() {
        if field.get().stage > rule.at {
            let message = format!(
                "`{}` is known at {}, this reply is given at {}",
                field.name(),
                field.get().stage.name(),
                rule.at.name()
            );
            let span = reply.map_or(table.span.clone(), |reply| reply.span.clone());
            let source = reply.map_or(table.source, |reply| &reply.source);
            report.push(Diagnostic::error("P0313", source, span, message));
        }
    }
}

fn read_action(
    table: &Table<'_, '_>,
    id: &Text,
    why: &str,
    reply: Option<&Text>,
    report: &mut Report,
) -> Option<Action> {
    let action = table.required(report, "action")?;
    let allowed: &[&str] = match action.value.as_str() {
        "reject" | "defer" => &["reply"],
        "skip" => &["skip"],
        "tag" => &["header", "value", "add_header"],
        "accept" => &[],
        _ => {
            report.push(not_one_of(&action, "`action`", &Action::NAMES));
            return None;
        }
    };
    for key in ["reply", "skip", "header", "value", "add_header"] {
        if let (false, Some(item)) = (allowed.contains(&key), table.get(key)) {
            let message = format!("`{key}` has no meaning with action \"{}\"", action.value);
            report.push(table.error("P0310", item.span(), message));
        }
    }
    match action.value.as_str() {
        "accept" => Some(Action::Accept),
        "reject" => read_reply(reply, 5, why, report).map(Action::Reject),
        "defer" => read_reply(reply, 4, why, report).map(Action::Defer),
        "skip" => read_skip(table, report).map(Action::Skip),
        _ => read_tag(table, id, report),
    }
}

fn read_skip(table: &Table<'_, '_>, report: &mut Report) -> Option<CheckSet> {
    let names = table.texts(report, "skip");
    if names.as_ref().is_none_or(Vec::is_empty) {
        let message = "a skip rule names the checks: skip = [\"dnsbl\"]";
        report.push(table.error("P0210", table.span.clone(), message));
    }
    let names = names?;
    let mut checks = CheckSet::EMPTY;
    let mut wrong = names.is_empty();
    for name in names {
        match CheckSet::of(&name.value) {
            Some(check) => checks.insert(check),
            None => {
                wrong = true;
                let known = CheckSet::all_names();
                let mut error =
                    name.error_all("P0205", format!("no check is called `{}`", name.value));
                error = match nearest(&name.value, known.iter().copied()) {
                    Some(meant) => error.help(format!("did you mean `{meant}`?")),
                    None => error.help(format!("the checks are {}", known.join(", "))),
                };
                report.push(error);
            }
        }
    }
    (!wrong).then_some(checks)
}

/// The header fields that say what others have done or that Portcullis writes itself.
const FIELDS_TAKEN: [&str; 13] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "date",
    "message-id",
    "received",
    "return-path",
    "dkim-signature",
    "authentication-results",
    "arc-seal",
    "arc-message-signature",
];

fn read_tag(table: &Table<'_, '_>, id: &Text, report: &mut Report) -> Option<Action> {
    let inner = table.table(report, "add_header", "`add_header`");
    let (name, value) = match &inner {
        Some(inner) => {
            inner.only(report, &["name", "value"]);
            (inner.required(report, "name"), inner.text(report, "value"))
        }
        None => (table.required(report, "header"), table.text(report, "value")),
    };
    let name = name?;
    if !is_field_name(&name.value) {
        let message = format!("`{}` cannot be the name of a header field", name.value);
        report.push(name.error_all("P0314", message));
        return None;
    }
    if FIELDS_TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(&name.value)) {
        let message =
            format!("a tag cannot be called {}: it would pass for the real one", name.value);
        report.push(name.error_all("P0314", message).help("X-... is free"));
        return None;
    }
    let value = match value {
        Some(value) => read_template(&value, 0, &value.value, report)?,
        None => Template::plain(&id.value),
    };
    Some(Action::Tag { name: name.value.as_str().into(), value })
}

fn read_template(text: &Text, offset: usize, part: &str, report: &mut Report) -> Option<Template> {
    let place = |span: Range<usize>| offset + span.start..offset + span.end;
    match Template::parse(part) {
        Ok(template) => Some(template),
        Err(TemplateError::Brace(span)) => {
            report.push(
                text.error("P0313", place(span), "this brace has no partner")
                    .help("a field is {name}, a brace is {{ or }}"),
            );
            None
        }
        Err(TemplateError::UnknownField(span, name)) => {
            let known = crate::facts::registry::FIELDS.iter().filter(|field| !field.keyed);
            let mut error = text.error(
                "P0313",
                place(span),
                format!("no field that can be shown is called `{name}`"),
            );
            if let Some(meant) = nearest(&name, known.map(|field| field.name)) {
                error = error.help(format!("did you mean {{{meant}}}?"));
            }
            report.push(error);
            None
        }
    }
}

/// `550 5.7.1 Text with {fields}`. The class must be the action's, and the same in both codes.
fn read_reply(
    reply: Option<&Text>,
    class: u16,
    why: &str,
    report: &mut Report,
) -> Option<ReplyTemplate> {
    let Some(reply) = reply else {
        let text = if why.is_empty() { "Message refused by policy" } else { why };
        let code = if class == 5 { 550 } else { 451 };
        return Some(ReplyTemplate { code, subject: 7, detail: 1, text: Template::plain(text) });
    };
    let value = reply.value.as_str();
    let code_text = value.split(' ').next().unwrap_or("");
    let code = Some(code_text)
        .filter(|text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse::<u16>().ok());
    let rest = value.get(code_text.len() + 1..).unwrap_or("");
    let enhanced_text = rest.split(' ').next().unwrap_or("");
    let Some((code, enhanced)) = code.zip(parse_enhanced(enhanced_text)) else {
        report.push(
            reply
                .error_all("P0310", "a reply begins with a basic and an enhanced code")
                .help(format!("such as \"{class}50 {class}.7.1 Text\"")),
        );
        return None;
    };
    let code_place = 0..3;
    let enhanced_place = 4..4 + enhanced_text.len();
    let mut right = true;
    if code / 100 != class {
        let action = if class == 5 { "reject" } else { "defer" };
        let message =
            format!("a \"{action}\" rule must answer with {class}xx, this reply is {code}");
        let label = format!("use {class}{:02}", code % 100);
        report.push(reply.error("P0311", code_place, message).label(label));
        right = false;
    } else if !codes::may_refuse(code) {
        let mut error =
            reply.error("P0311", code_place, format!("{code} is not for a rule to say"));
        if code == 521 {
            error = error.help("521 says that the host never takes mail (RFC 7504 3); use 554");
        }
        report.push(error);
        right = false;
    }
    let (enhanced_class, subject, detail) = enhanced;
    if enhanced_class != code / 100 {
        report.push(
            reply
                .error("P0312", enhanced_place, "both codes must be of one class (RFC 2034 4)")
                .label(format!("use {}.{subject}.{detail}", code / 100)),
        );
        right = false;
    } else if !codes::fits(enhanced_class, subject, detail) {
        let message = match codes::name(subject, detail) {
            Some(name) => format!("{enhanced_text} does not exist: \"{name}\" is of another class"),
            None => format!("{enhanced_text} is not a registered enhanced status code"),
        };
        report.push(reply.error("P0312", enhanced_place.clone(), message));
        right = false;
    }
    let start = (4 + enhanced_text.len() + 1).min(value.len());
    let text = value.get(start..).unwrap_or("");
    if text.trim().is_empty() {
        report.push(reply.error_all("P0310", "a reply needs a text after its codes"));
        return None;
    }
    let template = read_template(reply, start, text, report)?;
    right.then_some(ReplyTemplate { code, subject, detail, text: template })
}

/// `5.7.26`
fn parse_enhanced(text: &str) -> Option<(u16, u16, u16)> {
    let mut numbers = text.split('.').map(|digits| {
        let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| plain)
    });
    let parsed = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parsed)
}

/// The values of an array or a single value, as texts.
pub(super) fn one_or_many(
    source: &Arc<Source>,
    item: &super::toml_walk::Item<'_>,
) -> Option<Vec<Text>> {
    match item.get_ref() {
        toml::de::DeValue::Array(items) => items.iter().map(|item| text_of(source, item)).collect(),
        _ => text_of(source, item).map(|text| vec![text]),
    }
}
