//! The proof that the backend is no open relay, made at start and after a reload.
//!
//! A proxy turns a backend into an open relay as soon as the backend takes it for a trusted
//! neighbour. So before the first client is served, we say that we are a stranger and ask for what
//! no stranger may have. Nothing is ever sent: no DATA.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Backend, IdentityMethod};
use super::connection::Connection;
use super::failure::Failure;
use super::identity::Identity;
use crate::smtp::ehlo::Capabilities;
use crate::smtp::reply::Reply;

/// Addresses that nobody has (RFC 5737, RFC 3849).
const STRANGERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 25)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x25)),
];
/// Domains that no backend of ours serves, and that have ordinary MX records: what a spammer would
/// name first. Nothing is sent to them, since the probe never gets to DATA.
const FOREIGN: [&str; 2] = ["gmail.com", "iana.org"];
const USER: &str = "portcullis-relay-test";
/// For each command of the probe.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum Probe {
    /// Every attempt was refused.
    Safe(Arc<Capabilities>),
    /// The backend would take mail from a stranger to a stranger.
    /// `client` is the stranger's address; `None` where the backend is not told any and saw ours.
    Relays { client: Option<IpAddr>, recipient: String, reply: Reply },
    /// The backend takes no IPv6 address from XCLIENT. IPv4 is safe.
    NoIpv6 { reply: Reply },
    /// XCLIENT is not announced to us, or (with a reply) refused.
    NoXclient { reply: Option<Reply> },
    /// The dialogue broke off: nothing is proven.
    Unreachable(Failure),
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Probe::Safe(_) => f.write_str("the backend refuses to relay for strangers"),
            Probe::Relays { client: Some(client), recipient, reply } => write!(
                f,
                "the backend is an open relay: as client {client} it answered RCPT TO:<{recipient}> \
                 with \"{reply}\". With Postfix, smtpd_relay_restrictions must contain \
                 reject_unauth_destination; where it has permit_mynetworks, mynetworks must hold \
                 none but your own hosts"
            ),
            Probe::Relays { client: None, recipient, reply } => write!(
                f,
                "the backend relays for this host, and takes every client for it: it answered RCPT \
                 TO:<{recipient}> with \"{reply}\". Use identity = \"xclient\"; or take this host's \
                 address out of what the backend trusts (with Postfix, mynetworks)"
            ),
            Probe::NoIpv6 { reply } => write!(
                f,
                "the backend does not accept IPv6 clients from XCLIENT (\"{reply}\"). With Postfix, \
                 set inet_protocols = all; or listen on IPv4 addresses only"
            ),
            Probe::NoXclient { reply: None } => f.write_str(
                "the backend does not announce XCLIENT with ADDR and NAME, so it would take every \
                 client for this host. With Postfix, smtpd_authorized_xclient_hosts of the service \
                 that this backend address reaches must contain this host's address; postscreen \
                 does not speak XCLIENT",
            ),
            Probe::NoXclient { reply: Some(reply) } => write!(
                f,
                "the backend refused XCLIENT (\"{reply}\"). With Postfix, see \
                 smtpd_authorized_xclient_hosts and, for refusals of the client itself, \
                 smtpd_client_restrictions with smtpd_delay_reject"
            ),
            Probe::Unreachable(failure) => write!(f, "the backend could not be tested: {failure}"),
        }
    }
}

/// Asks as a stranger of each address family. `hostname` is our own name, which backends often
/// serve under as well.
pub async fn probe(backend: &Backend, hostname: &str) -> Probe {
    // Where there is no identity there are no two strangers.
    let count = match backend.config().identity {
        IdentityMethod::Xclient => STRANGERS.len(),
        IdentityMethod::None => 1,
    };
    // The null sender passes where a sender's domain is looked at; one's own passes where it is
    // taken for a proof.
    let senders = [String::new(), format!("postmaster@{hostname}")];
    let mut safe = None;
    for client in STRANGERS.into_iter().take(count) {
        for sender in &senders {
            // A connection each: after ten errors Postfix answers slowly, after twenty no more.
            match ask_as(backend, client, sender, hostname).await {
                Ok(capabilities) => safe = safe.or(Some(capabilities)),
                Err(found) => return found,
            }
        }
    }
    Probe::Safe(safe.unwrap_or_default())
}

