//! What compiles but is hardly meant.

use super::checkset::CheckSet;
use super::codes;
use super::diagnostic::Diagnostic;
use super::file::Placed;
use super::rule::{Action, Mode};
use super::toml_walk::Report;

pub(super) fn lint(placed: &[Placed], report: &mut Report) {
    for (index, rule) in placed.iter().enumerate() {
        code_against_condition(rule, report);
        // A shipped rule that an administrator's rule covers or delays is the administrator's will.
        if rule.rule.mode != Mode::Off && !rule.rule.shipped {
            let earlier = placed.get(..index).unwrap_or_default();
            never_reached(rule, earlier, report);
            given_late(rule, earlier, report);
        }
    }
}

/// 5.7.23 says that SPF failed: the condition should know.
fn code_against_condition(placed: &Placed, report: &mut Report) {
    let (Some(reply), Some(text)) = (placed.rule.action.reply(), &placed.reply) else { return };
    let about = codes::about(reply.subject, reply.detail);
    let mut reads = CheckSet::EMPTY;
    placed.rule.leaves(|leaf| reads.insert(leaf.check));
    if about.is_empty() || about.iter().any(|check| reads.contains(check)) {
        return;
    }
    let name = codes::name(reply.subject, reply.detail).unwrap_or("");
    let code = format!("{}.{}.{}", reply.code / 100, reply.subject, reply.detail);
    let span = text.place(4..4 + code.len());
    let message = format!("{code} says \"{name}\", but the condition does not ask about that");
    report.push(
        Diagnostic::warning("P0501", &text.source, span, message)
            .help(format!("{}.7.1 is the general refusal", reply.code / 100)),
    );
}

fn ends(placed: &Placed) -> bool {
    placed.rule.mode == Mode::Enforce
        && (placed.rule.action.refuses() || matches!(placed.rule.action, Action::Accept))
}

/// The same condition ends the rules earlier.
fn never_reached(placed: &Placed, earlier: &[Placed], report: &mut Report) {
    let wanted = &placed.rule.condition;
    let same = earlier.iter().find(|before| {
        ends(before)
            && before.rule.when == placed.rule.when
            && format!("{:?}", before.rule.condition) == format!("{wanted:?}")
    });
    if let Some(before) = same {
        let message =
            format!("this rule can never act: `{}` has the same condition", before.rule.id);
        let help = format!("it is in {} line {}", before.rule.file.display(), before.rule.line);
        report.push(
            Diagnostic::warning("P0507", &placed.source, placed.span.clone(), message).help(help),
        );
    }
}

/// `at` was asked for, but an earlier rule that may accept is known only later.
fn given_late(placed: &Placed, earlier: &[Placed], report: &mut Report) {
    let Some(at) = &placed.at else { return };
    let late = earlier.iter().find(|before| {
        before.rule.mode == Mode::Enforce
            && matches!(before.rule.action, Action::Accept)
            && before.rule.known_at > placed.rule.at
    });
    if let Some(before) = late {
        let message = format!(
            "this refusal is given at {} when `{}` may still accept the mail",
            before.rule.known_at.name(),
            before.rule.id
        );
        let help = format!("put it before `{}`", before.rule.id);
        report.push(Diagnostic::warning("P0502", &at.source, at.span.clone(), message).help(help));
    }
}
