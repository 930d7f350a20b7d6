//! Compiled conditions, evaluated with three values.

use std::net::IpAddr;
use std::sync::Arc;

use super::checkset::CheckSet;
use super::list::{List, NetSet, TextSet};
use crate::facts::registry::FIELDS;
use crate::facts::{Facts, FieldId, Stage, Type, Value};

/// True, false, or not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Tri {
    False,
    True,
    Unknown,
}

impl From<bool> for Tri {
    fn from(value: bool) -> Self {
        if value { Tri::True } else { Tri::False }
    }
}

#[derive(Debug)]
pub(super) enum Expr {
    And(Box<[Expr]>),
    Or(Box<[Expr]>),
    Not(Box<Expr>),
    Leaf(Box<Leaf>),
}

/// One field and what is asked of it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) field: FieldId,
    pub(super) key: Option<Box<str>>,
    /// The earliest stage at which it is known: the field's, or that of the rate.
    pub(super) stage: Stage,
    pub(super) check: CheckSet,
    pub(super) test: Test,
    /// What the test gives for the field's default.
    pub(super) by_default: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

#[derive(Debug)]
pub(super) enum Test {
    /// A bool field by itself.
    Holds,
    Int(Order, i64),
    Ints(Box<[i64]>),
    Text {
        text: Box<str>,
        nocase: bool,
    },
    Texts(TextSet),
    Nets(NetSet),
    List(Arc<List>),
    Under(TextSet),
    UnderList(Arc<List>),
    Contains(Box<str>, bool),
    StartsWith(Box<str>, bool),
    EndsWith(Box<str>, bool),
    Matches(Box<regex::bytes::Regex>),
}

impl Test {
    pub(super) fn on(&self, value: &Value) -> bool {
        match value {
            Value::List(items) => items.iter().any(|item| self.on(item)),
            Value::Bool(value) => matches!(self, Test::Holds) && *value,
            Value::Int(value) => match self {
                Test::Int(Order::Less, bound) => value < bound,
                Test::Int(Order::AtMost, bound) => value <= bound,
                Test::Int(Order::Equal, bound) => value == bound,
                Test::Int(Order::AtLeast, bound) => value >= bound,
                Test::Int(Order::Greater, bound) => value > bound,
                Test::Ints(items) => items.contains(value),
                _ => false,
            },
            Value::Ip(ip) => self.on_ip(*ip),
            Value::Str(text) => self.on_text(text),
        }
    }

    fn on_ip(&self, ip: IpAddr) -> bool {
        match self {
            Test::Nets(nets) => nets.contains(ip),
            Test::List(list) => list.contains_ip(ip),
            _ => false,
        }
    }

    fn on_text(&self, text: &str) -> bool {
        match self {
            Test::Text { text: wanted, nocase: true } => wanted.eq_ignore_ascii_case(text),
            Test::Text { text: wanted, nocase: false } => **wanted == *text,
            Test::Texts(set) => set.contains(text),
            Test::List(list) => list.contains_text(text),
            Test::Under(set) => set.contains_suffix(domain_of(text)),
            Test::UnderList(list) => list.contains_suffix(domain_of(text)),
            Test::Contains(part, nocase) => contains(text, part, *nocase),
            Test::StartsWith(part, nocase) => {
                text.as_bytes().get(..part.len()).is_some_and(|head| same(head, part, *nocase))
            }
            Test::EndsWith(part, nocase) => text
                .len()
                .checked_sub(part.len())
                .and_then(|at| text.as_bytes().get(at..))
                .is_some_and(|tail| same(tail, part, *nocase)),
            Test::Matches(regex) => regex.is_match(text.as_bytes()),
            _ => false,
        }
    }
}

/// The domain of an address, or the domain itself.
fn domain_of(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, domain)| domain)
}

fn same(bytes: &[u8], part: &str, nocase: bool) -> bool {
    if nocase { bytes.eq_ignore_ascii_case(part.as_bytes()) } else { bytes == part.as_bytes() }
}

