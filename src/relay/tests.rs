//! The hand-over of a message against a scripted backend. It needs the proof of a verdict, which
//! only the crate itself can make.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::smtp::reply::Reply;
use crate::verdict::Cleared;

#[path = "../../tests/support/backend.rs"]
mod scripted;

use scripted::{At, Fault, Script, Scripted};

struct Memory(Scripted, usize);

impl Dial for Memory {
    fn dial<'a>(&'a self, _: SocketAddr) -> dial::BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Ok(Box::new(self.0.connect(self.1)) as Box<dyn Stream>) })
    }
}

/// Chunks cut as given, then an error if there is one.
struct Chunks(Vec<Vec<u8>>, usize, Option<io::ErrorKind>);

impl Chunks {
    fn of(chunks: &[&[u8]]) -> Chunks {
        Chunks(chunks.iter().map(|c| c.to_vec()).collect(), 0, None)
    }
}

impl MessageSource for Chunks {
    fn next_chunk(&mut self) -> io::Result<Option<&[u8]>> {
        self.1 += 1;
        match (self.0.get(self.1 - 1), self.2) {
            (None, Some(kind)) => Err(kind.into()),
            (chunk, _) => Ok(chunk.map(Vec::as_slice)),
        }
    }
}

fn backend(script: Script, buffer: usize) -> (Backend, Scripted) {
    let scripted = Scripted::new(script);
    let config = BackendConfig {
        name: "test".into(),
        address: vec!["127.0.0.1:25".parse().unwrap()],
        identity: IdentityMethod::Xclient,
        helo: "proxy.example".into(),
        timeouts: Timeouts::default(),
        max_connections: 10,
    };
    (Backend::new(config, Arc::new(Memory(scripted.clone(), buffer))), scripted)
}

fn client() -> Identity<'static> {
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

