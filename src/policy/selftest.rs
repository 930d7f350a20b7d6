//! `[[test]]`s: what the rules say about given facts, without DNS and without a network.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeValue;

use super::check::describe;
use super::diagnostic::{Diagnostic, Source, nearest};
use super::evaluate::{Effect, Evaluation, Outcome};
use super::file::Parsed;
use super::ruleset::{RuleFile, RuleSet};
use super::shipped::PROFILES;
use super::toml_walk::{Item, Report, Table, int_of, line_of, not_one_of, one_or_many, text_of};
use super::units::{duration, size};
use crate::facts::registry::*;
use crate::facts::{Facts, FieldId, Stage, Type, Value};

/// How one `[[test]]` went.
#[derive(Debug, Clone)]
pub struct TestOutcome {
    pub name: String,
    pub file: Arc<Path>,
    /// From 1.
    pub line: usize,
    pub ok: bool,
    /// What was expected and what came, a line each; empty when it is ok.
    pub detail: String,
    /// Mistakes in the test itself; then it did not run.
    pub diagnostics: Vec<Diagnostic>,
}

/// Runs the tests of the files against the rules. Rules named in a test's `enforce` are enforced
/// in it, and a global monitor mode is not in effect.
pub fn run_tests(set: &RuleSet, files: &[RuleFile]) -> Vec<TestOutcome> {
    let mut outcomes = Vec::new();
    for file in files {
        // The compiler reports what is wrong with the file as a whole.
        let mut ignored = Report { diagnostics: Vec::new() };
        let parsed = Parsed::new(file, &mut ignored);
        for table in parsed.top().tables(&mut ignored, "test", "a test") {
            if applies(set, &table) {
                outcomes.push(run_test(set, &table));
            }
        }
    }
    outcomes
}

const KEYS: [&str; 6] = ["name", "profiles", "session", "facts", "enforce", "expect"];
const SESSION_KEYS: [&str; 6] = ["ip", "helo", "from", "rcpt", "user", "role"];
const EXPECT_KEYS: [&str; 8] =
    ["verdict", "rule", "stage", "code", "text", "skipped", "would_reject", "tags"];
const VERDICTS: [&str; 3] = ["accept", "reject", "defer"];

/// A test with `profiles` is left out under any other profile. What is wrong in it is told by the
/// test that runs.
fn applies(set: &RuleSet, table: &Table<'_, '_>) -> bool {
    let mut ignored = Report { diagnostics: Vec::new() };
    match table.texts(&mut ignored, "profiles") {
        Some(profiles) => {
            profiles.iter().any(|profile| profile.value == set.profile())
                || profiles.iter().any(|profile| !PROFILES.contains(&profile.value.as_str()))
                || !ignored.diagnostics.is_empty()
        }
        None => true,
    }
}

fn run_test(set: &RuleSet, table: &Table<'_, '_>) -> TestOutcome {
    let mut report = Report { diagnostics: Vec::new() };
    table.only(&mut report, &KEYS);
    let name = table.required(&mut report, "name").map(|name| name.value).unwrap_or_default();
    let mut given = Given { set, facts: Vec::new() };
    if let Some(session) = table.table(&mut report, "session", "a session") {
        given.session(&session, &mut report);
    }
    if let Some(facts) = table.table(&mut report, "facts", "the facts") {
        given.facts(&facts, &mut report);
    }
    for profile in table.texts(&mut report, "profiles").unwrap_or_default() {
        if !PROFILES.contains(&profile.value.as_str()) {
            report.push(not_one_of(&profile, "a profile", &PROFILES));
        }
    }
    let enforce = table.texts(&mut report, "enforce").unwrap_or_default();
    for id in enforce.iter().filter(|id| set.rule(&id.value).is_none()) {
        report.push(id.error_all("P0208", format!("there is no rule `{}`", id.value)));
    }
    if table.get("expect").is_none() {
        let message = "a test needs `expect`";
        report.push(table.error("P0210", table.span.clone(), message));
    }
    let mut detail = String::new();
    if let Some(expect) = table.table(&mut report, "expect", "`expect`") {
        let ids: Vec<&str> = enforce.iter().map(|id| id.value.as_str()).collect();
        let got = run(&set.enforcing(&ids), &given.facts);
        detail = compare(set, &expect, &got, &mut report);
    }
    TestOutcome {
        name,
        file: table.source.path.as_path().into(),
        line: line_of(table.source, table.span.start),
        ok: report.diagnostics.is_empty() && detail.is_empty(),
        detail,
        diagnostics: report.diagnostics,
    }
}

type Fact = (FieldId, Option<Box<str>>, Value, Stage);

struct Given<'s> {
    set: &'s RuleSet,
    facts: Vec<Fact>,
}

