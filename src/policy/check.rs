//! Typing conditions: fields by the registry, literals by the field's type.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, nearest};
use super::expr::{Expr, Leaf, Order, Test};
use super::list::{self, List, ListType, NetSet, TextSet, parse_net};
use super::parser::{Ast, Kind, Op, Operand, parse};
use super::rule::RateDecl;
use super::toml_walk::{Report, Text};
use crate::facts::registry::{DNSBL_ZONE, FIELDS, HEADER, RATE};
use crate::facts::{FieldId, Stage, Type};

/// How large a compiled regular expression may be, in bytes.
const REGEX_MAX: usize = 256 * 1024;

/// What a condition can name besides fields.
pub(super) struct Scope<'a> {
    pub(super) lists: &'a BTreeMap<String, NamedList>,
    pub(super) rates: &'a [RateDecl],
    pub(super) zones: Option<&'a [String]>,
}

pub(super) struct NamedList {
    pub(super) list: Arc<List>,
    pub(super) used: std::cell::Cell<bool>,
}

/// Compiles a condition; `None` when something was reported.
pub(super) fn condition(text: &Text, scope: &Scope<'_>, report: &mut Report) -> Option<Expr> {
    let ast = match parse(&text.value) {
        Ok(ast) => ast,
        Err(error) => {
            let mut found = text.error(error.code, error.span, error.message);
            found.help.extend(error.help);
            report.push(found);
            return None;
        }
    };
    Checker { text, scope, report }.expr(&ast)
}

struct Checker<'c, 'a> {
    text: &'c Text,
    scope: &'c Scope<'a>,
    report: &'c mut Report,
}

/// A field as named in a condition.
struct Named {
    id: FieldId,
    key: Option<Box<str>>,
    stage: Stage,
    /// Of one value, for a list field of its items.
    ty: Type,
}

impl Named {
    fn leaf(self, test: Test) -> Expr {
        Expr::Leaf(Box::new(Leaf::new(self.id, self.key, self.stage, test)))
    }

    fn is_list(&self) -> bool {
        matches!(self.id.get().ty, Type::List(_))
    }

    fn nocase(&self) -> bool {
        matches!(self.ty, Type::TextNoCase | Type::Domain | Type::Address)
    }

    fn is_text(&self) -> bool {
        matches!(self.ty, Type::Text | Type::TextNoCase | Type::Domain | Type::Address)
    }
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

impl Checker<'_, '_> {
    fn error(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        message: String,
    ) -> &mut Diagnostic {
        let index = self.report.diagnostics.len();
        self.report.push(self.text.error(code, span.clone(), message));
        &mut self.report.diagnostics[index]
    }

    fn expr(&mut self, ast: &Ast) -> Option<Expr> {
        match ast {
            Ast::And(parts) => self.all(parts).map(|parts| Expr::And(parts.into())),
            Ast::Or(parts) => self.all(parts).map(|parts| Expr::Or(parts.into())),
            Ast::Not(inner) => self.expr(inner).map(not),
            Ast::Alone(operand) => self.alone(operand),
            Ast::Compare { left, op, op_span, right } => self.compare(left, *op, op_span, right),
        }
    }

    /// Every part is looked at, so that all mistakes are told.
    fn all(&mut self, parts: &[Ast]) -> Option<Vec<Expr>> {
        let parts: Vec<_> = parts.iter().map(|part| self.expr(part)).collect();
        parts.into_iter().collect()
    }

    fn alone(&mut self, operand: &Operand) -> Option<Expr> {
        let Kind::Field(name, key) = &operand.kind else {
            self.error("P0303", &operand.span, "a value by itself is not a condition".into());
            return None;
        };
        let field = self.field(name, key.as_ref(), &operand.span)?;
        if field.id.get().ty == Type::Bool {
            return Some(field.leaf(Test::Holds));
        }
        let example = field.id.get().example;
        let message = format!("`{name}` is {}, not a condition by itself", type_name(&field));
        self.error("P0303", &operand.span, message).help.push(format!("compare it: {example}"));
        None
    }

