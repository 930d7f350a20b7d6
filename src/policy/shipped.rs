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
