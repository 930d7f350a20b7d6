//! A small authoritative name server on loopback, fed by a [`Zone`]: for the demonstration, and for
//! testing the resolver against every kind of answer a network gives.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

use super::zone::{Fault, Outcome, Zone};
use super::{Kind, Records};

/// Seconds for which any answer holds, negative ones too.
const TTL: u32 = 60;
/// What the server offers by EDNS, and the most it sends in a datagram.
const PAYLOAD: u16 = 1232;
/// Questions and connections served at a time; more wait.
const MAX_TASKS: usize = 1024;
const TCP_IDLE: Duration = Duration::from_secs(10);

/// Serves `zone` over UDP and TCP on one free port of 127.0.0.1 until the handle is aborted.
pub async fn serve(zone: Arc<Zone>) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let (udp, tcp) = bind().await?;
    let address = udp.local_addr()?;
    Ok((address, tokio::spawn(run(zone, Arc::new(udp), tcp))))
}

/// A port that is free for UDP may be taken for TCP: tries a few.
async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(_) if tries < 10 => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn run(zone: Arc<Zone>, udp: Arc<UdpSocket>, tcp: TcpListener) {
    // Dropped with this task, and all that it holds with it.
    let mut tasks = JoinSet::new();
    let mut buffer = [0; 4096];
    loop {
        let room = tasks.len() < MAX_TASKS;
        tokio::select! {
            Some(_) = tasks.join_next() => {}
            received = udp.recv_from(&mut buffer), if room => {
                let Ok((len, peer)) = received else { continue };
                let Ok(request) = Message::from_vec(buffer.get(..len).unwrap_or_default()) else {
                    continue;
                };
                tasks.spawn(serve_datagram(zone.clone(), udp.clone(), request, peer));
            }
            accepted = tcp.accept(), if room => {
                match accepted {
                    Ok((stream, _)) => {
                        tasks.spawn(serve_stream(zone.clone(), stream));
                    }
                    // Out of descriptors, most likely: it does not help to try at once.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        }
    }
}

async fn serve_datagram(zone: Arc<Zone>, udp: Arc<UdpSocket>, request: Message, peer: SocketAddr) {
    let Some((response, delay)) = respond(&zone, &request) else { return };
    tokio::time::sleep(delay).await;
    let limit = usize::from(request.max_payload().min(PAYLOAD));
    let bytes = match response.to_vec() {
        Ok(bytes) if bytes.len() <= limit => bytes,
        _ => response.truncate().to_vec().unwrap_or_default(),
    };
    // A datagram that can't be sent is a lost one.
    let _ = udp.send_to(&bytes, peer).await;
}

async fn serve_stream(zone: Arc<Zone>, mut stream: TcpStream) {
    while let Ok(Ok(len)) = tokio::time::timeout(TCP_IDLE, stream.read_u16()).await {
        let mut bytes = vec![0; usize::from(len)];
        let read = tokio::time::timeout(TCP_IDLE, stream.read_exact(&mut bytes)).await;
        let Ok(Ok(_)) = read else { return };
        let Ok(request) = Message::from_vec(&bytes) else { return };
        let Some((response, delay)) = respond(&zone, &request) else { continue };
        tokio::time::sleep(delay).await;
        let Ok(bytes) = response.to_vec() else { return };
        let Ok(len) = u16::try_from(bytes.len()) else { return };
        if stream.write_u16(len).await.is_err() || stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The response and how long it takes; `None` is silence.
fn respond(zone: &Zone, request: &Message) -> Option<(Message, Duration)> {
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative = true;
    response.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        response.set_edns(edns);
    }
    let query = match request.queries.as_slice() {
        [query] if request.metadata.op_code == OpCode::Query => query,
        _ => {
            response.metadata.response_code = ResponseCode::NotImp;
            return Some((response, Duration::ZERO));
        }
    };
    let kind = match query.query_type() {
        RecordType::A => Some(Kind::A),
        RecordType::AAAA => Some(Kind::Aaaa),
        RecordType::MX => Some(Kind::Mx),
        RecordType::TXT => Some(Kind::Txt),
        RecordType::PTR => Some(Kind::Ptr),
        _ => None,
    };
    // For the types that no zone holds the name still exists or does not.
    let mut answer = zone.answer(&text(query.name()), kind.unwrap_or(Kind::A));
    if kind.is_none() && query.query_type() == RecordType::CNAME {
        answer.aliases.truncate(1);
    }
    let mut owner = query.name().clone();
    for alias in &answer.aliases {
        let target = name(alias);
        response.add_answer(record(&owner, RData::CNAME(CNAME(target.clone()))));
        owner = target;
    }
    let code = match (answer.outcome, kind) {
        (Outcome::Fault(Fault::Timeout), _) => return None,
        // A validating resolver says SERVFAIL for what is bogus (RFC 4035 5.5).
        (Outcome::Fault(Fault::ServFail | Fault::Bogus), _) => ResponseCode::ServFail,
        (Outcome::Records(records), Some(_)) => {
            response.add_answers(rdata(records).into_iter().map(|rdata| record(&owner, rdata)));
            ResponseCode::NoError
        }
        (Outcome::Loop, _) => ResponseCode::NoError,
        (_, None) if !response.answers.is_empty() => ResponseCode::NoError,
        (Outcome::NoName, _) => {
            response.add_authority(soa());
            ResponseCode::NXDomain
        }
        (Outcome::Records(_) | Outcome::NoData, _) => {
            response.add_authority(soa());
            ResponseCode::NoError
        }
    };
    response.metadata.response_code = code;
    Some((response, answer.delay))
}

fn record(owner: &Name, rdata: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL, rdata)
}

/// Without it negative answers could not be cached (RFC 2308 3).
fn soa() -> Record {
    let soa = SOA::new(name("ns.invalid"), name("hostmaster.invalid"), 1, 3600, 600, 86400, TTL);
    record(&Name::root(), RData::SOA(soa))
}

fn rdata(records: Records) -> Vec<RData> {
    match records {
        Records::A(list) => list.into_iter().map(|ip| RData::A(A(ip))).collect(),
        Records::Aaaa(list) => list.into_iter().map(|ip| RData::AAAA(AAAA(ip))).collect(),
        Records::Mx(list) => list
            .into_iter()
            .map(|(preference, exchange)| RData::MX(MX::new(preference, name(&exchange))))
            .collect(),
        Records::Ptr(list) => list.iter().map(|target| RData::PTR(PTR(name(target)))).collect(),
        Records::Txt(list) => list
            .iter()
            .map(|text| match text.is_empty() {
                true => RData::TXT(TXT::from_bytes(vec![b""])),
                false => RData::TXT(TXT::from_bytes(text.chunks(255).collect())),
            })
            .collect(),
    }
}

/// A zone's names were validated when it was read.
fn name(text: &str) -> Name {
    let labels = text.split('.').filter(|label| !label.is_empty());
    Name::from_labels(labels.map(str::as_bytes)).unwrap_or_else(|_| Name::root())
}

fn text(name: &Name) -> String {
    let labels: Vec<_> = name.iter().map(String::from_utf8_lossy).collect();
    labels.join(".")
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;

    fn ask(zone: &str, owner: &str, kind: RecordType) -> Option<Message> {
        let mut request = Message::query();
        request.add_query(Query::query(name(owner), kind));
        let (response, _) = respond(&Zone::parse(zone).unwrap(), &request)?;
        assert_eq!(response.metadata.id, request.metadata.id);
        Some(Message::from_vec(&response.to_vec().unwrap()).unwrap())
    }

    #[test]
    fn records_and_chains() {
        let zone = "www.example. CNAME a.example.\na.example. A 192.0.2.1\n";
        let response = ask(zone, "WWW.example", RecordType::A).unwrap();
        assert_eq!(response.queries[0].name().to_ascii(), "WWW.example.");
        assert_eq!(response.answers.len(), 2);
        assert!(response.authorities.is_empty());
        let response = ask(zone, "www.example", RecordType::CNAME).unwrap();
        assert_eq!(response.answers.len(), 1);
    }

    #[test]
    fn negative_answers_carry_soa() {
        for (owner, code) in [("a.example", "No Error"), ("b.example", "Non-Existent Domain")] {
            let response = ask("a.example. A 192.0.2.1\n", owner, RecordType::MX).unwrap();
            assert_eq!(response.metadata.response_code.to_str(), code);
            assert_eq!(response.authorities[0].record_type(), RecordType::SOA);
        }
    }

    #[test]
    fn faults() {
        let zone = "a.example. SERVFAIL\nb.example. TIMEOUT\n";
        let response = ask(zone, "a.example", RecordType::MX).unwrap();
        assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
        assert!(ask(zone, "b.example", RecordType::MX).is_none());
    }

    #[test]
    fn what_is_no_query() {
        let zone = Zone::default();
        let response = Message::response(1, OpCode::Query);
        assert!(respond(&zone, &response).is_none());
        let (response, _) = respond(&zone, &Message::query()).unwrap();
        assert_eq!(response.metadata.response_code, ResponseCode::NotImp);
    }
}