    fn compare(
        &mut self,
        left: &Operand,
        op: Op,
        op_span: &Range<usize>,
        right: &Operand,
    ) -> Option<Expr> {
        match (&left.kind, &right.kind) {
            (Kind::Field(name, key), Kind::Field(other, _)) => {
                self.field(name, key.as_ref(), &left.span)?;
                let found = format!("`{other}` is no value: a field is compared with a value");
                let quoted = format!("text is written in quotes: \"{other}\"");
                self.error("P0303", &right.span, found).help.push(quoted);
                None
            }
            (Kind::Field(name, key), value) => {
                let field = self.field(name, key.as_ref(), &left.span)?;
                self.test(name, field, op, op_span, value, &right.span)
            }
            (Kind::Str(_) | Kind::Int(_), Kind::Field(name, key))
                if matches!(op, Op::In | Op::NotIn) =>
            {
                let field = self.field(name, key.as_ref(), &right.span)?;
                if !field.is_list() {
                    let message = format!("`{name}` holds one value; `in` looks into a list");
                    let help = format!("turn it round: {name} == ...");
                    self.error("P0401", op_span, message).help.push(help);
                    return None;
                }
                let found = self.test(name, field, Op::Equal, op_span, &left.kind, &left.span)?;
                Some(if op == Op::NotIn { not(found) } else { found })
            }
            (_, Kind::Field(name, _)) => {
                let message = "the field stands on the left".to_owned();
                let help = format!("write {name} {} ...", op.name());
                self.error("P0401", op_span, message).help.push(help);
                None
            }
            _ => {
                self.error("P0303", &left.span, "a comparison needs a field".into());
                None
            }
        }
    }

    /// Finds the field, its key and its stage.
    fn field(
        &mut self,
        name: &str,
        key: Option<&(String, Range<usize>)>,
        span: &Range<usize>,
    ) -> Option<Named> {
        if let (Some(rate), None) = (name.strip_prefix("rate."), key) {
            let start = span.start + "rate.".len();
            return self.keyed(RATE, &(rate.to_owned(), start..span.end));
        }
        let Some(id) = FieldId::by_name(name) else {
            self.unknown_field(name, span);
            return None;
        };
        let field = id.get();
        match (field.keyed, key) {
            (true, Some(key)) => self.keyed(id, key),
            (true, None) => {
                let help = format!("such as {}", field.example);
                self.error("P0303", span, format!("`{name}` needs a key")).help.push(help);
                None
            }
            (false, Some(_)) => {
                self.error("P0303", span, format!("`{name}` has no keys"));
                None
            }
            (false, None) => {
                Some(Named { id, key: None, stage: field.stage, ty: item_type(field.ty) })
            }
        }
    }

    fn keyed(&mut self, id: FieldId, (key, span): &(String, Range<usize>)) -> Option<Named> {
        let lower = key.to_ascii_lowercase();
        let mut stage = id.get().stage;
        if id == RATE {
            match self.scope.rates.iter().find(|rate| *rate.name == *lower) {
                Some(rate) => stage = rate.stage(),
                None => {
                    let names: Vec<&str> =
                        self.scope.rates.iter().map(|rate| &*rate.name).collect();
                    let help = suggest(&lower, &names, "declare it with [[rate]]");
                    self.error("P0206", span, format!("no rate is called `{key}`")).help.push(help);
                    return None;
                }
            }
        } else if id == DNSBL_ZONE {
            if let Some(zones) = self.scope.zones
                && !zones.iter().any(|zone| zone.eq_ignore_ascii_case(&lower))
            {
                let names: Vec<&str> = zones.iter().map(String::as_str).collect();
                let help = suggest(&lower, &names, "configure it with [[dnsbl.zone]]");
                self.error("P0207", span, format!("no DNS list is called `{key}`")).help.push(help);
                return None;
            }
        } else if id == HEADER && !is_field_name(&lower) {
            self.error("P0314", span, format!("`{key}` cannot be the name of a header field"));
            return None;
        }
        Some(Named { id, key: Some(lower.into()), stage, ty: item_type(id.get().ty) })
    }

