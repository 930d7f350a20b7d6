//! An SMTP client that says what it is told, byte for byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use portcullis::smtp::proxy_header::write_v2;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    tcp: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(port: u16) -> Client {
        let mut client = Client::silent(port);
        client.expect("220 ");
        client
    }

    /// Connects as the load balancer of a client with this address, and reads the greeting.
    pub(crate) fn from(address: &str, port: u16) -> Client {
        let mut client = Client::proxied(address, port);
        client.expect("220 ");
        client
    }

    /// The same; the greeting is left to be read.
    pub(crate) fn proxied(address: &str, port: u16) -> Client {
        let mut client = Client::silent(port);
        let source: SocketAddr = address.parse().unwrap();
        let ours = if source.is_ipv4() { "192.0.2.1:25" } else { "[2001:db8::1]:25" };
        let mut header = Vec::new();
        write_v2(source, ours.parse().unwrap(), &mut header);
        client.write(&header);
        client
    }

    pub(crate) fn silent(port: u16) -> Client {
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        Client { stream: Box::new(tcp.try_clone().unwrap()), tcp, received: Vec::new() }
    }

    /// With TLS from the first byte.
    pub(crate) fn connect_tls(port: u16, tls: &Arc<ClientConfig>) -> Client {
        let mut client = Client::silent(port);
        client.secure(tls);
        client.expect("220 ");
        client
    }

    pub(crate) fn starttls(&mut self, tls: &Arc<ClientConfig>) {
        self.say("STARTTLS", "220 ");
        self.secure(tls);
    }

    fn secure(&mut self, tls: &Arc<ClientConfig>) {
        let name = "mx1.example.com".try_into().unwrap();
        let connection = ClientConnection::new(Arc::clone(tls), name).unwrap();
        self.stream = Box::new(StreamOwned::new(connection, self.tcp.try_clone().unwrap()));
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next reply with all its lines; empty at the end of the connection.
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = String::new();
        while let Some(line) = self.line() {
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
            reply.push('\n');
        }
        reply
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(lf) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=lf).collect();
                let line = String::from_utf8(line).unwrap();
                return Some(line.strip_suffix("\r\n").expect("CRLF").to_owned());
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// The next reply, which must begin so.
    pub(crate) fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(start), "expected {start:?}, got {reply:?}");
        reply
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// A command whose reply must begin so.
    pub(crate) fn say(&mut self, command: &str, start: &str) -> String {
        let reply = self.ask(command);
        assert!(reply.starts_with(start), "{command}: expected {start:?}, got {reply:?}");
        reply
    }

    /// MAIL, RCPT, DATA and the message, all of which is accepted up to the reply that is returned.
    pub(crate) fn send(&mut self, from: &str, to: &str, message: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250 ");
        self.say(&format!("RCPT TO:<{to}>"), "250 ");
        self.data(message)
    }

    pub(crate) fn data(&mut self, message: &str) -> String {
        self.say("DATA", "354 ");
        self.write(message.replace("\r\n.", "\r\n..").as_bytes());
        self.ask(".")
    }

    /// The reply to the end of AUTH PLAIN, the response sent along.
    pub(crate) fn auth_plain(&mut self, user: &str, password: &str) -> String {
        let response = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        self.ask(&format!("AUTH PLAIN {response}"))
    }

    pub(crate) fn auth_login(&mut self, user: &str, password: &str) -> String {
        self.say("AUTH LOGIN", "334 ");
        self.say(&BASE64_STANDARD.encode(user), "334 ");
        self.ask(&BASE64_STANDARD.encode(password))
    }

    pub(crate) fn quit(mut self) {
        self.say("QUIT", "221 ");
        assert_eq!(self.reply(), "", "the connection ends");
    }
}
