//! Authentication-Results (RFC 8601): printed, read, and those that pretend to be ours found.

use super::header::Header;
use super::lexer::{Cursor, is_token};

/// Characters of a value that are printed; the rest is cut.
const MAX_VALUE: usize = 255;
/// Octets of a name, U-labels included, that may be ours.
const MAX_ID: usize = 1000;
/// The line length aimed at (RFC 5322 2.1.1).
const LINE: usize = 78;
/// Results read from one field, and properties of one result: more are not read.
const MAX_PARSED: usize = 100;

/// One `resinfo` of Authentication-Results (RFC 8601 2.2). Values are raw: the printer quotes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthResult {
    pub method: &'static str,
    pub result: &'static str,
    pub reason: Option<String>,
    /// `ptype.property` and value, such as `("header.d", "example.com")`.
    pub properties: Vec<(&'static str, String)>,
}

/// The whole field, with its final CRLF. Without results it says `none`.
pub fn print<'a>(authserv_id: &str, results: impl IntoIterator<Item = &'a AuthResult>) -> Vec<u8> {
    let mut out = String::from("Authentication-Results: ");
    out.push_str(&printed(authserv_id));
    let mut results = results.into_iter().peekable();
    if results.peek().is_none() {
        out.push_str("; none");
    }
    for result in results {
        out.push_str(";\r\n\t");
        let mut column = 8;
        let mut put = |text: String| {
            if column > 8 {
                let fits = column + 1 + text.len() <= LINE;
                out.push_str(if fits { " " } else { "\r\n\t" });
                column = if fits { column + 1 } else { 8 };
            }
            column += text.len();
            out.push_str(&text);
        };
        put(format!("{}={}", result.method, result.result));
        if let Some(reason) = &result.reason {
            put(format!("reason={}", quoted(reason)));
        }
        for (name, value) in &result.properties {
            put(format!("{name}={}", printed(value)));
        }
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// A value as it is if that is allowed (a token, or a plain address or `@domain`), else quoted.
fn printed(value: &str) -> String {
    let plain = |part: &str| part.bytes().all(is_token);
    let allowed = match value.split_once('@') {
        Some((local, domain)) => plain(local) && plain(domain) && !domain.is_empty(),
        None => plain(value) && !value.is_empty(),
    };
    if allowed && value.len() <= MAX_VALUE { value.to_owned() } else { quoted(value) }
}

/// As a quoted-string; what is not printable US-ASCII becomes a question mark.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars().take(MAX_VALUE) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// The fields that bear our id and are not ours, since we have not yet added any: to be removed
/// (RFC 8601 5). In doubt a field is ours: also one that a lenient reader could take so.
pub fn forged(header: &Header, authserv_id: &str) -> Vec<usize> {
    let ours = normal(authserv_id.as_bytes());
    header
        .fields()
        .filter(|field| {
            let name = field.name.iter().filter(|b| b.is_ascii_graphic());
            name.map(u8::to_ascii_lowercase).eq(*b"authentication-results")
        })
        .filter(|field| {
            let strict = authserv_id_of(&mut Cursor::new(field.value));
            strict.is_some_and(|id| normal(&id) == ours) || lenient(field.value, &ours)
        })
        .map(|field| field.index)
        .collect()
}

/// Lower case, in A-labels, without final dot. What is too long to be a name is left alone.
fn normal(id: &[u8]) -> String {
    let id = String::from_utf8_lossy(id);
    if id.len() > MAX_ID {
        return id.into_owned();
    }
    let ascii = idna::domain_to_ascii(&id).unwrap_or_else(|_| id.to_ascii_lowercase());
    ascii.trim_end_matches('.').to_owned()
}

/// Whether the text before the first `;` is our id once comments, quotes, white space and a version
/// are taken away. A comment without end hides nothing.
fn lenient(value: &[u8], ours: &str) -> bool {
    let head = value.split(|b| *b == b';').next().unwrap_or_default();
    let bare = |keep_comments: bool| {
        let mut depth = 0_usize;
        let mut bare = Vec::new();
        for byte in head {
            match byte {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                b'"' | b'\\' => {}
                byte if !byte.is_ascii_graphic() && byte.is_ascii() => {}
                _ if depth > 0 && !keep_comments => {}
                byte => bare.push(*byte),
            }
        }
        let bare = normal(&bare);
        bare == ours
            || bare
                .strip_prefix(ours)
                .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    bare(false) || bare(true)
}

fn authserv_id_of(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    cursor.skip_cfws()?;
    value(cursor)
}

/// `value` of RFC 2045 5.1: a token or a quoted-string, not empty.
fn value(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    if cursor.peek() == Some(b'"') {
        return cursor.quoted_string();
    }
    let token = cursor.take_while(is_token);
    (!token.is_empty()).then(|| token.to_vec())
}

/// Method, result, and properties as `ptype.property` and value.
pub type ParsedResult = (String, String, Vec<(String, String)>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub authserv_id: String,
    /// Names in lower case; empty for `none`.
    pub results: Vec<ParsedResult>,
}

/// Reads the value of Authentication-Results, or of ARC-Authentication-Results with its `i=`.
/// A result that cannot be read is left out; `None` when there is no authserv-id.
pub fn parse(value: &[u8]) -> Option<Parsed> {
    let mut cursor = Cursor::new(value);
    skip_instance(&mut cursor);
    let authserv_id = lossy(authserv_id_of(&mut cursor)?);
    let mut results = Vec::new();
    while results.len() < MAX_PARSED && skip_to_semicolon(&mut cursor) {
        if let Some(result) = result(&mut cursor) {
            results.push(result);
        }
    }
    Some(Parsed { authserv_id, results })
}

/// `i=1;` (RFC 8617 4.1.1).
fn skip_instance(cursor: &mut Cursor<'_>) {
    let mut ahead = cursor.clone();
    let found = (|| {
        ahead.skip_cfws()?;
        ahead.bump().filter(|b| b.eq_ignore_ascii_case(&b'i'))?;
        ahead.skip_cfws()?;
        ahead.eat(b'=').then_some(())?;
        ahead.skip_cfws()?;
        (!ahead.take_while(|b| b.is_ascii_digit()).is_empty()).then_some(())?;
        ahead.skip_cfws()?;
        ahead.eat(b';').then_some(())
    })();
    if found.is_some() {
        *cursor = ahead;
    }
}

/// To the next `;` outside quotes and comments, which must have an end.
fn skip_to_semicolon(cursor: &mut Cursor<'_>) -> bool {
    loop {
        if cursor.skip_cfws().is_none() {
            return false;
        }
        if cursor.peek() == Some(b'"') {
            // Looking for another one behind it would take quadratic time.
            if cursor.quoted_string().is_none() {
                return false;
            }
            continue;
        }
        match cursor.bump() {
            None => return false,
            Some(b';') => return true,
            Some(_) => {}
        }
    }
}

/// `method [/ version] = result [reason = value] *(ptype . property = pvalue)`.
fn result(cursor: &mut Cursor<'_>) -> Option<ParsedResult> {
    let method = keyword(cursor)?;
    if cursor.eat(b'/') {
        cursor.skip_cfws()?;
        cursor.take_while(|b| b.is_ascii_digit());
        cursor.skip_cfws()?;
    }
    cursor.eat(b'=').then_some(())?;
    let result = keyword(cursor)?;
    let mut properties = Vec::new();
    while properties.len() < MAX_PARSED {
        let mut ahead = cursor.clone();
        let Some((name, value)) = property(&mut ahead) else { break };
        *cursor = ahead;
        if name != "reason" {
            properties.push((name, value));
        }
    }
    Some((method, result, properties))
}

fn property(cursor: &mut Cursor<'_>) -> Option<(String, String)> {
    let mut name = keyword(cursor)?;
    if cursor.eat(b'.') {
        name.push('.');
        name.push_str(&keyword(cursor)?);
    }
    cursor.eat(b'=').then_some(())?;
    cursor.skip_cfws()?;
    let value = match cursor.peek()? {
        b'"' => {
            let mut text = cursor.quoted_string()?;
            // A quoted local part.
            if cursor.peek() == Some(b'@') {
                text.extend_from_slice(cursor.take_while(is_value));
            }
            text
        }
        _ => cursor.take_while(is_value).to_vec(),
    };
    cursor.skip_cfws()?;
    Some((name, lossy(value)))
}

/// More than RFC 8601 allows without quotes: many print addresses and base64 as they are.
fn is_value(byte: u8) -> bool {
    !matches!(byte, b';' | b'(' | b')' | b'"') && (byte.is_ascii_graphic() || byte >= 0x80)
}

/// A keyword in lower case, with white space and comments around it.
fn keyword(cursor: &mut Cursor<'_>) -> Option<String> {
    cursor.skip_cfws()?;
    let word = cursor.take_while(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let word = (!word.is_empty()).then(|| lossy(word.to_ascii_lowercase()))?;
    cursor.skip_cfws()?;
    Some(word)
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn result(
        method: &'static str,
        result: &'static str,
        properties: &[(&'static str, &str)],
    ) -> AuthResult {
        AuthResult {
            method,
            result,
            reason: None,
            properties: properties
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        }
    }

    fn text(results: &[AuthResult]) -> String {
        String::from_utf8(print("mx.example.com", results)).unwrap()
    }

    #[test]
    fn the_usual_field() {
        let mut dkim = result(
            "dkim",
            "fail",
            &[("header.d", "example.net"), ("header.s", "k1"), ("header.b", "a/b+c=")],
        );
        dkim.reason = Some("body hash \"differs\"".into());
        let results = [
            result("spf", "pass", &[("smtp.mailfrom", "joe@example.org")]),
            dkim,
            result("dmarc", "none", &[]),
        ];
        assert_eq!(
            text(&results),
            "Authentication-Results: mx.example.com;\r\n\
             \tspf=pass smtp.mailfrom=joe@example.org;\r\n\
             \tdkim=fail reason=\"body hash \\\"differs\\\"\" header.d=example.net\r\n\
             \theader.s=k1 header.b=\"a/b+c=\";\r\n\
             \tdmarc=none\r\n"
        );
        assert_eq!(text(&[]), "Authentication-Results: mx.example.com; none\r\n");
    }

    #[test]
    fn values_cannot_break_out() {
        for hostile in [
            "x\r\nSubject: y",
            "x; dmarc=pass",
            "x\"; dmarc=pass; a=\"",
            "x\\",
            "x\\\"; dmarc=pass",
            "(",
            "x (a",
            "\u{0}\u{7f}\u{85}\u{2028}\u{fffd}",
            "a@b@c",
            "",
            "@",
            " ",
        ] {
            let mut spf =
                result("spf", "fail", &[("smtp.mailfrom", hostile), ("smtp.helo", hostile)]);
            spf.reason = Some(hostile.into());
            let raw = print("mx.example.com", &[spf]);
            assert!(raw.is_ascii());
            let header = Header::parse(raw.into());
            assert_eq!(header.len(), 1, "{hostile:?}");
            let field = header.fields().next().unwrap();
            let parsed = parse(field.value).unwrap();
            assert_eq!(parsed.authserv_id, "mx.example.com");
            assert_eq!(parsed.results.len(), 1, "{hostile:?}");
            let (method, result, properties) = &parsed.results[0];
            assert_eq!((method.as_str(), result.as_str()), ("spf", "fail"));
            assert_eq!(properties.len(), 2);
        }
    }

    #[test]
    fn overlong_values_are_cut() {
        let long = "\"".repeat(5000);
        let raw = text(&[result(
            "spf",
            "pass",
            &[("smtp.mailfrom", &long), ("smtp.helo", &"a".repeat(999))],
        )]);
        assert!(raw.lines().all(|line| line.len() < 998));
        let parsed = parse(raw.split_once(':').unwrap().1.as_bytes()).unwrap();
        assert_eq!(parsed.results[0].2[0].1.len(), 255);
        assert_eq!(parsed.results[0].2[1].1.len(), 255);
    }

    #[test]
    fn fields_that_bear_our_id() {
        let forged = |value: &str| {
            let raw = format!("To: x\r\nauthentication-results :{value}\r\n");
            super::forged(&Header::parse(raw.into_bytes().into()), "mx.example.com") == [1]
        };
        for value in [
            " mx.example.com; spf=pass",
            " MX.Example.COM;spf=pass",
            "mx.example.com",
            " \"mx.example.com\"; none",
            " \"mx\\.example.com\"; none",
            " (hello (there)) mx.example.com (x) 1 (y); none",
            "\r\n\tmx.example.com;\r\n\tspf=pass",
            " mx.example.com 1; spf=pass",
            " mx.example.com/1; spf=pass",
            " mx.example.com.; spf=pass",
            " mx.example.com spf=pass",
            " mx. example.com; spf=pass",
            " (mx.example.com; spf=pass",
            " \"mx.example.com; spf=pass",
            " mx.example\u{b}.com; spf=pass",
        ] {
            assert!(forged(value), "{value}");
        }
        for value in [
            "",
            " mx.example.org; spf=pass",
            " other.mx.example.com; spf=pass",
            " mx.example.com.evil.example; spf=pass",
            " example.com; spf=pass",
            " other (mx.example.com); x=\"mx.example.com\"",
        ] {
            assert!(!forged(value), "{value}");
        }
        let raw = "Authentication-Results\u{b}: mx.example.com; none\r\n";
        assert_eq!(super::forged(&Header::parse(raw.as_bytes().into()), "mx.example.com"), [0]);
        let raw = "Authentication-Results: b\u{fc}cher.example; none\r\nX: y\r\nAuthentication-Results: xn--bcher-kva.example; none\r\n";
        let header = Header::parse(raw.as_bytes().into());
        assert_eq!(super::forged(&header, "xn--bcher-kva.example"), [0, 2]);
    }

    #[test]
    fn fields_of_others_are_read() {
        let parsed = parse(
            b" i=2; mx.example.org 1;\r\n\tspf=Pass (a; b) smtp.mailfrom=<joe@example.com>;\r\n\tdkim/1 = pass reason=\"good; very\" header.i=@example.com header.b=ab/cd== ;bad;=; dmarc=fail (p=reject) header . from=example.com policy.x=\"a b\"",
        )
        .unwrap();
        let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parsed.authserv_id, "mx.example.org");
        assert_eq!(
            parsed.results,
            [
                (
                    "spf".to_owned(),
                    "pass".to_owned(),
                    vec![property("smtp.mailfrom", "<joe@example.com>")]
                ),
                (
                    "dkim".to_owned(),
                    "pass".to_owned(),
                    vec![property("header.i", "@example.com"), property("header.b", "ab/cd==")]
                ),
                (
                    "dmarc".to_owned(),
                    "fail".to_owned(),
                    vec![property("header.from", "example.com"), property("policy.x", "a b")]
                ),
            ]
        );
        assert_eq!(parse(b" mx.example.org; none").unwrap().results, []);
        for bad in [&b""[..], b" ;", b"(", b"\"", b"i=1;"] {
            assert_eq!(parse(bad), None);
        }
        let many = format!("x{}", ";spf=pass".repeat(5000));
        assert_eq!(parse(many.as_bytes()).unwrap().results.len(), MAX_PARSED);
    }

    #[test]
    fn hostile_fields_take_linear_time() {
        for unit in ["\\\"", "\"", "(", "\\", "a=\"", ";(", "a=b c=\"", "\u{fc}."] {
            let value = format!("x; {}", unit.repeat(200_000 / unit.len()));
            let start = std::time::Instant::now();
            let _ = parse(value.as_bytes());
            let raw = format!(
                "Authentication-Results: {value}\r\nAuthentication-Results:{}\r\n",
                &value[3..]
            );
            let _ = super::forged(&Header::parse(raw.into_bytes().into()), "mx.example.com");
            assert!(start.elapsed().as_secs() < 5, "{unit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(value: Vec<u8>) {
            let _ = parse(&value);
            let raw = [b"Authentication-Results:", value.as_slice(), b"\r\n"].concat();
            let _ = super::forged(&Header::parse(raw.into()), "mx.example.com");
        }

        #[test]
        fn what_is_printed_is_read_back(value in "[ -~]{0,60}", local in "[a-z\"@ ]{0,9}", reason in "\\PC{0,40}") {
            let mailfrom = format!("{local}@example.com");
            let mut spf = result("spf", "pass", &[("smtp.mailfrom", &mailfrom), ("policy.x", &value)]);
            spf.reason = Some(reason);
            let raw = print("mx.example.com", &[spf]);
            let header = Header::parse(raw.into());
            let parsed = parse(header.fields().next().unwrap().value).unwrap();
            let read: Vec<_> = parsed.results[0].2.iter().map(|(_, value)| value.clone()).collect();
            prop_assert_eq!(read, [mailfrom, value]);
        }
    }
}
