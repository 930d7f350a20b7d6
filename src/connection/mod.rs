//! A client arrives: admission, PROXY header, TLS, and the one loop that does I/O.

mod clock;
mod edits;
mod io;
mod journal;
mod judge;
mod known;
mod peer;
mod shell;
mod snapshot;
pub mod tls;
mod upstream;

pub mod admission;

pub use peer::plain;
pub use shell::{Visit, serve};
pub use snapshot::{Door, Networks, Snapshot};