    fn unknown_field(&mut self, name: &str, span: &Range<usize>) {
        let mut help = Vec::new();
        let above = name.rsplit_once('.').map(|(above, _)| above).and_then(FieldId::by_name);
        if let Some(meant) = nearest(name, FIELDS.iter().map(|field| field.name)) {
            help.push(format!("did you mean `{meant}`?"));
        } else if let Some(above) = above {
            let field = above.get();
            help.push(match field.keyed {
                true => format!("its key stands in brackets: {}", field.example),
                false => format!("`{}` is a field: {}", field.name, field.ty.name()),
            });
        } else {
            let prefix = format!("{}.", name.split('.').next().unwrap_or(name));
            let near: Vec<&str> =
                FIELDS.iter().map(|field| field.name).filter(|n| n.starts_with(&prefix)).collect();
            if !near.is_empty() {
                help.push(format!("there are {}", near.join(", ")));
            }
        }
        self.error("P0203", span, format!("no field is called `{name}`")).help.extend(help);
    }

    fn test(
        &mut self,
        name: &str,
        field: Named,
        op: Op,
        op_span: &Range<usize>,
        value: &Kind,
        span: &Range<usize>,
    ) -> Option<Expr> {
        if field.is_list() && op == Op::NotEqual {
            let message =
                format!("`{name}` holds any number of values: `!=` would hold for any other");
            let help = format!("write not ({name} == ...)");
            self.error("P0401", op_span, message).help.push(help);
            return None;
        }
        let (positive, negated) = match op {
            Op::NotEqual => (Op::Equal, true),
            Op::NotIn => (Op::In, true),
            other => (other, false),
        };
        let test = match field.ty {
            Type::Bool => {
                return self.bool(name, field, positive, negated, op_span, value, span);
            }
            Type::Int | Type::Size | Type::Duration => {
                self.int(name, &field, positive, op_span, value, span)?
            }
            Type::Ip => self.ip(name, positive, op_span, value, span)?,
            Type::Enum(names) => self.name_of(name, names, positive, op_span, value, span)?,
            Type::Text | Type::TextNoCase | Type::Domain | Type::Address => {
                self.string(name, &field, positive, op_span, value, span)?
            }
            // No field is a list of lists.
            Type::List(_) => return None,
        };
        let leaf = field.leaf(test);
        Some(if negated { not(leaf) } else { leaf })
    }

    fn no_operator(&mut self, name: &str, ty: &str, op: Op, span: &Range<usize>, ops: &str) {
        let message = format!("`{}` does not go with `{name}`, {ty}", op.name());
        self.error("P0401", span, message).help.push(format!("its operators are {ops}"));
    }

    fn no_value(&mut self, name: &str, wanted: &str, value: &Kind, span: &Range<usize>) {
        let found = match value {
            Kind::Str(_) => "text",
            Kind::Int(_) => "a number",
            Kind::Bool(_) => "true or false",
            Kind::List(_) => "a list",
            Kind::ListName(_) => "a named list",
            Kind::Field(..) => "a field",
        };
        self.error("P0303", span, format!("`{name}` is compared with {wanted}, this is {found}"));
    }

    #[allow(clippy::too_many_arguments)]
    fn bool(
        &mut self,
        name: &str,
        field: Named,
        op: Op,
        negated: bool,
        op_span: &Range<usize>,
        value: &Kind,
        span: &Range<usize>,
    ) -> Option<Expr> {
        if op != Op::Equal {
            self.no_operator(name, "a bool", op, op_span, "== and !=, or none at all");
            return None;
        }
        let Kind::Bool(wanted) = value else {
            self.no_value(name, "true or false", value, span);
            return None;
        };
        let leaf = field.leaf(Test::Holds);
        Some(if *wanted == negated { not(leaf) } else { leaf })
    }

