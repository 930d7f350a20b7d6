//! Opening a backend connection, its dialogue, and the open-relay probe, against a backend that
//! does as its script says.
#![allow(clippy::unwrap_used)] // the lint knows only functions marked as tests

mod support {
    pub mod backend;
}

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::relay::dial::BoxFuture;
use portcullis::relay::{
    Backend, BackendConfig, Connection, Dial, Failure, Identity, IdentityMethod, Probe, Step,
    Stream, TcpDial, Timeouts, probe,
};
use portcullis::smtp::reply::Reply;
use support::backend::{At, Authorised, Fault, Script, Scripted};
use tokio::time::Instant;

struct Memory(Scripted);

impl Dial for Memory {
    fn dial<'a>(&'a self, _: SocketAddr) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Ok(Box::new(self.0.connect(64 * 1024)) as Box<dyn Stream>) })
    }
}

fn config(address: Vec<SocketAddr>) -> BackendConfig {
    BackendConfig {
        name: "test".into(),
        address,
        identity: IdentityMethod::Xclient,
        helo: "proxy.example".into(),
        timeouts: Timeouts::default(),
        max_connections: 10,
    }
}

fn anywhere() -> Vec<SocketAddr> {
    vec!["127.0.0.1:25".parse().unwrap()]
}

fn backend(script: Script) -> (Backend, Scripted) {
    let scripted = Scripted::new(script);
    (Backend::new(config(anywhere()), Arc::new(Memory(scripted.clone()))), scripted)
}

fn client() -> Identity<'static> {
    Identity {
        ip: "192.0.2.7".parse().unwrap(),
        port: 4711,
        name: Some("mx.example.net"),
        name_temporary: false,
        reverse_name: Some("ptr.example.net"),
        helo: "helo.example.net",
        esmtp: true,
        login: None,
    }
}

const MAIL: &[u8] = b"MAIL FROM:<a@example.net>";
const RCPT: &[u8] = b"RCPT TO:<b@example.org>";

fn failure(opened: Result<Connection, Failure>) -> Failure {
    opened.expect_err("a failure")
}

