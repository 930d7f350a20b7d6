//! Diagnostics as text, in rustc's shape.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::policy::diagnostic::{Diagnostic, Severity};

/// Prints them one after the other with a blank line between. `colour` uses the terminal's sixteen.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&renderer.render(&[group(diagnostic)]));
        text.push('\n');
    }
    text
}

/// In one line for the log, with file, line and column; the log says how grave it is.
pub fn log_line(found: &Diagnostic) -> String {
    let place = match &found.place {
        Some((source, span)) => {
            let before = source.text.get(..span.start).unwrap_or(&source.text);
            let line = before.matches('\n').count() + 1;
            let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
            format!("{}:{line}:{column}: ", source.path.display())
        }
        None => String::new(),
    };
    let help: String = found.help.iter().map(|help| format!("; {help}")).collect();
    format!("{place}{} [{}]{help}", found.message, found.code)
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let helps = diagnostic.help.iter().map(|help| Level::HELP.message(help.as_str()));
    match &diagnostic.place {
        None => Group::with_title(title).elements(helps),
        Some((source, span)) => {
            let span = within(&source.text, span);
            let label = Some(diagnostic.label.as_str()).filter(|label| !label.is_empty());
            let snippet = Snippet::source(source.text.as_str())
                .path(source.path.to_string_lossy())
                .annotation(AnnotationKind::Primary.span(span).label(label));
            title.element(snippet).elements(helps)
        }
    }
}

/// The range cut to whole characters of the text, at most to the end of its first line: a caret
/// under each line of a long table says less than one under its beginning.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(span.start);
    let end = boundary(span.end).max(start);
    let rest = text.get(start..end).unwrap_or_default();
    start..start + rest.find(['\r', '\n']).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::diagnostic::Source;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { path: "/etc/p.toml".into(), text: text.into() })
    }

    #[test]
    fn as_rustc_does() {
        let source = source("hostname = \"mx1\"\n# größer\nlimts = 2\n");
        let list = [
            Diagnostic::error("P0251", &source, 28..33, "there is no key `limts`")
                .label("did you mean `limits`?")
                .help("keys here: limits"),
            Diagnostic {
                place: None,
                ..Diagnostic::warning("P0702", &source, 0..0, "not loaded: x.bak")
            },
        ];
        let expected = "\
error[P0251]: there is no key `limts`
 --> /etc/p.toml:3:1
  |
3 | limts = 2
  | ^^^^^ did you mean `limits`?
  |
  = help: keys here: limits

warning[P0702]: not loaded: x.bak
";
        assert_eq!(render(&list, false), expected);
        assert!(render(&list, true).contains("\u{1b}["));
    }

    #[test]
    fn any_span_can_be_printed() {
        let source = source("a = \"ü\"\n\u{1b}[31m");
        for start in 0..20 {
            for end in 0..20 {
                let list = [Diagnostic::error("P0101", &source, start..end, "x")];
                let text = render(&list, false);
                assert!(text.starts_with("error[P0101]: x"), "{text}");
                assert!(!text.contains('\u{1b}'), "{text:?}");
            }
        }
        let empty = self::source("");
        assert!(!render(&[Diagnostic::error("P0101", &empty, 0..9, "x")], false).is_empty());
    }
}
