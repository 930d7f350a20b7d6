//! Where mail comes in and where it goes: `listen`, `[[listener]]`, `backend`, `[backend.NAME]`.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use toml::de::DeValue;

use super::options;
use super::parse::{P_CONFLICT, P_TWICE, everybody};
use super::reader::{P_MISSING, Reader, Scope};
use super::value::{P_FORM, P_RANGE, P_TYPE};
use super::{Backend, Identity, Listener, Network, Role};
use crate::policy::diagnostic::nearest;

const P_NO_BACKEND: &str = "P0253";

/// With the places of their addresses.
pub(super) type Backends = Vec<(Arc<Backend>, Range<usize>)>;

/// `backend = "host:port"`, or the tables `[backend.NAME]`.
pub(super) fn backends(r: &mut Reader<'_>, root: &Scope<'_>) -> Backends {
    let item = root.table.and_then(|table| table.get_key_value("backend"));
    let Some((_, item)) = item.filter(|(_, item)| item.get_ref().is_table()) else {
        let none = Scope { section: "backend.NAME", table: None, place: 0..0 };
        let addresses = r.get::<SocketAddr>(root, "backend").map(|address| vec![address]);
        let backend = backend(r, &none, "default", addresses);
        return backend.map(|b| (Arc::new(b), root.place_of("backend"))).into_iter().collect();
    };
    let DeValue::Table(tables) = item.get_ref() else { return Vec::new() };
    let mut list = Vec::new();
    for (key, item) in tables {
        let name: &str = key.get_ref();
        let DeValue::Table(table) = item.get_ref() else {
            if options::members("backend.NAME").any(|option| option.key() == name) {
                let error = r.error(P_TYPE, key.span(), "a backend in the long form has a name");
                error.help.push("write [backend.default] for the table's header".into());
            } else {
                let error = r.error(P_TYPE, item.span(), format!("`backend.{name}` is a table"));
                error.help.push(format!(
                    "write [backend.{name}] and below it: address = [\"127.0.0.1:10025\"]"
                ));
            }
            continue;
        };
        let scope = Scope { section: "backend.NAME", table: Some(table), place: key.span() };
        r.unknown(&scope);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            let error = r.error(P_FORM, key.span(), "this name cannot be used");
            error.help.push("1 to 64 ASCII letters, digits, `-` and `_`".into());
        }
        let addresses = r.get(&scope, "address");
        if let Some(backend) = backend(r, &scope, name, addresses) {
            list.push((Arc::new(backend), scope.place_of("address")));
        }
    }
    if tables.is_empty() {
        let error = r.error(P_MISSING, item.span(), "there is no backend");
        error.help.push("add: backend = \"127.0.0.1:10025\"".into());
    }
    list
}

fn backend(
    r: &mut Reader<'_>,
    scope: &Scope<'_>,
    name: &str,
    addresses: Option<Vec<SocketAddr>>,
) -> Option<Backend> {
    let (connect_timeout, reply_timeout) =
        (r.get(scope, "connect_timeout"), r.get(scope, "reply_timeout"));
    let (data_timeout, max_connections) =
        (r.get(scope, "data_timeout"), r.get(scope, "max_connections"));
    let identity = r.choice(scope, "identity", [Identity::Xclient, Identity::None]);
    Some(Backend {
        name: name.to_owned(),
        addresses: addresses?,
        identity: identity?,
        connect_timeout: connect_timeout?,
        reply_timeout: reply_timeout?,
        data_timeout: data_timeout?,
        max_connections: max_connections?,
    })
}

