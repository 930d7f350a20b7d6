//! MAIL and RCPT with their parameters.
//!
//! What is sent to the backend is printed from these types and never copied from the client's line.

use std::io::Write as _;

use super::address::{ForwardPath, ReversePath};
use super::syntax::SyntaxError;
use super::xtext;

/// Octets of an ORCPT value (RFC 3461 4.2) and of an AUTH value (RFC 4954 3).
const ADDRESS_VALUE_MAX: usize = 500;
/// Characters of an envelope identifier once decoded (RFC 3461 4.4).
const ENVID_MAX: usize = 100;
/// Digits of a SIZE value (RFC 1870 3).
const SIZE_DIGITS_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailCommand {
    pub path: ReversePath,
    pub params: MailParams,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcptCommand {
    pub path: ForwardPath,
    pub params: RcptParams,
}

/// The value of BODY= (RFC 6152 2, RFC 3030 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    SevenBit,
    EightBitMime,
    BinaryMime,
}

impl Body {
    pub fn as_str(self) -> &'static str {
        match self {
            Body::SevenBit => "7BIT",
            Body::EightBitMime => "8BITMIME",
            Body::BinaryMime => "BINARYMIME",
        }
    }

    fn parse(value: &str) -> Option<Body> {
        [Body::SevenBit, Body::EightBitMime, Body::BinaryMime]
            .into_iter()
            .find(|body| body.as_str().eq_ignore_ascii_case(value))
    }
}

/// The parameters of MAIL. Text values are validated and kept byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParams {
    /// Octets, as declared (RFC 1870).
    pub size: Option<u64>,
    pub body: Option<Body>,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 8689.
    pub requiretls: bool,
    /// `FULL` or `HDRS` (RFC 3461 4.3).
    pub ret: Option<Box<str>>,
    /// xtext (RFC 3461 4.4).
    pub envid: Option<Box<str>>,
    /// xtext or `<>` (RFC 4954 5).
    pub auth: Option<Box<str>>,
}

impl MailParams {
    /// The parameters that are set: the EHLO keyword that allows each, and its name.
    pub fn keywords(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let body = match self.body {
            Some(Body::BinaryMime) => "BINARYMIME",
            _ => "8BITMIME",
        };
        [
            (self.size.is_some(), "SIZE", "SIZE"),
            (self.body.is_some(), body, "BODY"),
            (self.smtputf8, "SMTPUTF8", "SMTPUTF8"),
            (self.requiretls, "REQUIRETLS", "REQUIRETLS"),
            (self.ret.is_some(), "DSN", "RET"),
            (self.envid.is_some(), "DSN", "ENVID"),
            (self.auth.is_some(), "AUTH", "AUTH"),
        ]
        .into_iter()
        .filter_map(|(set, keyword, name)| set.then_some((keyword, name)))
    }

    /// Appends ` SIZE=1 BODY=8BITMIME` and so on.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.write_without_auth(out);
        write_value(out, "AUTH", self.auth.as_deref());
    }

    /// As [`write_to`](Self::write_to), but without AUTH=, which a backend must not take from us.
    pub fn write_without_auth(&self, out: &mut Vec<u8>) {
        if let Some(size) = self.size {
            // Writing to a vector cannot fail.
            let _ = write!(out, " SIZE={size}");
        }
        write_value(out, "BODY", self.body.map(Body::as_str));
        if self.smtputf8 {
            out.extend_from_slice(b" SMTPUTF8");
        }
        if self.requiretls {
            out.extend_from_slice(b" REQUIRETLS");
        }
        write_value(out, "RET", self.ret.as_deref());
        write_value(out, "ENVID", self.envid.as_deref());
    }

    fn set(&mut self, parameter: Parameter<'_>) -> Result<(), SyntaxError> {
        let value = parameter.value;
        match parameter.listed(&["SIZE", "BODY", "SMTPUTF8", "REQUIRETLS", "RET", "ENVID", "AUTH"])
        {
            "SIZE" => parameter.put(&mut self.size, value.and_then(parse_size)),
            "BODY" => parameter.put(&mut self.body, value.and_then(Body::parse)),
            "SMTPUTF8" => parameter.put_flag(&mut self.smtputf8),
            "REQUIRETLS" => parameter.put_flag(&mut self.requiretls),
            "RET" => parameter.put_text(&mut self.ret, |value| {
                value.eq_ignore_ascii_case("FULL") || value.eq_ignore_ascii_case("HDRS")
            }),
            "ENVID" => parameter.put_text(&mut self.envid, |value| {
                xtext::decoded_length(value).is_some_and(|length| length <= ENVID_MAX)
            }),
            "AUTH" => parameter.put_text(&mut self.auth, is_auth_value),
            _ => Err(SyntaxError::UnknownParameter(parameter.name.into())),
        }
    }
}

/// The parameters of RCPT (RFC 3461 4.1, 4.2), validated and kept byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParams {
    /// `NEVER`, or a list of `SUCCESS`, `FAILURE`, `DELAY`.
    pub notify: Option<Box<str>>,
    /// `type;xtext`, or `utf-8;` and an address by RFC 6533 3.
    pub orcpt: Option<Box<str>>,
}

impl RcptParams {
    /// The parameters that are set: the EHLO keyword that allows each, and its name.
    pub fn keywords(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        [(self.notify.is_some(), "NOTIFY"), (self.orcpt.is_some(), "ORCPT")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(("DSN", name)))
    }

