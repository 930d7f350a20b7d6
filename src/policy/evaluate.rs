//! The verdict of the rules over what is known, in file order, with three values.

use super::checkset::CheckSet;
use super::expr::{Tri, View};
use super::rule::{Action, Mode};
use super::ruleset::RuleSet;
use crate::facts::{Facts, Stage};

/// What the rules say at a stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evaluation {
    pub outcome: Outcome,
    /// The rules whose condition holds, in order, up to the one that ended it.
    pub matched: Vec<Match>,
    /// The checks whose findings a `skip` rule hid.
    pub skipped: CheckSet,
    /// Header fields to add, name and value; at the message stage only.
    pub tags: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Index in [`RuleSet::rules`].
    pub rule: usize,
    pub effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Applied,
    /// In monitor: it would have refused, accepted, tagged or skipped.
    Monitored,
    /// A refusal that waits for its stage, or for an earlier rule that may yet accept the mail.
    Pending,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Outcome {
    /// No rule ends it so far; at the message stage: no rule refuses.
    #[default]
    Pass,
    /// A rule accepted: no later rule can refuse any more.
    Accept { rule: usize },
    Refuse {
        rule: usize,
        /// The basic code, 4yz or 5yz.
        code: u16,
        /// Subject and detail of the enhanced code; its class is that of `code`.
        subject: u16,
        detail: u16,
        /// Rendered, `\n` between lines.
        text: String,
        /// It is a 4yz.
        defer: bool,
    },
}

impl RuleSet {
    /// The outcome at `stage` of what is known. At the message stage everything unknown reads as
    /// its default; before it, ask [`RuleSet::needs`] first, else refusals wait.
    ///
    /// Allocates only for what matched.
    pub fn evaluate(&self, stage: Stage, facts: &Facts) -> Evaluation {
        let last = stage == Stage::Message;
        let mut view = View::new(facts, stage, last);
        let mut result = Evaluation::default();
        // An earlier rule may yet accept; an earlier refusal may yet come, or will.
        let mut may_accept = false;
        let mut may_refuse = false;
        for (index, rule) in self.active() {
            if matches!(rule.action, Action::Tag { .. }) && !last {
                continue;
            }
            let holds = view.eval(&rule.condition);
            if holds == Tri::False {
                continue;
            }
            let monitored = self.mode_of(rule) == Mode::Monitor;
            if holds == Tri::Unknown {
                match &rule.action {
                    _ if monitored => {}
                    Action::Accept => may_accept = true,
                    Action::Skip(checks) => view.maybe_hidden.insert(*checks),
                    Action::Reject(_) | Action::Defer(_) => may_refuse = true,
                    Action::Tag { .. } => {}
                }
                continue;
            }
            let mut record = |effect| result.matched.push(Match { rule: index, effect });
            if monitored {
                // With an accept open it is not certain that this rule is reached at all.
                if !may_accept {
                    record(Effect::Monitored);
                }
                continue;
            }
            match &rule.action {
                Action::Accept => {
                    if may_refuse {
                        break;
                    }
                    record(Effect::Applied);
                    result.outcome = Outcome::Accept { rule: index };
                    break;
                }
                Action::Skip(checks) => {
                    record(Effect::Applied);
                    view.hidden.insert(*checks);
                }
                Action::Tag { name, value } => {
                    record(Effect::Applied);
                    result.tags.push((name.to_string(), value.render_line(&view)));
                }
                Action::Reject(reply) | Action::Defer(reply) => {
                    if may_accept {
                        // Either that rule accepts or this one refuses: the rest is not reached.
                        record(Effect::Pending);
                        break;
                    }
                    if stage < rule.at {
                        record(Effect::Pending);
                        may_refuse = true;
                        continue;
                    }
                    record(Effect::Applied);
                    result.outcome = Outcome::Refuse {
                        rule: index,
                        code: reply.code,
                        subject: reply.subject,
                        detail: reply.detail,
                        text: reply.text.render(&view),
                        defer: reply.code < 500,
                    };
                    break;
                }
            }
        }
        result.skipped = view.hidden;
        result
    }

    /// The checks whose findings can still matter for what may be said at `stage`. Empty: the
    /// evaluation is final for the stage. Run them, put their findings in, call
    /// [`RuleSet::settle`] for each, and ask again: what they found can make others needed.
    ///
    /// Allocates nothing.
    pub fn needs(&self, stage: Stage, facts: &Facts) -> CheckSet {
        let mut wanted = CheckSet::EMPTY;
        let Some(end) = self.last_acting(stage) else { return wanted };
        let mut view = View::new(facts, stage, false);
        // What a `skip` rule that can be decided now may make useless waits for that decision.
        let mut postponed = CheckSet::EMPTY;
        for (_, rule) in self.active().take_while(|(index, _)| *index <= end) {
            let decides = matches!(rule.action, Action::Accept | Action::Skip(_));
            if !decides && rule.at > stage {
                continue;
            }
            let monitored = self.mode_of(rule) == Mode::Monitor;
            match view.eval(&rule.condition) {
                Tri::False => {}
                Tri::True => match &rule.action {
                    Action::Skip(checks) if !monitored => view.hidden.insert(*checks),
                    _ => {
                        if !monitored {
                            for field in rule.shown().iter().filter(|field| view.lacks(**field)) {
                                wanted.insert(CheckSet::of_field(*field));
                            }
                        }
                        let ends = rule.action.refuses() || matches!(rule.action, Action::Accept);
                        if ends && !monitored {
                            break;
                        }
                    }
                },
                Tri::Unknown => {
                    let mut missing = CheckSet::EMPTY;
                    view.missing(&rule.condition, &mut missing);
                    wanted.insert(missing.without(postponed));
                    match &rule.action {
                        _ if monitored => {}
                        // Only a later stage can tell: no refusal below is final before it.
                        Action::Accept if missing.is_empty() => break,
                        Action::Skip(checks) => {
                            view.maybe_hidden.insert(*checks);
                            if !missing.is_empty() {
                                postponed.insert(*checks);
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
        wanted
    }
}
