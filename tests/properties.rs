//! Properties of the wire types.

use portcullis::smtp::address::{ForwardPath, Mailbox, ReversePath, helo_form, valid_hostname};
use portcullis::smtp::auth;
use portcullis::smtp::command::Command;
use portcullis::smtp::data::{DataScanner, Flaws};
use portcullis::smtp::line::{Framed, LineFramer};
use portcullis::smtp::params::{Body, MailCommand, MailParams, RcptCommand, RcptParams};
use portcullis::smtp::proxy_header::{self, Parsed};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample;

#[path = "support/stuffed.rs"]
mod stuffed;
use stuffed::stuffed;

fn text(pattern: &'static str) -> impl Strategy<Value = Box<str>> {
    pattern.prop_map(Box::from)
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    let local = prop_oneof![
        text("[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-z0-9=+]{1,10}){0,3}"),
        text("\"([ !#-\\[\\]-~]|\\\\[ -~]){0,30}\""),
        text("[a-z\u{e4}\u{3b1}\u{4e2d}]{1,20}"),
    ];
    let domain = prop_oneof![
        text("[a-zA-Z0-9_]{1,20}(\\.[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?){0,4}"),
        text("[a-z]{1,10}\u{fc}[a-z]{1,10}\\.example"),
        any::<std::net::Ipv4Addr>().prop_map(|ip| format!("[{ip}]").into()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[IPv6:{ip}]").into()),
    ];
    (local, domain).prop_map(|(local, domain)| Mailbox { local, domain })
}

fn xtext() -> impl Strategy<Value = Box<str>> {
    text("([!-*,-<>-~]|\\+[2-6][0-9A-F]){1,30}")
}

fn mail() -> impl Strategy<Value = MailCommand> {
    let path = prop_oneof![Just(ReversePath::Null), mailbox().prop_map(ReversePath::Mailbox),];
    let body = prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime), Just(Body::BinaryMime)];
    let params = (
        option::of(any::<u64>()),
        option::of(body),
        any::<bool>(),
        any::<bool>(),
        option::of(text("FULL|HDRS|full|Hdrs")),
        option::of(xtext()),
        option::of(prop_oneof![xtext(), text("<>")]),
    );
    let params = params.prop_map(|(size, body, smtputf8, requiretls, ret, envid, auth)| {
        MailParams { size, body, smtputf8, requiretls, ret, envid, auth }
    });
    (path, params).prop_map(|(path, params)| MailCommand { path, params })
}

fn rcpt() -> impl Strategy<Value = RcptCommand> {
    let path = prop_oneof![
        text("[Pp]ost[Mm]aster").prop_map(ForwardPath::Postmaster),
        mailbox().prop_map(ForwardPath::Mailbox),
    ];
    let notify = text("NEVER|(SUCCESS|FAILURE|delay)(,(SUCCESS|FAILURE|Delay)){0,2}");
    let orcpt = prop_oneof![
        (text("rfc822|x-y"), xtext()).prop_map(|(kind, address)| format!("{kind};{address}")),
        "utf-8;[a-z\u{e4}@.]{1,20}(\\\\x\\{[2-6][0-9A-F]\\}){0,3}",
    ];
    let params = (option::of(notify), option::of(orcpt.prop_map(Box::from)))
        .prop_map(|(notify, orcpt)| RcptParams { notify, orcpt });
    (path, params).prop_map(|(path, params)| RcptCommand { path, params })
}

