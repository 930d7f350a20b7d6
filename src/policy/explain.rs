//! Why a rule held or not: each comparison of its condition with what it saw.

use super::checkset::CheckSet;
use super::expr::{Tri, View};
use super::ruleset::RuleSet;
use crate::facts::{Facts, FieldId, Stage, Value};

/// One comparison of a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// As written: `spf == "fail"`.
    pub text: String,
    /// `None`: not known yet.
    pub holds: Option<bool>,
    pub field: FieldId,
    pub key: Option<String>,
    /// What was known of the field; `None` when nothing was, or a `skip` rule hid it.
    pub value: Option<Value>,
}

impl RuleSet {
    /// The comparisons of a rule's condition in the order they are written. `skipped` is what
    /// earlier rules hid, as in [`super::Evaluation::skipped`].
    pub fn explain(
        &self,
        rule: usize,
        stage: Stage,
        facts: &Facts,
        skipped: CheckSet,
    ) -> Vec<Asked> {
        let mut view = View::new(facts, stage, stage == Stage::Message);
        view.hidden = skipped;
        let mut asked = Vec::new();
        let Some(rule) = self.rules().get(rule) else { return asked };
        rule.leaves(|leaf| {
            let hidden = leaf.check.intersects(skipped);
            asked.push(Asked {
                text: leaf.text.to_string(),
                holds: match view.leaf(leaf) {
                    Tri::Unknown => None,
                    value => Some((value == Tri::True) != leaf.negated),
                },
                field: leaf.field,
                key: leaf.key.as_deref().map(str::to_owned),
                value: view.value(leaf).filter(|_| !hidden).cloned(),
            });
        });
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::registry::*;
    use crate::policy::semantics::rules;

    #[test]
    fn each_comparison_with_what_it_saw() {
        let set = rules(&[
            "a: reject if spf == \"fail\" and not (dkim != \"pass\" or header[\"X-A\"] contains \"b\") and auth.ok",
        ]);
        let mut facts = Facts::new();
        facts.set(SPF, "fail");
        facts.set(DKIM, "none");
        let asked = |stage, skipped| -> Vec<(String, Option<bool>, Option<String>)> {
            let asked = set.explain(0, stage, &facts, skipped).into_iter();
            asked.map(|a| (a.text, a.holds, a.value.map(|value| value.to_string()))).collect()
        };
        let line = |text: &str, holds, value: Option<&str>| {
            (text.to_owned(), holds, value.map(str::to_owned))
        };
        assert_eq!(
            asked(Stage::Mail, CheckSet::EMPTY),
            [
                line("spf == \"fail\"", Some(true), Some("fail")),
                line("dkim != \"pass\"", None, Some("none")),
                line("header[\"X-A\"] contains \"b\"", None, None),
                line("auth.ok", Some(false), None),
            ]
        );
        let skipped = asked(Stage::Message, CheckSet::of("spf").unwrap());
        assert_eq!(skipped[0], line("spf == \"fail\"", Some(false), None));
        assert_eq!(skipped[1], line("dkim != \"pass\"", Some(true), Some("none")));
        assert_eq!(skipped[2].1, Some(false));
    }
}
