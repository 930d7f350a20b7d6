//! The facts that the session itself knows, and the identity that the backend is told.

use std::net::SocketAddr;

use crate::facts::Facts;
use crate::facts::registry as field;
use crate::message::AuthResult;
use crate::relay::Identity;
use crate::session::{Authenticated, Session};
use crate::smtp::address::{ForwardPath, HeloForm, Mailbox, ReversePath, helo_form, literal_ip};
use crate::smtp::params::RcptCommand;

use super::tls::TlsFacts;

pub(super) fn connection(
    facts: &mut Facts,
    session: &Session,
    client: SocketAddr,
    local: SocketAddr,
    trusted: bool,
) {
    facts.set(field::LISTENER_ROLE, session.settings().role.name());
    facts.set(field::LISTENER_PORT, i64::from(local.port()));
    facts.set(field::CLIENT_IP, client.ip());
    facts.set(field::CLIENT_PORT, i64::from(client.port()));
    facts.set(field::CLIENT_TRUSTED, trusted);
}

pub(super) fn hello(facts: &mut Facts, session: &Session, local: SocketAddr, hostname: &str) {
    let helo = session.helo().unwrap_or("");
    if facts.get(field::HELO).is_some() && facts.text(field::HELO).eq_ignore_ascii_case(helo) {
        return;
    }
    let form = match helo_form(helo) {
        _ if helo.is_empty() => "none",
        HeloForm::Fqdn => "fqdn",
        HeloForm::Literal => "literal",
        HeloForm::SingleLabel => "single_label",
        HeloForm::BareIp => "bare_ip",
        HeloForm::Invalid => "invalid",
    };
    let ours = helo.eq_ignore_ascii_case(hostname)
        || literal_ip(helo).or_else(|| helo.parse().ok()).is_some_and(|ip| ip == local.ip());
    facts.set(field::HELO, helo.to_ascii_lowercase());
    facts.set(field::HELO_FORM, form);
    facts.set(field::HELO_OURS, ours);
}

pub(super) fn mail(facts: &mut Facts, session: &Session, tls: Option<&TlsFacts>) {
    let Some(mail) = session.mail() else { return };
    let (address, domain, local) = match &mail.mail.path {
        ReversePath::Null => (String::new(), String::new(), String::new()),
        ReversePath::Mailbox(mailbox) => parts(mailbox),
    };
    facts.set(field::FROM, address);
    facts.set(field::FROM_DOMAIN, domain);
    facts.set(field::FROM_LOCAL, local);
    let declared = mail.mail.params.size.unwrap_or(0);
    facts.set(field::SIZE_DECLARED, i64::try_from(declared).unwrap_or(i64::MAX));
    facts.set(field::TLS_USED, session.tls());
    facts.set(field::TLS_VERSION, tls.map_or("", |tls| tls.version));
    facts.set(field::TLS_CIPHER, tls.map_or("", |tls| tls.cipher));
    facts.set(field::TLS_SNI, tls.and_then(|tls| tls.sni.as_deref()).unwrap_or(""));
    let auth = session.auth();
    facts.set(field::AUTH_OK, auth.is_some());
    facts.set(field::AUTH_USER, auth.map_or("", |auth| &auth.user));
    facts.set(field::AUTH_MECHANISM, auth.map_or("", |auth| auth.mechanism));
}

/// What Authentication-Results say of a login (RFC 8601 2.7.4).
pub(super) fn login(auth: &Authenticated) -> AuthResult {
    AuthResult {
        method: "auth",
        result: "pass",
        reason: None,
        properties: vec![("smtp.auth", auth.user.to_string())],
    }
}

/// The recipient that is being asked about.
pub(super) fn recipient(facts: &mut Facts, session: &Session) {
    let Some(mail) = session.mail() else { return };
    if let Some(current) = &mail.current {
        set_recipient(facts, current);
        facts.set(field::RCPT_COUNT, mail.accepted.len() as i64 + 1);
    }
}

/// At the message stage: all recipients have the same policy, the first stands for them.
pub(super) fn first_recipient(facts: &mut Facts, session: &Session) {
    let Some(mail) = session.mail() else { return };
    if let Some(first) = mail.accepted.first() {
        set_recipient(facts, first);
        facts.set(field::RCPT_COUNT, mail.accepted.len() as i64);
    }
}

fn set_recipient(facts: &mut Facts, rcpt: &RcptCommand) {
    let (address, domain, local) = match &rcpt.path {
        ForwardPath::Postmaster(_) => ("postmaster".into(), String::new(), "postmaster".into()),
        ForwardPath::Mailbox(mailbox) => parts(mailbox),
    };
    facts.set(field::RCPT, address);
    facts.set(field::RCPT_DOMAIN, domain);
    facts.set(field::RCPT_LOCAL, local);
}

/// The address with its domain in A-labels, the domain, the local part without quotes.
fn parts(mailbox: &Mailbox) -> (String, String, String) {
    let domain = mailbox.domain_ascii().unwrap_or_else(|| mailbox.domain.to_ascii_lowercase());
    let address = format!("{}@{domain}", mailbox.local);
    (address, domain, mailbox.local_text())
}

pub(super) fn identity<'a>(
    facts: Option<&'a Facts>,
    session: &'a Session,
    client: SocketAddr,
) -> Identity<'a> {
    let name = |of| {
        let text = facts.map_or("", |facts| facts.text(of));
        (!text.is_empty() && text != "unknown").then_some(text)
    };
    Identity {
        ip: client.ip(),
        port: client.port(),
        name: name(field::CLIENT_NAME),
        name_temporary: facts.is_some_and(|facts| facts.text(field::IPREV) == "temperror"),
        reverse_name: name(field::CLIENT_REVERSE_NAME),
        helo: session.helo().unwrap_or(""),
        esmtp: session.esmtp(),
        login: None,
    }
}
