//! The sample file and the reference, printed from the table of options.

use std::fmt::Write as _;

use super::options::{Kind, Opt, SECTIONS, Section, Unset, members};
use super::value::{name, range};

/// Columns of the sample's comments.
const WIDTH: usize = 100;

const INTRODUCTION: &str = "\
# Portcullis, every option.
#
# Only hostname, listen and backend must be given. \"#key = value\" shows a default,
# \"#: key = value\" an example of what is not set unless you set it.
#
#   check it:   portcullis check
#   apply it:   systemctl reload portcullis   (a file with errors is refused, the old one stays)
";

/// `config/portcullis.toml`: each option at its default, commented, with its reason.
pub fn sample() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in SECTIONS {
        text.push('\n');
        text.push_str(&comment(section.doc));
        if !section.path.is_empty() {
            let _ = writeln!(
                text,
                "{}{}",
                mark(section, None),
                section.header().replace("NAME", "default")
            );
        }
        for option in members(section.path) {
            text.push('\n');
            text.push_str(&comment(&sentence(option)));
            let _ = writeln!(
                text,
                "{}{} = {}",
                mark(section, Some(option)),
                option.key(),
                value(option)
            );
        }
    }
    text
}

/// What stands before a line that is not in force.
fn mark(section: &Section, option: Option<&Opt>) -> &'static str {
    match option.map(|option| &option.default) {
        _ if section.example => "#: ",
        Some(Unset::Absent(..)) => "#: ",
        Some(Unset::Is(_)) => "#",
        Some(Unset::Required(_)) | None => "",
    }
}

fn value(option: &Opt) -> &'static str {
    match option.default {
        Unset::Is(text) | Unset::Required(text) | Unset::Absent(text, _) => text,
    }
}

/// The reason with range, absence and reload, as the sample has it.
fn sentence(option: &Opt) -> String {
    let mut text = option.doc.to_owned();
    if let Some(range) = range(&option.kind) {
        let kind = match option.kind {
            Kind::Choice(_) | Kind::Text(_) => "Value",
            _ => "Range",
        };
        let _ = write!(text, " {kind}: {range}.");
    }
    if let Unset::Absent(_, meaning) = option.default {
        let _ = write!(text, " Not set: {meaning}.");
    }
    if !option.reload {
        text.push_str(" A change needs a restart.");
    }
    text
}

fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = "#".to_owned();
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

/// `docs/options.md`.
pub fn options_page() -> String {
    let mut text = "\
# Options

Printed from the table in `src/config/options.rs`; `config/portcullis.toml` has the same as a file to start from.
A key that is not listed here is an error. Durations are a number and `ms`, `s`, `m`, `h` or `d`; sizes a number and
`B`, `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`. *Restart* marks what a reload cannot change.
"
    .to_owned();
    for section in SECTIONS {
        let title = if section.path.is_empty() {
            "Top of the file".to_owned()
        } else {
            format!("`{}`", section.header())
        };
        let _ = write!(text, "\n## {title}\n\n{}\n\n", section.doc);
        text.push_str("| key | value | default | |\n| --- | --- | --- | --- |\n");
        for option in members(section.path) {
            let _ = writeln!(text, "{}", row(option));
        }
    }
    text
}

fn row(option: &Opt) -> String {
    let value = match range(&option.kind) {
        Some(range) => format!("{}: {range}", name(&option.kind)),
        None => name(&option.kind),
    };
    let default = match option.default {
        Unset::Is(text) => format!("`{text}`"),
        Unset::Required(text) => format!("must be given, such as `{text}`"),
        Unset::Absent(_, meaning) => meaning.to_owned(),
    };
    let restart = if option.reload { "" } else { " *Restart.*" };
    format!("| `{}` | {value} | {default} | {}{restart} |", option.key(), option.doc)
}
