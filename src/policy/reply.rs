//! Texts with `{field}` in them, and replies made of them.

use std::fmt::Write as _;

use super::expr::View;
use crate::facts::{FieldId, Value};

/// The longest text that one field can put in, in octets.
const FIELD_MAX: usize = 256;

/// The longest rendered text, in octets.
const TEXT_MAX: usize = 2048;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<str>),
    Field(FieldId),
}

/// A text with fields, written `{name}`; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Box<[Part]>,
    fields: Box<[FieldId]>,
}

/// The reply of a refusal. The class is that of the basic code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTemplate {
    pub code: u16,
    pub subject: u16,
    pub detail: u16,
    pub text: Template,
}

/// What is wrong in a template, with the byte range in it.
pub(super) enum TemplateError {
    Brace(std::ops::Range<usize>),
    UnknownField(std::ops::Range<usize>, String),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with("{{") || rest.starts_with("}}") {
                plain.push_str(&rest[..1]);
                at += 2;
            } else if let Some(inner) = rest.strip_prefix('{') {
                let end = inner
                    .find(['}', '{', '\n'])
                    .filter(|end| inner[*end..].starts_with('}'))
                    .ok_or(TemplateError::Brace(at..at + 1))?;
                let name = &inner[..end];
                let field =
                    FieldId::by_name(name).filter(|field| !field.get().keyed).ok_or_else(|| {
                        TemplateError::UnknownField(at + 1..at + 1 + end, name.into())
                    })?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                }
                parts.push(Part::Field(field));
                at += end + 2;
            } else if rest.starts_with('}') {
                return Err(TemplateError::Brace(at..at + 1));
            } else {
                let end = rest.find(['{', '}']).unwrap_or(rest.len());
                plain.push_str(&rest[..end]);
                at += end;
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Template::from_parts(parts))
    }

    /// A text without fields.
    pub(super) fn plain(text: &str) -> Template {
        Template::from_parts(vec![Part::Text(text.into())])
    }

    fn from_parts(parts: Vec<Part>) -> Template {
        let fields = parts.iter().filter_map(|part| match part {
            Part::Field(field) => Some(*field),
            Part::Text(_) => None,
        });
        Template { fields: fields.collect(), parts: parts.into() }
    }

    pub(super) fn fields(&self) -> &[FieldId] {
        &self.fields
    }

    /// The text with the fields' values. What comes from outside cannot end a line: controls and
    /// what is not ASCII become `?`, long values are cut.
    pub(super) fn render(&self, view: &View<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(field) => match view.text_of(*field) {
                    Some(value) => push_value(&mut out, value),
                    None => push_value(&mut out, &field.default_value()),
                },
            }
            if out.len() > TEXT_MAX {
                // Only template text can hold anything but ASCII.
                let end = (0..=TEXT_MAX).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
                out.truncate(end);
                break;
            }
        }
        out
    }

    /// The same for a header field's value: one line of printable ASCII.
    pub(super) fn render_line(&self, view: &View<'_>) -> String {
        self.render(view).chars().map(|c| if matches!(c, ' '..='~') { c } else { ' ' }).collect()
    }
}

fn push_value(out: &mut String, value: &Value) {
    let start = out.len();
    match value {
        Value::Str(text) => push_safe(out, text, FIELD_MAX),
        Value::List(items) => {
            for item in items {
                if out.len() - start >= FIELD_MAX {
                    break;
                }
                if out.len() > start {
                    out.push_str(", ");
                }
                push_value(out, item);
            }
        }
        Value::Bool(_) | Value::Int(_) | Value::Ip(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

fn push_safe(out: &mut String, text: &str, max: usize) {
    out.extend(text.chars().take(max).map(|c| if matches!(c, ' '..='~') { c } else { '?' }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::registry::*;
    use crate::facts::{Facts, Stage};

    fn render(template: &str, facts: &Facts) -> String {
        let Ok(template) = Template::parse(template) else { panic!("{template}") };
        template.render(&View::new(facts, Stage::Message, true))
    }

    #[test]
    fn fields_and_braces() {
        let mut facts = Facts::new();
        facts.set(HELO, "mail.example");
        facts.set(DNSBL_ZONES, vec!["a.example", "b.example"]);
        assert_eq!(
            render("{helo} {{x}} {dnsbl.zones}", &facts),
            "mail.example {x} a.example, b.example"
        );
        assert_eq!(render("[{from}] {dnsbl.score}", &facts), "[] 0");
    }

    #[test]
    fn hostile_values_stay_in_their_line() {
        let mut facts = Facts::new();
        facts.set(SPF_EXPLANATION, format!("a\r\n250 ok\u{0}\u{e9}{}", "x".repeat(9999)));
        let text = render("{spf.explanation}", &facts);
        assert!(text.starts_with("a??250 ok??xxx") && text.len() == FIELD_MAX);
        let Ok(tag) = Template::parse("a\nb\u{e9}{spf.explanation}") else { panic!() };
        let line = tag.render_line(&View::new(&facts, Stage::Message, true));
        assert!(line.starts_with("a b a??250") && line.bytes().all(|b| (b' '..=b'~').contains(&b)));
    }

    #[test]
    fn mistakes() {
        let span = |text: &str| match Template::parse(text) {
            Err(TemplateError::Brace(span) | TemplateError::UnknownField(span, _)) => Some(span),
            Ok(_) => None,
        };
        assert_eq!(span("a {helo"), Some(2..3));
        assert_eq!(span("a } b"), Some(2..3));
        assert_eq!(span("a {hello} b"), Some(3..8));
        assert_eq!(span("{header}"), Some(1..7));
        assert_eq!(span("{he{lo}"), Some(0..1));
    }
}
