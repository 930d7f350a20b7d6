//! What holds for any rules and any facts.

use proptest::prelude::*;

use super::mistakes::{file, options};
use super::semantics::rules;
use super::{Outcome, compile};
use crate::facts::registry::*;
use crate::facts::{Facts, FieldId, Stage, Value};

/// Conditions over fields of different stages, each with values that make them true or false.
const ATOMS: [&str; 7] = [
    "client.trusted",
    "dnsbl.score >= 4",
    "helo == \"x\"",
    "spf == \"fail\"",
    "rcpt.local == \"joe\"",
    "dkim == \"pass\"",
    "size > 100",
];

fn known_at(bits: u8, stage: Stage) -> Facts {
    let bit = |n: u8| bits & (1 << n) != 0;
    let all: [(FieldId, Value); 7] = [
        (CLIENT_TRUSTED, bit(0).into()),
        (DNSBL_SCORE, if bit(1) { 4 } else { 3 }.into()),
        (HELO, if bit(2) { "x" } else { "y" }.into()),
        (SPF, if bit(3) { "fail" } else { "pass" }.into()),
        (RCPT_LOCAL, if bit(4) { "joe" } else { "ann" }.into()),
        (DKIM, if bit(5) { "pass" } else { "none" }.into()),
        (SIZE, if bit(6) { 200 } else { 50 }.into()),
    ];
    let mut facts = Facts::new();
    for (field, value) in all {
        if field.get().stage <= stage {
            facts.set(field, value);
        }
    }
    facts
}

fn a_rule() -> impl Strategy<Value = (usize, usize, usize, u8, bool)> {
    (0..4usize, 0..ATOMS.len(), 0..ATOMS.len(), 0..6u8, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Going through the stages refuses exactly what judging at the end refuses: no stage is
    /// hastier, and none forgets.
    #[test]
    fn stages_and_the_end_agree(
        drawn in prop::collection::vec(a_rule(), 1..7),
        bits in any::<u8>(),
    ) {
        let mut lines = Vec::new();
        for (n, (action, a, b, shape, monitor)) in drawn.iter().enumerate() {
            let (a, b) = (ATOMS[*a], ATOMS[*b]);
            let when = match shape {
                0 => a.to_owned(),
                1 => format!("not {a}"),
                2 => format!("{a} and {b}"),
                3 => format!("{a} or {b}"),
                4 => format!("{a} and not {b}"),
                _ => format!("not ({a} or {b})"),
            };
            let mode = if *monitor && n % 3 == 0 { "; mode = \"monitor\"" } else { "" };
            lines.push(match action {
                0 => format!("r{n}: accept note_free{mode} if {when}"),
                1 => format!("r{n}: skip skip = [\"dnsbl\", \"spf\"]{mode} if {when}"),
                2 => format!("r{n}: defer reply = \"451 4.7.1 later\"{mode} if {when}"),
                _ => format!("r{n}: reject reply = \"550 5.7.1 no\"{mode} if {when}"),
            }
            .replace("note_free; ", "")
            .replace(" note_free", ""));
        }
        let set = rules(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let refuses = |stage| {
            matches!(set.evaluate(stage, &known_at(bits, stage)).outcome, Outcome::Refuse { .. })
        };
        let at_the_end = refuses(Stage::Message);
        let on_the_way = Stage::ALL.into_iter().any(refuses);
        prop_assert_eq!(on_the_way, at_the_end, "{:?}", lines);

        // An accept is never taken back, and never given before every refusal above it is out.
        for stage in Stage::ALL {
            if let Outcome::Accept { .. } = set.evaluate(stage, &known_at(bits, stage)).outcome {
                prop_assert!(!at_the_end, "{:?}", lines);
            }
        }
    }

    /// Asking only what is needed gives the verdict of knowing everything.
    #[test]
    fn what_is_not_asked_does_not_matter(
        drawn in prop::collection::vec((0..3usize, 0..ATOMS.len(), 0..ATOMS.len()), 1..6),
        bits in any::<u8>(),
    ) {
        let lines: Vec<String> = drawn
            .iter()
            .enumerate()
            .map(|(n, (action, a, b))| {
                let action = ["accept", "reject", "skip skip = [\"dnsbl\", \"spf\"]"][*action];
                format!("r{n}: {action} if {} and not {}", ATOMS[*a], ATOMS[*b])
            })
            .collect();
        let set = rules(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        for stage in Stage::ALL {
            let all = known_at(bits, stage);
            let mut some = all.clone();
            for field in [DNSBL_SCORE, SPF, DKIM] {
                some.forget(field);
            }
            loop {
                let needs = set.needs(stage, &some);
                if needs.is_empty() {
                    break;
                }
                for (field, _, value) in all.iter() {
                    if field.get().check.is_some_and(|check| needs.contains(check)) {
                        some.set(field, value.clone());
                    }
                }
            }
            // Whether the rest of the rules is passed or cut short by an accept is all one.
            let refusal = |facts| match set.evaluate(stage, facts).outcome {
                Outcome::Accept { .. } => Outcome::Pass,
                other => other,
            };
            prop_assert_eq!(refusal(&some), refusal(&all), "{:?} at {:?}", lines, stage);
        }
    }

    /// No text, however broken, makes the compiler panic; and it says something about it.
    #[test]
    fn any_text_is_answered(when in "\\PC{0,40}", file_text in "[\\[\\]a-z=\"'\n. ]{0,60}") {
        let text = format!("[[rule]]\nid = \"a\"\nwhen = '''{when}'''\naction = \"accept\"\n");
        for text in [text, file_text] {
            if let Err(errors) = compile(&[file("a.toml", &text)], &options(None)) {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    let (source, span) = error.place.expect("a place");
                    prop_assert!(source.text.get(span).is_some());
                }
            }
        }
    }

    #[test]
    fn words_in_any_order(words in prop::collection::vec(
        prop::sample::select(&["and", "or", "not", "(", ")", "spf", "==", "\"fail\"", "in", "[", "]", ",", "@l", "auth.ok", "3", "helo"][..]), 0..12))
    {
        let when = words.join(" ");
        let text = format!("[[rule]]\nid = \"a\"\nwhen = '{when}'\naction = \"accept\"\n");
        if let Ok((set, _)) = compile(&[file("a.toml", &text)], &options(None)) {
            set.evaluate(Stage::Message, &Facts::new());
        }
    }
}