async fn ready(backend: &Backend) -> Connection {
    let mut connection = backend.open(&client()).await.unwrap();
    let replies =
        connection.mail_and_rcpt(b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>").await;
    let (mail, rcpt) = replies.unwrap();
    assert_eq!((mail.code(), rcpt.map(|r| r.code())), (250, Some(250)));
    connection
}

async fn send(script: Script, message: Chunks) -> (Result<Reply, Failure>, Scripted, Connection) {
    send_through(script, message, 64 * 1024).await
}

async fn send_through(
    script: Script,
    mut message: Chunks,
    buffer: usize,
) -> (Result<Reply, Failure>, Scripted, Connection) {
    let (backend, scripted) = backend(script, buffer);
    let mut connection = ready(&backend).await;
    let result = connection.data(&mut message, Cleared::for_tests()).await;
    (result, scripted, connection)
}

fn small() -> Chunks {
    Chunks::of(&[b"Subject: x\r\n\r\ntext\r\n"])
}

fn large() -> Chunks {
    Chunks(vec![b"0123456789abcdef0123456789abcdef\r\n".repeat(4000); 3], 0, None)
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives_byte_for_byte() {
    let text = b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\nb.\r\n\r\n.";
    for cut in 0..text.len() {
        let (one, two) = text.split_at(cut);
        let (result, scripted, mut connection) =
            send(Script::default(), Chunks::of(&[one, b"", two])).await;
        assert_eq!(result.unwrap().text(), "Ok: queued as 4XyZ");
        let accepted = scripted.accepted();
        assert_eq!(accepted.len(), 1);
        assert_eq!(accepted[0].text, [&text[..], b"\r\n"].concat());
        assert_eq!(accepted[0].client.addr, "192.0.2.7");
        assert_eq!(accepted[0].recipients, ["b@example.org"]);
        assert!(connection.is_usable().await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_is_a_dot() {
    let (result, scripted, _) = send(Script::default(), Chunks::of(&[])).await;
    assert_eq!(result.unwrap().code(), 250);
    assert!(scripted.last().bytes.ends_with(b"DATA\r\n.\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_passes_a_small_pipe() {
    let (result, scripted, _) = send_through(Script::default(), large(), 700).await;
    assert_eq!(result.unwrap().code(), 250);
    assert_eq!(scripted.accepted()[0].text, large().0.concat());
}

#[tokio::test(start_paused = true)]
async fn dots_are_doubled_in_chunks_of_any_size() {
    let text = b".\r\n".repeat(30_000);
    let (result, scripted, _) = send(Script::default(), Chunks::of(&[&text, &text])).await;
    assert_eq!(result.unwrap().code(), 250);
    assert_eq!(scripted.accepted()[0].text, text.repeat(2));
}

/// Nothing that some backend takes for an end of data leaves here, and no dot follows.
#[tokio::test(start_paused = true)]
async fn what_is_not_canonical_is_not_sent() {
    for bad in [
        &b"a\n.\r\nMAIL"[..],
        b"a\r\n.\rb\r\n",
        b"a\r\n\0.\r\n",
        b"a\r",
        b"a\r\r\n.\r\n",
        b"\n.\n",
        b"\0",
    ] {
        for cut in 0..bad.len() {
            let (one, two) = bad.split_at(cut);
            let (result, scripted, mut connection) =
                send(Script::default(), Chunks::of(&[one, two])).await;
            assert!(matches!(result, Err(Failure::Source(_))), "{bad:?} {result:?}");
            assert!(!connection.is_usable().await);
            drop(connection);
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            assert!(scripted.last().closed);
            assert!(scripted.accepted().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_dot_after_an_unreadable_message() {
    let mut message = large();
    message.2 = Some(io::ErrorKind::Other);
    let (result, scripted, connection) = send(Script::default(), message).await;
    assert!(matches!(result, Err(Failure::Source(_))));
    drop(connection);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let seen = scripted.last();
    assert!(seen.closed && seen.accepted.is_empty());
    assert!(!seen.bytes.windows(5).any(|w| w == b"\r\n.\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_hand_over_leaves_no_usable_connection() {
    let (backend, scripted) = backend(Script::with(At::Body(1000), Fault::Stall), 700);
    let mut connection = ready(&backend).await;
    {
        let mut message = large();
        let sending = connection.data(&mut message, Cleared::for_tests());
        let late = tokio::time::timeout(std::time::Duration::from_secs(5), sending).await;
        assert!(late.is_err());
    }
    assert!(!connection.is_usable().await);
    assert!(matches!(connection.rset().await, Err(Failure::Lost { .. })));
    assert!(scripted.accepted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_data_is_the_backends_word_and_rset_helps() {
    let script = Script::with(At::Data, Fault::Say("451 4.3.0 later\r\n"));
    let (result, scripted, mut connection) = send(script, small()).await;
    assert_eq!(result.unwrap().to_line(), "451 4.3.0 later");
    connection.rset().await.unwrap();
    let next = connection.mail_and_rcpt(b"MAIL FROM:<>", b"RCPT TO:<b@example.org>").await;
    assert_eq!(next.unwrap().0.code(), 250);
    assert_eq!(connection.data(&mut small(), Cleared::for_tests()).await.unwrap().code(), 250);
    assert_eq!(scripted.accepted().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_the_dot_is_the_backends_word() {
    let script = Script::with(At::Dot, Fault::Say("552-5.3.4 too\r\n552 5.3.4 big\r\n"));
    let (result, _, mut connection) = send(script, small()).await;
    assert_eq!(result.unwrap().to_line(), "552 5.3.4 too big");
    assert!(connection.is_usable().await);
}

/// 250 was given: it counts, whatever comes behind it. But the connection is over.
#[tokio::test(start_paused = true)]
async fn an_acceptance_counts_though_more_follows() {
    let script = Script::with(At::Dot, Fault::Extra("421 4.3.2 closing\r\n"));
    let (result, _, mut connection) = send(script, small()).await;
    assert_eq!(result.unwrap().code(), 250);
    assert!(matches!(connection.rset().await, Err(Failure::Shutdown(_))));
    assert!(matches!(connection.rset().await, Err(Failure::Lost { .. })));
}

type Expect = fn(&Failure) -> bool;

/// At each step each misbehaviour: which failure, and never a message without the backend's word.
#[tokio::test(start_paused = true)]
async fn misbehaviour_at_data() {
    let cases: [(At, Fault, Expect, bool); 20] = [
        (At::Data, Fault::Say("250 2.0.0 Ok\r\n"), garbage, false),
        (At::Data, Fault::Say("334 go\r\n"), garbage, false),
        (At::Data, Fault::Say("354 go\n"), garbage, false),
        (At::Data, Fault::Extra("250 2.0.0 Ok: queued\r\n"), garbage, false),
        (At::Data, Fault::Say("421 4.3.2 closing\r\n"), shutdown, false),
        (At::Data, Fault::Stall, timeout, false),
        (At::Data, Fault::Close, lost, false),
        (At::Body(9000), Fault::Say("250 2.0.0 Ok: queued\r\n"), garbage, false),
        (At::Body(9000), Fault::Say("552 5.3.4 too big\r\n"), shutdown, false),
        (At::Body(9000), Fault::SayAndClose("421 4.3.2 closing\r\n"), shutdown, false),
        (At::Body(9000), Fault::Stall, timeout, false),
        (At::Body(9000), Fault::Close, lost, false),
        (At::Dot, Fault::Stall, timeout, true),
        (At::Dot, Fault::Close, lost, true),
        (At::Dot, Fault::Say("354 more\r\n"), garbage, true),
        (At::Dot, Fault::Say("250 2.0.0 Ok\n"), garbage, true),
        (At::Dot, Fault::Say("hello\r\n"), garbage, true),
        (At::Dot, Fault::SayAndClose("250 2.0.0 Ok"), lost, true),
        (At::Dot, Fault::Endless("250-more\r\n"), garbage, true),
        (At::Dot, Fault::Say("421 4.3.2 closing\r\n"), shutdown, false),
    ];
    for (at, fault, expected, after_dot) in cases {
        let what = format!("{at:?} {fault:?}");
        let (result, scripted, mut connection) =
            send_through(Script::with(at, fault), large(), 2000).await;
        let failure = result.expect_err(&what);
        assert!(expected(&failure), "{what}: {failure:?}");
        assert_eq!(failure.is_after_dot(), after_dot, "{what}: {failure:?}");
        assert!(!connection.is_usable().await, "{what}");
        let dot = scripted.last().bytes.windows(5).any(|w| w == b"\r\n.\r\n");
        assert_eq!(dot, at == At::Dot, "{what}");
        assert!(scripted.accepted().is_empty());
    }
}

fn garbage(failure: &Failure) -> bool {
    matches!(failure, Failure::Garbage { .. })
}

fn shutdown(failure: &Failure) -> bool {
    matches!(failure, Failure::Shutdown(_))
}

fn timeout(failure: &Failure) -> bool {
    matches!(failure, Failure::Timeout { .. })
}

fn lost(failure: &Failure) -> bool {
    matches!(failure, Failure::Lost { .. })
}

/// Over real sockets an end is a FIN or an RST, and writing finds it out before reading.
#[tokio::test]
async fn lost_over_tcp() {
    for (at, fault) in [
        (At::Data, Fault::Reset),
        (At::Body(1), Fault::Reset),
        (At::Body(9000), Fault::Close),
        (At::Body(9000), Fault::SayAndClose("421 4.3.2 closing\r\n")),
        (At::Dot, Fault::Reset),
        (At::Dot, Fault::Close),
    ] {
        let what = format!("{at:?} {fault:?}");
        let scripted = Scripted::new(Script::with(at, fault));
        let (memory, _) = backend(Script::default(), 1);
        let config =
            BackendConfig { address: vec![scripted.listen().await], ..memory.config().clone() };
        let mut connection = ready(&Backend::new(config, Arc::new(TcpDial))).await;
        let result = connection.data(&mut large(), Cleared::for_tests()).await;
        let failure = result.expect_err(&what);
        assert!(lost(&failure) || shutdown(&failure), "{what} {failure:?}");
        // In the body both happen: the dot may be under way before the end is noticed.
        assert!(at != At::Data || !failure.is_after_dot(), "{what}");
        assert!(at != At::Dot || failure.is_after_dot(), "{what}");
        assert!(scripted.accepted().is_empty());
    }
}

/// Backend connections are many and mostly wait: what waits must be small.
#[tokio::test]
async fn futures_are_small() {
    let (backend, _) = backend(Script::default(), 2000);
    let identity = client();
    let open = size_of_val(&backend.open(&identity));
    let mut connection = backend.open(&identity).await.unwrap();
    let rcpt = size_of_val(&connection.rcpt(b""));
    let both = size_of_val(&connection.mail_and_rcpt(b"", b""));
    let mut message = small();
    let data = size_of_val(&connection.data(&mut message, Cleared::for_tests()));
    println!("open {open} rcpt {rcpt} both {both} data {data}");
    assert!(open < 3000 && rcpt < 1200 && both < 1500 && data < 1500);
    assert!(size_of::<Connection>() <= 128);
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let (backend, _) = backend(Script::default(), 4096);
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(backend.open(&client()).await.unwrap());
    }
    assert!(matches!(backend.open(&client()).await, Err(Failure::Full)));
    open.pop();
    assert!(backend.open(&client()).await.is_ok());
}
