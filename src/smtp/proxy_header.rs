//! The PROXY protocol, version 1 and 2, as HAProxy's `proxy-protocol.txt` defines it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest version 1 header with its CRLF.
pub const V1_MAX: usize = 107;
/// The most that may follow the 16 fixed octets of version 2. The protocol allows 65535, addresses
/// take 36, and the rest are TLVs that we skip.
pub const V2_PAYLOAD_MAX: usize = 512;

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// The input is the start of a header. It is shorter than the longest one.
    NeedMore,
    Proxied {
        source: SocketAddr,
        destination: SocketAddr,
        consumed: usize,
    },
    /// The sender speaks for itself (a health check), or does not know whom it speaks for.
    Local {
        consumed: usize,
    },
    Invalid(&'static str),
}

/// Parses the header at the start of a connection.
pub fn parse(input: &[u8]) -> Parsed {
    if starts_alike(input, V2_SIGNATURE) {
        return parse_v2(input);
    }
    if starts_alike(input, b"PROXY ") {
        return parse_v1(input);
    }
    Parsed::Invalid("no PROXY header")
}

/// How many octets a header that begins so has left at least; one at the least. Who reads no more
/// than that takes nothing of what follows the header.
pub fn left_at_least(input: &[u8]) -> usize {
    const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();
    let left = match input {
        _ if input.len() < SHORTEST => SHORTEST - input.len(),
        [b'P', ..] => 1,
        _ => match input.get(V2_FIXED - 2..V2_FIXED) {
            Some(&[high, low]) => {
                let whole = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
                whole.saturating_sub(input.len())
            }
            _ => 1,
        },
    };
    left.max(1)
}

/// IPv4 in the clothes of IPv6 (`::ffff:192.0.2.1`) becomes IPv4, since lists and policies know it so.
fn proxied(source: SocketAddr, destination: SocketAddr, consumed: usize) -> Parsed {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Parsed::Proxied { source: plain(source), destination: plain(destination), consumed }
}

/// Whether the shorter of the two begins the longer.
fn starts_alike(input: &[u8], start: &[u8]) -> bool {
    input.iter().zip(start).all(|(a, b)| a == b)
}

fn parse_v1(input: &[u8]) -> Parsed {
    let Some(lf) = memchr::memchr(b'\n', input) else {
        return if input.len() < V1_MAX {
            Parsed::NeedMore
        } else {
            Parsed::Invalid("line too long")
        };
    };
    let consumed = lf + 1;
    if consumed > V1_MAX {
        return Parsed::Invalid("line too long");
    }
    let line = input.get(..lf).and_then(|line| line.strip_suffix(b"\r"));
    let Some(line) = line.and_then(|line| std::str::from_utf8(line).ok()) else {
        return Parsed::Invalid("line not ended by CRLF, or not ASCII");
    };
    let mut words = line.split(' ');
    let (_, family) = (words.next(), words.next());
    if family == Some("UNKNOWN") {
        return Parsed::Local { consumed };
    }
    let address: fn(&str) -> Option<IpAddr> = match family {
        Some("TCP4") => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some("TCP6") => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Parsed::Invalid("unknown address family"),
    };
    let (source, destination) = (words.next().and_then(address), words.next().and_then(address));
    let (from, to) = (words.next().and_then(port), words.next().and_then(port));
    match (source, destination, from, to, words.next()) {
        (Some(source), Some(destination), Some(from), Some(to), None) => {
            proxied(SocketAddr::new(source, from), SocketAddr::new(destination, to), consumed)
        }
        _ => Parsed::Invalid("malformed address or port"),
    }
}

/// Decimal without sign or leading zero.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || text.starts_with(|c: char| ('1'..='9').contains(&c));
    if plain { text.parse().ok() } else { None }
}

fn parse_v2(input: &[u8]) -> Parsed {
    let Some(&[version_command, family, high, low]) =
        input.get(V2_SIGNATURE.len()..V2_FIXED).and_then(|fixed| fixed.first_chunk::<4>())
    else {
        return Parsed::NeedMore;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_command >> 4 != 2 {
        return Parsed::Invalid("unknown version");
    }
    if length > V2_PAYLOAD_MAX {
        return Parsed::Invalid("header too long");
    }
    let consumed = V2_FIXED + length;
    let Some(payload) = input.get(V2_FIXED..consumed) else { return Parsed::NeedMore };
    match version_command & 0x0f {
        0 => return Parsed::Local { consumed },
        1 => {}
        _ => return Parsed::Invalid("unknown command"),
    }
    let addresses = match family {
        0x00 => return Parsed::Local { consumed },
        0x11 => addresses_v4(payload),
        0x21 => addresses_v6(payload),
        _ => return Parsed::Invalid("not TCP over IPv4 or IPv6"),
    };
    match addresses {
        Some((source, destination)) => proxied(source, destination, consumed),
        None => Parsed::Invalid("addresses cut off"),
    }
}

fn addresses_v4(payload: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (source, rest) = payload.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    let (from, to) = ports(rest)?;
    Some((SocketAddr::from((*source, from)), SocketAddr::from((*destination, to))))
}

fn addresses_v6(payload: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (source, rest) = payload.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    let (from, to) = ports(rest)?;
    Some((SocketAddr::from((*source, from)), SocketAddr::from((*destination, to))))
}

fn ports(rest: &[u8]) -> Option<(u16, u16)> {
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*from), u16::from_be_bytes(*to)))
}

