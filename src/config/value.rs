//! One TOML value against what its option holds.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::network::Network;
use super::options::Kind;
use super::units;
use crate::checks::dnsbl::AnswerSet;
use crate::policy::diagnostic::nearest;

/// A value that fits its option.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Duration(Duration),
    Size(u64),
    Text(String),
    /// The place in a [`Kind::Choice`].
    Choice(usize),
    Socket(SocketAddr),
    Network(Network),
    List(Vec<(Value, Range<usize>)>),
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) code: &'static str,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) label: String,
    pub(super) help: Option<String>,
}

/// Reads a value; what is wrong is appended, of a list each item apart.
pub(super) fn read(
    kind: &Kind,
    item: &Spanned<DeValue<'_>>,
    wrong: &mut Vec<Wrong>,
) -> Option<Value> {
    if let (Kind::List(inner, least), DeValue::Array(items)) = (kind, item.get_ref()) {
        if items.len() < *least {
            wrong.push(Wrong::new(P_RANGE, item.span(), format!("at least {least} must be given")));
            return None;
        }
        let before = wrong.len();
        let list: Vec<_> =
            items.iter().filter_map(|i| Some((read(inner, i, wrong)?, i.span()))).collect();
        return (wrong.len() == before).then_some(Value::List(list));
    }
    match single(kind, item.get_ref()) {
        Ok(value) => Some(value),
        Err(mut error) => {
            error.span = item.span();
            wrong.push(error);
            None
        }
    }
}

pub(super) const P_TYPE: &str = "P0351";
pub(super) const P_RANGE: &str = "P0352";
pub(super) const P_FORM: &str = "P0353";
pub(super) const P_WORD: &str = "P0354";

impl Wrong {
    pub(super) fn new(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Wrong { code, span, message: message.into(), label: String::new(), help: None }
    }

    fn of(code: &'static str, message: impl Into<String>) -> Self {
        Wrong::new(code, 0..0, message)
    }

    fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

fn single(kind: &Kind, value: &DeValue<'_>) -> Result<Value, Wrong> {
    match (kind, value) {
        (Kind::Bool, DeValue::Boolean(value)) => Ok(Value::Bool(*value)),
        (Kind::Int { min, max }, DeValue::Integer(digits)) => {
            match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(value) if (*min..=*max).contains(&value) => Ok(Value::Int(value)),
                _ => Err(out_of_range(kind)),
            }
        }
        (_, DeValue::String(text)) => string(kind, text),
        _ => Err(wrong_type(kind, value)),
    }
}