pub(super) fn listeners(
    r: &mut Reader<'_>,
    root: &Scope<'_>,
    backends: &Backends,
    tls: bool,
) -> Vec<Listener> {
    let mut list: Vec<(Listener, Range<usize>)> = Vec::new();
    let long = r.array(root, "listener", "listener[]");
    if root.has("listen") || long.is_empty() {
        let addresses = r.get::<Vec<(SocketAddr, Range<usize>)>>(root, "listen");
        let empty = addresses.as_ref().is_some_and(Vec::is_empty);
        if empty && long.is_empty() {
            r.error(
                P_RANGE,
                root.place_of("listen"),
                "`listen`: at least one address must be given",
            );
        }
        let backend =
            addresses.is_some().then(|| default_backend(r, root, "listen", backends)).flatten();
        for (address, span) in addresses.into_iter().flatten() {
            let Some(backend) = backend.clone() else { break };
            list.push((
                Listener { address, role: Role::Mx, backend, proxy_protocol: Vec::new() },
                span,
            ));
        }
    }
    for scope in &long {
        let address = r.get::<SocketAddr>(scope, "address");
        let role = r.choice(scope, "role", [Role::Mx, Role::Submission, Role::Submissions]);
        let proxy_protocol = r.get::<Vec<(Network, Range<usize>)>>(scope, "proxy_protocol");
        everybody(r, "proxy_protocol", proxy_protocol.as_deref().unwrap_or_default(), true);
        let backend = match r.get::<String>(scope, "backend") {
            Some(name) => named_backend(r, scope, &name, backends),
            None if scope.has("backend") => None,
            None => default_backend(r, scope, "backend", backends),
        };
        if role.is_some_and(Role::is_submission) && !tls {
            let error = r.error(
                P_CONFLICT,
                scope.place_of("role"),
                "users can send passwords only over TLS",
            );
            error.label = "needs a certificate".into();
            error.help.push("add [tls] with `certificate` and `key`".into());
        }
        if let (Some(address), Some(role), Some(proxy_protocol), Some(backend)) =
            (address, role, proxy_protocol, backend)
        {
            let proxy_protocol = proxy_protocol.into_iter().map(|(network, _)| network).collect();
            list.push((
                Listener { address, role, backend, proxy_protocol },
                scope.place_of("address"),
            ));
        }
    }
    for (at, (listener, span)) in list.iter().enumerate() {
        let earlier =
            list.iter().take(at).find(|(other, _)| overlap(other.address, listener.address));
        if let Some((other, _)) = earlier {
            let message = format!("{} is taken already", listener.address);
            r.error(P_TWICE, span.clone(), message).label = format!("by {}", other.address);
        }
    }
    list.into_iter().map(|(listener, _)| listener).collect()
}

/// Whether the second address can't be bound after the first. `[::]` is bound for IPv6 only.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0
        && a.port() == b.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn named_backend(
    r: &mut Reader<'_>,
    scope: &Scope<'_>,
    name: &str,
    backends: &Backends,
) -> Option<Arc<Backend>> {
    let names = || backends.iter().map(|(backend, _)| backend.name.as_str());
    let found = backends.iter().find(|(backend, _)| backend.name == name);
    if found.is_none() {
        let near = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
        let error = r.error(
            P_NO_BACKEND,
            scope.place_of("backend"),
            format!("there is no [backend.{name}]"),
        );
        error.label = near.unwrap_or_default();
    }
    found.map(|(backend, _)| backend.clone())
}

/// The only one, or the one called `default`.
fn default_backend(
    r: &mut Reader<'_>,
    scope: &Scope<'_>,
    key: &str,
    backends: &Backends,
) -> Option<Arc<Backend>> {
    if let [(backend, _)] = backends.as_slice() {
        return Some(backend.clone());
    }
    let default = backends.iter().find(|(backend, _)| backend.name == "default");
    if default.is_none() && !backends.is_empty() {
        let error = r.error(P_NO_BACKEND, scope.place_of(key), "which of the backends is meant?");
        error
            .help
            .push("call one of them [backend.default], or name one in each [[listener]]".into());
    }
    default.map(|(backend, _)| backend.clone())
}

/// A backend that is one of our own listeners would send us each mail again.
pub(super) fn loops(
    r: &mut Reader<'_>,
    root: &Scope<'_>,
    listeners: &[Listener],
    backends: &Backends,
) {
    for (backend, span) in backends {
        for address in &backend.addresses {
            let ours = |l: &&Listener| {
                let local = l.address.ip().is_unspecified() && address.ip().is_loopback();
                l.address.port() == address.port() && (l.address.ip() == address.ip() || local)
            };
            if let Some(listener) = listeners.iter().find(ours) {
                let span = if span.is_empty() { root.place_of("backend") } else { span.clone() };
                let message =
                    format!("the backend {address} is our own listener {}", listener.address);
                r.error(P_CONFLICT, span, message).help.push(
                    "the mail server needs a port of its own: see config/postfix/README.md".into(),
                );
            }
        }
    }
}
