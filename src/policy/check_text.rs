//! Comparing a text, a domain or a mail address.

use std::ops::Range;
use std::sync::Arc;

use super::check::{Checker, Named, suggest, type_name};
use super::check_value::Compared;
use super::expr::Test;
use super::list::{self, List, ListType, TextSet};
use super::parser::{Kind, Op, Operand};
use crate::facts::Type;

/// How large a compiled regular expression may be, in bytes.
const REGEX_MAX: usize = 256 * 1024;

impl Checker<'_, '_> {
    pub(super) fn string(&mut self, compared: &Compared<'_>) -> Option<Test> {
        let Compared { name, field, op, op_span, value, span } = *compared;
        let nocase = field.nocase();
        match (op, value) {
            (Op::Equal, Kind::Str(text)) => {
                let text = self.literal(name, field, text, span)?;
                Some(Test::Text { text: text.into(), nocase })
            }
            (Op::In, Kind::List(items)) => {
                let texts = self.literals(name, field, items)?;
                Some(Test::Texts(TextSet::new(texts, nocase)))
            }
            (Op::In, Kind::ListName(list)) => {
                let fits: &[ListType] = match field.ty {
                    Type::Domain => &[ListType::Domain],
                    Type::Address => &[ListType::Address],
                    _ => &[ListType::Text, ListType::Domain, ListType::Address],
                };
                self.named(name, list, span, fits).map(Test::List)
            }
            (Op::Under, _) if !matches!(field.ty, Type::Domain | Type::Address) => {
                let ty = type_name(field);
                self.no_operator(name, &ty, op, op_span, OPS_TEXT);
                None
            }
            (Op::Under, Kind::Str(text)) => {
                let domain = self.domain(text, span)?;
                Some(Test::Under(TextSet::new(vec![domain], true)))
            }
            (Op::Under, Kind::List(items)) => {
                let mut domains = Vec::new();
                for item in items {
                    match &item.kind {
                        Kind::Str(text) => domains.extend(self.domain(text, &item.span)),
                        other => self.no_value(name, "domains", other, &item.span),
                    }
                }
                (domains.len() == items.len()).then(|| Test::Under(TextSet::new(domains, true)))
            }
            (Op::Under, Kind::ListName(list)) => {
                self.named(name, list, span, &[ListType::Domain]).map(Test::UnderList)
            }
            (Op::Matches, Kind::Str(pattern)) => self.regex(pattern, nocase, span),
            (Op::Contains, Kind::Str(part)) => Some(Test::Contains(fold(part, nocase), nocase)),
            (Op::StartsWith, Kind::Str(part)) => Some(Test::StartsWith(fold(part, nocase), nocase)),
            (Op::EndsWith, Kind::Str(part)) => Some(Test::EndsWith(fold(part, nocase), nocase)),
            (Op::Less | Op::AtMost | Op::Greater | Op::AtLeast, _) => {
                let ty = type_name(field);
                let ops = if matches!(field.ty, Type::Domain | Type::Address) {
                    OPS_DOMAIN
                } else {
                    OPS_TEXT
                };
                self.no_operator(name, &ty, op, op_span, ops);
                None
            }
            (Op::In, Kind::Str(text)) => {
                let message = format!("`in` looks into a list, \"{text}\" is one text");
                let help = format!("write {name} == \"{text}\", or {name} contains \"{text}\"");
                self.error("P0401", op_span, message).help.push(help);
                None
            }
            (Op::In | Op::Under, _) => {
                self.no_value(name, "a list", value, span);
                None
            }
            _ => {
                self.no_value(name, "text", value, span);
                None
            }
        }
    }

    /// A literal as the field's facts are written.
    pub(super) fn literal(
        &mut self,
        name: &str,
        field: &Named,
        text: &str,
        span: &Range<usize>,
    ) -> Option<String> {
        match field.ty {
            // `helo` can be an address literal, an empty text is "none".
            Type::Domain if !text.is_empty() && !text.starts_with('[') => self.domain(text, span),
            Type::Address if !text.is_empty() => {
                let plain =
                    text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text);
                if plain.contains('@') && !plain.starts_with('@') && plain.len() == text.len() {
                    return Some(text.to_owned());
                }
                if text.eq_ignore_ascii_case("postmaster") {
                    return Some(text.to_owned());
                }
                let help = match text.strip_prefix('@') {
                    Some(domain) => format!("write {name} under \"{domain}\""),
                    None => "an address is local@domain, the null reverse-path is \"\"".to_owned(),
                };
                self.error("P0303", span, format!("`{text}` is not an address")).help.push(help);
                None
            }
            _ => Some(text.to_owned()),
        }
    }

    pub(super) fn literals(
        &mut self,
        name: &str,
        field: &Named,
        items: &[Operand],
    ) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for item in items {
            match &item.kind {
                Kind::Str(text) => texts.extend(self.literal(name, field, text, &item.span)),
                other => self.no_value(name, "a list of text", other, &item.span),
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    pub(super) fn domain(&mut self, text: &str, span: &Range<usize>) -> Option<String> {
        match list::domain(text) {
            Ok(domain) => Some(domain),
            Err(message) => {
                let above = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
                let found = self.error("P0303", span, message);
                if let Some(above) = above {
                    found.help.push(format!("under \"{above}\" takes it and all below it"));
                }
                None
            }
        }
    }

    pub(super) fn regex(
        &mut self,
        pattern: &str,
        nocase: bool,
        span: &Range<usize>,
    ) -> Option<Test> {
        // ASCII patterns match octets: a tenth of the size, and facts are mostly ASCII.
        let built = regex::bytes::RegexBuilder::new(pattern)
            .unicode(!pattern.is_ascii() || pattern.contains("\\p") || pattern.contains("\\P"))
            .case_insensitive(nocase)
            .size_limit(REGEX_MAX)
            .dfa_size_limit(REGEX_MAX)
            .nest_limit(50)
            .build();
        match built {
            Ok(regex) => Some(Test::Matches(Box::new(regex))),
            Err(regex::Error::CompiledTooBig(_)) => {
                self.error("P0306", span, "this regular expression is too large".into());
                None
            }
            Err(error) => {
                // The last line says what is wrong, those before it point at the place.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ");
                self.error("P0306", span, format!("not a regular expression: {reason}"));
                None
            }
        }
    }

    pub(super) fn named(
        &mut self,
        name: &str,
        list: &str,
        span: &Range<usize>,
        fits: &[ListType],
    ) -> Option<Arc<List>> {
        let Some(found) = self.scope.lists.get(list) else {
            let names: Vec<&str> = self.scope.lists.keys().map(String::as_str).collect();
            let help = suggest(list, &names, &format!("declare it with [list.{list}]"));
            self.error("P0204", span, format!("no list is called `@{list}`")).help.push(help);
            return None;
        };
        found.used.set(true);
        if !fits.contains(&found.list.ty) {
            let fits: Vec<&str> = fits.iter().map(|ty| ty.name()).collect();
            let message = format!(
                "`@{list}` is a list of type {}, `{name}` needs one of type {}",
                found.list.ty.name(),
                fits.join(" or ")
            );
            self.error("P0303", span, message);
            return None;
        }
        Some(found.list.clone())
    }
}

const OPS_TEXT: &str = "== != in matches contains starts_with ends_with";
const OPS_DOMAIN: &str = "== != in under matches contains starts_with ends_with";

fn fold(text: &str, nocase: bool) -> Box<str> {
    if nocase { text.to_ascii_lowercase().into() } else { text.into() }
}
