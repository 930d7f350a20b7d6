//! The words of a condition.

use std::ops::Range;

/// The longest condition, in octets.
pub(super) const EXPRESSION_MAX: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A field's name or a word such as `and`.
    Word(String),
    Str(String),
    Int(i64),
    /// `@name`
    ListName(String),
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Comma,
}

impl Token {
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Str(text) => format!("\"{text}\""),
            Token::Int(value) => format!("`{value}`"),
            Token::ListName(name) => format!("`@{name}`"),
            Token::Equal => "`==`".into(),
            Token::NotEqual => "`!=`".into(),
            Token::Less => "`<`".into(),
            Token::AtMost => "`<=`".into(),
            Token::Greater => "`>`".into(),
            Token::AtLeast => "`>=`".into(),
            Token::Open => "`(`".into(),
            Token::Close => "`)`".into(),
            Token::OpenBracket => "`[`".into(),
            Token::CloseBracket => "`]`".into(),
            Token::Comma => "`,`".into(),
        }
    }
}

pub(super) type Spanned<T> = (T, Range<usize>);

/// A mistake in the words or their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) code: &'static str,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl SyntaxError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        SyntaxError { code: "P0110", span, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

pub(super) fn lex(text: &str) -> Result<Vec<Spanned<Token>>, SyntaxError> {
    if text.len() > EXPRESSION_MAX {
        let message = format!("a condition has at most {EXPRESSION_MAX} octets");
        return Err(SyntaxError { code: "P0403", ..SyntaxError::new(0..text.len(), message) });
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (token, length) = match c {
            ' ' | '\t' | '\r' | '\n' => {
                at += 1;
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '[' => (Token::OpenBracket, 1),
            ']' => (Token::CloseBracket, 1),
            ',' => (Token::Comma, 1),
            '=' | '!' | '<' | '>' | '&' | '|' => operator(text, at)?,
            '"' => double_quoted(text, at)?,
            '\'' => match text[at + 1..].find('\'') {
                Some(end) => (Token::Str(text[at + 1..at + 1 + end].to_owned()), end + 2),
                None => return Err(SyntaxError::new(at..text.len(), "this string does not end")),
            },
            '@' => {
                let name = word(&text[at + 1..]);
                if name.is_empty() {
                    return Err(SyntaxError::new(at..at + 1, "`@` stands before a list's name"));
                }
                (Token::ListName(name.to_owned()), 1 + name.len())
            }
            '0'..='9' | '-' => number(text, at)?,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let name = word(&text[at..]);
                (Token::Word(name.to_owned()), name.len())
            }
            c => {
                let span = at..at + c.len_utf8();
                return Err(SyntaxError::new(span, format!("`{c}` has no meaning here")));
            }
        };
        tokens.push((token, at..at + length));
        at += length;
    }
    Ok(tokens)
}

/// Letters, digits, `_`, `-`, and dots between them.
fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

fn operator(text: &str, at: usize) -> Result<(Token, usize), SyntaxError> {
    let rest = &text[at..];
    for (sign, token) in [
        ("==", Token::Equal),
        ("!=", Token::NotEqual),
        ("<=", Token::AtMost),
        (">=", Token::AtLeast),
        ("<", Token::Less),
        (">", Token::Greater),
    ] {
        if rest.starts_with(sign) {
            return Ok((token, sign.len()));
        }
    }
    let (length, write) = match rest.as_bytes() {
        [b'=', ..] => (1, "=="),
        [b'&', b'&', ..] => (2, "and"),
        [b'&', ..] => (1, "and"),
        [b'|', b'|', ..] => (2, "or"),
        [b'|', ..] => (1, "or"),
        _ => (1, "not"),
    };
    let sign = &rest[..length];
    Err(SyntaxError::new(at..at + length, format!("`{sign}` is not an operator"))
        .help(format!("write `{write}`")))
}

/// Only `\"` and `\\` are escapes: any other backslash belongs to the text, as regular expressions
/// want it.
fn double_quoted(text: &str, at: usize) -> Result<(Token, usize), SyntaxError> {
    let mut value = String::new();
    let mut chars = text[at + 1..].char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Str(value), offset + 2)),
            '\\' => match chars.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    Err(SyntaxError::new(at..text.len(), "this string does not end"))
}

fn number(text: &str, at: usize) -> Result<(Token, usize), SyntaxError> {
    let rest = &text[at..];
    let end = rest
        .char_indices()
        .find(|(n, c)| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/') || (*n == 0)))
        .map_or(rest.len(), |(n, _)| n);
    let digits = &rest[..end];
    if let Ok(value) = digits.parse() {
        return Ok((Token::Int(value), end));
    }
    let error = SyntaxError::new(at..at + end, format!("`{digits}` is not a whole number"));
    Err(if digits == "-" {
        error
    } else {
        error.help(format!("sizes, times and addresses are written in quotes: \"{digits}\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let tokens = lex(r#"rate.per-client>=-3 and "a\"\\\d" in['x\',@l.2]"#).unwrap();
        let tokens: Vec<Token> = tokens.into_iter().map(|(token, _)| token).collect();
        assert_eq!(
            tokens,
            [
                Token::Word("rate.per-client".into()),
                Token::AtLeast,
                Token::Int(-3),
                Token::Word("and".into()),
                Token::Str("a\"\\\\d".into()),
                Token::Word("in".into()),
                Token::OpenBracket,
                Token::Str("x\\".into()),
                Token::Comma,
                Token::ListName("l.2".into()),
                Token::CloseBracket,
            ]
        );
    }

    #[test]
    fn mistakes() {
        for (text, span, help) in [
            ("a = 1", 2..3, Some("write `==`")),
            ("a && b", 2..4, Some("write `and`")),
            ("!a", 0..1, Some("write `not`")),
            (
                "size > 10MiB",
                7..12,
                Some("sizes, times and addresses are written in quotes: \"10MiB\""),
            ),
            ("a == \"x", 5..7, None),
            ("a == 'x", 5..7, None),
            ("@ x", 0..1, None),
            ("a ; b", 2..3, None),
            ("a \u{2260} b", 2..5, None),
        ] {
            let error = lex(text).unwrap_err();
            assert_eq!((error.span, error.help.as_deref()), (span, help), "{text}");
        }
        assert_eq!(lex(&"a".repeat(5000)).unwrap_err().code, "P0403");
    }
}
