//! Every kind of answer, from a name server on loopback.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::{Record, rdata::NS};

use super::super::zone::Zone;
use super::super::{Budget, server};
use super::*;

async fn resolver(zone: &str, change: impl Fn(&mut Config)) -> HickoryDns {
    let (address, _server) = server::serve(Arc::new(Zone::parse(zone).unwrap())).await.unwrap();
    let mut config = Config {
        servers: vec![address],
        timeout: Duration::from_millis(800),
        attempts: 1,
        ..Config::default()
    };
    change(&mut config);
    HickoryDns::new(&config).unwrap()
}

#[tokio::test]
async fn records_of_every_type() {
    let zone = "a.example. A 192.0.2.1\na.example. A 192.0.2.2\na.example. AAAA 2001:db8::1\n\
        a.example. MX 10 MX.Example.\nnull.example. MX 0 .\n\
        a.example. TXT \"v=spf1 \\233\" \" -all\"\n192.0.2.1 PTR A.example.\n\
        alias.example. CNAME other.example.\nother.example. CNAME a.example.\n";
    let dns = resolver(zone, |_| {}).await;
    let get = async |name: &str, kind| (*dns.lookup(name, kind).await.unwrap()).clone();
    let two = Records::A(vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]);
    assert_eq!(get("A.Example.", Kind::A).await, two);
    assert_eq!(get("alias.example", Kind::A).await, two);
    let six = Records::Aaaa(vec!["2001:db8::1".parse().unwrap()]);
    assert_eq!(get("a.example", Kind::Aaaa).await, six);
    assert_eq!(get("a.example", Kind::Mx).await, Records::Mx(vec![(10, "mx.example".into())]));
    assert_eq!(get("null.example", Kind::Mx).await, Records::Mx(vec![(0, "".into())]));
    let text: &[u8] = b"v=spf1 \xe9 -all";
    assert_eq!(get("a.example", Kind::Txt).await, Records::Txt(vec![text.into()]));
    let reverse = "1.2.0.192.in-addr.arpa";
    assert_eq!(get(reverse, Kind::Ptr).await, Records::Ptr(vec!["a.example".into()]));
}

#[tokio::test]
async fn nothing_is_not_failure() {
    let zone = "a.example. A 192.0.2.1\nbroken.example. SERVFAIL\nsilent.example. TIMEOUT\n\
        loop.example. CNAME back.example.\nback.example. CNAME loop.example.\n\
        dangling.example. CNAME nowhere.example.\nempty.example. CNAME a.example.\n";
    let dns = resolver(zone, |_| {}).await;
    for (name, kind, wanted) in [
        ("b.example", Kind::A, DnsError::NoName),
        ("a.example", Kind::Mx, DnsError::NoData),
        ("broken.example", Kind::A, DnsError::Temporary),
        ("silent.example", Kind::A, DnsError::Temporary),
        ("loop.example", Kind::A, DnsError::Temporary),
        ("dangling.example", Kind::A, DnsError::NoName),
        ("empty.example", Kind::Mx, DnsError::NoData),
        ("a..example", Kind::A, DnsError::NoName),
        (&"a".repeat(64), Kind::A, DnsError::NoName),
        (&"a.".repeat(500), Kind::A, DnsError::NoName),
    ] {
        assert_eq!(dns.lookup(name, kind).await, Err(wanted), "{name}");
        assert_eq!(dns.cached(name, kind), Some(Err(wanted)), "{name} is remembered");
    }
}

