//! The replies and tags of rules.

use std::ops::Range;

use super::codes;
use super::diagnostic::nearest;
use super::reply::{ReplyTemplate, Template, TemplateError};
use super::rule::Action;
use super::toml_walk::{Report, Table, Text};
use super::units::is_field_name;

/// The header fields that say what others have done or that Portcullis writes itself.
const FIELDS_TAKEN: [&str; 13] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "date",
    "message-id",
    "received",
    "return-path",
    "dkim-signature",
    "authentication-results",
    "arc-seal",
    "arc-message-signature",
];

pub(super) fn read_tag(table: &Table<'_, '_>, id: &Text, report: &mut Report) -> Option<Action> {
    let inner = table.table(report, "add_header", "`add_header`");
    let (name, value) = match &inner {
        Some(inner) => {
            inner.only(report, &["name", "value"]);
            (inner.required(report, "name"), inner.text(report, "value"))
        }
        None => (table.required(report, "header"), table.text(report, "value")),
    };
    let name = name?;
    if !is_field_name(&name.value) {
        let message = format!("`{}` cannot be the name of a header field", name.value);
        report.push(name.error_all("P0314", message));
        return None;
    }
    if FIELDS_TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(&name.value)) {
        let message =
            format!("a tag cannot be called {}: it would pass for the real one", name.value);
        report.push(name.error_all("P0314", message).help("X-... is free"));
        return None;
    }
    let value = match value {
        Some(value) => read_template(&value, 0, &value.value, report)?,
        None => Template::plain(&id.value),
    };
    Some(Action::Tag { name: name.value.as_str().into(), value })
}

fn read_template(text: &Text, offset: usize, part: &str, report: &mut Report) -> Option<Template> {
    let place = |span: Range<usize>| offset + span.start..offset + span.end;
    match Template::parse(part) {
        Ok(template) => Some(template),
        Err(TemplateError::Brace(span)) => {
            report.push(
                text.error("P0313", place(span), "this brace has no partner")
                    .help("a field is {name}, a brace is {{ or }}"),
            );
            None
        }
        Err(TemplateError::UnknownField(span, name)) => {
            let known = crate::facts::registry::FIELDS.iter().filter(|field| !field.keyed);
            let mut error = text.error(
                "P0313",
                place(span),
                format!("no field that can be shown is called `{name}`"),
            );
            if let Some(meant) = nearest(&name, known.map(|field| field.name)) {
                error = error.help(format!("did you mean {{{meant}}}?"));
            }
            report.push(error);
            None
        }
    }
}

/// `550 5.7.1 Text with {fields}`. The class must be the action's, and the same in both codes.
pub(super) fn read_reply(
    reply: Option<&Text>,
    class: u16,
    why: &str,
    report: &mut Report,
) -> Option<ReplyTemplate> {
    let Some(reply) = reply else {
        let text = if why.is_empty() { "Message refused by policy" } else { why };
        let code = if class == 5 { 550 } else { 451 };
        return Some(ReplyTemplate { code, subject: 7, detail: 1, text: Template::plain(text) });
    };
    let value = reply.value.as_str();
    let code_text = value.split(' ').next().unwrap_or("");
    let code = Some(code_text)
        .filter(|text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse::<u16>().ok());
    let rest = value.get(code_text.len() + 1..).unwrap_or("");
    let enhanced_text = rest.split(' ').next().unwrap_or("");
    let Some((code, enhanced)) = code.zip(parse_enhanced(enhanced_text)) else {
        report.push(
            reply
                .error_all("P0310", "a reply begins with a basic and an enhanced code")
                .help(format!("such as \"{class}50 {class}.7.1 Text\"")),
        );
        return None;
    };
    let code_place = 0..3;
    let enhanced_place = 4..4 + enhanced_text.len();
    let mut right = true;
    if code / 100 != class {
        let action = if class == 5 { "reject" } else { "defer" };
        let message =
            format!("a \"{action}\" rule must answer with {class}xx, this reply is {code}");
        let label = format!("use {class}{:02}", code % 100);
        report.push(reply.error("P0311", code_place, message).label(label));
        right = false;
    } else if !codes::may_refuse(code) {
        let mut error =
            reply.error("P0311", code_place, format!("{code} is not for a rule to say"));
        if code == 521 {
            error = error.help("521 says that the host never takes mail (RFC 7504 3); use 554");
        }
        report.push(error);
        right = false;
    }
    let (enhanced_class, subject, detail) = enhanced;
    if enhanced_class != code / 100 {
        report.push(
            reply
                .error("P0312", enhanced_place, "both codes must be of one class (RFC 2034 4)")
                .label(format!("use {}.{subject}.{detail}", code / 100)),
        );
        right = false;
    } else if !codes::fits(enhanced_class, subject, detail) {
        let message = match codes::name(subject, detail) {
            Some(name) => format!("{enhanced_text} does not exist: \"{name}\" is of another class"),
            None => format!("{enhanced_text} is not a registered enhanced status code"),
        };
        report.push(reply.error("P0312", enhanced_place.clone(), message));
        right = false;
    }
    let start = (4 + enhanced_text.len() + 1).min(value.len());
    let text = value.get(start..).unwrap_or("");
    if text.trim().is_empty() {
        report.push(reply.error_all("P0310", "a reply needs a text after its codes"));
        return None;
    }
    let template = read_template(reply, start, text, report)?;
    right.then_some(ReplyTemplate { code, subject, detail, text: template })
}

/// `5.7.26`
fn parse_enhanced(text: &str) -> Option<(u16, u16, u16)> {
    let mut numbers = text.split('.').map(|digits| {
        let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| plain)
    });
    let parsed = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parsed)
}
