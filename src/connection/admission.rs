//! Before a client costs anything: is there room for it, and who is it?

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

use super::peer::{self, HEADER_TIME, Header};
use super::shell::{Visit, serve};
use super::snapshot::{Door, Snapshot};
use crate::observe::{Level, Reporter};
use crate::state::concurrency::{Concurrency, Guard, Limits, TooMany};
use crate::verdict::Reason;

/// What every new connection is admitted with.
#[derive(Clone)]
pub struct Entrance {
    pub door: Arc<Door>,
    pub snapshot: Arc<Snapshot>,
    pub reporter: Arc<dyn Reporter>,
    pub concurrency: Arc<Concurrency>,
    pub limits: Limits,
    pub stop: watch::Receiver<bool>,
    /// For the decision ids of the session.
    pub seed: u64,
}

/// Serves a connection, from whomever it comes.
pub async fn admit<S>(mut stream: S, from: SocketAddr, local: SocketAddr, entrance: Entrance)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (from, local) = (peer::plain(from), peer::plain(local));
    if !(entrance.door.proxies)(from.ip()) {
        return enter(stream, from, local, Vec::new(), entrance).await;
    }
    let exact = entrance.door.implicit_tls;
    match timeout(HEADER_TIME, Box::pin(peer::read_header(&mut stream, exact))).await {
        Ok(Ok(Header::Client { client, local, rest })) => {
            enter(stream, client, local, rest, entrance).await;
        }
        // The proxy asks how we are. It is nobody whose mail is taken.
        Ok(Ok(Header::Local)) => healthy(stream, &entrance).await,
        // A check of the port that says nothing is no event.
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
        Ok(Err(error)) => {
            let text = format!("no PROXY header from {}, which must send one: {error}", from.ip());
            entrance.reporter.event(Level::Warning, &text);
        }
        Err(_) => {
            let text = format!("no PROXY header in time from {}, which must send one", from.ip());
            entrance.reporter.event(Level::Warning, &text);
        }
    }
}

async fn enter<S>(
    mut stream: S,
    client: SocketAddr,
    local: SocketAddr,
    early: Vec<u8>,
    entrance: Entrance,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let guard = match room(&entrance, client) {
        Ok(guard) => guard,
        Err(reason) => return turn_away(&mut stream, client, reason, &entrance).await,
    };
    let Entrance { door, snapshot, reporter, stop, seed, .. } = entrance;
    serve(stream, Visit { client, local, door, snapshot, reporter, early, stop, seed }).await;
    drop(guard);
}

/// Trusted hosts are counted in all, not against a client's share: a gateway sends for many.
fn room(entrance: &Entrance, client: SocketAddr) -> Result<Guard, Reason> {
    let mut limits = entrance.limits;
    if (entrance.snapshot.trusted)(client.ip()) {
        limits.per_client = limits.total;
        limits.per_network = limits.total;
    }
    entrance.concurrency.enter(client.ip(), &limits).map_err(|which| match which {
        TooMany::Total => Reason::TooBusy,
        TooMany::Client | TooMany::Network => Reason::TooManyFromClient,
    })
}

async fn turn_away<S: AsyncWrite + Unpin>(
    stream: &mut S,
    client: SocketAddr,
    reason: Reason,
    entrance: &Entrance,
) {
    let reply = reason.reply(&entrance.snapshot.hostname, &client.ip().to_string());
    if !entrance.door.implicit_tls {
        let mut output = Vec::new();
        reply.write_to(&mut output);
        let _ = timeout(HEADER_TIME, stream.write_all(&output)).await;
    }
    let text = format!("NOQUEUE: reject: CONNECT from unknown[{}]: {reply}", client.ip());
    entrance.reporter.event(Level::Info, &text);
}

/// Greets a health check and waits for its QUIT.
async fn healthy<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, entrance: &Entrance) {
    use tokio::io::AsyncReadExt as _;
    if entrance.door.implicit_tls {
        // That it could connect is the answer; in the clear there is none.
        return;
    }
    let host = &entrance.snapshot.hostname;
    let mut output = Vec::new();
    Reason::Greeting.write_to(host, "", &mut output);
    let _ = timeout(HEADER_TIME, stream.write_all(&output)).await;
    let mut said = [0; 512];
    if let Ok(Ok(n)) = timeout(HEADER_TIME, stream.read(&mut said)).await
        && n > 0
    {
        output.clear();
        Reason::Bye.write_to(host, "", &mut output);
        let _ = timeout(HEADER_TIME, stream.write_all(&output)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the future of `admit` takes, which is what an idle session costs besides its socket.
    fn future<F: Future>(_: impl Fn(tokio::net::TcpStream, SocketAddr, Entrance) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_session_is_small() {
        let octets = future(|stream, address, entrance| admit(stream, address, address, entrance));
        assert!(octets <= 2700, "{octets} octets");
    }
}