    fn int(
        &mut self,
        name: &str,
        field: &Named,
        op: Op,
        op_span: &Range<usize>,
        value: &Kind,
        span: &Range<usize>,
    ) -> Option<Test> {
        let order = match op {
            Op::Equal => Order::Equal,
            Op::Less => Order::Less,
            Op::AtMost => Order::AtMost,
            Op::Greater => Order::Greater,
            Op::AtLeast => Order::AtLeast,
            Op::In => {
                let Kind::List(items) = value else {
                    self.no_value(name, "a list", value, span);
                    return None;
                };
                let items: Vec<_> = items
                    .iter()
                    .map(|item| self.number(name, field, &item.kind, &item.span))
                    .collect();
                return items
                    .into_iter()
                    .collect::<Option<Vec<i64>>>()
                    .map(|v| Test::Ints(v.into()));
            }
            _ => {
                let ty = type_name(field);
                self.no_operator(name, &ty, op, op_span, "== != < <= > >= in");
                return None;
            }
        };
        self.number(name, field, value, span).map(|bound| Test::Int(order, bound))
    }

    fn number(
        &mut self,
        name: &str,
        field: &Named,
        value: &Kind,
        span: &Range<usize>,
    ) -> Option<i64> {
        let (parsed, wanted) = match (value, field.ty) {
            (Kind::Int(value), _) => return Some(*value),
            (Kind::Str(text), Type::Size) => (size(text), "a size such as \"10MiB\""),
            (Kind::Str(text), Type::Duration) => (duration(text), "a time such as \"5s\""),
            _ => {
                self.no_value(name, "a number", value, span);
                return None;
            }
        };
        if parsed.is_none() {
            self.error("P0307", span, format!("`{name}` is compared with {wanted}"));
        }
        parsed
    }

    fn ip(
        &mut self,
        name: &str,
        op: Op,
        op_span: &Range<usize>,
        value: &Kind,
        span: &Range<usize>,
    ) -> Option<Test> {
        match (op, value) {
            (Op::Equal, Kind::Str(text)) => match text.parse::<std::net::IpAddr>() {
                Ok(_) => self.nets([(text, span)]),
                Err(_) => {
                    let network = parse_net(text).is_ok();
                    let found = self.error("P0305", span, format!("`{text}` is not an IP address"));
                    if network {
                        found.help.push(format!("write {name} in [\"{text}\"]"));
                    }
                    None
                }
            },
            (Op::In, Kind::Str(text)) => self.nets([(text, span)]),
            (Op::In, Kind::List(items)) => {
                let mut texts = Vec::new();
                for item in items {
                    match &item.kind {
                        Kind::Str(text) => texts.push((text, &item.span)),
                        other => self.no_value(name, "addresses and networks", other, &item.span),
                    }
                }
                (texts.len() == items.len()).then(|| self.nets(texts)).flatten()
            }
            (Op::In, Kind::ListName(list)) => {
                self.named(name, list, span, &[ListType::Ip]).map(Test::List)
            }
            (Op::Equal | Op::In, _) => {
                self.no_value(name, "an address or a list of networks", value, span);
                None
            }
            _ => {
                self.no_operator(name, "an ip", op, op_span, "== != in");
                None
            }
        }
    }

    fn nets<'t>(
        &mut self,
        texts: impl IntoIterator<Item = (&'t String, &'t Range<usize>)>,
    ) -> Option<Test> {
        let mut nets = Vec::new();
        let mut wrong = false;
        for (text, span) in texts {
            match parse_net(text) {
                Ok(net) => nets.push(net),
                Err(message) => {
                    wrong = true;
                    self.error("P0305", span, message);
                }
            }
        }
        (!wrong).then(|| Test::Nets(NetSet::new(nets)))
    }