impl Given<'_> {
    fn set(&mut self, field: FieldId, value: impl Into<Value>) {
        self.facts.push((field, None, value.into(), field.get().stage));
    }

    fn session(&mut self, session: &Table<'_, '_>, report: &mut Report) {
        session.only(report, &SESSION_KEYS);
        if let Some(text) = session.text(report, "ip") {
            match text.value.parse::<IpAddr>() {
                Ok(ip) => self.set(CLIENT_IP, ip.to_canonical()),
                Err(_) => {
                    let message = format!("`{}` is not an IP address", text.value);
                    report.push(text.error_all("P0305", message));
                }
            }
        }
        if let Some(helo) = session.text(report, "helo") {
            self.set(HELO, helo.value.to_ascii_lowercase());
        }
        if let Some(from) = session.text(report, "from") {
            let (local, domain) = from.value.rsplit_once('@').unwrap_or((&from.value, ""));
            self.set(FROM, from.value.clone());
            self.set(FROM_LOCAL, local);
            self.set(FROM_DOMAIN, domain.to_ascii_lowercase());
        }
        if let Some(rcpt) = session.text(report, "rcpt") {
            let (local, domain) = rcpt.value.rsplit_once('@').unwrap_or((&rcpt.value, ""));
            self.set(RCPT, rcpt.value.clone());
            self.set(RCPT_LOCAL, local);
            self.set(RCPT_DOMAIN, domain.to_ascii_lowercase());
            self.set(RCPT_COUNT, 1);
        }
        if let Some(user) = session.text(report, "user") {
            self.set(AUTH_OK, true);
            self.set(AUTH_USER, user.value);
        }
        let role = |name: &str| LISTENER_ROLES.iter().find(|role| **role == name).copied();
        if let Some((role, _)) = session.choice(report, "role", LISTENER_ROLES, role) {
            self.set(LISTENER_ROLE, role);
        }
    }

    fn facts(&mut self, facts: &Table<'_, '_>, report: &mut Report) {
        for (name, span, item) in facts.entries() {
            let Some(id) = FieldId::by_name(name) else {
                let mut error = facts.error("P0203", span, format!("no field is called `{name}`"));
                if let Some(meant) = nearest(name, FIELDS.iter().map(|field| field.name)) {
                    error = error.help(format!("did you mean `{meant}`?"));
                }
                report.push(error);
                continue;
            };
            if !id.get().keyed {
                if let Some(value) = typed(facts.source, &id.get().ty, name, item, report) {
                    self.facts.push((id, None, value, id.get().stage));
                }
                continue;
            }
            let Some(keys) = Table::of(report, facts.source, item, "a field with keys") else {
                continue;
            };
            for (key, span, item) in keys.entries() {
                let key = key.to_ascii_lowercase();
                let mut stage = id.get().stage;
                if id == RATE {
                    let Some(rate) = self.set.rates().iter().find(|rate| *rate.name == *key) else {
                        let message = format!("no rate is called `{key}`");
                        report.push(facts.error("P0206", span, message));
                        continue;
                    };
                    stage = rate.stage();
                }
                if let Some(value) = typed(facts.source, &id.get().ty, name, item, report) {
                    self.facts.push((id, Some(key.into()), value, stage));
                }
            }
        }
    }
}

/// A TOML value as the field's type.
fn typed(
    source: &Arc<Source>,
    ty: &Type,
    name: &str,
    item: &Item<'_>,
    report: &mut Report,
) -> Option<Value> {
    if let Type::List(inner) = ty {
        return match item.get_ref() {
            DeValue::Array(items) => {
                let values: Vec<_> =
                    items.iter().map(|item| typed(source, inner, name, item, report)).collect();
                values.into_iter().collect::<Option<Vec<_>>>().map(Value::List)
            }
            _ => typed(source, inner, name, item, report).map(|value| Value::List(vec![value])),
        };
    }
    let text = text_of(source, item).map(|text| text.value);
    let value = match ty {
        Type::Bool => item.get_ref().as_bool().map(Value::Bool),
        Type::Int => int_of(item).map(Value::Int),
        Type::Size => int_of(item).or_else(|| size(text.as_deref()?)).map(Value::Int),
        Type::Duration => int_of(item).or_else(|| duration(text.as_deref()?)).map(Value::Int),
        Type::Ip => text.and_then(|text| text.parse::<IpAddr>().ok()).map(Value::Ip),
        Type::Enum(names) => text.filter(|text| names.contains(&text.as_str())).map(Value::from),
        Type::Domain => text.map(|text| Value::from(text.to_ascii_lowercase())),
        Type::Text | Type::TextNoCase | Type::Address => text.map(Value::from),
        Type::List(_) => None,
    };
    if value.is_none() {
        let message = format!("`{name}` cannot have this value; it is {}", describe(ty));
        report.push(Diagnostic::error("P0303", source, item.span(), message));
    }
    value
}