fn command() -> impl Strategy<Value = Command> {
    let argument = "[!-~]([ -~]{0,30}[!-~])?";
    let auth = (text("[A-Z0-9_-]{1,20}"), option::of(text("[A-Za-z0-9+/=]{1,40}")))
        .prop_map(|(mechanism, initial)| Command::Auth { mechanism, initial });
    prop_oneof![
        8 => mail().prop_map(Command::Mail),
        8 => rcpt().prop_map(Command::Rcpt),
        1 => text("[!-~]{1,255}").prop_map(Command::Helo),
        1 => text("[!-~]{1,255}").prop_map(Command::Ehlo),
        1 => (any::<u64>(), any::<bool>()).prop_map(|(size, last)| Command::Bdat { size, last }),
        1 => text(argument).prop_map(Command::Vrfy),
        1 => text(argument).prop_map(Command::Expn),
        1 => text(argument).prop_map(Command::Etrn),
        1 => prop_oneof![text(argument), text("")].prop_map(Command::Help),
        1 => auth,
        1 => prop_oneof![
            Just(Command::Data), Just(Command::Rset), Just(Command::Noop), Just(Command::Quit),
            Just(Command::StartTls), Just(Command::Obsolete("ATRN")),
            Just(Command::Forbidden("XCLIENT")), Just(Command::Http),
        ],
    ]
}

fn print(command: &Command) -> Vec<u8> {
    let mut out = Vec::new();
    command.write_to(&mut out);
    out
}

/// What the protocol is made of.
const PIECES: &[&[u8]] = &[
    b"MAIL FROM:<",
    b"RCPT TO:<",
    b"EHLO ",
    b"a@b.example>",
    b"\"",
    b"\\",
    b"@",
    b",",
    b":",
    b">",
    b" ",
    b"[",
    b"IPv6:",
    b"]",
    b" SIZE=",
    b" ENVID=+",
    b" ORCPT=",
    b"utf-8;\\x{",
    b"AUTH ",
    b"BDAT ",
    b"99999999999999999999",
    b"\xc3\xa9",
    b"\xff",
    b"\0",
    b"\r",
    b"\t",
    b"PROXY ",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11",
    b"TCP4 192.0.2.1 ",
    b"\r\n",
    b".",
];

/// Octets near to what the protocol is made of.
fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    vec(sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

fn any_octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..80), near_misses()]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), Just(0), Just(0xe9)];
    let piece = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        2 => Just(b".".to_vec()),
        4 => vec(b'a'..=b'z', 0..40),
        1 => Just(b"\r\n.\r\n".to_vec()),
        1 => octet.prop_map(|octet| vec![octet]),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// Canonical content: lines ended by CRLF.
fn content() -> impl Strategy<Value = Vec<u8>> {
    vec("\\.{0,3}[a-z\u{e9} ]{0,20}\\.?\r\n", 0..20).prop_map(|lines| lines.concat().into_bytes())
}

/// Cuts at the sizes, over and over.
fn cut<'a>(input: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = input;
    sizes.iter().cycle().map_while(move |&size| {
        let (part, later) = rest.split_at(size.min(rest.len()));
        rest = later;
        (!part.is_empty()).then_some(part)
    })
}

fn scan<'a>(
    mut scanner: DataScanner,
    parts: impl Iterator<Item = &'a [u8]>,
) -> (Vec<u8>, usize, bool, Flaws) {
    let (mut out, mut consumed, mut ended) = (Vec::new(), 0, false);
    for part in parts {
        let (used, end) = scanner.scan(part, &mut |slice| out.extend_from_slice(slice));
        consumed += used;
        ended = end;
        if end {
            break;
        }
    }
    (out, consumed, ended, scanner.flaws().clone())
}

