//! Configuration, rules and their tests as one thing: all of it valid, or none of it used.

use std::path::Path;
use std::sync::Arc;

use crate::config::load::Loaded;
use crate::config::render::log_line;
use crate::config::{self, Config};
use crate::observe::{Level, Reporter};
use crate::policy::diagnostic::{Diagnostic, Severity, Source};
use crate::policy::{self, RuleFile, RuleSet, TestOutcome};

/// What was read from the files, checked and compiled.
#[derive(Debug)]
pub struct Program {
    pub config: Config,
    pub rules: RuleSet,
    pub warnings: Vec<Diagnostic>,
    pub tests: Vec<TestOutcome>,
    /// The administrator's own.
    pub rule_files: usize,
}

impl Program {
    /// Reads the file, the rule files that it names and the shipped ones. Opens nothing else and
    /// asks nobody.
    pub fn load(path: &Path) -> Result<Program, Vec<Diagnostic>> {
        match config::load::load(path) {
            Ok(loaded) => Self::compile(loaded),
            // One run tells it all: also what is wrong in the rule files.
            Err(mut found) => {
                found.extend(rule_mistakes(config::load::default_rules(path)));
                Err(found)
            }
        }
    }

    pub fn compile(loaded: Loaded) -> Result<Program, Vec<Diagnostic>> {
        let Loaded { config, rule_sources, mut warnings, source: _ } = loaded;
        let mut files: Vec<RuleFile> =
            rule_sources.into_iter().map(|source| RuleFile { source, shipped: false }).collect();
        let own = files.len();
        files.extend(policy::shipped());
        let zones: Vec<String> = config.dnsbl.iter().map(shown).collect();
        let options = policy::Options {
            profile: profile_name(config.profile),
            mode: match config.mode {
                config::Mode::Enforce => policy::Mode::Enforce,
                config::Mode::Monitor => policy::Mode::Monitor,
            },
            zones: Some(&zones),
            read_list: &|path| std::fs::read_to_string(path),
        };
        let (rules, found) = match policy::compile(&files, &options) {
            Ok(compiled) => compiled,
            Err(mut errors) => {
                warnings.append(&mut errors);
                return Err(warnings);
            }
        };
        warnings.extend(found);
        let tests = match config.reload.tests {
            config::Tests::Required => {
                // The shipped tests hold for the shipped rules alone; ours may rightly differ.
                policy::run_tests(&rules, files.get(..own).unwrap_or_default())
            }
            config::Tests::Off => Vec::new(),
        };
        let failed: Vec<Diagnostic> = tests.iter().flat_map(failures).collect();
        if !failed.is_empty() {
            warnings.extend(failed);
            return Err(warnings);
        }
        Ok(Program { config, rules, warnings, tests, rule_files: own })
    }
}

fn rule_mistakes(sources: Vec<Arc<Source>>) -> Vec<Diagnostic> {
    let files: Vec<RuleFile> =
        sources.into_iter().map(|source| RuleFile { source, shipped: false }).collect();
    let options = policy::Options {
        profile: "none",
        mode: policy::Mode::Enforce,
        zones: None,
        read_list: &|path| std::fs::read_to_string(path),
    };
    let found = policy::compile(&files, &options).err().unwrap_or_default();
    found.into_iter().filter(|found| found.severity == Severity::Error).collect()
}

/// A failed test as errors like any other.
fn failures(test: &TestOutcome) -> Vec<Diagnostic> {
    if test.ok {
        return Vec::new();
    }
    if test.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return test.diagnostics.clone();
    }
    let text = std::fs::read_to_string(&test.file).unwrap_or_default();
    let source = Arc::new(Source { path: test.file.to_path_buf(), text });
    let start = source
        .text
        .split_inclusive('\n')
        .take(test.line.saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let length = source.text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
    let message = format!("the test \"{}\" failed", test.name);
    let mut found = Diagnostic::error("P0801", &source, start..start + length, message);
    if source.text.is_empty() {
        found.place = None;
    }
    vec![test.detail.lines().fold(found, |found, line| found.help(line))]
}

/// What a list is called in rules: its real name may hold a secret key.
fn shown(list: &config::DnsList) -> String {
    list.display.clone().unwrap_or_else(|| list.name.clone())
}

/// Tells the log of each.
pub fn report(found: &[Diagnostic], reporter: &dyn Reporter) {
    for found in found {
        let level = match found.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        };
        reporter.event(level, &log_line(found));
    }
}

pub fn profile_name(profile: config::Profile) -> &'static str {
    match profile {
        config::Profile::None => "none",
        config::Profile::Minimal => "minimal",
        config::Profile::Balanced => "balanced",
        config::Profile::Strict => "strict",
    }
}