/// What a run through all stages gave.
struct Got {
    evaluation: Evaluation,
    stage: Stage,
    monitored: Vec<usize>,
}

/// Each stage as a session goes through it: what is known then, then what is asked for.
fn run(set: &RuleSet, given: &[Fact]) -> Got {
    let mut facts = Facts::new();
    let mut last =
        Got { evaluation: Evaluation::default(), stage: Stage::Message, monitored: Vec::new() };
    for stage in Stage::ALL {
        for (field, key, value, _) in given.iter().filter(|(_, _, _, known)| *known == stage) {
            match key {
                None => facts.set(*field, value.clone()),
                Some(key) => facts.set_keyed(*field, key, value.clone()),
            }
        }
        loop {
            let needed = set.needs(stage, &facts);
            if needed.is_empty() {
                break;
            }
            for check in needed.names() {
                set.settle(check, stage, &mut facts);
            }
        }
        let evaluation = set.evaluate(stage, &facts);
        let monitored = evaluation.matched.iter().filter(|m| m.effect == Effect::Monitored);
        let monitored = monitored.map(|m| m.rule).collect();
        let refused = matches!(evaluation.outcome, Outcome::Refuse { .. });
        last = Got { evaluation, stage, monitored };
        if refused {
            break;
        }
    }
    last
}

fn compare(set: &RuleSet, expect: &Table<'_, '_>, got: &Got, report: &mut Report) -> String {
    expect.only(report, &EXPECT_KEYS);
    let id = |index: usize| set.rules().get(index).map_or("", |rule| &*rule.id);
    let (verdict, rule, code, text) = match &got.evaluation.outcome {
        Outcome::Pass => ("accept", "", String::new(), ""),
        Outcome::Accept { rule } => ("accept", id(*rule), String::new(), ""),
        Outcome::Refuse { rule, code, subject, detail, text, defer } => (
            if *defer { "defer" } else { "reject" },
            id(*rule),
            format!("{code} {}.{subject}.{detail}", code / 100),
            text.as_str(),
        ),
    };
    let mut wrong = String::new();
    let mut differ = |what: &str, wanted: &str, got: &str| {
        if wanted != got {
            wrong.push_str(&format!("{what}: expected \"{wanted}\", got \"{got}\"\n"));
        }
    };
    let known = |name: &str| VERDICTS.iter().find(|verdict| **verdict == name).copied();
    expect.required(report, "verdict");
    if let Some((wanted, _)) = expect.choice(report, "verdict", &VERDICTS, known) {
        let shown =
            if rule.is_empty() { verdict.to_owned() } else { format!("{verdict} by {rule}") };
        differ("verdict", wanted, if wanted == verdict { wanted } else { &shown });
    }
    for key in ["rule", "would_reject"] {
        if let Some(wanted) = expect.text(report, key)
            && set.rule(&wanted.value).is_none()
        {
            let names = set.rules().iter().map(|rule| &*rule.id);
            let names: Vec<&str> = names.collect();
            report.push(not_one_of(&wanted, &format!("`{key}`"), &names));
        }
    }
    if let Some(wanted) = expect.text(report, "rule") {
        differ("rule", &wanted.value, rule);
    }
    if let Some((wanted, _)) =
        expect.choice(report, "stage", &Stage::ALL.map(Stage::name), Stage::from_name)
    {
        differ("stage", wanted.name(), got.stage.name());
    }
    if let Some(wanted) = expect.text(report, "code") {
        differ("code", &wanted.value, &code);
    }
    if let Some(wanted) = expect.text(report, "text") {
        differ("text", &wanted.value, text);
    }
    if let Some(mut wanted) = expect.texts(report, "skipped") {
        wanted.sort_by(|a, b| a.value.cmp(&b.value));
        let wanted: Vec<String> = wanted.into_iter().map(|text| text.value).collect();
        let mut skipped: Vec<&str> = got.evaluation.skipped.names().collect();
        skipped.sort_unstable();
        differ("skipped", &wanted.join(" "), &skipped.join(" "));
    }
    if let Some(wanted) = expect.text(report, "would_reject") {
        let monitored: Vec<&str> = got.monitored.iter().map(|index| id(*index)).collect();
        if !monitored.contains(&wanted.value.as_str()) {
            differ("would_reject", &wanted.value, &monitored.join(" "));
        }
    }
    if let Some(tags) = expect.table(report, "tags", "`tags`") {
        for (name, _, item) in tags.entries() {
            let wanted = one_or_many(expect.source, item).unwrap_or_default();
            let wanted: Vec<&str> = wanted.iter().map(|text| text.value.as_str()).collect();
            let found = got.evaluation.tags.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            let found: Vec<&str> = found.map(|(_, value)| value.as_str()).collect();
            differ(name, &wanted.join(" | "), &found.join(" | "));
        }
    }
    wrong.trim_end().to_owned()
}