/// Both as IPv6 when they are not both IPv4: the protocol knows one family a header.
fn one_family(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    let v6 = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
        IpAddr::V6(ip) => SocketAddr::from((ip, address.port())),
    };
    if a.is_ipv4() && b.is_ipv4() { (a, b) } else { (v6(a), v6(b)) }
}

/// Appends a version 2 header without TLVs.
pub fn write_v2(source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
    let (source, destination) = one_family(source, destination);
    out.extend_from_slice(V2_SIGNATURE);
    let (family, length) = if source.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
    out.extend_from_slice(&[0x21, family, 0, length]);
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
    }
    for address in [source, destination] {
        out.extend_from_slice(&address.port().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends a version 1 header.
    fn write_v1(source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
        let (source, destination) = one_family(source, destination);
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!(
            "PROXY {family} {} {} {} {}\r\n",
            source.ip(),
            destination.ip(),
            source.port(),
            destination.port()
        );
        out.extend_from_slice(line.as_bytes());
    }

    /// Appends a version 2 header by which the sender speaks for itself.
    fn write_v2_local(out: &mut Vec<u8>) {
        out.extend_from_slice(V2_SIGNATURE);
        out.extend_from_slice(&[0x20, 0, 0, 0]);
    }

    #[test]
    fn a_reader_that_takes_what_is_certain_stops_at_the_end() {
        let (from, to) = ("192.0.2.1:4000".parse().unwrap(), "192.0.2.2:25".parse().unwrap());
        for write in [write_v1, write_v2] {
            let mut wire = Vec::new();
            write(from, to, &mut wire);
            let end = wire.len();
            wire.extend_from_slice(b"\x16\x03\x01 and so on");
            let mut at = 0;
            while parse(&wire[..at]) == Parsed::NeedMore {
                at += left_at_least(&wire[..at]);
            }
            assert_eq!(at, end);
        }
        assert_eq!(left_at_least(b"PROXY UNKNOWN\r"), 1);
        assert_eq!(left_at_least(b""), 15);
    }

    fn v1(line: &str) -> Parsed {
        parse(line.as_bytes())
    }

    fn v2(version_command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("short");
        let mut out = V2_SIGNATURE.to_vec();
        out.extend_from_slice(&[version_command, family]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(payload);
        out
    }

    fn addresses(a: &str, b: &str) -> (SocketAddr, SocketAddr) {
        (a.parse().expect("address"), b.parse().expect("address"))
    }

    #[test]
    fn version_1() {
        let (source, destination) = addresses("192.0.2.1:56324", "192.0.2.2:25");
        assert_eq!(
            v1("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\nEHLO x\r\n"),
            Parsed::Proxied { source, destination, consumed: 41 }
        );
        assert_eq!(v1("PROXY UNKNOWN\r\n"), Parsed::Local { consumed: 15 });
        assert_eq!(v1("PROXY UNKNOWN a b c\r\n"), Parsed::Local { consumed: 21 });
        for part in ["", "P", "PROXY TCP4", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r"] {
            assert_eq!(v1(part), Parsed::NeedMore, "{part}");
        }
        for bad in [
            "EHLO x\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 056324 25\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 25\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ] {
            assert!(matches!(v1(bad), Parsed::Invalid(_)), "{bad}");
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(V1_MAX));
        assert!(matches!(v1(&endless), Parsed::Invalid(_)));
        assert!(matches!(v1(&format!("{endless}\r\n")), Parsed::Invalid(_)));
    }

    #[test]
    fn version_2() {
        let payload = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0, 25];
        let (source, destination) = addresses("192.0.2.1:56324", "192.0.2.2:25");
        let header = v2(0x21, 0x11, &payload);
        assert_eq!(parse(&header), Parsed::Proxied { source, destination, consumed: 28 });
        let with_tlv = v2(0x21, 0x11, &[&payload[..], &[4, 0, 2, 0, 0]].concat());
        assert_eq!(parse(&with_tlv), Parsed::Proxied { source, destination, consumed: 33 });
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut]), Parsed::NeedMore, "{cut}");
        }
        assert_eq!(parse(&v2(0x20, 0, b"")), Parsed::Local { consumed: 16 });
        assert_eq!(parse(&v2(0x20, 0x11, &payload)), Parsed::Local { consumed: 28 });
        assert_eq!(parse(&v2(0x21, 0, b"abc")), Parsed::Local { consumed: 19 });
        for bad in [
            v2(0x11, 0x11, &payload),
            v2(0x22, 0x11, &payload),
            v2(0x21, 0x12, &payload),
            v2(0x21, 0x31, &payload),
            v2(0x21, 0x11, &payload[..11]),
            v2(0x21, 0x21, &payload),
            v2(0x21, 0x11, &[0; V2_PAYLOAD_MAX + 1]),
        ] {
            assert!(matches!(parse(&bad), Parsed::Invalid(_)), "{bad:?}");
        }
    }

    #[test]
    fn written_headers_parse() {
        for (a, b) in [
            ("192.0.2.1:1", "192.0.2.2:65535"),
            ("[2001:db8::1]:0", "[2001:db8::2]:25"),
            ("192.0.2.1:1", "[2001:db8::2]:25"),
        ] {
            let (source, destination) = addresses(a, b);
            for write in [write_v1, write_v2] {
                let mut out = Vec::new();
                write(source, destination, &mut out);
                let consumed = out.len();
                assert_eq!(parse(&out), Parsed::Proxied { source, destination, consumed });
            }
        }
        let mut out = Vec::new();
        write_v2_local(&mut out);
        assert_eq!(parse(&out), Parsed::Local { consumed: 16 });
    }
}
