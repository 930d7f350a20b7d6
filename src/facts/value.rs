//! The types and values of fields.

use std::fmt;
use std::net::IpAddr;

/// What a field holds. Domains and enum values are lower case; a domain has no final dot and is in
/// its A-label form. Sizes are bytes, durations milliseconds, both as [`Value::Int`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int,
    /// Octets; written with a unit in rules: `"50MiB"`.
    Size,
    /// Milliseconds; written with a unit in rules: `"5s"`.
    Duration,
    /// Text compared exactly.
    Text,
    /// Text compared without regard to ASCII case.
    TextNoCase,
    Domain,
    /// A mail address `local@domain`, or empty for the null reverse-path.
    Address,
    Ip,
    /// One of the names.
    Enum(&'static [&'static str]),
    /// Any number of values; a comparison holds when it holds for one of them.
    List(&'static Type),
}

impl Type {
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Type::Bool, Value::Bool(_))
            | (Type::Int | Type::Size | Type::Duration, Value::Int(_))
            | (Type::Text | Type::TextNoCase | Type::Domain | Type::Address, Value::Str(_))
            | (Type::Ip, Value::Ip(_)) => true,
            (Type::Enum(names), Value::Str(text)) => names.contains(&&**text),
            (Type::List(item), Value::List(list)) => list.iter().all(|value| item.holds(value)),
            _ => false,
        }
    }

    /// What the field reads as when nothing was found: the first name of an enum, else 0, false,
    /// the empty text or list. An address has no such value and reads as `0.0.0.0`.
    pub fn default_value(&self) -> Value {
        match self {
            Type::Bool => Value::Bool(false),
            Type::Int | Type::Size | Type::Duration => Value::Int(0),
            Type::Text | Type::TextNoCase | Type::Domain | Type::Address => Value::Str("".into()),
            Type::Ip => Value::Ip(IpAddr::from([0, 0, 0, 0])),
            Type::Enum(names) => Value::Str(names.first().copied().unwrap_or("").into()),
            Type::List(_) => Value::List(Vec::new()),
        }
    }

    /// The name used in the reference and in errors.
    pub fn name(&self) -> String {
        match self {
            Type::Bool => "bool".into(),
            Type::Int => "int".into(),
            Type::Size => "size".into(),
            Type::Duration => "duration".into(),
            Type::Text | Type::TextNoCase => "string".into(),
            Type::Domain => "domain".into(),
            Type::Address => "address".into(),
            Type::Ip => "ip".into(),
            Type::Enum(names) => names.join(", "),
            Type::List(item) => format!("list of {}", item.name()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Ip(IpAddr),
    Str(Box<str>),
    List(Vec<Value>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<IpAddr> for Value {
    fn from(value: IpAddr) -> Self {
        Value::Ip(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Str(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Str(value.into())
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::Ip(value) => value.fmt(f),
            Value::Str(value) => value.fmt(f),
            Value::List(values) => {
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        f.write_str(", ")?;
                    }
                    value.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}
