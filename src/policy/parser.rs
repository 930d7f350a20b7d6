//! Conditions as trees, with the place of each part.
//!
//! ```text
//! or      = and *( "or" and )
//! and     = not *( "and" not )
//! not     = "not" not / compare
//! compare = "(" or ")" / operand [ operator operand ]
//! operand = field [ "[" string "]" ] / string / int / "true" / "false" / list / "@" name
//! ```

use std::ops::Range;

use super::lexer::{Spanned, SyntaxError, Token, lex};

/// How deep `not` and parentheses may nest.
const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ast {
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Not(Box<Ast>),
    /// An operand by itself.
    Alone(Operand),
    Compare {
        left: Operand,
        op: Op,
        op_span: Range<usize>,
        right: Operand,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    NotIn,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Under,
}

const WORD_OPS: [(&str, Op); 6] = [
    ("in", Op::In),
    ("matches", Op::Matches),
    ("contains", Op::Contains),
    ("starts_with", Op::StartsWith),
    ("ends_with", Op::EndsWith),
    ("under", Op::Under),
];

impl Op {
    pub(super) fn name(self) -> &'static str {
        match self {
            Op::Equal => "==",
            Op::NotEqual => "!=",
            Op::Less => "<",
            Op::AtMost => "<=",
            Op::Greater => ">",
            Op::AtLeast => ">=",
            Op::NotIn => "not in",
            other => WORD_OPS.iter().find(|(_, op)| *op == other).map_or("", |(name, _)| name),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A field, with its key if it has one.
    Field(String, Option<Spanned<String>>),
    Str(String),
    Int(i64),
    Bool(bool),
    List(Vec<Operand>),
    ListName(String),
}

pub(super) fn parse(text: &str) -> Result<Ast, SyntaxError> {
    let tokens = lex(text)?;
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), end: text.len(), depth: 0 };
    let ast = parser.or()?;
    match parser.tokens.next() {
        None => Ok(ast),
        Some((token, span)) => {
            let error =
                SyntaxError::new(span, format!("{} is not expected here", token.describe()));
            Err(match token {
                Token::Word(_) | Token::Open | Token::Str(_) => {
                    error.help("join conditions with `and` or `or`")
                }
                _ => error,
            })
        }
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Spanned<Token>>>,
    end: usize,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Ast, SyntaxError> {
        let first = self.and()?;
        if !self.at_word("or") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word("or") {
            parts.push(self.and()?);
        }
        Ok(Ast::Or(parts))
    }

    fn and(&mut self) -> Result<Ast, SyntaxError> {
        let first = self.not()?;
        if !self.at_word("and") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word("and") {
            parts.push(self.not()?);
        }
        Ok(Ast::And(parts))
    }

    fn not(&mut self) -> Result<Ast, SyntaxError> {
        if let Some((Token::Word(word), span)) = self.tokens.peek()
            && word == "not"
        {
            let span = span.clone();
            self.tokens.next();
            return self.deeper(span, |parser| Ok(Ast::Not(Box::new(parser.not()?))));
        }
        self.compare()
    }

    fn deeper(
        &mut self,
        span: Range<usize>,
        inner: impl FnOnce(&mut Self) -> Result<Ast, SyntaxError>,
    ) -> Result<Ast, SyntaxError> {
        if self.depth == DEPTH_MAX {
            let message = format!("conditions nest at most {DEPTH_MAX} deep");
            return Err(SyntaxError { code: "P0403", ..SyntaxError::new(span, message) });
        }
        self.depth += 1;
        let ast = inner(self);
        self.depth -= 1;
        ast
    }

    fn compare(&mut self) -> Result<Ast, SyntaxError> {
        if let Some((Token::Open, span)) = self.tokens.peek() {
            let open = span.clone();
            self.tokens.next();
            return self.deeper(open.clone(), |parser| {
                let ast = parser.or()?;
                match parser.tokens.next() {
                    Some((Token::Close, _)) => Ok(ast),
                    Some((other, span)) => {
                        let message = format!("expected `)`, found {}", other.describe());
                        Err(SyntaxError::new(span, message))
                    }
                    None => Err(SyntaxError::new(open, "this parenthesis is not closed")),
                }
            });
        }
        let left = self.operand()?;
        let Some((op, op_span)) = self.operator()? else { return Ok(Ast::Alone(left)) };
        let right = self.operand()?;
        Ok(Ast::Compare { left, op, op_span, right })
    }

    fn operator(&mut self) -> Result<Option<(Op, Range<usize>)>, SyntaxError> {
        let Some((token, span)) = self.tokens.peek() else { return Ok(None) };
        let span = span.clone();
        let op = match token {
            Token::Equal => Op::Equal,
            Token::NotEqual => Op::NotEqual,
            Token::Less => Op::Less,
            Token::AtMost => Op::AtMost,
            Token::Greater => Op::Greater,
            Token::AtLeast => Op::AtLeast,
            Token::Word(word) if word == "not" => {
                self.tokens.next();
                return match self.tokens.next() {
                    Some((Token::Word(word), end)) if word == "in" => {
                        Ok(Some((Op::NotIn, span.start..end.end)))
                    }
                    _ => Err(SyntaxError::new(span, "`not` is not expected here")
                        .help("`x not in [...]`, or `not (x ...)`")),
                };
            }
            Token::Word(word) => match WORD_OPS.iter().find(|(name, _)| name == word) {
                Some((_, op)) => *op,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.tokens.next();
        Ok(Some((op, span)))
    }

    fn operand(&mut self) -> Result<Operand, SyntaxError> {
        let Some((token, span)) = self.tokens.next() else {
            return Err(SyntaxError::new(self.end..self.end, "the condition ends here too early"));
        };
        let mut whole = span.clone();
        let kind = match token {
            Token::Str(text) => Kind::Str(text),
            Token::Int(value) => Kind::Int(value),
            Token::ListName(name) => Kind::ListName(name),
            Token::Word(word) if word == "true" => Kind::Bool(true),
            Token::Word(word) if word == "false" => Kind::Bool(false),
            Token::Word(word) if is_reserved(&word) => {
                return Err(SyntaxError::new(
                    span,
                    format!("expected a field or a value, found `{word}`"),
                ));
            }
            Token::Word(word) => {
                let key = self.key(&mut whole)?;
                Kind::Field(word, key)
            }
            Token::OpenBracket => self.list(&mut whole)?,
            other => {
                let message = format!("expected a field or a value, found {}", other.describe());
                return Err(SyntaxError::new(span, message));
            }
        };
        Ok(Operand { kind, span: whole })
    }

    fn key(&mut self, whole: &mut Range<usize>) -> Result<Option<Spanned<String>>, SyntaxError> {
        if !matches!(self.tokens.peek(), Some((Token::OpenBracket, _))) {
            return Ok(None);
        }
        let open = self.tokens.next().map_or(whole.clone(), |(_, span)| span);
        match (self.tokens.next(), self.tokens.next()) {
            (Some((Token::Str(key), span)), Some((Token::CloseBracket, end))) => {
                whole.end = end.end;
                Ok(Some((key, span)))
            }
            _ => Err(SyntaxError::new(open, "a key is one string in brackets")
                .help("such as header[\"Subject\"]")),
        }
    }

    fn list(&mut self, whole: &mut Range<usize>) -> Result<Kind, SyntaxError> {
        let mut items = Vec::new();
        loop {
            if let Some((Token::CloseBracket, span)) = self.tokens.peek() {
                whole.end = span.end;
                self.tokens.next();
                return Ok(Kind::List(items));
            }
            match self.tokens.next() {
                Some((Token::Str(text), span)) => {
                    items.push(Operand { kind: Kind::Str(text), span });
                }
                Some((Token::Int(value), span)) => {
                    items.push(Operand { kind: Kind::Int(value), span });
                }
                Some((other, span)) => {
                    let message = format!("a list holds values, not {}", other.describe());
                    return Err(SyntaxError::new(span, message));
                }
                None => return Err(SyntaxError::new(whole.clone(), "this list is not closed")),
            }
            match self.tokens.peek() {
                Some((Token::Comma, _)) => {
                    self.tokens.next();
                }
                Some((Token::CloseBracket, _)) => {}
                Some((other, span)) => {
                    let message = format!("expected `,` or `]`, found {}", other.describe());
                    return Err(SyntaxError::new(span.clone(), message));
                }
                None => return Err(SyntaxError::new(whole.clone(), "this list is not closed")),
            }
        }
    }

    fn at_word(&mut self, wanted: &str) -> bool {
        matches!(self.tokens.peek(), Some((Token::Word(word), _)) if word == wanted)
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.at_word(wanted);
        if found {
            self.tokens.next();
        }
        found
    }
}

fn is_reserved(word: &str) -> bool {
    matches!(word, "and" | "or" | "not") || WORD_OPS.iter().any(|(name, _)| *name == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence() {
        let Ok(Ast::Or(parts)) = parse("a and not b or (c or d) and e") else { panic!() };
        assert_eq!(parts.len(), 2);
        assert!(matches!(&parts[0], Ast::And(p) if matches!(p[..], [Ast::Alone(_), Ast::Not(_)])));
        assert!(matches!(&parts[1], Ast::And(p) if matches!(p[..], [Ast::Or(_), Ast::Alone(_)])));
    }

    #[test]
    fn places() {
        let Ok(Ast::Compare { left, op, op_span, right }) =
            parse(r#"header["X-A"] not in ["a", 1,]"#)
        else {
            panic!()
        };
        assert_eq!((left.span, op, op_span, right.span), (0..13, Op::NotIn, 14..20, 21..30));
        assert_eq!(left.kind, Kind::Field("header".into(), Some(("X-A".into(), 7..12))));
    }

    #[test]
    fn mistakes() {
        for (text, span) in [
            ("", 0..0),
            ("a and", 5..5),
            ("a b", 2..3),
            ("(a or b", 0..1),
            ("a == and", 5..8),
            ("a not b", 2..5),
            ("a in [1, b]", 9..10),
            ("a in [1 2]", 8..9),
            ("a in [1", 5..6),
            ("header[Subject] == 1", 6..7),
            ("a == 1 == 2", 7..9),
            ("a)", 1..2),
        ] {
            assert_eq!(parse(text).unwrap_err().span, span, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(parse(&deep(DEPTH_MAX + 1)).unwrap_err().code, "P0403");
        assert_eq!(parse(&format!("{}a", "not ".repeat(1000))).unwrap_err().code, "P0403");
    }
}
