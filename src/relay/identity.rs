//! Who the client is, and how XCLIENT says so.
//!
//! A backend that does not know the client takes us for it: a neighbour who may relay. So ADDR and
//! NAME are always said, and what can't be said exactly is said to be unknown.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::smtp::ehlo::XclientAttributes;

/// The longest encoded value and the longest command with CRLF that Postfix promises to take.
const VALUE_MAX: usize = 255;
const COMMAND_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub ip: IpAddr,
    pub port: u16,
    /// The forward-confirmed host name.
    pub name: Option<String>,
    /// There is no name because DNS could not be asked, not because there is none.
    pub name_temporary: bool,
    /// The PTR name, confirmed or not.
    pub reverse_name: Option<String>,
    /// What the client said in HELO or EHLO.
    pub helo: String,
    /// It said EHLO.
    pub esmtp: bool,
    /// Authenticated by us under this name. Not to be set where AUTH is relayed.
    pub login: Option<String>,
}

/// Why an identity can't be told to this backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untellable {
    /// ADDR or NAME is not announced.
    NotAnnounced,
    /// There is a login name, and LOGIN is not announced or the name is too long.
    Login,
}

type A = XclientAttributes;

/// The ways to divide the attributes over commands, best first; each but the last command is
/// answered with 220 like the last.
///
/// HELO, PROTO and LOGIN survive only in the last command. Postfix asks anew after each command
/// whether the client it now sees may use XCLIENT, so ADDR is in the last one, and NAME as long
/// as it can. NAME also sets REVERSE_NAME, which therefore follows it. Where HELO has no room, the
/// EHLO that comes after XCLIENT says it.
const LAYOUTS: [&[&[A]]; 4] = [
    &[&[A::ADDR, A::NAME, A::REVERSE_NAME, A::PORT, A::LOGIN, A::PROTO, A::HELO]],
    &[&[A::PORT], &[A::ADDR, A::NAME, A::REVERSE_NAME, A::LOGIN, A::PROTO, A::HELO]],
    &[&[A::PORT], &[A::ADDR, A::NAME, A::REVERSE_NAME, A::LOGIN, A::PROTO]],
    &[&[A::NAME], &[A::REVERSE_NAME, A::PORT], &[A::ADDR, A::LOGIN, A::PROTO]],
];

impl Identity {
    /// The XCLIENT commands, without CRLF, that tell this identity; only announced attributes.
    pub fn xclient(&self, announced: A) -> Result<Vec<String>, Untellable> {
        if !announced.contains(A::ADDR.with(A::NAME)) {
            return Err(Untellable::NotAnnounced);
        }
        if let Some(login) = &self.login
            && !(announced.contains(A::LOGIN) && fits(login))
        {
            return Err(Untellable::Login);
        }
        let layout = LAYOUTS.iter().find_map(|layout| self.lay_out(layout, announced));
        layout.ok_or(Untellable::Login)
    }

    /// `None` if one of the commands would be too long.
    fn lay_out(&self, layout: &[&[A]], announced: A) -> Option<Vec<String>> {
        let mut commands = Vec::with_capacity(layout.len());
        for attributes in layout {
            let mut command = String::from("XCLIENT");
            let empty = command.len();
            for attribute in attributes.iter().filter(|a| announced.contains(**a)) {
                self.attribute(*attribute, &mut command);
            }
            if command.len() + 2 > COMMAND_MAX {
                return None;
            }
            if command.len() > empty {
                commands.push(command);
            }
        }
        Some(commands)
    }

    fn attribute(&self, attribute: A, out: &mut String) {
        let unknown = if self.name_temporary { "[TEMPUNAVAIL]" } else { "[UNAVAILABLE]" };
        // Writing to a String does not fail.
        let _ = match attribute {
            A::ADDR => match self.ip.to_canonical() {
                IpAddr::V4(ip) => write!(out, " ADDR={ip}"),
                IpAddr::V6(ip) => write!(out, " ADDR=IPV6:{ip}"),
            },
            A::PORT => write!(out, " PORT={}", self.port),
            A::NAME => write!(out, " NAME={}", host_name(self.name.as_deref()).unwrap_or(unknown)),
            A::REVERSE_NAME => {
                let name = host_name(self.reverse_name.as_deref()).unwrap_or(unknown);
                write!(out, " REVERSE_NAME={name}")
            }
            A::PROTO => write!(out, " PROTO={}", if self.esmtp { "ESMTP" } else { "SMTP" }),
            A::HELO if !self.helo.is_empty() && fits(&self.helo) => {
                out.push_str(" HELO=");
                xtext(&self.helo, out);
                Ok(())
            }
            A::LOGIN => {
                if let Some(login) = &self.login {
                    out.push_str(" LOGIN=");
                    xtext(login, out);
                }
                Ok(())
            }
            _ => Ok(()),
        };
    }
}

/// Whether the encoded value is short enough.
fn fits(value: &str) -> bool {
    value.bytes().map(|b| if plain(b) { 1 } else { 3 }).sum::<usize>() <= VALUE_MAX
}

fn plain(b: u8) -> bool {
    (33..127).contains(&b) && b != b'+' && b != b'='
}

/// RFC 3461 4: all but printable ASCII, `+` and `=` as `+XX`.
fn xtext(value: &str, out: &mut String) {
    for b in value.bytes() {
        if plain(b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "+{b:02X}");
        }
    }
}

/// A name from DNS goes to the backend only if it is a host name by the backend's rules: letters,
/// digits, hyphens and underscores, not all of it numeric. Anything else might be an injection,
/// and would be 501 at best.
fn host_name(name: Option<&str>) -> Option<&str> {
    let name = name?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let valid = (1..=253).contains(&name.len())
        && name.bytes().any(|b| b.is_ascii_alphabetic())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    valid.then_some(name)
}