    fn name_of(
        &mut self,
        name: &str,
        names: &'static [&'static str],
        op: Op,
        op_span: &Range<usize>,
        value: &Kind,
        span: &Range<usize>,
    ) -> Option<Test> {
        match (op, value) {
            (Op::Equal, Kind::Str(text)) => self
                .enum_value(name, names, text, span)
                .then(|| Test::Text { text: text.as_str().into(), nocase: false }),
            (Op::In, Kind::List(items)) => {
                let mut texts = Vec::new();
                for item in items {
                    match &item.kind {
                        Kind::Str(text) => {
                            if self.enum_value(name, names, text, &item.span) {
                                texts.push(text.clone());
                            }
                        }
                        other => self.no_value(name, "its names", other, &item.span),
                    }
                }
                (texts.len() == items.len()).then(|| Test::Texts(TextSet::new(texts, false)))
            }
            (Op::Equal, _) => {
                self.no_value(name, "one of its names", value, span);
                None
            }
            (Op::In, _) => {
                self.no_value(name, "a list of its names", value, span);
                None
            }
            _ => {
                self.no_operator(name, "a name", op, op_span, "== != in");
                None
            }
        }
    }

    fn enum_value(&mut self, name: &str, names: &[&str], text: &str, span: &Range<usize>) -> bool {
        if names.contains(&text) {
            return true;
        }
        let help = suggest(text, names, &format!("it is one of {}", names.join(", ")));
        self.error("P0304", span, format!("`{name}` is never \"{text}\"")).help.push(help);
        false
    }

    fn string(
        &mut self,
        name: &str,
        field: &Named,
        op: Op,
        op_span: &Range<usize>,
        value: &Kind,
        span: &Range<usize>,
    ) -> Option<Test> {
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
                let ops = if field.is_text() && matches!(field.ty, Type::Domain | Type::Address) {
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
    fn literal(
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

    fn literals(&mut self, name: &str, field: &Named, items: &[Operand]) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for item in items {
            match &item.kind {
                Kind::Str(text) => texts.extend(self.literal(name, field, text, &item.span)),
                other => self.no_value(name, "a list of text", other, &item.span),
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    fn domain(&mut self, text: &str, span: &Range<usize>) -> Option<String> {
        match list::domain(text) {
            Ok(domain) => Some(domain),
            Err(message) => {
                self.error("P0303", span, message);
                None
            }
        }
    }

    fn regex(&mut self, pattern: &str, nocase: bool, span: &Range<usize>) -> Option<Test> {
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

    fn named(
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

/// With its article.
fn type_name(field: &Named) -> String {
    describe(&field.id.get().ty)
}

/// A type with its article: "an ip", "one of none, pass".
pub(super) fn describe(ty: &Type) -> String {
    match ty {
        Type::Enum(names) => format!("one of {}", names.join(", ")),
        Type::Int | Type::Ip | Type::Address => format!("an {}", ty.name()),
        _ => format!("a {}", ty.name()),
    }
}

fn item_type(ty: Type) -> Type {
    match ty {
        Type::List(item) => *item,
        other => other,
    }
}

fn suggest(name: &str, names: &[&str], otherwise: &str) -> String {
    match nearest(name, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => otherwise.to_owned(),
    }
}

/// RFC 5322 3.6.8 `ftext`.
pub(super) fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 76
        && name.bytes().all(|b| (33..=126).contains(&b) && b != b':')
}

/// `10MiB`, `512 KiB`, `100`: octets.
pub(super) fn size(text: &str) -> Option<i64> {
    let (digits, unit) = split_unit(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    digits.checked_mul(factor)
}

/// `5s`, `10m`, `100ms`: milliseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (digits, unit) = split_unit(text)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    digits.checked_mul(factor)
}

fn split_unit(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit.trim_start()))
}
