//! Who is it: the address of the connection, or that of a PROXY header from a declared peer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::smtp::proxy_header::{self, Parsed};

/// HAProxy and Postfix give a header three to five seconds.
pub(super) const HEADER_TIME: Duration = Duration::from_secs(5);
/// A header of version 2 with ample TLVs; version 1 has at most 107.
const HEADER_MAX: usize = 2048;

#[derive(Debug)]
pub(super) enum Header {
    Client {
        client: SocketAddr,
        local: SocketAddr,
        rest: Vec<u8>,
    },
    /// A health check of the proxy itself.
    Local,
}

/// Reads the header that a declared peer must send first. With `exact` nothing beyond it is read:
/// where TLS begins at once, that is the handshake's.
pub(super) async fn read_header<S: AsyncRead + Unpin>(
    stream: &mut S,
    exact: bool,
) -> io::Result<Header> {
    let mut input = Vec::with_capacity(256);
    loop {
        let most = if exact { proxy_header::left_at_least(&input) } else { HEADER_MAX };
        if (&mut *stream).take(most as u64).read_buf(&mut input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match proxy_header::parse(&input) {
            Parsed::NeedMore if input.len() < HEADER_MAX => {}
            Parsed::NeedMore => return Err(invalid("a PROXY header that does not end")),
            Parsed::Invalid(what) => return Err(invalid(what)),
            Parsed::Local { .. } => return Ok(Header::Local),
            Parsed::Proxied { source, destination, consumed } => {
                return Ok(Header::Client {
                    client: plain(source),
                    local: plain(destination),
                    rest: input.split_off(consumed),
                });
            }
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// An IPv4-mapped IPv6 address is an IPv4 address.
pub fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(plain_ip(address.ip()), address.port())
}

fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