/// Frames what comes in pieces, as a session does with its buffer.
fn frame<'a>(parts: impl Iterator<Item = &'a [u8]>, max: usize) -> Vec<String> {
    let mut framer = LineFramer::new();
    let mut buffer: Vec<u8> = Vec::new();
    let mut lines = Vec::new();
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            let (consumed, framed) = framer.next(&buffer, max);
            if let Some(framed) = framed {
                lines.push(format!("{framed:?}"));
            }
            buffer.drain(..consumed);
            if consumed == 0 {
                break;
            }
        }
        assert!(buffer.len() < max);
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn parse_inverts_print(command in command()) {
        let line = print(&command);
        prop_assert_eq!(Command::parse(&line), Ok(command));
    }

    #[test]
    fn what_parses_prints_as_one_sound_line(line in any_octets()) {
        if let Ok(command) = Command::parse(&line) {
            let printed = print(&command);
            prop_assert!(!printed.iter().any(|octet| octet.is_ascii_control()));
            prop_assert_eq!(Command::parse(&printed), Ok(command));
        }
    }

    #[test]
    fn mailboxes_keep_their_parts(mailbox in mailbox()) {
        let printed = mailbox.to_string();
        let bare = printed.trim_start_matches('<').trim_end_matches('>');
        prop_assert_eq!(Mailbox::parse(bare), Some(mailbox.clone()));
        prop_assert_eq!(mailbox.literal_ip().is_some(), mailbox.domain_ascii().is_none());
        if let Some(domain) = mailbox.domain_ascii() {
            prop_assert!(domain.is_ascii() && domain == domain.to_ascii_lowercase());
        }
    }

    #[test]
    fn nothing_panics(octets in any_octets()) {
        let _ = proxy_header::parse(&octets);
        let _ = auth::client_line(&octets);
        let _ = auth::plain_identity(&octets);
        let _ = auth::login_user(&octets);
        let text = String::from_utf8_lossy(&octets);
        let _ = helo_form(&text);
        let _ = Mailbox::parse(&text).map(|mailbox| mailbox.local_text());
        if valid_hostname(&text) {
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'));
        }
    }

    #[test]
    fn proxy_headers_need_no_certain_chunks(octets in any_octets(), tail in any_octets()) {
        let whole = proxy_header::parse(&octets);
        if whole != Parsed::NeedMore {
            prop_assert_eq!(proxy_header::parse(&[octets, tail].concat()), whole);
        } else {
            prop_assert!(octets.len() < 16 + proxy_header::V2_PAYLOAD_MAX);
        }
    }

    #[test]
    fn chunks_do_not_matter_to_the_framer(
        input in prop_oneof![data(), any_octets()],
        sizes in vec(1usize..9, 1..6),
        max in 2usize..40,
    ) {
        let whole = frame([input.as_slice()].into_iter(), max);
        prop_assert_eq!(frame(cut(&input, &sizes), max), whole.clone());
        prop_assert_eq!(whole.len(), memchr::memchr_iter(b'\n', &input).count());
        for framed in whole {
            prop_assert!(framed.starts_with("Line") || !framed.contains('('));
        }
    }

    #[test]
    fn chunks_do_not_matter_to_the_scanner(input in data(), sizes in vec(1usize..9, 1..6)) {
        let (content, consumed, ended, flaws) =
            scan(DataScanner::new(), [input.as_slice()].into_iter());
        let (again, consumed_again, ended_again, flaws_again) =
            scan(DataScanner::new(), cut(&input, &sizes));
        prop_assert_eq!(&content, &again);
        prop_assert_eq!((consumed, ended, &flaws), (consumed_again, ended_again, &flaws_again));
        // What was handed on is clean.
        let pairs = memchr::memmem::find_iter(&content, b"\r\n").count();
        prop_assert_eq!(memchr::memchr_iter(b'\r', &content).count(), pairs);
        prop_assert_eq!(memchr::memchr_iter(b'\n', &content).count(), pairs);
        prop_assert!(!content.contains(&0));
        if ended && !flaws.any() && !content.is_empty() {
            prop_assert!(content.ends_with(b"\r\n"));
            let longest = content.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::len).max();
            prop_assert_eq!(Some(flaws.longest_line), longest.map(|length| length as u64));
        }
    }

    #[test]
    fn unstuff_inverts_stuff(
        content in content(),
        sizes in vec(1usize..9, 1..6),
        tail in any_octets(),
    ) {
        let mut wire = stuffed(cut(&content, &sizes));
        let end = wire.len();
        wire.extend_from_slice(&tail);
        let (out, consumed, ended, flaws) = scan(DataScanner::new(), [wire.as_slice()].into_iter());
        prop_assert_eq!((out, consumed, ended), (content, end, true));
        prop_assert!(!flaws.any());
    }

    #[test]
    fn only_lines_are_framed(line in "[a-z]{0,20}") {
        let input = format!("{line}\r\n");
        let framed = LineFramer::new().next(input.as_bytes(), 100);
        prop_assert_eq!(framed, (input.len(), Some(Framed::Line(line.as_bytes()))));
    }
}
