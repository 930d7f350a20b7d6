//! Plays every dialog under `tests/dialogs` with the whole server in memory.
//!
//! A bug report becomes a test by writing its dialog down; `tests/support/dialog.rs` says how.
//! `UPDATE_EXPECTED=1 cargo test --test dialogs` writes what clients are told into the files.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use support::dialog;

/// So that none is lost by a slip in its name.
const FILES: usize = 165;

#[test]
fn every_dialog_goes_as_written() {
    let dialogs = dialog::all();
    let mut failed = String::new();
    for dialog in &dialogs {
        let outcome = dialog.run();
        if outcome.failed == 0 {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            dialog.update(&outcome);
        }
        failed.push_str(&format!("\n== {}\n{}\n", dialog.name(), outcome.diff.join("\n")));
    }
    assert!(failed.is_empty(), "{failed}");
    assert_eq!(dialogs.len(), FILES);
}