/// With `nocase` the part must be lower case.
fn contains(text: &str, part: &str, nocase: bool) -> bool {
    let Some((&first, _)) = part.as_bytes().split_first() else { return true };
    if !nocase {
        return memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some();
    }
    let bytes = text.as_bytes();
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes).any(|at| {
        bytes
            .get(at..at + part.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(part.as_bytes()))
    })
}

/// More than the registry has fields; a test holds it.
const FIELDS_MAX: usize = 128;

/// What is known at a stage, indexed once for all rules.
pub(super) struct View<'a> {
    facts: &'a Facts,
    values: [Option<&'a Value>; FIELDS_MAX],
    stage: Stage,
    /// Nothing more becomes known: what is unknown reads as its default.
    last: bool,
    /// Hidden by a `skip`: these read as their default.
    pub(super) hidden: CheckSet,
    /// Hidden if a `skip` rule that is not decided yet comes true.
    pub(super) maybe_hidden: CheckSet,
}

impl<'a> View<'a> {
    pub(super) fn new(facts: &'a Facts, stage: Stage, last: bool) -> Self {
        let mut values = [None; FIELDS_MAX];
        for (field, key, value) in facts.iter() {
            if key.is_none()
                && let Some(place) = values.get_mut(field.index())
            {
                *place = Some(value);
            }
        }
        debug_assert!(FIELDS.len() <= FIELDS_MAX);
        View { facts, values, stage, last, hidden: CheckSet::EMPTY, maybe_hidden: CheckSet::EMPTY }
    }

    pub(super) fn value(&self, leaf: &Leaf) -> Option<&'a Value> {
        match &leaf.key {
            None => self.values.get(leaf.field.index()).copied().flatten(),
            Some(key) => self.facts.get_keyed(leaf.field, key),
        }
    }

    pub(super) fn leaf(&self, leaf: &Leaf) -> Tri {
        if leaf.check.intersects(self.hidden) {
            return leaf.by_default.into();
        }
        let found = match self.value(leaf) {
            // A rate that counts something later has no value yet, whatever an earlier mail left.
            Some(_) if leaf.stage > self.stage => Tri::Unknown,
            Some(value) => leaf.test.on(value).into(),
            None if self.last || (leaf.check.is_empty() && leaf.stage <= self.stage) => {
                leaf.by_default.into()
            }
            None => Tri::Unknown,
        };
        if found != Tri::Unknown
            && leaf.check.intersects(self.maybe_hidden)
            && found != Tri::from(leaf.by_default)
        {
            return Tri::Unknown;
        }
        found
    }

    pub(super) fn eval(&self, expr: &Expr) -> Tri {
        match expr {
            Expr::Leaf(leaf) => self.leaf(leaf),
            Expr::Not(inner) => match self.eval(inner) {
                Tri::True => Tri::False,
                Tri::False => Tri::True,
                Tri::Unknown => Tri::Unknown,
            },
            Expr::And(parts) => self.fold(parts, Tri::False),
            Expr::Or(parts) => self.fold(parts, Tri::True),
        }
    }

    /// `and` ends at the first false, `or` at the first true.
    fn fold(&self, parts: &[Expr], ends: Tri) -> Tri {
        let mut result = if ends == Tri::True { Tri::False } else { Tri::True };
        for part in parts {
            match self.eval(part) {
                value if value == ends => return ends,
                Tri::Unknown => result = Tri::Unknown,
                _ => {}
            }
        }
        result
    }

    /// The checks of reached stages whose findings an undecided condition waits for. Parts that
    /// are decided need none.
    pub(super) fn missing(&self, expr: &Expr, into: &mut CheckSet) {
        match expr {
            Expr::Leaf(leaf) => {
                if !leaf.check.is_empty()
                    && leaf.stage <= self.stage
                    && !leaf.check.intersects(self.hidden)
                    && self.value(leaf).is_none()
                {
                    into.insert(leaf.check);
                }
            }
            Expr::Not(inner) => self.missing(inner, into),
            Expr::And(parts) | Expr::Or(parts) => {
                for part in parts {
                    if self.eval(part) == Tri::Unknown {
                        self.missing(part, into);
                    }
                }
            }
        }
    }

    /// Whether a field a reply shows is still to be found.
    pub(super) fn lacks(&self, field: FieldId) -> bool {
        self.values.get(field.index()).copied().flatten().is_none()
            && field.get().stage <= self.stage
    }

    pub(super) fn text_of(&self, field: FieldId) -> Option<&'a Value> {
        self.values.get(field.index()).copied().flatten()
    }
}

