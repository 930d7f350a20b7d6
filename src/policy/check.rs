//! Typing conditions: fields by the registry, literals by the field's type.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::check_value::Compared;
use super::diagnostic::{Diagnostic, nearest};
use super::expr::{Expr, Leaf, Test};
use super::list::List;
use super::parser::{Ast, Kind, Op, Operand, parse};
use super::toml_walk::{Report, Text};
use super::units::is_field_name;
use crate::facts::rate::Rate;
use crate::facts::registry::{DNSBL_ZONE, FIELDS, HEADER, RATE};
use crate::facts::{FieldId, Stage, Type};

/// What a condition can name besides fields.
pub(super) struct Scope<'a> {
    pub(super) lists: &'a BTreeMap<String, NamedList>,
    pub(super) rates: &'a [Rate],
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

pub(super) struct Checker<'c, 'a> {
    text: &'c Text,
    pub(super) scope: &'c Scope<'a>,
    report: &'c mut Report,
}

/// A field as named in a condition.
pub(super) struct Named {
    pub(super) id: FieldId,
    key: Option<Box<str>>,
    stage: Stage,
    /// Of one value, for a list field of its items.
    pub(super) ty: Type,
}

impl Named {
    pub(super) fn leaf(&self, test: Test) -> Expr {
        Expr::Leaf(Box::new(Leaf::new(self.id, self.key.clone(), self.stage, test)))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.id.get().ty, Type::List(_))
    }

    pub(super) fn nocase(&self) -> bool {
        matches!(self.ty, Type::TextNoCase | Type::Domain | Type::Address)
    }
}

pub(super) fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

impl Checker<'_, '_> {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        message: String,
    ) -> &mut Diagnostic {
        let index = self.report.diagnostics.len();
        self.report.push(self.text.error(code, span.clone(), message));
        &mut self.report.diagnostics[index]
    }

    pub(super) fn expr(&mut self, ast: &Ast) -> Option<Expr> {
        match ast {
            Ast::And(parts) => self.all(parts).map(|parts| Expr::And(parts.into())),
            Ast::Or(parts) => self.all(parts).map(|parts| Expr::Or(parts.into())),
            Ast::Not(inner) => self.expr(inner).map(not),
            Ast::Alone(operand) => self.alone(operand),
            Ast::Compare { left, op, op_span, right } => self.compare(left, *op, op_span, right),
        }
    }

    /// Every part is looked at, so that all mistakes are told.
    pub(super) fn all(&mut self, parts: &[Ast]) -> Option<Vec<Expr>> {
        let parts: Vec<_> = parts.iter().map(|part| self.expr(part)).collect();
        parts.into_iter().collect()
    }

    pub(super) fn alone(&mut self, operand: &Operand) -> Option<Expr> {
        match operand.kind {
            // All of nothing, any of nothing.
            Kind::Bool(true) => return Some(Expr::And(Box::new([]))),
            Kind::Bool(false) => return Some(Expr::Or(Box::new([]))),
            _ => {}
        }
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

    pub(super) fn compare(
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
                let span = &right.span;
                self.test(&Compared { name, field: &field, op, op_span, value, span })
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
                let (value, span) = (&left.kind, &left.span);
                let equal = Compared { name, field: &field, op: Op::Equal, op_span, value, span };
                let found = self.test(&equal)?;
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
    pub(super) fn field(
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

    pub(super) fn keyed(
        &mut self,
        id: FieldId,
        (key, span): &(String, Range<usize>),
    ) -> Option<Named> {
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
                let help = suggest(&lower, &names, "configure it with [[dnsbl]]");
                self.error("P0207", span, format!("no DNS list is called `{key}`")).help.push(help);
                return None;
            }
        } else if id == HEADER && !is_field_name(&lower) {
            self.error("P0314", span, format!("`{key}` cannot be the name of a header field"));
            return None;
        }
        Some(Named { id, key: Some(lower.into()), stage, ty: item_type(id.get().ty) })
    }

    pub(super) fn unknown_field(&mut self, name: &str, span: &Range<usize>) {
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
}

/// With its article.
pub(super) fn type_name(field: &Named) -> String {
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

pub(super) fn suggest(name: &str, names: &[&str], otherwise: &str) -> String {
    match nearest(name, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => otherwise.to_owned(),
    }
}