#[tokio::test(start_paused = true)]
async fn the_backend_sees_the_client() {
    let (backend, scripted) = backend(Script::default());
    assert!(backend.learned().is_none());
    let connection = backend.open(&client()).await.unwrap();
    let seen = scripted.last();
    assert_eq!(
        seen.commands,
        [
            "EHLO proxy.example",
            "XCLIENT ADDR=192.0.2.7 NAME=mx.example.net REVERSE_NAME=ptr.example.net PORT=4711 \
             PROTO=ESMTP HELO=helo.example.net",
            "EHLO helo.example.net",
        ]
    );
    assert_eq!(seen.client.addr, "192.0.2.7");
    assert_eq!(seen.client.name, "mx.example.net");
    assert_eq!(seen.client.reverse_name, "ptr.example.net");
    assert_eq!(seen.client.helo.as_deref(), Some("helo.example.net"));
    assert_eq!(connection.host(), "backend.example");
    assert!(connection.capabilities().pipelining);
    assert!(!backend.learned().unwrap().xclient.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_saves_a_round_trip() {
    let (backend, scripted) = backend(Script::default());
    backend.open(&client()).await.unwrap().quit().await;
    let second = Identity { ip: "2001:db8::7".parse().unwrap(), ..client() };
    backend.open(&second).await.unwrap();
    let seen = scripted.last();
    assert_eq!(seen.commands.len(), 2);
    assert!(seen.commands[0].starts_with("XCLIENT ADDR=IPV6:2001:db8::7 "));
    assert_eq!(seen.client.addr, "IPV6:2001:db8::7");
}

#[tokio::test(start_paused = true)]
async fn old_knowledge_is_learned_anew() {
    let (backend, scripted) = backend(Script::default());
    backend.open(&client()).await.unwrap();
    for script in [
        Script { attributes: "NAME ADDR", ..Script::default() },
        Script { ehlo_first: true, keywords: vec!["DSN"], ..Script::default() },
    ] {
        scripted.set(script.clone());
        let before = scripted.seen().len();
        let connection = backend.open(&client()).await.unwrap();
        assert_eq!(scripted.seen().len(), before + 2);
        assert_eq!(scripted.last().client.addr, "192.0.2.7");
        assert_eq!(connection.capabilities().etrn, script.keywords.contains(&"ETRN"));
        assert_eq!(backend.learned().unwrap(), *connection.capabilities());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_stays_while_the_backend_is_down() {
    let (backend, scripted) = backend(Script::default());
    backend.open(&client()).await.unwrap();
    scripted.set(Script::with(At::Greeting, Fault::Close));
    assert!(backend.open(&client()).await.is_err());
    assert!(backend.learned().unwrap().dsn);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_helo_is_announced_with_helo() {
    let (backend, scripted) = backend(Script::default());
    let old = Identity { esmtp: false, ..client() };
    let mut connection = backend.open(&old).await.unwrap();
    assert_eq!(scripted.last().commands[2], "HELO helo.example.net");
    assert!(scripted.last().commands[1].contains(" PROTO=SMTP "));
    let (mail, rcpt) = connection.mail_and_rcpt(MAIL, RCPT).await.unwrap();
    assert_eq!((mail.code(), rcpt.unwrap().code()), (250, 250));
}

#[tokio::test(start_paused = true)]
async fn a_hostile_helo_is_one_word() {
    let (backend, scripted) = backend(Script::default());
    for (helo, said) in [("a\r\nRCPT TO:<x>", "EHLO a??RCPT?TO:<x>"), ("", "EHLO ?")] {
        backend.open(&Identity { helo, ..client() }).await.unwrap();
        assert_eq!(scripted.last().commands.last().unwrap(), said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_is_told_only_where_it_can_be() {
    let (backend, scripted) = backend(Script::default());
    let joe = Identity { login: Some("joe@example.org"), ..client() };
    backend.open(&joe).await.unwrap();
    assert!(scripted.last().commands[1].contains(" LOGIN=joe@example.org "));
    scripted.set(Script { attributes: "NAME ADDR", ..Script::default() });
    assert!(matches!(failure(backend.open(&joe).await), Failure::NoXclient));
}

#[tokio::test(start_paused = true)]
async fn without_identity_method_we_are_ourselves() {
    let scripted = Scripted::new(Script::default());
    let none = BackendConfig { identity: IdentityMethod::None, ..config(anywhere()) };
    let backend = Backend::new(none, Arc::new(Memory(scripted.clone())));
    backend.open(&client()).await.unwrap();
    backend.open(&client()).await.unwrap();
    for seen in scripted.seen() {
        assert_eq!(seen.commands, ["EHLO proxy.example"]);
    }
}

/// Whatever answers XCLIENT but 220, nothing more is said, and MAIL least of all.
#[tokio::test(start_paused = true)]
async fn without_identity_nothing_is_relayed() {
    for answer in [
        "250 2.0.0 Ok\r\n",
        "221 2.0.0 Bye\r\n",
        "421 4.3.2 closing\r\n",
        "450 4.7.1 later\r\n",
        "501 5.5.4 Bad ADDR syntax\r\n",
        "550 5.7.0 Error: insufficient authorization\r\n",
        "554 5.7.1 Client host rejected\r\n",
    ] {
        for known in [false, true] {
            let (backend, scripted) = backend(Script::default());
            if known {
                backend.open(&client()).await.unwrap();
            }
            scripted.set(Script::with(At::Xclient, Fault::Say(answer)));
            let Failure::Identity(reply) = failure(backend.open(&client()).await) else {
                panic!("{answer}")
            };
            assert!(answer.starts_with(&reply.code().to_string()));
            tokio::time::sleep(Duration::from_secs(1)).await;
            let seen = scripted.last();
            assert!(seen.closed && seen.commands.last().unwrap().starts_with("XCLIENT"));
        }
    }
    for script in [
        Script { xclient: Authorised::Nobody, ..Script::default() },
        Script { attributes: "ADDR PORT", ..Script::default() },
    ] {
        let (backend, scripted) = backend(script);
        assert!(matches!(failure(backend.open(&client()).await), Failure::NoXclient));
        assert_eq!(scripted.last().commands, ["EHLO proxy.example"]);
    }
}

/// The last command of a divided identity is not sent if an earlier one failed.
#[tokio::test(start_paused = true)]
async fn a_divided_identity_is_all_or_nothing() {
    let (helo, name) = ("h".repeat(255), long_name());
    let long = Identity { helo: &helo, name: Some(&name), ..client() };
    let (backend, scripted) = backend(Script::default());
    backend.open(&long).await.unwrap();
    let seen = scripted.last();
    assert_eq!(seen.client.port, "4711");
    assert_eq!(seen.client.addr, "192.0.2.7");
    assert_eq!(seen.client.name, long_name());
    assert_eq!(seen.commands.iter().filter(|c| c.starts_with("XCLIENT")).count(), 2);
    for nth in [1, 2] {
        let fault = Fault::Say("550 5.7.0 no\r\n");
        scripted.set(Script { faults: vec![(At::Xclient, nth, fault)], ..Script::default() });
        assert!(matches!(failure(backend.open(&long).await), Failure::Identity(_)));
        assert_eq!(scripted.last().commands.len(), nth);
    }
}

fn long_name() -> String {
    format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61))
}

type Expect = fn(&Failure) -> bool;

/// Misbehaviour at each step before MAIL.
#[tokio::test(start_paused = true)]
async fn misbehaviour_while_opening() {
    let cases: Vec<(At, Fault, Expect)> = vec![
        (
            At::Greeting,
            Fault::Say("554 5.3.2 no service\r\n"),
            |f| matches!(f, Failure::Greeting(r) if r.code() == 554),
        ),
        (
            At::Greeting,
            Fault::SayAndClose("421 4.3.2 busy\r\n"),
            |f| matches!(f, Failure::Greeting(r) if r.code() == 421),
        ),
        (At::Greeting, Fault::Say("250 hello\r\n"), |f| garbage(f, Step::Greeting)),
        (At::Greeting, Fault::Say("SSH-2.0-x\r\n"), |f| garbage(f, Step::Greeting)),
        (At::Greeting, Fault::Say("220 hello\n"), |f| garbage(f, Step::Greeting)),
        (At::Greeting, Fault::Stall, |f| timeout(f, Step::Greeting)),
        (At::Greeting, Fault::Drip(Duration::from_secs(7)), |f| timeout(f, Step::Greeting)),
        (At::Greeting, Fault::Close, |f| lost(f, Step::Greeting)),
        (At::Greeting, Fault::Endless("220-more\r\n"), |f| garbage(f, Step::Greeting)),
        (At::Greeting, Fault::Endless("220"), |f| garbage(f, Step::Greeting)),
        (At::Greeting, Fault::Extra("250 in advance\r\n"), |f| garbage(f, Step::Ehlo)),
        (
            At::Ehlo,
            Fault::Say("502 5.5.2 what\r\n"),
            |f| matches!(f, Failure::Helo(r) if r.code() == 502),
        ),
        (At::Ehlo, Fault::Say("421 4.3.2 closing\r\n"), |f| matches!(f, Failure::Shutdown(_))),
        (At::Ehlo, Fault::Say("251 odd\r\n"), |f| garbage(f, Step::Ehlo)),
        (At::Ehlo, Fault::Extra("220 in advance\r\n"), |f| garbage(f, Step::Xclient)),
        (At::Ehlo, Fault::Stall, |f| timeout(f, Step::Ehlo)),
        (At::Ehlo, Fault::Close, |f| lost(f, Step::Ehlo)),
        (At::Xclient, Fault::Say("334 go on\r\n"), |f| garbage(f, Step::Xclient)),
        (At::Xclient, Fault::Say("220 a\n"), |f| garbage(f, Step::Xclient)),
        (At::Xclient, Fault::Extra("250-x\r\n250 in advance\r\n"), |f| garbage(f, Step::Ehlo)),
        (At::Xclient, Fault::Stall, |f| timeout(f, Step::Xclient)),
        (At::Xclient, Fault::Close, |f| lost(f, Step::Xclient)),
    ];
    for (at, fault, expected) in cases {
        let what = format!("{at:?} {fault:?}");
        let (backend, scripted) = backend(Script::with(at, fault));
        let begin = Instant::now();
        let failure = failure(backend.open(&client()).await);
        assert!(expected(&failure), "{what}: {failure:?}");
        assert!(begin.elapsed() <= Duration::from_secs(61), "{what}: {:?}", begin.elapsed());
        assert!(!scripted.last().commands.iter().any(|c| c.starts_with("MAIL")));
    }
}

/// The second EHLO is the client's: its refusal is about the client.
#[tokio::test(start_paused = true)]
async fn a_refused_client_helo_is_the_backends_word() {
    let fault =
        Fault::Say("504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname\r\n");
    let (backend, _) = backend(Script { faults: vec![(At::Ehlo, 2, fault)], ..Script::default() });
    let Failure::Helo(reply) = failure(backend.open(&client()).await) else { panic!() };
    assert_eq!(reply.enhanced_text().as_deref(), Some("5.5.2"));
    assert!(backend.learned().is_none());
}

fn garbage(failure: &Failure, at: Step) -> bool {
    matches!(failure, Failure::Garbage { step, .. } if *step == at)
}

fn timeout(failure: &Failure, at: Step) -> bool {
    matches!(failure, Failure::Timeout { step } if *step == at)
}

fn lost(failure: &Failure, at: Step) -> bool {
    matches!(failure, Failure::Lost { step, after_dot: false } if *step == at)
}

#[tokio::test(start_paused = true)]
async fn mail_and_rcpt_go_together_where_the_backend_pipelines() {
    for (keywords, writes) in [(vec!["PIPELINING"], 1), (vec![], 2)] {
        let (backend, scripted) = backend(Script { keywords, ..Script::default() });
        let mut connection = backend.open(&client()).await.unwrap();
        let (mail, rcpt) = connection.mail_and_rcpt(MAIL, RCPT).await.unwrap();
        assert_eq!(mail.to_line(), "250 2.1.0 Ok");
        assert_eq!(rcpt.unwrap().to_line(), "250 2.1.5 Ok");
        let more = connection.rcpt(b"RCPT TO:<unknown@example.org>").await.unwrap();
        assert_eq!(more.code(), 550);
        assert_eq!(more.enhanced_text().as_deref(), Some("5.1.1"));
        assert_eq!(scripted.last().commands.len(), 6, "{writes}");
        connection.rset().await.unwrap();
        let again = connection.mail_and_rcpt(MAIL, b"RCPT TO:<x@elsewhere.example>").await.unwrap();
        assert_eq!(again.1.unwrap().code(), 554);
        connection.quit().await;
        assert_eq!(scripted.last().commands.last().unwrap(), "QUIT");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_mail() {
    for (keywords, second) in [(vec!["PIPELINING"], true), (vec![], false)] {
        let fault = Fault::Say("550-5.7.1 not\r\n550 5.7.1 you\r\n");
        let script = Script { keywords, ..Script::with(At::Mail, fault) };
        let (backend, _) = backend(script);
        let mut connection = backend.open(&client()).await.unwrap();
        let (mail, rcpt) = connection.mail_and_rcpt(MAIL, RCPT).await.unwrap();
        assert_eq!(mail.to_line(), "550 5.7.1 not you");
        assert_eq!(rcpt.is_some(), second);
        assert!(connection.is_usable().await);
    }
}

/// Replies are counted to commands: an extra or missing one never becomes another's answer.
#[tokio::test(start_paused = true)]
async fn misbehaviour_at_mail_and_rcpt() {
    let cases: Vec<(At, Fault, Expect)> = vec![
        (At::Mail, Fault::Say("421 4.3.2 closing\r\n"), |f| matches!(f, Failure::Shutdown(_))),
        (At::Mail, Fault::Say("354 go\r\n"), |f| garbage(f, Step::Mail)),
        (At::Mail, Fault::Say("250 2.1.0 Ok\n"), |f| garbage(f, Step::Mail)),
        (At::Mail, Fault::Say("250-2.1.0 Ok\r\n550 no\r\n"), |f| garbage(f, Step::Mail)),
        (At::Mail, Fault::Endless("250-Ok\r\n"), |f| garbage(f, Step::Mail)),
        (At::Mail, Fault::Stall, |f| timeout(f, Step::Mail)),
        (At::Mail, Fault::Close, |f| lost(f, Step::Mail)),
        (At::Rcpt, Fault::Stall, |f| timeout(f, Step::Rcpt)),
        (At::Rcpt, Fault::Drip(Duration::from_secs(60)), |f| timeout(f, Step::Rcpt)),
        (At::Rcpt, Fault::Close, |f| lost(f, Step::Rcpt)),
        (At::Rcpt, Fault::Say("334 go\r\n"), |f| garbage(f, Step::Rcpt)),
        (At::Rcpt, Fault::SayAndClose("250 2.1.5 O"), |f| lost(f, Step::Rcpt)),
    ];
    for (at, fault, expected) in cases {
        for keywords in [vec!["PIPELINING"], vec![]] {
            let what = format!("{at:?} {fault:?} {keywords:?}");
            let script = Script { keywords, ..Script::with(at, fault.clone()) };
            let (backend, _) = backend(script);
            let mut connection = backend.open(&client()).await.unwrap();
            let failure = connection.mail_and_rcpt(MAIL, RCPT).await.expect_err(&what);
            assert!(expected(&failure), "{what}: {failure:?}");
            assert!(!connection.is_usable().await, "{what}");
            assert!(connection.rset().await.is_err(), "{what}");
        }
    }
    // One reply too many: the two answers are taken as they come, and nothing after them.
    let (backend, _) = backend(Script::with(At::Rcpt, Fault::Extra("250 2.1.5 Ok\r\n")));
    let mut connection = backend.open(&client()).await.unwrap();
    connection.mail_and_rcpt(MAIL, RCPT).await.unwrap();
    assert!(!connection.is_usable().await);
    assert!(matches!(connection.rcpt(RCPT).await, Err(Failure::Lost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_gave_up_meanwhile_says_why() {
    let farewell = Fault::Extra("421 4.4.2 Error: timeout exceeded\r\n");
    let (backend, _) = backend(Script::with(At::Rcpt, farewell));
    let mut connection = backend.open(&client()).await.unwrap();
    connection.mail_and_rcpt(MAIL, RCPT).await.unwrap();
    let Err(Failure::Shutdown(reply)) = connection.rcpt(RCPT).await else { panic!() };
    assert_eq!(reply.to_line(), "421 4.4.2 Error: timeout exceeded");
}

#[tokio::test(start_paused = true)]
async fn only_whole_command_lines_are_sent() {
    let (backend, scripted) = backend(Script::default());
    let mut connection = backend.open(&client()).await.unwrap();
    let before = scripted.last().bytes;
    let long = [b"RCPT TO:<".as_slice(), &[b'a'; 2048]].concat();
    for line in [&b"RCPT TO:<a>\r\nDATA"[..], b"RCPT\n", b"RCPT\0", &long] {
        assert!(matches!(connection.rcpt(line).await, Err(Failure::Source(_))));
        assert!(matches!(connection.mail_and_rcpt(MAIL, line).await, Err(Failure::Source(_))));
    }
    assert_eq!(scripted.last().bytes, before);
    connection.rset().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn other_commands_may_be_answered_with_334_alone() {
    let minute = Duration::from_secs(60);
    for (said, ok) in
        [("334 VXNlcm5hbWU6\r\n", true), ("235 2.7.0 ok\r\n", true), ("354 go\r\n", false)]
    {
        let (backend, _) = backend(Script::with(At::Other, Fault::Say(said)));
        let mut connection = backend.open(&client()).await.unwrap();
        assert_eq!(connection.command(b"AUTH LOGIN", minute).await.is_ok(), ok);
        assert_eq!(connection.is_usable().await, ok);
    }
    let (backend, _) = backend(Script::with(At::Other, Fault::Stall));
    let mut connection = backend.open(&client()).await.unwrap();
    let begin = Instant::now();
    assert!(matches!(connection.command(b"VRFY x", minute).await, Err(Failure::Timeout { .. })));
    assert_eq!(begin.elapsed(), minute);
}

#[tokio::test(start_paused = true)]
async fn a_refused_rset_ends_the_connection() {
    let (backend, _) = backend(Script::with(At::Rset, Fault::Say("503 5.5.1 no\r\n")));
    let mut connection = backend.open(&client()).await.unwrap();
    assert!(matches!(connection.rset().await, Err(Failure::Garbage { .. })));
    assert!(!connection.is_usable().await);
}

#[tokio::test(start_paused = true)]
async fn quit_is_bounded() {
    for fault in [Fault::Stall, Fault::Close, Fault::Endless("221-x\r\n"), Fault::Say("x\r\n")] {
        let (backend, _) = backend(Script::with(At::Quit, fault));
        let connection = backend.open(&client()).await.unwrap();
        let begin = Instant::now();
        connection.quit().await;
        assert!(begin.elapsed() <= Duration::from_secs(5));
    }
}

/// Answers nothing, or refuses, by address; notes who was asked.
struct Picky(Scripted, Mutex<Vec<u16>>);

impl Dial for Picky {
    fn dial<'a>(&'a self, address: SocketAddr) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        self.1.lock().unwrap().push(address.port());
        Box::pin(async move {
            match address.port() {
                1 => Err(io::ErrorKind::ConnectionRefused.into()),
                2 => std::future::pending().await,
                _ => Ok(Box::new(self.0.connect(64 * 1024)) as Box<dyn Stream>),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_are_tried_in_order() {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let dial = Arc::new(Picky(Scripted::new(Script::default()), Mutex::default()));
    let begin = Instant::now();
    let backend = Backend::new(config(vec![at(1), at(2), at(3), at(4)]), dial.clone());
    backend.open(&client()).await.unwrap();
    assert_eq!(*dial.1.lock().unwrap(), [1, 2, 3]);
    assert_eq!(begin.elapsed(), Duration::from_secs(5));
    for (addresses, text) in [
        (vec![at(2), at(1)], "127.0.0.1:1: connection refused"),
        (vec![at(2)], "127.0.0.1:2: no connection in time"),
        (vec![], "it has no address"),
    ] {
        let backend = Backend::new(config(addresses), dial.clone());
        let Failure::Unreachable(error) = failure(backend.open(&client()).await) else { panic!() };
        assert_eq!(error, text);
    }
}

#[tokio::test]
async fn over_tcp() {
    let scripted = Scripted::new(Script::default());
    let address = scripted.listen().await;
    let backend = Backend::new(config(vec![address]), Arc::new(TcpDial));
    let mut connection = backend.open(&client()).await.unwrap();
    connection.mail_and_rcpt(MAIL, RCPT).await.unwrap();
    connection.quit().await;
    for at in [At::Greeting, At::Ehlo, At::Xclient] {
        scripted.set(Script::with(at, Fault::Reset));
        let backend = Backend::new(config(vec![address]), Arc::new(TcpDial));
        assert!(matches!(failure(backend.open(&client()).await), Failure::Lost { .. }));
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backend = Backend::new(config(vec![closed]), Arc::new(TcpDial));
    assert!(matches!(failure(backend.open(&client()).await), Failure::Unreachable(_)));
}

// The probe.

async fn probed(script: Script) -> (Probe, Scripted) {
    let (backend, scripted) = backend(script);
    let result = probe(&backend, "proxy.example").await;
    for seen in scripted.seen() {
        assert!(!seen.commands.iter().any(|c| c == "DATA"));
        assert!(seen.accepted.is_empty());
    }
    (result, scripted)
}

#[tokio::test(start_paused = true)]
async fn a_sound_backend_is_safe() {
    let (result, scripted) = probed(Script::default()).await;
    let Probe::Safe(capabilities) = &result else { panic!("{result}") };
    assert!(capabilities.dsn);
    let seen = scripted.seen();
    let clients: Vec<_> = seen.iter().map(|s| s.client.addr.as_str()).collect();
    let [four, six] = ["192.0.2.25", "IPV6:2001:db8::25"];
    assert_eq!(clients, [four, four, six, six]);
    for seen in seen {
        let mails = seen.commands.iter().filter(|c| c.starts_with("MAIL")).count();
        let rcpts = seen.commands.iter().filter(|c| c.starts_with("RCPT")).count();
        assert_eq!((mails, rcpts), (1, 6));
        assert_eq!(seen.commands.last().unwrap(), "QUIT");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_relay_is_found() {
    let (result, _) = probed(Script { open_relay: true, ..Script::default() }).await;
    let Probe::Relays { client, recipient, .. } = &result else { panic!("{result}") };
    assert_eq!(*client, Some("192.0.2.25".parse::<IpAddr>().unwrap()));
    assert_eq!(recipient, "portcullis-relay-test@gmail.com");
    assert!(result.to_string().contains("reject_unauth_destination"));
}

/// The fault that there is a probe for: the backend takes us for a neighbour.
#[tokio::test(start_paused = true)]
async fn trust_in_us_without_identity_is_found() {
    let scripted = Scripted::new(Script::default());
    let none = BackendConfig { identity: IdentityMethod::None, ..config(anywhere()) };
    let backend = Backend::new(none, Arc::new(Memory(scripted)));
    let result = probe(&backend, "proxy.example").await;
    assert!(matches!(result, Probe::Relays { client: None, .. }), "{result}");
}

/// Each way of asking is found on its own, whatever is refused before it.
#[tokio::test(start_paused = true)]
async fn each_way_to_relay_is_found() {
    let accept = || Fault::Say("250 2.1.5 Ok\r\n");
    for nth in 1..=6 {
        let script = Script { faults: vec![(At::Rcpt, nth, accept())], ..Script::default() };
        let (result, _) = probed(script).await;
        assert!(matches!(result, Probe::Relays { .. }), "{nth}: {result}");
    }
    // MAIL refused for one sender says nothing about the other.
    for refused in ["", "postmaster@proxy.example"] {
        let script =
            Script { open_relay: true, refused_senders: vec![refused], ..Script::default() };
        assert!(matches!(probed(script).await.0, Probe::Relays { .. }));
    }
}

/// As Postfix is under stress: the probe goes on where it was cut off.
#[tokio::test(start_paused = true)]
async fn few_errors_are_enough_to_probe() {
    let script = Script { hard_error_limit: 1, ..Script::default() };
    let (result, scripted) = probed(script.clone()).await;
    assert!(matches!(result, Probe::Safe(_)), "{result}");
    let asked: usize = scripted
        .seen()
        .iter()
        .map(|s| s.commands.iter().filter(|c| c.starts_with("RCPT")).count())
        .sum();
    // Each recipient was refused once; all but the last of a sender were followed by 421.
    assert_eq!(asked, 4 * (6 + 5));
    let last = "\"portcullis-relay-test@iana.org\"@backend.example";
    let script = Script { accepted_recipients: vec![last], ..script };
    let Probe::Relays { recipient, .. } = probed(script).await.0 else { panic!() };
    assert_eq!(recipient, last);
}

#[tokio::test(start_paused = true)]
async fn a_catch_all_is_no_relay() {
    let (result, _) = probed(Script { catch_all: true, ..Script::default() }).await;
    assert!(matches!(result, Probe::Safe(_)), "{result}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_refuses_every_sender_is_safe() {
    let faults = vec![(At::Mail, 0, Fault::Say("450 4.7.1 greylisted\r\n"))];
    let (result, _) = probed(Script { faults, ..Script::default() }).await;
    assert!(matches!(result, Probe::Safe(_)), "{result}");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_identity_from_working_is_named() {
    let (result, _) = probed(Script { ipv6: false, ..Script::default() }).await;
    assert!(matches!(&result, Probe::NoIpv6 { reply } if reply.code() == 501));
    assert!(result.to_string().contains("inet_protocols"));
    let (result, _) = probed(Script { xclient: Authorised::Nobody, ..Script::default() }).await;
    assert!(matches!(result, Probe::NoXclient { reply: None }));
    assert!(result.to_string().contains("smtpd_authorized_xclient_hosts"));
    let refusal = Fault::Say("554 5.7.1 Client host rejected\r\n");
    let (result, _) = probed(Script::with(At::Xclient, refusal)).await;
    assert!(matches!(result, Probe::NoXclient { reply: Some(_) }));
    for fault in [Fault::Stall, Fault::Close, Fault::Say("421 4.3.2 closing\r\n")] {
        let (result, _) = probed(Script::with(At::Rcpt, fault)).await;
        assert!(matches!(result, Probe::Unreachable(_)), "{result}");
    }
}

/// A reply is built anew: nothing of the backend's bytes can act on a client or a log.
#[tokio::test(start_paused = true)]
async fn replies_are_made_safe() {
    let said = Fault::Say("550-5.7.1 \u{1b}[2J\0 a\r\n550 5.7.1 b\u{7f}\r\n");
    let (backend, _) = backend(Script::with(At::Rcpt, said));
    let mut connection = backend.open(&client()).await.unwrap();
    let reply: Reply = connection.mail_and_rcpt(MAIL, RCPT).await.unwrap().1.unwrap();
    assert_eq!(reply.to_line(), "550 5.7.1 ?[2J? a b?");
}