fn string(kind: &Kind, text: &str) -> Result<Value, Wrong> {
    match kind {
        Kind::Duration { min, max } => {
            let value = units::parse_duration(text).ok_or_else(|| {
                malformed("this is no duration", "a number and ms, s, m, h or d: \"30s\"")
            })?;
            let fits = (u128::from(*min)..=u128::from(*max)).contains(&value.as_millis());
            if fits { Ok(Value::Duration(value)) } else { Err(out_of_range(kind)) }
        }
        Kind::Size { min, max } => {
            let value = units::parse_size(text).ok_or_else(|| {
                malformed(
                    "this is no size",
                    "a number and B, KiB, MiB, GiB, kB, MB or GB: \"50MiB\"",
                )
            })?;
            if (*min..=*max).contains(&value) {
                Ok(Value::Size(value))
            } else {
                Err(out_of_range(kind))
            }
        }
        Kind::Choice(words) => match words.iter().position(|word| *word == text) {
            Some(at) => Ok(Value::Choice(at)),
            None => Err(no_such_word(words, text)),
        },
        Kind::Hostname => {
            match domain(text).filter(|name| name.contains('.') && !name.contains('_')) {
                Some(name) => Ok(Value::Text(name)),
                None => Err(malformed(
                    "this is no full host name",
                    "letters, digits and hyphens, with a dot: \"mx1.example.com\"",
                )),
            }
        }
        Kind::Domain => domain(text)
            .map(Value::Text)
            .ok_or_else(|| malformed("this is no domain", "write it as \"example.org\"")),
        Kind::Text(max) => {
            if text.is_empty() || text.len() > *max || !text.bytes().all(|b| b.is_ascii_graphic()) {
                let help = format!("1 to {max} printable ASCII characters without spaces");
                return Err(malformed("this text cannot be used here", help));
            }
            Ok(Value::Text(text.to_owned()))
        }
        Kind::Path => {
            if !text.starts_with('/') || text.contains('\0') {
                return Err(malformed("this is no absolute path", "begin it with `/`"));
            }
            Ok(Value::Text(text.to_owned()))
        }
        Kind::Listen => socket(text, None).map(Value::Socket).ok_or_else(|| {
            malformed("this is no address with a port", "write it as \"0.0.0.0:25\" or \"[::]:25\"")
        }),
        Kind::Backend => backend(text),
        Kind::NameServer => {
            socket(text, Some(53)).filter(|s| s.port() != 0).map(Value::Socket).ok_or_else(|| {
                malformed(
                    "this is no name server's address",
                    "write it as \"127.0.0.1\", \"127.0.0.1:53\" or \"[::1]:53\"",
                )
            })
        }
        Kind::Network => {
            text.parse().map(Value::Network).map_err(|help| malformed("this is no network", help))
        }
        Kind::Answer => match AnswerSet::parse(text) {
            Ok(_) => Ok(Value::Text(text.to_owned())),
            Err(help) => Err(malformed("this is no answer of a DNS list", help)),
        },
        Kind::Glob => {
            let (directory, file) = text.rsplit_once('/').unwrap_or((".", text));
            if directory.contains(['*', '?', '['])
                || file.is_empty()
                || file.contains(['?', '['])
                || text.contains('\0')
            {
                return Err(malformed(
                    "this pattern cannot be used",
                    "only `*`, and only in the file name: \"rules.d/*.toml\"",
                ));
            }
            Ok(Value::Text(text.to_owned()))
        }
        Kind::Bool | Kind::Int { .. } | Kind::List(..) => {
            Err(wrong_type(kind, &DeValue::String(text.into())))
        }
    }
}

fn socket(text: &str, port: Option<u16>) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, port?)))
}

fn backend(text: &str) -> Result<Value, Wrong> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => {
            port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        None => socket(text, None),
    };
    match address {
        Some(address) if address.port() != 0 && !address.ip().is_unspecified() => {
            Ok(Value::Socket(address))
        }
        Some(_) => {
            Err(malformed("nothing can be reached there", "write it as \"127.0.0.1:10025\""))
        }
        None if text.parse::<IpAddr>().is_ok() => Err(malformed(
            "the port is missing",
            "write it as \"127.0.0.1:10025\" or \"[::1]:10025\"",
        )),
        None => Err(malformed(
            "this is no address with a port",
            "an address or localhost, not another name: \"127.0.0.1:10025\" (mail must not stop when DNS does)",
        )),
    }
}

/// Lower case, A-labels, without the final dot; labels of letters, digits, hyphens and underscores.
fn domain(text: &str) -> Option<String> {
    let name = idna::domain_to_ascii(text.strip_suffix('.').unwrap_or(text)).ok()?;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let fits = name.len() <= 253 && name.split('.').all(label) && name.parse::<IpAddr>().is_err();
    fits.then_some(name)
}

fn malformed(message: &str, help: impl Into<String>) -> Wrong {
    Wrong::of(P_FORM, message).help(help)
}

fn out_of_range(kind: &Kind) -> Wrong {
    Wrong::of(P_RANGE, "this value is out of range").label(range(kind).unwrap_or_default())
}

fn no_such_word(words: &[&str], text: &str) -> Wrong {
    let wrong = Wrong::of(P_WORD, format!("\"{}\" is not one of the choices", text.escape_debug()))
        .label(format!("one of {}", words_of(words)));
    let longer = words.iter().copied().find(|word| !text.is_empty() && word.starts_with(text));
    match nearest(text, words.iter().copied()).or(longer) {
        Some(word) => wrong.help(format!("did you mean \"{word}\"?")),
        None => wrong,
    }
}

