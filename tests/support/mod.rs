//! What tests of the whole server share.

pub mod backend;
pub mod dialog;
pub mod server;
