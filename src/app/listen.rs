//! Sockets: bound with whatever privilege that needs, listened on when there is a backend to
//! serve.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A socket that is bound and not yet open to clients.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    pub address: SocketAddr,
}

/// Binds. An IPv6 address takes IPv6 only: `[::]:25` and `0.0.0.0:25` stand side by side.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let address = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(Bound { socket, address })
}

impl Bound {
    /// Opens it to clients.
    pub fn open(&self) -> io::Result<tokio::net::TcpListener> {
        self.socket.listen(BACKLOG)?;
        tokio::net::TcpListener::from_std(self.socket.try_clone()?.into())
    }

    /// Another hold on the same socket.
    pub fn reopen(&self) -> io::Result<Bound> {
        Ok(Bound { socket: self.socket.try_clone()?, address: self.address })
    }
}
