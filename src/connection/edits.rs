//! The header fields that are added to a message that goes on, and those that are taken out.

use crate::facts::{Facts, Value, registry};
use crate::message::received::{Protocol, Received, Tls};
use crate::message::{AuthResult, Edits, Message, auth_results};
use crate::session::Session;

use super::clock;
use super::snapshot::Snapshot;
use super::tls::TlsFacts;

/// Our Authentication-Results stand on top of our other fields (RFC 8601 4). Forged ones are taken
/// out now that DKIM has seen them (RFC 8601 5); a trusted host's may be our own.
pub(super) fn make<'a>(
    snapshot: &Snapshot,
    session: &Session,
    facts: &Facts,
    message: &Message,
    results: impl Iterator<Item = &'a AuthResult>,
    tls: Option<&TlsFacts>,
    tags: Vec<(String, String)>,
) -> Edits {
    let mut edits = Edits::default();
    let trusted = facts.flag(registry::CLIENT_TRUSTED);
    if !trusted {
        edits.remove = auth_results::forged(message.header(), &snapshot.authserv_id);
        for name in &snapshot.tag_names {
            edits.remove.extend(message.header().named(name).map(|field| field.index));
        }
    }
    if snapshot.authentication_results && !trusted {
        edits.prepend = auth_results::print(&snapshot.authserv_id, results);
    }
    if snapshot.received {
        edits.prepend.extend(received_line(snapshot, session, facts, tls));
    }
    for (name, value) in tags {
        edits.prepend.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    edits
}

/// Our Received field (RFC 5321 4.4), with the TLS facts that end at us.
fn received_line(
    snapshot: &Snapshot,
    session: &Session,
    facts: &Facts,
    tls: Option<&TlsFacts>,
) -> Vec<u8> {
    let Some(Value::Ip(client_ip)) = facts.get(registry::CLIENT_IP) else { return Vec::new() };
    let name = facts.text(registry::CLIENT_NAME);
    let id = session.id().to_string();
    let mail = session.mail();
    let recipient = match mail.map(|mail| mail.accepted.as_slice()) {
        Some([only]) => Some(only.path.to_string()),
        _ => None,
    };
    Received {
        helo: session.helo().unwrap_or(""),
        client_name: Some(name).filter(|name| !name.is_empty() && *name != "unknown"),
        client_ip: *client_ip,
        by: &snapshot.hostname,
        protocol: Protocol {
            extended: session.esmtp(),
            tls: session.tls(),
            auth: session.auth().is_some(),
            utf8: mail.is_some_and(|mail| mail.mail.params.smtputf8),
        },
        tls: tls.map(|tls| Tls { version: tls.version, cipher: tls.cipher }),
        id: &id,
        recipient: recipient.as_deref(),
        time: clock::unix_seconds(),
    }
    .print()
}
