//! Who the client is, and how XCLIENT says so.
//!
//! A backend that does not know the client takes us for it: a neighbour who may relay. So ADDR and
//! NAME are always said, and what can't be said exactly is said to be unknown.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::smtp::address::valid_hostname;
use crate::smtp::ehlo::XclientAttributes;

/// The longest encoded value and the longest command with CRLF that Postfix promises to take.
const VALUE_MAX: usize = 255;
const COMMAND_MAX: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    pub ip: IpAddr,
    pub port: u16,
    /// The forward-confirmed host name.
    pub name: Option<&'a str>,
    /// There is no name because DNS could not be asked, not because there is none.
    pub name_temporary: bool,
    /// The PTR name, confirmed or not.
    pub reverse_name: Option<&'a str>,
    /// What the client said in HELO or EHLO.
    pub helo: &'a str,
    /// It said EHLO.
    pub esmtp: bool,
    /// Authenticated by us under this name. Not to be set where AUTH is relayed.
    pub login: Option<&'a str>,
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

impl Identity<'_> {
    /// The XCLIENT commands, without CRLF, that tell this identity; only announced attributes.
    pub fn xclient(&self, announced: A) -> Result<Vec<String>, Untellable> {
        if !announced.contains(A::ADDR.with(A::NAME)) {
            return Err(Untellable::NotAnnounced);
        }
        if let Some(login) = self.login
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
            A::NAME => write!(out, " NAME={}", host_name(self.name).unwrap_or(unknown)),
            A::REVERSE_NAME => {
                let name = host_name(self.reverse_name).unwrap_or(unknown);
                write!(out, " REVERSE_NAME={name}")
            }
            A::PROTO => write!(out, " PROTO={}", if self.esmtp { "ESMTP" } else { "SMTP" }),
            A::HELO if !self.helo.is_empty() && fits(self.helo) => {
                out.push_str(" HELO=");
                xtext(self.helo, out);
                Ok(())
            }
            A::LOGIN => {
                if let Some(login) = self.login {
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

/// A name from DNS goes to the backend only if it is a host name: anything else might be an
/// injection, and would be 501 at best.
fn host_name(name: Option<&str>) -> Option<&str> {
    let name = name?;
    let name = name.strip_suffix('.').unwrap_or(name);
    valid_hostname(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: A = A::NAME
        .with(A::ADDR)
        .with(A::PORT)
        .with(A::HELO)
        .with(A::PROTO)
        .with(A::LOGIN)
        .with(A::REVERSE_NAME)
        .with(A::DESTADDR)
        .with(A::DESTPORT);

    fn identity() -> Identity<'static> {
        Identity {
            ip: "192.0.2.7".parse().unwrap(),
            port: 4711,
            name: Some("mx.example.net"),
            name_temporary: false,
            reverse_name: Some("mx.example.net"),
            helo: "mx.example.net",
            esmtp: true,
            login: None,
        }
    }

    fn long_name(letter: &str) -> String {
        format!("{0}.{0}.{0}.{1}", letter.repeat(63), letter.repeat(61))
    }

    #[test]
    fn one_command_says_all() {
        assert_eq!(
            identity().xclient(ALL).unwrap(),
            ["XCLIENT ADDR=192.0.2.7 NAME=mx.example.net REVERSE_NAME=mx.example.net PORT=4711 \
              PROTO=ESMTP HELO=mx.example.net"]
        );
        let least = identity().xclient(A::ADDR.with(A::NAME)).unwrap();
        assert_eq!(least, ["XCLIENT ADDR=192.0.2.7 NAME=mx.example.net"]);
    }

    #[test]
    fn ipv6_is_marked_and_mapped_ipv4_is_ipv4() {
        let ip = |ip: &str| {
            let command = Identity { ip: ip.parse().unwrap(), ..identity() }.xclient(ALL).unwrap();
            command[0].split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!(ip("2001:db8::25"), "ADDR=IPV6:2001:db8::25");
        assert_eq!(ip("::ffff:192.0.2.7"), "ADDR=192.0.2.7");
    }

    #[test]
    fn unknown_names_are_said_to_be_unknown() {
        let hostile =
            ["a b.example", "a\r\nMAIL", "", ".", "a..b", "-a.example", "192.0.2.7", "é.example"];
        for name in hostile.map(str::to_owned).into_iter().chain([format!("a{}", long_name("b"))]) {
            let mut unknown = Identity { name: Some(&name), ..identity() };
            unknown.reverse_name = Some(&name);
            let commands = unknown.xclient(ALL).unwrap();
            assert!(commands[0].contains(" NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] "));
        }
        let later = Identity { name: None, reverse_name: None, name_temporary: true, ..identity() };
        assert!(
            later.xclient(ALL).unwrap()[0]
                .contains(" NAME=[TEMPUNAVAIL] REVERSE_NAME=[TEMPUNAVAIL] ")
        );
        let dot = Identity { name: Some("A_b.example."), ..identity() };
        assert!(dot.xclient(ALL).unwrap()[0].contains(" NAME=A_b.example "));
    }

    #[test]
    fn values_are_xtext() {
        let odd = Identity {
            helo: "a+b=c d\r\n\u{7f}\u{e9}[]",
            login: Some("joe@x y"),
            esmtp: false,
            ..identity()
        };
        let command = &odd.xclient(ALL).unwrap()[0];
        assert!(
            command.ends_with(" LOGIN=joe@x+20y PROTO=SMTP HELO=a+2Bb+3Dc+20d+0D+0A+7F+C3+A9[]")
        );
    }

    #[test]
    fn long_identities_are_divided_and_their_last_command_holds_what_must_last() {
        let (name, reverse_name) = (long_name("a"), long_name("r"));
        let (helo, login) = ("h".repeat(255), "l".repeat(256));
        let long = Identity {
            ip: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
            name: Some(&name),
            ..identity()
        };
        let b = Identity { helo: &helo[..145], ..long };
        let c = Identity { helo: &helo, ..long };
        let d = Identity {
            helo: &helo,
            login: Some(&login[..255]),
            reverse_name: Some(&reverse_name),
            ..long
        };
        for (identity, count) in [(b, 2), (c, 2), (d, 3)] {
            let commands = identity.xclient(ALL).unwrap();
            assert_eq!(commands.len(), count);
            assert!(
                commands.iter().all(|c| c.len() + 2 <= COMMAND_MAX && c.starts_with("XCLIENT "))
            );
            let last = commands.last().unwrap();
            assert!(last.contains(" ADDR=IPV6:") && last.contains(" PROTO="));
            assert_eq!(last.contains(" LOGIN="), identity.login.is_some());
            let all = commands.concat();
            assert_eq!(all.matches(" NAME=").count(), 1);
            assert!(all.find(" NAME=") < all.find(" REVERSE_NAME="));
        }
        let too_long = Identity { login: Some(&login), ..d };
        assert_eq!(too_long.xclient(ALL), Err(Untellable::Login));
        assert_eq!(d.xclient(A::ADDR.with(A::NAME)), Err(Untellable::Login));
    }

    #[test]
    fn without_addr_or_name_there_is_no_identity() {
        for some in [A::NONE, A::NAME, A::ADDR, A::ADDR.with(A::PORT)] {
            assert_eq!(identity().xclient(some), Err(Untellable::NotAnnounced));
        }
    }
}
