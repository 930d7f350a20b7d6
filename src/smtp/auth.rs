//! SASL lines as they pass by: who logs in, never with what (RFC 4954 4).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Something that no log may show. `Debug` and `Display` are redacted in every build.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub fn new(value: T) -> Self {
        Secret(value)
    }

    /// The value, for sending it and nothing else.
    pub fn expose(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a client's line in an AUTH exchange is, without CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientLine {
    /// `*`: the client gives up; 501 5.7.0.
    Cancel,
    /// Canonical base64, possibly empty.
    Response,
    /// 501 5.5.2.
    Malformed,
}

/// Strict: the standard alphabet, full padding, no trailing bits, no white space.
pub fn client_line(line: impl AsRef<[u8]>) -> ClientLine {
    match line.as_ref() {
        b"*" => ClientLine::Cancel,
        line if decode(line).is_some() => ClientLine::Response,
        _ => ClientLine::Malformed,
    }
}

/// Whether an initial response is canonical base64, or `=` for an empty one (RFC 4954 4).
pub fn is_initial_response(response: impl AsRef<[u8]>) -> bool {
    let response = response.as_ref();
    response == b"=" || (!response.is_empty() && decode(response).is_some())
}

/// The identities of a PLAIN response (RFC 4616 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainIdentity {
    /// Whose password it is.
    pub authcid: String,
    /// Whom the client wants to act as, when it says so.
    pub authzid: Option<String>,
}

/// The identities of a PLAIN response; `None` when it is malformed.
pub fn plain_identity(response: impl AsRef<[u8]>) -> Option<PlainIdentity> {
    let message = decode(response.as_ref())?;
    let mut parts = message.0.split(|octet| *octet == 0);
    let authzid = std::str::from_utf8(parts.next()?).ok()?;
    let authcid = std::str::from_utf8(parts.next()?).ok()?;
    let password = parts.next()?;
    if authcid.is_empty() || password.is_empty() || parts.next().is_some() {
        return None;
    }
    let authzid = (!authzid.is_empty()).then(|| authzid.to_owned());
    Some(PlainIdentity { authcid: authcid.to_owned(), authzid })
}

/// The authentication identity of a PLAIN response.
pub fn plain_user(response: impl AsRef<[u8]>) -> Option<String> {
    plain_identity(response).map(|identity| identity.authcid)
}

/// The user name of the first client line of LOGIN.
pub fn login_user(line: impl AsRef<[u8]>) -> Option<String> {
    let name = decode(line.as_ref())?.into_inner();
    String::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.contains('\0'))
}

fn decode(line: &[u8]) -> Option<Secret<Vec<u8>>> {
    STANDARD.decode(line).ok().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "[redacted] [redacted] [redacted]");
        assert_eq!(*secret.expose(), "hunter2");
    }

    #[test]
    fn client_lines() {
        assert_eq!(client_line("*"), ClientLine::Cancel);
        for line in ["", "AGE=", "dGVzdA==", "AAAA"] {
            assert_eq!(client_line(line), ClientLine::Response, "{line}");
        }
        for line in ["dGVzdA", "dGVzdA= ", " AAAA", "AGF=", "A", "AA-_", "**", "=", "QUIT\0AAA"] {
            assert_eq!(client_line(line), ClientLine::Malformed, "{line}");
        }
        assert!(is_initial_response("=") && is_initial_response("AAAA"));
        assert!(!is_initial_response("") && !is_initial_response("*"));
    }

    #[test]
    fn plain() {
        let encode = |text: &str| STANDARD.encode(text);
        assert_eq!(plain_user(encode("\0alice\0pw")).as_deref(), Some("alice"));
        assert_eq!(
            plain_identity(encode("root\0alice\0pw")),
            Some(PlainIdentity { authcid: "alice".into(), authzid: Some("root".into()) })
        );
        for bad in ["", "alice", "\0alice", "\0\0pw", "\0alice\0", "\0a\0b\0c"] {
            assert_eq!(plain_identity(encode(bad)), None, "{bad:?}");
        }
        assert_eq!(plain_user("%%%"), None);
        assert_eq!(plain_user(STANDARD.encode(b"\0\xff\0pw")), None);
    }

    #[test]
    fn login() {
        assert_eq!(login_user(b"YWxpY2U=").as_deref(), Some("alice"));
        assert_eq!(login_user(b""), None);
        assert_eq!(login_user(b"*"), None);
    }
}