impl Expr {
    pub(super) fn leaves<'e>(&'e self, each: &mut dyn FnMut(&'e Leaf)) {
        match self {
            Expr::Leaf(leaf) => each(leaf),
            Expr::Not(inner) => inner.leaves(each),
            Expr::And(parts) | Expr::Or(parts) => {
                for part in parts {
                    part.leaves(each);
                }
            }
        }
    }
}

impl Leaf {
    pub(super) fn new(field: FieldId, key: Option<Box<str>>, stage: Stage, test: Test) -> Self {
        let by_default = match field.get().ty {
            // No value at all, rather than the text of none: nothing can match it.
            Type::Ip => false,
            ty => test.on(&ty.default_value()),
        };
        Leaf { field, key, stage, check: CheckSet::of_field(field), test, by_default }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::registry::*;

    #[test]
    fn every_field_has_a_place_in_the_view() {
        assert!(FIELDS.len() <= FIELDS_MAX);
    }

    #[test]
    fn text_tests() {
        let on = |test: &Test, text: &str| test.on(&Value::from(text));
        let contains = Test::Contains("open relay".into(), true);
        assert!(on(&contains, "an OPEN Relay!") && !on(&contains, "open rela"));
        assert!(on(&Test::Contains("".into(), true), ""));
        assert!(!on(&Test::Contains("A".into(), false), "aaa"));
        assert!(on(&Test::StartsWith("ab".into(), true), "ABc"));
        assert!(!on(&Test::StartsWith("ab".into(), false), "ABc"));
        assert!(!on(&Test::StartsWith("abcd".into(), true), "abc"));
        assert!(on(&Test::EndsWith(".org".into(), true), "a.ORG"));
        assert!(!on(&Test::EndsWith("\u{fc}x".into(), true), "x"));
        let under = Test::Under(TextSet::new(vec!["example.com".into()], true));
        assert!(on(&under, "example.com") && on(&under, "a.example.com"));
        assert!(on(&under, "joe@a.example.com") && !on(&under, "notexample.com"));
        assert!(!on(&under, ""));
    }

    fn leaf(field: FieldId, test: Test) -> Expr {
        Expr::Leaf(Box::new(Leaf::new(field, None, field.get().stage, test)))
    }

    fn spf_fail() -> Expr {
        leaf(SPF, Test::Text { text: "fail".into(), nocase: false })
    }

    #[test]
    fn three_values() {
        let mut facts = Facts::new();
        let unknown = spf_fail;
        let no = || leaf(AUTH_OK, Test::Holds);
        let yes = || Expr::Not(Box::new(no()));
        let eval = |facts: &Facts, expr: &Expr| View::new(facts, Stage::Mail, false).eval(expr);
        for (expr, expected) in [
            (Expr::And([no(), unknown()].into()), Tri::False),
            (Expr::And([unknown(), no()].into()), Tri::False),
            (Expr::And([unknown(), yes()].into()), Tri::Unknown),
            (Expr::Or([unknown(), yes()].into()), Tri::True),
            (Expr::Or([unknown(), no()].into()), Tri::Unknown),
            (Expr::Not(Box::new(unknown())), Tri::Unknown),
        ] {
            assert_eq!(eval(&facts, &expr), expected, "{expr:?}");
        }
        assert_eq!(View::new(&facts, Stage::Message, true).eval(&unknown()), Tri::False);
        facts.set(SPF, "fail");
        assert_eq!(eval(&facts, &unknown()), Tri::True);
        let mut view = View::new(&facts, Stage::Mail, false);
        view.maybe_hidden = CheckSet::of_field(SPF);
        assert_eq!(view.eval(&unknown()), Tri::Unknown);
        view.hidden = CheckSet::of_field(SPF);
        assert_eq!(view.eval(&unknown()), Tri::False);
    }
}