fn wrong_type(kind: &Kind, value: &DeValue<'_>) -> Wrong {
    let is = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let wanted = if let Kind::List(..) = kind { "a list".to_owned() } else { name(kind) };
    let wrong = Wrong::of(P_TYPE, format!("{wanted} is expected here, not {is}"));
    match (kind, value) {
        (Kind::List(..), _) => wrong.help("put it in brackets: [...]"),
        (Kind::Duration { .. }, DeValue::Integer(_)) => wrong.help("write the unit: \"30s\""),
        (Kind::Size { .. }, DeValue::Integer(_)) => wrong.help("write the unit: \"50MiB\""),
        (Kind::Int { .. } | Kind::Bool, DeValue::String(_)) => {
            wrong.help("write it without quotes")
        }
        _ => wrong,
    }
}

/// The type as errors and the reference call it.
pub(super) fn name(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".into(),
        Kind::Int { .. } => "a whole number".into(),
        Kind::Duration { .. } => "a duration".into(),
        Kind::Size { .. } => "a size".into(),
        Kind::Choice(_) => "a string".into(),
        Kind::Hostname => "a host name".into(),
        Kind::Domain => "a domain".into(),
        Kind::Text(_) => "a string".into(),
        Kind::Path => "an absolute path".into(),
        Kind::Listen => "an address with a port".into(),
        Kind::Backend => "an address or localhost with a port".into(),
        Kind::NameServer => "an address, perhaps with a port".into(),
        Kind::Network => "a network".into(),
        Kind::Answer => "an answer pattern".into(),
        Kind::Glob => "a file pattern".into(),
        Kind::List(inner, _) => format!("a list, each {}", name(inner)),
    }
}

/// The range as errors and the reference give it.
pub(super) fn range(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Int { min, max } => Some(format!("{min} to {max}")),
        Kind::Duration { min, max } => {
            Some(format!("{} to {}", units::print_duration(*min), units::print_duration(*max)))
        }
        Kind::Size { min, max } => {
            Some(format!("{} to {}", units::print_size(*min), units::print_size(*max)))
        }
        Kind::Choice(words) => Some(format!("one of {}", words_of(words))),
        Kind::Text(max) => Some(format!("at most {max} characters")),
        Kind::List(inner, _) => range(inner),
        _ => None,
    }
}

fn words_of(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// The Rust type that an option's value becomes.
pub(super) trait FromValue: Sized {
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! from_value {
    ($( $ty:ty: $pattern:pat => $result:expr; )*) => {
        $( impl FromValue for $ty {
            fn from_value(value: Value) -> Option<Self> {
                match value { $pattern => $result, _ => None }
            }
        } )*
    };
}

from_value! {
    bool: Value::Bool(value) => Some(value);
    usize: Value::Int(value) => value.try_into().ok();
    u32: Value::Int(value) => value.try_into().ok();
    i64: Value::Int(value) => Some(value);
    u64: Value::Size(value) => Some(value);
    Duration: Value::Duration(value) => Some(value);
    String: Value::Text(value) => Some(value);
    PathBuf: Value::Text(value) => Some(value.into());
    SocketAddr: Value::Socket(value) => Some(value);
    Network: Value::Network(value) => Some(value);
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::List(list) => list.into_iter().map(|(item, _)| T::from_value(item)).collect(),
            _ => None,
        }
    }
}

/// With the place of each item, for errors found later.
impl<T: FromValue> FromValue for Vec<(T, Range<usize>)> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::List(list) => {
                list.into_iter().map(|(item, span)| Some((T::from_value(item)?, span))).collect()
            }
            _ => None,
        }
    }
}

/// The place of a word in its [`Kind::Choice`].
pub(super) struct Choice(pub(super) usize);

from_value! { Choice: Value::Choice(at) => Some(Choice(at)); }
