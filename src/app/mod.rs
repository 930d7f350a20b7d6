//! Wiring: files to a running server, its reload and its end.

pub mod build;
pub mod listen;
pub mod privileges;
pub mod program;
pub mod prove;
pub mod server;
pub mod workers;

pub use program::Program;
pub use server::Server;
