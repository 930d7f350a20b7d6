//! Postfix as Debian installs it, put behind Portcullis by the project's own scripts.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use rustix::process::{Signal, kill_process_group};

use super::{Dir, Log, free_port, pid, program, run, until};

/// The users of example.com.
const MAILBOXES: [&str; 3] = ["joe", "ann", "postmaster"];

pub(crate) struct Postfix {
    pub(crate) log: Log,
    /// Where it listens for mail from strangers, and for that of users.
    pub(crate) mx: u16,
    pub(crate) submission: u16,
    dir: Dir,
}

impl Postfix {
    /// Running, with `enable.sh mx` applied.
    pub(crate) fn start() -> Postfix {
        let postfix = Postfix::configured(&["mx"]);
        postfix.resume_service();
        postfix
    }

    /// Running, with `enable.sh mx submission` applied, and passwords checked at `private/auth`.
    pub(crate) fn start_with_submission() -> Postfix {
        let postfix = Postfix::configured(&["mx", "submission"]);
        postfix.set("smtpd_sasl_type=dovecot");
        postfix.set("smtpd_sasl_path=private/auth");
        postfix.resume_service();
        postfix
    }

    /// Not running yet.
    pub(crate) fn configured(parts: &[&str]) -> Postfix {
        let dir = Dir::new("postfix");
        let config = dir.path().join("config");
        fs::create_dir(&config).unwrap();
        let debian = |from: &str, to: &str| {
            let from = format!("/usr/share/postfix/{from}");
            fs::copy(&from, config.join(to)).unwrap_or_else(|error| {
                panic!("{from}: {error}: `make test` installs Postfix");
            });
        };
        debian("main.cf.debian", "main.cf");
        debian("master.cf.dist", "master.cf");
        debian("dynamicmaps.cf", "dynamicmaps.cf");
        for (name, owner) in [("queue", "root"), ("data", "postfix"), ("mail", "nobody")] {
            run(program("install").args(["-d", "-o", owner]).arg(dir.path().join(name)));
        }
        let log = Log::new(dir.path().join("mail.log"));
        let postfix = Postfix { log, mx: free_port(), submission: free_port(), dir };
        let at = |name: &str| postfix.dir.path().join(name).display().to_string();
        // As Debian's package asks for an Internet site.
        postfix.set("myhostname=mail.example.com");
        postfix.set("mydestination=$myhostname, localhost.localdomain, localhost");
        postfix.set("mynetworks=127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128");
        postfix.set(
            "smtpd_relay_restrictions=permit_mynetworks permit_sasl_authenticated \
             defer_unauth_destination",
        );
        postfix.set("inet_protocols=all");
        postfix.set("alias_maps=");
        postfix.set("alias_database=");
        // Of this test: files of its own, mailboxes that can be read.
        postfix.set(&format!("queue_directory={}", at("queue")));
        postfix.set(&format!("data_directory={}", at("data")));
        postfix.set(&format!("maillog_file_prefixes={}", at("")));
        postfix.set(&format!("maillog_file={}", at("mail.log")));
        let mailboxes = MAILBOXES.map(|user| format!("{user}@example.com={user}/")).join(", ");
        postfix.set("virtual_mailbox_domains=example.com");
        postfix.set(&format!("virtual_mailbox_base={}", at("mail")));
        postfix.set(&format!("virtual_mailbox_maps=inline:{{{mailboxes}}}"));
        postfix.set("virtual_uid_maps=static:65534");
        postfix.set("virtual_gid_maps=static:65534");

        let enable = concat!(env!("CARGO_MANIFEST_DIR"), "/config/postfix/enable.sh");
        run(program("sh").arg(enable).arg("-c").arg(postfix.config()).args(parts));
        let master = postfix.config().join("master.cf");
        let text = fs::read_to_string(&master).unwrap();
        let text = text.replace("127.0.0.1:10025", &format!("127.0.0.1:{}", postfix.mx));
        let text = text.replace("127.0.0.1:10587", &format!("127.0.0.1:{}", postfix.submission));
        fs::write(&master, text).unwrap();
        postfix
    }

    /// A parameter of main.cf.
    pub(crate) fn set(&self, setting: &str) {
        run(program("postconf").arg("-c").arg(self.config()).args(["-e", setting]));
    }

    /// A parameter of the listener for strangers alone, in master.cf.
    pub(crate) fn set_mx(&self, setting: &str) {
        let setting = format!("127.0.0.1:{}/inet/{setting}", self.mx);
        run(program("postconf").arg("-c").arg(self.config()).args(["-P", &setting]));
    }

    /// `postfix start` or `reload`; reads what was set.
    pub(crate) fn resume_service(&self) {
        self.command("start");
        until("Postfix", || TcpStream::connect(("127.0.0.1", self.mx)).ok());
    }

    pub(crate) fn reload(&self) {
        let start = self.log.end();
        self.command("reload");
        self.log.wait_after(start, &["master", "reload"]);
    }

    pub(crate) fn stop(&self) {
        self.command("stop");
    }

    /// Sends a signal to the master and all its processes.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process_group(pid(self.master().unwrap()), signal).unwrap();
    }

    /// As SIGKILL to all of it, or a power failure: no farewell to anybody.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        until("Postfix to be gone", || {
            let alive = TcpStream::connect(("127.0.0.1", self.mx)).is_ok();
            (!alive).then_some(())
        });
    }

    /// The mail of a user, as it lies in the mailbox.
    pub(crate) fn mail(&self, user: &str) -> Vec<String> {
        let new = self.dir.path().join("mail").join(user).join("new");
        let Ok(files) = fs::read_dir(new) else { return Vec::new() };
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        let read = |file: PathBuf| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        files.into_iter().map(read).collect()
    }

    pub(crate) fn wait_for_mail(&self, user: &str, count: usize) -> Vec<String> {
        let mail = until(&format!("mail for {user}"), || {
            let mail = self.mail(user);
            (mail.len() >= count).then_some(mail)
        });
        assert_eq!(mail.len(), count, "{mail:#?}");
        mail
    }

    /// Whether any text of a message has reached it: in the log there is a line of cleanup then, and
    /// DATA among the commands of a session.
    pub(crate) fn saw_a_message(&self) -> bool {
        let log = self.log.text();
        log.contains("message-id=")
            || log.contains(" data=")
            || MAILBOXES.iter().any(|user| !self.mail(user).is_empty())
    }

    pub(crate) fn queue(&self) -> PathBuf {
        self.dir.path().join("queue")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    fn command(&self, word: &str) {
        run(program("postfix").arg("-c").arg(self.config()).arg(word));
    }

    fn master(&self) -> Option<u32> {
        fs::read_to_string(self.queue().join("pid/master.pid")).ok()?.trim().parse().ok()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The id may be another's by now if Postfix has stopped: its lock tells.
        let stopped = program("postfix").arg("-c").arg(self.config()).arg("status").output();
        if stopped.is_ok_and(|output| output.status.success())
            && let Some(master) = self.master()
        {
            let _ = kill_process_group(pid(master), Signal::KILL);
        }
    }
}
