//! `portcullis check`: everything that `run` and a reload would say no to, without running.

use crate::app::{Program, build};
use crate::config::render::render;
use crate::policy::Mode;
use crate::policy::diagnostic::{Diagnostic, Severity};

use super::{WithConfig, exit};

/// Only warnings, and they were not to be.
const WARNINGS: u8 = 3;

pub(super) fn check(with: &WithConfig, deny_warnings: bool) -> u8 {
    let color = with.color.wanted();
    let program = match Program::load(&with.config) {
        Ok(program) => program,
        Err(found) => {
            eprint!("{}", render(&found, color));
            eprintln!("\n{}; a running server is not affected", tally(&found));
            return exit::NO;
        }
    };
    if let Err(error) = build::check_files(&program.config) {
        eprintln!("error: {error}");
        return exit::NO;
    }
    if !program.warnings.is_empty() {
        eprintln!("{}", render(&program.warnings, color));
    }
    let rules = program.rules.rules();
    for delay in program.rules.delays() {
        let name = |n: usize| rules.get(n).map_or("", |rule| &rule.id);
        eprintln!(
            "note: `{}` refuses no earlier than the {} stage, because `{}` before it may let the \
             mail pass",
            name(delay.rule),
            delay.until.name(),
            name(delay.because_of)
        );
    }
    let in_mode = |mode| rules.iter().filter(|rule| rule.mode == mode).count();
    let summary = format!(
        "{} rules ({} enforce, {} monitor, {} off) of {} files and the profile {}, {} tests passed",
        rules.len(),
        in_mode(Mode::Enforce),
        in_mode(Mode::Monitor),
        in_mode(Mode::Off),
        program.rule_files,
        program.rules.profile(),
        program.tests.len()
    );
    if program.warnings.is_empty() {
        println!("ok: {summary}");
        exit::OK
    } else {
        println!("{}: {summary}", tally(&program.warnings));
        if deny_warnings { WARNINGS } else { exit::OK }
    }
}

fn tally(found: &[Diagnostic]) -> String {
    let count = |severity| found.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    format!("{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings))
}