/// What the backend offers, or what is wrong with it.
async fn ask_as(
    backend: &Backend,
    client: IpAddr,
    sender: &str,
    hostname: &str,
) -> Result<Arc<Capabilities>, Probe> {
    let mut connection = open_as(backend, client).await?;
    let recipients = recipients(connection.host(), hostname);
    let mut rest = recipients.as_slice();
    loop {
        let before = rest.len();
        match ask(&mut connection, sender, &mut rest).await {
            Ok(None) => {
                let capabilities = Arc::clone(connection.capabilities());
                connection.quit().await;
                return Ok(capabilities);
            }
            Ok(Some((recipient, reply))) => {
                connection.quit().await;
                let told = backend.config().identity == IdentityMethod::Xclient;
                return Err(Probe::Relays { client: told.then_some(client), recipient, reply });
            }
            // Too many errors: under stress Postfix takes but one.
            Err(Failure::Shutdown(_)) if rest.len() < before => {
                connection = open_as(backend, client).await?;
            }
            Err(failure) => return Err(Probe::Unreachable(failure)),
        }
    }
}

async fn open_as(backend: &Backend, client: IpAddr) -> Result<Connection, Probe> {
    let identity = Identity {
        ip: client,
        port: 25,
        name: Some("mail.example.net"),
        name_temporary: false,
        reverse_name: Some("mail.example.net"),
        helo: "mail.example.net",
        esmtp: true,
        login: None,
    };
    backend.open(&identity).await.map_err(|failure| match failure {
        Failure::NoXclient => Probe::NoXclient { reply: None },
        Failure::Identity(reply) if client.is_ipv6() && reply.code() == 501 => {
            Probe::NoIpv6 { reply }
        }
        Failure::Identity(reply) => Probe::NoXclient { reply: Some(reply) },
        failure => Probe::Unreachable(failure),
    })
}

/// The first recipient that was accepted, with the reply; `None` if there was none. Takes from
/// `rest` what was refused.
async fn ask(
    connection: &mut Connection,
    sender: &str,
    rest: &mut &[Recipient],
) -> Result<Option<(String, Reply)>, Failure> {
    let mail = format!("MAIL FROM:<{sender}>");
    if !connection.command(mail.as_bytes(), TIMEOUT).await?.is_success() {
        return Ok(None);
    }
    while let Some((recipient, later)) = rest.split_first() {
        let reply = rcpt(connection, &recipient.address).await?;
        if reply.is_success() && !(recipient.local && takes_any(connection, recipient).await?) {
            return Ok(Some((recipient.address.clone(), reply)));
        }
        *rest = later;
    }
    Ok(None)
}

async fn rcpt(connection: &mut Connection, address: &str) -> Result<Reply, Failure> {
    connection.command(format!("RCPT TO:<{address}>").as_bytes(), TIMEOUT).await
}

/// A host that takes every local part may have taken `user%domain` for one: no sign of relaying.
async fn takes_any(connection: &mut Connection, like: &Recipient) -> Result<bool, Failure> {
    let domain = like.address.rsplit('@').next().unwrap_or("");
    Ok(rcpt(connection, &format!("{USER}-no-such-user@{domain}")).await?.is_success())
}

struct Recipient {
    address: String,
    /// A relay only if the local part is taken for an address.
    local: bool,
}

fn recipients(local: &str, hostname: &str) -> Vec<Recipient> {
    let [first, second] = FOREIGN;
    let recipient = |address: String, local: bool| Recipient { address, local };
    let mut all = vec![
        recipient(format!("{USER}@{first}"), false),
        recipient(format!("{USER}@{second}"), false),
        recipient(format!("@{local}:{USER}@{second}"), false),
        recipient(format!("{USER}%{second}@{local}"), true),
        recipient(format!("\"{USER}@{second}\"@{local}"), true),
    ];
    if !hostname.eq_ignore_ascii_case(local) {
        all.push(recipient(format!("{USER}%{second}@{hostname}"), true));
    }
    all
}
