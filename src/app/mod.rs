//! Wiring: files to a running server, its reload and its end.

mod accept;
pub mod build;
pub mod listen;
mod lists;
pub mod privileges;
pub mod program;
pub mod prove;
pub mod server;
pub mod workers;

pub use program::Program;
pub use server::Server;
