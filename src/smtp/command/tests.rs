//! Known answers: lines, what they are, and how they are printed.

use super::*;
use crate::smtp::address::{ForwardPath, ReversePath};
use crate::smtp::params::{Body, MailParams};

fn printed(line: &str) -> Result<String, SyntaxError> {
    let command = Command::parse(line.as_bytes())?;
    let mut out = Vec::new();
    command.write_to(&mut out);
    Ok(String::from_utf8(out).expect("UTF-8"))
}

fn mail(line: &str) -> MailCommand {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn lines_and_their_print() {
    for (line, print) in [
        ("helo mail.example.com", "HELO mail.example.com"),
        ("EhLo   [192.0.2.1]  ", "EHLO [192.0.2.1]"),
        ("EHLO my_pc", "EHLO my_pc"),
        ("EHLO 192.0.2.1\t", "EHLO 192.0.2.1"),
        ("mail from:<>", "MAIL FROM:<>"),
        ("MAIL  FROM:  <a@b.example>  ", "MAIL FROM:<a@b.example>"),
        ("MAIL FROM:<@r.example:a@b.example> size=010", "MAIL FROM:<a@b.example> SIZE=10"),
        (
            "MAIL FROM:<a@b.example> AUTH=<> ENVID=x+2By  ret=hdrs REQUIRETLS smtputf8 body=8bitmime SIZE=9",
            "MAIL FROM:<a@b.example> SIZE=9 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=hdrs ENVID=x+2By AUTH=<>",
        ),
        ("MAIL FROM:<\"SIZE=1 \"@b.example>", "MAIL FROM:<\"SIZE=1 \"@b.example>"),
        ("rcpt to: <postmaster>", "RCPT TO:<postmaster>"),
        (
            "RCPT TO:<a@b.example> ORCPT=rfc822;a+40b.example NOTIFY=success,Delay",
            "RCPT TO:<a@b.example> NOTIFY=success,Delay ORCPT=rfc822;a+40b.example",
        ),
        ("RCPT TO:<a@b.example> NOTIFY=NEVER", "RCPT TO:<a@b.example> NOTIFY=NEVER"),
        (
            "RCPT TO:<a@b.example> ORCPT=utf-8;\u{e9}@b.example",
            "RCPT TO:<a@b.example> ORCPT=utf-8;\u{e9}@b.example",
        ),
        ("data", "DATA"),
        ("DATA ", "DATA"),
        ("bdat 00 last", "BDAT 0 LAST"),
        ("BDAT 18446744073709551615", "BDAT 18446744073709551615"),
        ("RSET", "RSET"),
        ("NOOP anything at all", "NOOP"),
        ("quit", "QUIT"),
        ("HELP", "HELP"),
        ("help me", "HELP me"),
        ("VRFY a@b.example", "VRFY a@b.example"),
        ("VRFY \u{e9}@b.example SMTPUTF8", "VRFY \u{e9}@b.example SMTPUTF8"),
        ("EXPN list", "EXPN list"),
        ("ETRN @b.example", "ETRN @b.example"),
        ("starttls", "STARTTLS"),
        ("auth plain AGEAYg==", "AUTH PLAIN AGEAYg=="),
        ("AUTH login", "AUTH LOGIN"),
        ("AUTH scram-sha-256 =", "AUTH SCRAM-SHA-256 ="),
        ("soml FROM:<a@b>", "SOML"),
        ("xclient ADDR=192.0.2.1", "XCLIENT"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "PROXY"),
        ("BANANA split", "BANANA"),
        ("x\tHELO a", "x?HELO"),
        ("", ""),
        (" NOOP", ""),
        ("MAILFROM:<a@b>", "MAILFROM:<a@b>"),
    ] {
        assert_eq!(printed(line).as_deref(), Ok(print), "{line}");
        let twice = printed(print);
        assert_eq!(twice.as_deref(), Ok(print), "{print}");
    }
}

#[test]
fn verbs() {
    for (line, verb) in [
        ("TURN", "TURN"),
        ("ATRN", "ATRN"),
        ("SAML x", "SAML"),
        ("SEND x", "SEND"),
        ("XFORWARD NAME=x", "XFORWARD"),
        ("lhlo x", "LHLO"),
        ("XEXCH50 1 2", "XEXCH50"),
        ("GET / HTTP/1.1", "HTTP"),
        ("POST / HTTP/1.1", "HTTP"),
        ("CONNECT example.com:25 HTTP/1.1", "HTTP"),
        ("PRI * HTTP/2.0", "HTTP"),
        ("\u{16}\u{3}\u{1}", "HTTP"),
        ("FOO", "UNKNOWN"),
        ("EHLO x", "EHLO"),
        ("BDAT 1", "BDAT"),
    ] {
        let parsed = Command::parse(line.as_bytes());
        assert_eq!(parsed.as_ref().map(Command::verb), Ok(verb), "{line:?}");
    }
}

#[test]
fn errors() {
    use SyntaxError::*;
    fn wrong(verb: &'static str, usage: &'static str) -> SyntaxError {
        Arguments { verb, usage }
    }
    let mail_usage = || wrong("MAIL", MailCommand::USAGE);
    let rcpt_usage = || wrong("RCPT", RcptCommand::USAGE);
    let long_helo = format!("EHLO {}", "a".repeat(HELO_MAX + 1));
    let long_envid = format!("MAIL FROM:<> ENVID={}", "a".repeat(101));
    let long_orcpt = format!("RCPT TO:<a@b> ORCPT=rfc822;{}", "a".repeat(500));
    for (line, error) in [
        ("HELO", HeloName),
        ("EHLO ", HeloName),
        ("EHLO a b", HeloName),
        ("EHLO a\u{7f}", HeloName),
        ("EHLO \u{e9}.example", HeloName),
        (&long_helo, HeloName),
        ("MAIL", mail_usage()),
        ("MAIL FROM", mail_usage()),
        ("MAIL FROM:", mail_usage()),
        ("MAIL FROM:a@b.example", mail_usage()),
        ("MAIL FROM :<a@b.example>", mail_usage()),
        ("MAIL TO:<a@b.example>", mail_usage()),
        ("MAIL FROM:<a@b.example>SIZE=1", mail_usage()),
        ("MAIL FROM:<a@b.example> =1", mail_usage()),
        ("MAIL FROM:<a@b.example> -A=1", mail_usage()),
        ("MAIL FROM:<a@b.example> <c@d.example>", mail_usage()),
        ("MAIL FROM:<a>", SenderAddress),
        ("MAIL FROM:<a@b.example", SenderAddress),
        ("MAIL FROM:<a b@c.example>", SenderAddress),
        ("RCPT", rcpt_usage()),
        ("RCPT TO:a@b.example", rcpt_usage()),
        ("RCPT FROM:<a@b.example>", rcpt_usage()),
        ("RCPT TO:<>", RecipientAddress),
        ("RCPT TO:<a>", RecipientAddress),
        ("RCPT TO:<a@b..example>", RecipientAddress),
        ("MAIL FROM:<> FOO=1", UnknownParameter("FOO".into())),
        ("MAIL FROM:<> MT-PRIORITY=4", UnknownParameter("MT-PRIORITY".into())),
        ("MAIL FROM:<> XVERP", UnknownParameter("XVERP".into())),
        ("MAIL FROM:<> NOTIFY=NEVER", UnknownParameter("NOTIFY".into())),
        ("RCPT TO:<a@b> SIZE=1", UnknownParameter("SIZE".into())),
        ("MAIL FROM:<> SIZE", BadParameter("SIZE".into())),
        ("MAIL FROM:<> SIZE=", BadParameter("SIZE".into())),
        ("MAIL FROM:<> SIZE=+1", BadParameter("SIZE".into())),
        ("MAIL FROM:<> SIZE=18446744073709551616", BadParameter("SIZE".into())),
        ("MAIL FROM:<> SIZE=000000000000000000001", BadParameter("SIZE".into())),
        ("MAIL FROM:<> BODY=9BIT", BadParameter("BODY".into())),
        ("MAIL FROM:<> SMTPUTF8=1", BadParameter("SMTPUTF8".into())),
        ("MAIL FROM:<> REQUIRETLS=", BadParameter("REQUIRETLS".into())),
        ("MAIL FROM:<> RET=BODY", BadParameter("RET".into())),
        ("MAIL FROM:<> ENVID=a=b", BadParameter("ENVID".into())),
        ("MAIL FROM:<> ENVID=+0D+0A", BadParameter("ENVID".into())),
        ("MAIL FROM:<> ENVID=a\tb", BadParameter("ENVID".into())),
        (&long_envid, BadParameter("ENVID".into())),
        ("MAIL FROM:<> AUTH=+4", BadParameter("AUTH".into())),
        ("RCPT TO:<a@b> NOTIFY=", BadParameter("NOTIFY".into())),
        ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", BadParameter("NOTIFY".into())),
        ("RCPT TO:<a@b> NOTIFY=DELAY,", BadParameter("NOTIFY".into())),
        ("RCPT TO:<a@b> ORCPT=a@b", BadParameter("ORCPT".into())),
        ("RCPT TO:<a@b> ORCPT=rfc822;", BadParameter("ORCPT".into())),
        ("RCPT TO:<a@b> ORCPT=rfc822;\u{e9}", BadParameter("ORCPT".into())),
        ("RCPT TO:<a@b> ORCPT=utf-8;\\x{0A}", BadParameter("ORCPT".into())),
        (&long_orcpt, BadParameter("ORCPT".into())),
        ("MAIL FROM:<> SIZE=1 size=1", DuplicateParameter("size".into())),
        ("MAIL FROM:<> SMTPUTF8 SMTPUTF8", DuplicateParameter("SMTPUTF8".into())),
        ("RCPT TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", DuplicateParameter("NOTIFY".into())),
        ("DATA now", wrong("DATA", "DATA")),
        ("RSET x", wrong("RSET", "RSET")),
        ("QUIT x", wrong("QUIT", "QUIT")),
        ("STARTTLS x", wrong("STARTTLS", "STARTTLS")),
        ("BDAT", wrong("BDAT", "BDAT size [LAST]")),
        ("BDAT x", wrong("BDAT", "BDAT size [LAST]")),
        ("BDAT -1", wrong("BDAT", "BDAT size [LAST]")),
        ("BDAT +1", wrong("BDAT", "BDAT size [LAST]")),
        ("BDAT 1 FIRST", wrong("BDAT", "BDAT size [LAST]")),
        ("BDAT 1 LAST x", wrong("BDAT", "BDAT size [LAST]")),
        ("BDAT 18446744073709551616", wrong("BDAT", "BDAT size [LAST]")),
        ("VRFY", wrong("VRFY", "VRFY address")),
        ("VRFY a\tb", wrong("VRFY", "VRFY address")),
        ("EXPN", wrong("EXPN", "EXPN list")),
        ("ETRN", wrong("ETRN", "ETRN domain")),
        ("HELP a\u{1b}[m", wrong("HELP", "HELP [topic]")),
        ("AUTH", wrong("AUTH", "AUTH mechanism [initial-response]")),
        ("AUTH PLAIN a b", wrong("AUTH", "AUTH mechanism [initial-response]")),
        ("AUTH PL(AIN", wrong("AUTH", "AUTH mechanism [initial-response]")),
        ("AUTH A23456789012345678901", wrong("AUTH", "AUTH mechanism [initial-response]")),
        ("\u{e9}HLO a", NotAscii),
        ("HELP \u{e9}", NotAscii),
        ("NOOP \u{e9}", NotAscii),
        ("AUTH PLAIN \u{e9}", NotAscii),
    ] {
        assert_eq!(Command::parse(line.as_bytes()), Err(error), "{line:?}");
    }
    for line in [&b"MAIL FROM:<\xff@b.example>"[..], b"RCPT TO:<\xc3@b>", b"VRFY \xff", b"\xffDATA"]
    {
        assert_eq!(Command::parse(line), Err(NotAscii), "{line:?}");
    }
}

#[test]
fn parameters_name_their_extension() {
    let all = "MAIL FROM:<> SIZE=9 BODY=7BIT SMTPUTF8 REQUIRETLS RET=FULL ENVID=x AUTH=a+40b";
    let params = mail(all).params;
    assert_eq!(
        params.keywords().collect::<Vec<_>>(),
        [
            ("SIZE", "SIZE"),
            ("8BITMIME", "BODY"),
            ("SMTPUTF8", "SMTPUTF8"),
            ("REQUIRETLS", "REQUIRETLS"),
            ("DSN", "RET"),
            ("DSN", "ENVID"),
            ("AUTH", "AUTH"),
        ]
    );
    assert_eq!(params.body, Some(Body::SevenBit));
    let mut out = Vec::new();
    params.write_without_auth(&mut out);
    assert_eq!(out, b" SIZE=9 BODY=7BIT SMTPUTF8 REQUIRETLS RET=FULL ENVID=x");
    let binary = mail("MAIL FROM:<> BODY=BinaryMIME").params;
    assert_eq!(binary.keywords().collect::<Vec<_>>(), [("BINARYMIME", "BODY")]);
    let none = mail("MAIL FROM:<>");
    assert_eq!((&none.path, &none.params), (&ReversePath::Null, &MailParams::default()));
    assert_eq!(none.params.keywords().count(), 0);
    let Ok(Command::Rcpt(rcpt)) = Command::parse(b"RCPT TO:<Postmaster> NOTIFY=NEVER ORCPT=x;y")
    else {
        panic!("RCPT")
    };
    assert_eq!(rcpt.path, ForwardPath::Postmaster("Postmaster".into()));
    assert_eq!(rcpt.params.keywords().collect::<Vec<_>>(), [("DSN", "NOTIFY"), ("DSN", "ORCPT")]);
}

#[test]
fn passwords_are_not_printed_by_debug() {
    let command = Command::parse(b"AUTH PLAIN AGFsaWNlAHB3").expect("command");
    assert_eq!(format!("{command:?}"), "AUTH PLAIN [redacted]");
    let wrong = Command::parse(b"AGFsaWNlAHB3AGFsaWNlAHB3AGFsaWNlAHB3AGFsaWNlAHB3").expect("any");
    assert_eq!(format!("{wrong:?}").len(), UNKNOWN_MAX);
}
