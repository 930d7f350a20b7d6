//! Comparing a field with a value: booleans, numbers, addresses, names.

use std::ops::Range;

use super::check::{Checker, Named, not, suggest, type_name};
use super::expr::{Expr, Order, Test};
use super::list::{ListType, NetSet, TextSet, parse_net};
use super::parser::{Kind, Op};
use super::units::{duration, size};
use crate::facts::Type;

/// A comparison of a field with a value, and where its parts stand.
pub(super) struct Compared<'a> {
    pub(super) name: &'a str,
    pub(super) field: &'a Named,
    pub(super) op: Op,
    pub(super) op_span: &'a Range<usize>,
    pub(super) value: &'a Kind,
    pub(super) span: &'a Range<usize>,
}

impl Checker<'_, '_> {
    pub(super) fn test(&mut self, compared: &Compared<'_>) -> Option<Expr> {
        let Compared { name, field, op, op_span, .. } = *compared;
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
        let compared = &Compared { op: positive, ..*compared };
        let test = match field.ty {
            Type::Bool => return self.bool(compared, negated),
            Type::Int | Type::Size | Type::Duration => self.int(compared)?,
            Type::Ip => self.ip(compared)?,
            Type::Enum(names) => self.name_of(compared, names)?,
            Type::Text | Type::TextNoCase | Type::Domain | Type::Address => {
                self.string(compared)?
            }
            // No field is a list of lists.
            Type::List(_) => return None,
        };
        let leaf = field.leaf(test);
        Some(if negated { not(leaf) } else { leaf })
    }

    pub(super) fn no_operator(
        &mut self,
        name: &str,
        ty: &str,
        op: Op,
        span: &Range<usize>,
        ops: &str,
    ) {
        let message = format!("`{}` does not go with `{name}`, {ty}", op.name());
        self.error("P0401", span, message).help.push(format!("its operators are {ops}"));
    }

    pub(super) fn no_value(&mut self, name: &str, wanted: &str, value: &Kind, span: &Range<usize>) {
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

    fn bool(&mut self, compared: &Compared<'_>, negated: bool) -> Option<Expr> {
        let Compared { name, field, op, op_span, value, span } = *compared;
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

    fn int(&mut self, compared: &Compared<'_>) -> Option<Test> {
        let Compared { name, field, op, op_span, value, span } = *compared;
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

    pub(super) fn number(
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

    fn ip(&mut self, compared: &Compared<'_>) -> Option<Test> {
        let Compared { name, op, op_span, value, span, .. } = *compared;
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

    pub(super) fn nets<'t>(
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

    fn name_of(&mut self, compared: &Compared<'_>, names: &'static [&'static str]) -> Option<Test> {
        let Compared { name, op, op_span, value, span, .. } = *compared;
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

    pub(super) fn enum_value(
        &mut self,
        name: &str,
        names: &[&str],
        text: &str,
        span: &Range<usize>,
    ) -> bool {
        if names.contains(&text) {
            return true;
        }
        let help = suggest(text, names, &format!("it is one of {}", names.join(", ")));
        self.error("P0304", span, format!("`{name}` is never \"{text}\"")).help.push(help);
        false
    }
}
