//! Dovecot as the one who checks passwords for Postfix.

use super::postfix::Postfix;
use super::{Dir, Log, Process, program, until};

pub(crate) const USER: &str = "joe";
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Dovecot {
    _process: Process,
    _log: Log,
    _dir: Dir,
}

impl Dovecot {
    /// Serves the socket that Postfix asks.
    pub(crate) fn start(postfix: &Postfix) -> Dovecot {
        let dir = Dir::new("dovecot");
        let socket = postfix.queue().join("private/auth");
        let users = dir.write("users", &format!("{USER}:{{PLAIN}}{PASSWORD}\n"));
        let config = format!(
            "base_dir = {base}\n\
             state_dir = {base}\n\
             log_path = /dev/stderr\n\
             protocols =\n\
             ssl = no\n\
             disable_plaintext_auth = no\n\
             auth_mechanisms = plain login\n\
             auth_failure_delay = 0\n\
             passdb {{\n  driver = passwd-file\n  args = {users}\n}}\n\
             userdb {{\n  driver = static\n  args = uid=nobody gid=nogroup home=/nonexistent\n}}\n\
             service auth {{\n  unix_listener {socket} {{\n    mode = 0660\n    user = postfix\n    \
             group = postfix\n  }}\n}}\n",
            base = dir.path().join("run").display(),
            users = users.display(),
            socket = socket.display(),
        );
        let config = dir.write("dovecot.conf", &config);
        let log = Log::new(dir.path().join("log"));
        let process = Process::start(program("dovecot").arg("-F").arg("-c").arg(config), &log);
        until("Dovecot's socket", || socket.exists().then_some(()));
        Dovecot { _process: process, _log: log, _dir: dir }
    }
}
