//! `[[rule]]` and `[override."id"]`.

use std::ops::Range;
use std::sync::Arc;

use super::check::{Scope, condition};
use super::checkset::CheckSet;
use super::diagnostic::{Diagnostic, Source, nearest};
use super::expr::Expr;
use super::file::{Placed, check_id};
use super::file_reply::{read_reply, read_tag};
use super::rule::{Action, Mode, Rule};
use super::ruleset::Options;
use super::shipped::PROFILES;
use super::toml_walk::{Report, Table, Text, line_of, not_one_of};
use crate::facts::Stage;

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

pub(super) fn read_id(table: &Table<'_, '_>, report: &mut Report) -> Option<Text> {
    table.required(report, "id").filter(|id| check_id(id, "a rule", report))
}

/// `[override."id"]`
pub(super) struct Override {
    pub(super) source: Arc<Source>,
    pub(super) span: Range<usize>,
    mode: Option<Mode>,
    except: Option<Text>,
    reply: Option<Text>,
    at: Option<(Stage, Text)>,
}

impl Override {
    pub(super) fn read(table: &Table<'_, '_>, span: Range<usize>, report: &mut Report) -> Self {
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

pub(super) fn read_rule(
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
