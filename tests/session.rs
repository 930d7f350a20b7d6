//! The session alone: what EHLO offers, and what a command that is none is answered.

use std::sync::Arc;
use std::time::Instant;

use portcullis::session::{Limits, Role, Session, Settings};
use portcullis::smtp::ehlo::Capabilities;
use portcullis::smtp::reply::Reply;

fn settings(role: Role, tls: bool) -> Settings {
    Settings {
        hostname: "mx.example".into(),
        role,
        tls,
        ask_connect: false,
        ask_helo: false,
        ask_mail: false,
        pass_vrfy: false,
        pass_expn: false,
        pass_etrn: true,
        limits: Limits { message_size: 500, ..Limits::default() },
    }
}

/// The replies to some octets after the greeting.
fn said(settings: Settings, tls: bool, backend: &str, input: &str) -> Vec<String> {
    let now = Instant::now();
    let backend = Arc::new(Capabilities::parse(&Reply::bare(250, backend)));
    let mut session = Session::new(Arc::new(settings), Some(backend), tls, 1, now);
    session.start(now);
    session.output().clear();
    let used = session.input(now, input.as_bytes(), &mut |_| panic!("no message"));
    assert_eq!(used, input.len());
    let text = String::from_utf8(session.output().clone()).expect("ASCII");
    text.split_terminator("\r\n").map(str::to_owned).collect()
}

/// The keywords of the reply to EHLO.
fn offered(settings: Settings, tls: bool, backend: &str) -> Vec<String> {
    let lines = said(settings, tls, backend, "EHLO client.example\r\n");
    assert_eq!(lines[0], "250-mx.example");
    let last = lines.len() - 1;
    assert!(lines[last].starts_with("250 "));
    assert!(lines[1..last].iter().all(|line| line.starts_with("250-")));
    lines[1..].iter().map(|line| line[4..].to_owned()).collect()
}

const RICH: &str = "x\nSIZE 1000\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING\nBINARYMIME\nVRFY\nETRN\n\
    REQUIRETLS\nAUTH CRAM-MD5 LOGIN SCRAM-SHA-256-PLUS EXTERNAL\nXCLIENT ADDR\nXFORWARD ADDR\n\
    LIMITS RCPTMAX=1\nPIPECONNECT";
const LEAST: [&str; 4] = ["PIPELINING", "SIZE 500", "ENHANCEDSTATUSCODES", "HELP"];

#[test]
fn the_offer_is_ours_cut_with_the_backends() {
    let mx = || settings(Role::Mx, true);
    let rich = "PIPELINING|SIZE 500|ETRN|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|DSN|SMTPUTF8|HELP";
    assert_eq!(offered(mx(), false, RICH).join("|"), rich);
    assert_eq!(offered(mx(), true, RICH).join("|"), rich.replace("STARTTLS|", ""));
    // RFC 6531 3.1: SMTPUTF8 comes with 8BITMIME or not at all.
    assert_eq!(offered(settings(Role::Mx, false), false, "x\nSIZE\nSMTPUTF8"), LEAST);
    assert_eq!(offered(mx(), true, "x\nSIZE 99")[1], "SIZE 99");
}

#[test]
fn passwords_are_asked_for_under_tls_alone_and_as_the_backend_can() {
    let auth = |tls, backend: &str| -> Vec<String> {
        let lines = offered(settings(Role::Submission, true), tls, backend);
        lines.into_iter().filter(|line| line.starts_with("AUTH")).collect()
    };
    assert_eq!(auth(true, RICH), ["AUTH LOGIN"]);
    assert!(auth(false, RICH).is_empty());
    assert!(auth(true, "x\nAUTH GSSAPI").is_empty());
}

#[test]
fn each_error_of_syntax_has_its_reply() {
    for (line, reply) in [
        ("MAIL", "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]"),
        ("EHLO", "501 5.5.4 Invalid EHLO or HELO argument"),
        ("MAIL FROM:<a>", "501 5.1.7 Bad sender address syntax"),
        ("RCPT TO:<a>", "501 5.1.3 Bad recipient address syntax"),
        ("MAIL FROM:<> X=1", "555 5.5.4 Unsupported option: X"),
        ("MAIL FROM:<> SIZE=x", "501 5.5.4 Bad value of option: SIZE"),
        ("MAIL FROM:<> SIZE=1 SIZE=2", "501 5.5.4 Option given twice: SIZE"),
        ("\u{e9}", "500 5.5.2 Command is not ASCII"),
    ] {
        let replies = said(settings(Role::Mx, false), false, "x", &format!("{line}\r\n"));
        assert_eq!(replies, [reply], "{line}");
    }
}
