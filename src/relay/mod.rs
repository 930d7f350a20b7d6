//! The backend: dial, identity, the dialogue with it, and the proof that it is no open relay.

pub mod backend;
mod body;
pub mod connection;
pub mod dial;
pub mod failure;
pub mod identity;
pub mod probe;
mod wire;

pub use backend::{Backend, BackendConfig, IdentityMethod, Timeouts};
pub use body::MessageSource;
pub use connection::Connection;
pub use dial::{Dial, Stream, TcpDial};
pub use failure::{Failure, Step};
pub use identity::Identity;
pub use probe::{Probe, probe};

#[cfg(test)]
mod tests;
