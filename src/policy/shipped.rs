//! The rules that come with the program: `rules/*.toml`, compiled in.

use std::sync::Arc;

use super::diagnostic::Source;
use super::ruleset::RuleFile;

/// From nothing to everything.
pub const PROFILES: [&str; 4] = ["none", "minimal", "balanced", "strict"];

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../rules/", $name)))),*]
    };
}

const FILES: [(&str, &str); 6] = files![
    "10-session.toml",
    "20-client.toml",
    "30-sender.toml",
    "40-authentication.toml",
    "50-message.toml",
    "60-rates.toml",
];

/// The built-in rule files, in order; they belong after the administrator's.
pub fn shipped() -> Vec<RuleFile> {
    FILES
        .into_iter()
        .map(|(name, text)| RuleFile {
            source: Arc::new(Source {
                path: format!("built-in/{name}").into(),
                text: text.to_owned(),
            }),
            shipped: true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Options, compile, run_tests};

    fn options(profile: &str) -> Options<'_> {
        Options {
            profile,
            mode: Mode::Enforce,
            zones: None,
            read_list: &|_| Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn they_compile_without_a_word_and_their_tests_pass() {
        for profile in PROFILES {
            let (set, warnings) = compile(&shipped(), &options(profile)).unwrap();
            assert!(warnings.is_empty(), "{warnings:#?}");
            let outcomes = run_tests(&set, &shipped());
            assert!(outcomes.len() > 40);
            for outcome in outcomes {
                assert!(outcome.ok, "{profile}: {outcome:#?}");
            }
        }
    }

    #[test]
    fn every_rule_is_explained_and_tested() {
        let (set, _) = compile(&shipped(), &options("strict")).unwrap();
        let tests: String = FILES.iter().map(|(_, text)| *text).collect();
        for rule in set.rules() {
            for text in [&rule.why, &rule.source, &rule.risk] {
                assert!(!text.is_empty(), "{}", rule.id);
            }
            let expected = format!("rule = \"{}\"", rule.id);
            let tagged = rule.action.name() == "tag";
            assert!(tagged || tests.contains(&expected), "{} has no test", rule.id);
        }
    }

    #[test]
    fn profiles_grow() {
        let enforced = |profile| {
            let (set, _) = compile(&shipped(), &options(profile)).unwrap();
            set.rules().iter().filter(|rule| rule.mode == Mode::Enforce).count()
        };
        let counts = PROFILES.map(enforced);
        assert_eq!(counts[0], 0);
        assert!(counts.windows(2).all(|w| w[0] < w[1]), "{counts:?}");
    }

    #[test]
    fn no_recipient_needs_a_transaction_of_its_own() {
        use crate::facts::Facts;
        use crate::facts::registry::RCPT_LOCAL;
        for profile in PROFILES {
            let (set, _) = compile(&shipped(), &options(profile)).unwrap();
            let group = |local: &str| {
                let mut facts = Facts::new();
                facts.set(RCPT_LOCAL, local);
                set.group(&facts)
            };
            assert_eq!(group("postmaster"), group("joe"));
        }
    }
}
