//! Authentication-Results (RFC 8601): printed, read, and those that pretend to be ours found.

use super::header::Header;
use super::lexer::{Cursor, is_token};

/// Characters of a value that are printed; the rest is cut.
const MAX_VALUE: usize = 255;
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
pub fn print(authserv_id: &str, results: &[AuthResult]) -> Vec<u8> {
    let mut out = String::from("Authentication-Results: ");
    out.push_str(&printed(authserv_id));
    if results.is_empty() {
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
        .named("Authentication-Results")
        .filter(|field| {
            let strict = authserv_id_of(&mut Cursor::new(field.value));
            strict.is_some_and(|id| normal(&id) == ours) || lenient(field.value, &ours)
        })
        .map(|field| field.index)
        .collect()
}

/// Lower case, in A-labels, without final dot.
fn normal(id: &[u8]) -> String {
    let id = String::from_utf8_lossy(id);
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
                b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\\' => {}
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
        ahead.next().filter(|b| b.eq_ignore_ascii_case(&b'i'))?;
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

/// To the next `;` outside quotes and comments.
fn skip_to_semicolon(cursor: &mut Cursor<'_>) -> bool {
    loop {
        if cursor.skip_cfws().is_none() {
            return false;
        }
        if cursor.peek() == Some(b'"') && cursor.quoted_string().is_some() {
            continue;
        }
        match cursor.next() {
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