    /// Appends ` NOTIFY=.. ORCPT=..`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        write_value(out, "NOTIFY", self.notify.as_deref());
        write_value(out, "ORCPT", self.orcpt.as_deref());
    }

    fn set(&mut self, parameter: Parameter<'_>) -> Result<(), SyntaxError> {
        match parameter.listed(&["NOTIFY", "ORCPT"]) {
            "NOTIFY" => parameter.put_text(&mut self.notify, is_notify_value),
            "ORCPT" => parameter.put_text(&mut self.orcpt, is_orcpt_value),
            _ => Err(SyntaxError::UnknownParameter(parameter.name.into())),
        }
    }
}

impl MailCommand {
    pub(super) const USAGE: &'static str = "MAIL FROM:<address> [parameters]";

    /// Parses what follows `MAIL`.
    pub(super) fn parse(text: &str) -> Result<MailCommand, SyntaxError> {
        let usage = SyntaxError::Arguments { verb: "MAIL", usage: Self::USAGE };
        let Some(text) = after_label(text, "FROM:") else { return Err(usage) };
        let (path, rest) = ReversePath::parse_prefix(text).ok_or(SyntaxError::SenderAddress)?;
        let mut params = MailParams::default();
        each_parameter(rest, &usage, |parameter| params.set(parameter))?;
        Ok(MailCommand { path, params })
    }

    /// Appends the command without CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "MAIL FROM:{}", self.path);
        self.params.write_to(out);
    }
}

impl RcptCommand {
    pub(super) const USAGE: &'static str = "RCPT TO:<address> [parameters]";

    /// Parses what follows `RCPT`.
    pub(super) fn parse(text: &str) -> Result<RcptCommand, SyntaxError> {
        let usage = SyntaxError::Arguments { verb: "RCPT", usage: Self::USAGE };
        let Some(text) = after_label(text, "TO:") else { return Err(usage) };
        let (path, rest) = ForwardPath::parse_prefix(text).ok_or(SyntaxError::RecipientAddress)?;
        let mut params = RcptParams::default();
        each_parameter(rest, &usage, |parameter| params.set(parameter))?;
        Ok(RcptCommand { path, params })
    }

    /// Appends the command without CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "RCPT TO:{}", self.path);
        self.params.write_to(out);
    }
}

/// What follows `FROM:` or `TO:`. Spaces after the colon are common and harmless.
fn after_label<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(label.len())?;
    let rest = rest.trim_start_matches(' ');
    (start.eq_ignore_ascii_case(label) && rest.starts_with('<')).then_some(rest)
}

#[derive(Clone, Copy)]
struct Parameter<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl Parameter<'_> {
    /// Its name as listed, in upper case, or nothing.
    fn listed(&self, names: &[&'static str]) -> &'static str {
        let found = names.iter().find(|name| name.eq_ignore_ascii_case(self.name));
        found.copied().unwrap_or_default()
    }

    fn put<T>(&self, slot: &mut Option<T>, value: Option<T>) -> Result<(), SyntaxError> {
        if slot.is_some() {
            return Err(SyntaxError::DuplicateParameter(self.name.into()));
        }
        *slot = value;
        if slot.is_some() { Ok(()) } else { Err(SyntaxError::BadParameter(self.name.into())) }
    }

    fn put_text(
        &self,
        slot: &mut Option<Box<str>>,
        valid: impl FnOnce(&str) -> bool,
    ) -> Result<(), SyntaxError> {
        self.put(slot, self.value.filter(|value| valid(value)).map(Box::from))
    }

    fn put_flag(&self, slot: &mut bool) -> Result<(), SyntaxError> {
        if *slot {
            return Err(SyntaxError::DuplicateParameter(self.name.into()));
        }
        *slot = self.value.is_none();
        if *slot { Ok(()) } else { Err(SyntaxError::BadParameter(self.name.into())) }
    }
}

/// Takes `rest` apart by the grammar of RFC 5321 4.1.2 (`esmtp-param`).
fn each_parameter<'a>(
    rest: &'a str,
    usage: &SyntaxError,
    mut set: impl FnMut(Parameter<'a>) -> Result<(), SyntaxError>,
) -> Result<(), SyntaxError> {
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(usage.clone());
    }
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(usage.clone());
        }
        if value.is_some_and(|value| value.is_empty() || value.chars().any(char::is_control)) {
            return Err(SyntaxError::BadParameter(name.into()));
        }
        set(Parameter { name, value })?;
    }
    Ok(())
}

fn parse_size(value: &str) -> Option<u64> {
    let digits = value.len() <= SIZE_DIGITS_MAX && value.bytes().all(|b| b.is_ascii_digit());
    if digits { value.parse().ok() } else { None }
}

fn is_auth_value(value: &str) -> bool {
    value == "<>" || value.len() <= ADDRESS_VALUE_MAX && xtext::decoded_length(value).is_some()
}

fn is_notify_value(value: &str) -> bool {
    value.eq_ignore_ascii_case("NEVER")
        || value.split(',').all(|word| {
            ["SUCCESS", "FAILURE", "DELAY"].iter().any(|known| known.eq_ignore_ascii_case(word))
        })
}

fn is_orcpt_value(value: &str) -> bool {
    let Some((kind, address)) = value.split_once(';') else { return false };
    let atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !atom || address.is_empty() || value.len() > ADDRESS_VALUE_MAX {
        return false;
    }
    if kind.eq_ignore_ascii_case("utf-8") {
        xtext::is_utf8_address(address)
    } else {
        xtext::decoded_length(address).is_some()
    }
}

fn write_value(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = write!(out, " {name}={value}");
    }
}
