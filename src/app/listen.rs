//! Sockets: bound with whatever privilege that needs, listened on when there is a backend to
//! serve.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address that is bound and not yet open to clients: a socket for each worker, among which the
/// kernel spreads the connections.
#[derive(Debug, Clone)]
pub struct Bound {
    sockets: Arc<Vec<Socket>>,
    pub address: SocketAddr,
}

/// Binds for so many workers. An IPv6 address takes IPv6 only: `[::]:25` and `0.0.0.0:25` stand
/// side by side.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    // Sockets that share a port would share it with another Portcullis too: so first ask whether
    // the port is free.
    let alone = socket(address)?;
    alone.bind(&address.into())?;
    let address = alone.local_addr()?.as_socket().unwrap_or(address);
    if workers <= 1 {
        return Ok(Bound { sockets: Arc::new(vec![alone]), address });
    }
    drop(alone);
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        sockets.push(socket);
    }
    Ok(Bound { sockets: Arc::new(sockets), address })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Bound {
    /// Opens it to clients: a listener for each worker, to be made part of its runtime.
    pub fn open(&self) -> io::Result<Vec<Opened>> {
        self.sockets
            .iter()
            .map(|socket| {
                socket.listen(BACKLOG)?;
                Ok(Opened(socket.try_clone()?.into()))
            })
            .collect()
    }
}

/// Open, and not yet part of a runtime.
#[derive(Debug)]
pub struct Opened(std::net::TcpListener);

impl Opened {
    /// Within the runtime that is to serve it.
    pub fn listener(self) -> io::Result<TcpListener> {
        TcpListener::from_std(self.0)
    }
}
