//! The header fields that are added to a message that goes on, and those that are taken out.

use crate::facts::{Facts, registry};
use crate::message::{AuthResult, Edits, Message, auth_results, received};
use crate::session::Session;

use super::clock;
use super::snapshot::Snapshot;
use super::tls::TlsFacts;

/// Our Authentication-Results stand on top of our other fields (RFC 8601 4). Forged ones are taken
/// out now that DKIM has seen them (RFC 8601 5); a trusted host's may be our own.
pub(super) fn make(
    snapshot: &Snapshot,
    session: &Session,
    facts: &Facts,
    message: &Message,
    mut results: Vec<AuthResult>,
    tls: Option<&TlsFacts>,
    tags: Vec<(String, String)>,
) -> Edits {
    let mut edits = Edits::default();
    let trusted = facts.flag(registry::CLIENT_TRUSTED);
    if !trusted {
        edits.remove = auth_results::forged(message.header(), &snapshot.authserv_id);
    }
    if let Some(auth) = session.auth() {
        results.push(AuthResult {
            method: "auth",
            result: "pass",
            reason: None,
            properties: vec![("smtp.auth", auth.user.to_string())],
        });
    }
    if snapshot.authentication_results && !trusted {
        edits.prepend = auth_results::print(&snapshot.authserv_id, &results);
    }
    if snapshot.received {
        edits.prepend.extend(received_line(snapshot, session, facts, tls));
    }
    for (name, value) in tags {
        edits.prepend.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    edits
}