#[tokio::test]
async fn truncated_answers_come_over_tcp() {
    let zone: String = (0..200).map(|n| format!("big.example. A 192.0.2.{n}\n")).collect();
    let dns = resolver(&zone, |_| {}).await;
    match &*dns.lookup("big.example", Kind::A).await.unwrap() {
        Records::A(list) => assert_eq!(list.len(), 200),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn mixed_case_names_are_answered() {
    let dns = resolver("some-long-name.example. A 192.0.2.1\n", |config| {
        config.case_randomization = true;
    })
    .await;
    assert!(dns.lookup("some-long-name.example", Kind::A).await.is_ok());
}

#[tokio::test]
async fn one_deadline_however_many_tries() {
    let dns = resolver("silent.example. TIMEOUT\n", |config| {
        config.timeout = Duration::from_millis(300);
        config.attempts = 3;
    })
    .await;
    let start = Instant::now();
    assert_eq!(dns.lookup("silent.example", Kind::A).await, Err(DnsError::Temporary));
    assert!(start.elapsed() < Duration::from_millis(700), "{:?}", start.elapsed());
}

#[tokio::test]
async fn equal_questions_are_asked_once() {
    let zone = "slow.example. @100 A 192.0.2.1\n";
    let dns = resolver(zone, |config| config.in_flight = 1).await;
    // One at a time: fifty of 100 ms each would not come within the timeout.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let dns = dns.clone();
        tasks.spawn(async move { dns.lookup("slow.example", Kind::A).await });
    }
    for answer in tasks.join_all().await {
        assert!(answer.is_ok());
    }
}

#[tokio::test]
async fn waiting_for_room_is_not_remembered_as_failure() {
    let zone = "silent.example. TIMEOUT\na.example. A 192.0.2.1\n";
    let dns = resolver(zone, |config| {
        config.in_flight = 1;
        config.timeout = Duration::from_millis(300);
    })
    .await;
    let busy = dns.clone();
    let busy = tokio::spawn(async move { busy.lookup("silent.example", Kind::A).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let start = Instant::now();
    // It gets its turn at 300 ms, 20 ms before its own time is over, or fails.
    let _ = dns.lookup("a.example", Kind::A).await;
    assert!(start.elapsed() < Duration::from_millis(450), "{:?}", start.elapsed());
    assert_eq!(busy.await.unwrap(), Err(DnsError::Temporary));
    assert!(dns.cached("silent.example", Kind::A).is_some());
    assert!(dns.lookup("a.example", Kind::A).await.is_ok());
}

#[tokio::test]
async fn an_answer_outlives_whoever_asked() {
    let dns = resolver("slow.example. @100 A 192.0.2.1\n", |_| {}).await;
    let lookup = dns.lookup("slow.example", Kind::A);
    assert!(tokio::time::timeout(Duration::from_millis(20), lookup).await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(dns.cached("slow.example", Kind::A), Some(Ok(_))));
}

#[tokio::test]
async fn answers_expire() {
    let dns = resolver("a.example. A 192.0.2.1\n", |config| {
        config.max_ttl = Duration::ZERO;
    })
    .await;
    assert!(dns.lookup("a.example", Kind::A).await.is_ok());
    assert!(dns.cached("a.example", Kind::A).is_some());
    tokio::time::sleep(MIN_TTL + Duration::from_millis(50)).await;
    assert!(dns.cached("a.example", Kind::A).is_none());
    assert!(dns.lookup("a.example", Kind::A).await.is_ok());
}

#[tokio::test]
async fn no_server_at_all() {
    // Nobody listens on this port once the socket is gone.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let config =
        Config { servers: vec![address], timeout: Duration::from_millis(300), ..Config::default() };
    let dns = HickoryDns::new(&config).unwrap();
    assert_eq!(dns.lookup("a.example", Kind::A).await, Err(DnsError::Temporary));
}

/// Carries datagrams to `server` and back, and no streams.
async fn without_tcp(server: SocketAddr) -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (len, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let onward = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            onward.send_to(&buffer[..len], server).await.unwrap();
            let len = onward.recv(&mut buffer).await.unwrap();
            socket.send_to(&buffer[..len], peer).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_truncated_answer_is_not_an_empty_one() {
    let mut zone: String = (0..200).map(|n| format!("big.example. A 192.0.2.{n}\n")).collect();
    zone.push_str("small.example. A 192.0.2.1\n");
    let (address, _server) = server::serve(Arc::new(Zone::parse(&zone).unwrap())).await.unwrap();
    let blocked = without_tcp(address).await;
    for (server, tcp) in [(address, false), (blocked, true), (blocked, false)] {
        let dns = resolver("", |config| {
            config.servers = vec![server];
            config.tcp = tcp;
        })
        .await;
        assert!(dns.lookup("small.example", Kind::A).await.is_ok());
        assert_eq!(dns.lookup("small.example", Kind::Mx).await, Err(DnsError::NoData));
        let answer = dns.lookup("big.example", Kind::A).await;
        assert_eq!(answer, Err(DnsError::Temporary), "{server} {tcp}");
    }
}

/// A name server that sends what `reply` makes of each datagram.
async fn scripted(reply: impl Fn(Message) -> Vec<u8> + Send + 'static) -> HickoryDns {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (len, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let request = Message::from_vec(&buffer[..len]).unwrap();
            socket.send_to(&reply(request), peer).await.unwrap();
        }
    });
    resolver("", |config| {
        config.servers = vec![address];
        config.timeout = Duration::from_millis(400);
    })
    .await
}

fn empty(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(request.metadata.id, OpCode::Query);
    response.add_queries(request.queries.iter().cloned());
    response.metadata.response_code = code;
    response
}

#[tokio::test]
async fn answers_that_no_zone_gives() {
    let refused = scripted(|request| empty(&request, ResponseCode::Refused).to_vec().unwrap());
    let garbage = scripted(|_| b"not a message".to_vec());
    let forged = scripted(|request| {
        let mut response = empty(&request, ResponseCode::NXDomain);
        response.metadata.id ^= 1;
        response.to_vec().unwrap()
    });
    let other_question = scripted(|request| {
        let mut response = empty(&request, ResponseCode::NXDomain);
        response.queries[0].set_name(WireName::from_ascii("other.example.").unwrap());
        response.to_vec().unwrap()
    });
    let referral = scripted(|request| {
        let mut response = empty(&request, ResponseCode::NoError);
        let zone = WireName::from_ascii("example.").unwrap();
        let server = WireName::from_ascii("ns.example.").unwrap();
        response.add_authority(Record::from_rdata(zone, 60, RData::NS(NS(server))));
        response.to_vec().unwrap()
    });
    for (what, dns) in [
        ("refused", refused.await),
        ("garbage", garbage.await),
        ("forged", forged.await),
        ("other question", other_question.await),
        ("referral", referral.await),
    ] {
        assert_eq!(dns.lookup("a.example", Kind::A).await, Err(DnsError::Temporary), "{what}");
    }
}

#[tokio::test]
async fn without_soa_nothing_is_kept_for_long() {
    for (code, wanted) in
        [(ResponseCode::NXDomain, DnsError::NoName), (ResponseCode::NoError, DnsError::NoData)]
    {
        let dns = scripted(move |request| empty(&request, code).to_vec().unwrap()).await;
        assert_eq!(dns.lookup("a.example", Kind::A).await, Err(wanted));
        tokio::time::sleep(MIN_TTL + Duration::from_millis(50)).await;
        assert_eq!(dns.cached("a.example", Kind::A), None);
    }
}

#[tokio::test]
async fn a_budget_counts_cached_answers_too() {
    let dns = resolver("a.example. A 192.0.2.1\n", |_| {}).await;
    let budget = Budget::new(Arc::new(dns), 2, Duration::from_secs(5));
    assert_eq!(budget.a("a.example").await, Ok(vec!["192.0.2.1".parse().unwrap()]));
    assert_eq!(budget.a("a.example").await, Ok(vec!["192.0.2.1".parse().unwrap()]));
    assert_eq!(budget.a("a.example").await, Err(DnsError::Budget));
}

#[tokio::test]
async fn a_cache_without_room_only_forgets() {
    let dns = resolver("a.example. A 192.0.2.1\n", |config| config.cache_size = 0).await;
    for _ in 0..3 {
        assert!(dns.lookup("a.example", Kind::A).await.is_ok());
        assert!(dns.cached("a.example", Kind::A).is_none());
    }
}
