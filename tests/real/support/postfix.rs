//! Postfix as Debian installs it, put behind Portcullis by the project's own scripts.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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
        postfix.run();
        postfix
    }

    /// Running, with `enable.sh mx submission` applied, and passwords checked at `private/auth`.
    pub(crate) fn start_with_submission() -> Postfix {
        let postfix = Postfix::configured(&["mx", "submission"]);
        postfix.set(&["smtpd_sasl_type=dovecot", "smtpd_sasl_path=private/auth"]);
        postfix.run();
        postfix
    }

    /// Not running yet.
    pub(crate) fn configured(parts: &[&str]) -> Postfix {
        let dir = Dir::new("postfix");
        let config = dir.path().join("config");
        fs::create_dir(&config).unwrap();
        debian("main.cf.debian", &config.join("main.cf"));
        debian("dynamicmaps.cf", &config.join("dynamicmaps.cf"));
        for (name, owner) in [("queue", "root"), ("data", "postfix"), ("mail", "nobody")] {
            run(program("install").args(["-d", "-o", owner]).arg(dir.path().join(name)));
        }
        let log = Log::new(dir.path().join("mail.log"));
        let postfix = Postfix { log, mx: free_port(), submission: free_port(), dir };
        let at = |name: &str| postfix.dir.path().join(name).display().to_string();
        let mailboxes = MAILBOXES.map(|user| format!("{user}@example.com={user}/")).join(", ");
        let settings = [
            // As Debian's package asks for an Internet site.
            "myhostname = mail.example.com".to_owned(),
            "mydestination = $myhostname, localhost.localdomain, localhost".to_owned(),
            "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128".to_owned(),
            "smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated \
             defer_unauth_destination"
                .to_owned(),
            "inet_protocols = all".to_owned(),
            "alias_maps =".to_owned(),
            "alias_database =".to_owned(),
            // Of this test: files of its own, mailboxes that can be read.
            format!("queue_directory = {}", at("queue")),
            format!("data_directory = {}", at("data")),
            format!("maillog_file_prefixes = {}", at("")),
            format!("maillog_file = {}", at("mail.log")),
            "virtual_mailbox_domains = example.com".to_owned(),
            format!("virtual_mailbox_base = {}", at("mail")),
            format!("virtual_mailbox_maps = inline:{{{mailboxes}}}"),
            "virtual_uid_maps = static:65534".to_owned(),
            "virtual_gid_maps = static:65534".to_owned(),
        ];
        let main = fs::read_to_string(config.join("main.cf")).unwrap();
        fs::write(config.join("main.cf"), format!("{main}\n{}\n", settings.join("\n"))).unwrap();
        let master = enabled(parts)
            .replace("127.0.0.1:10025", &format!("127.0.0.1:{}", postfix.mx))
            .replace("127.0.0.1:10587", &format!("127.0.0.1:{}", postfix.submission));
        fs::write(config.join("master.cf"), master).unwrap();
        postfix
    }

    /// Parameters of main.cf.
    pub(crate) fn set(&self, settings: &[&str]) {
        run(program("postconf").arg("-c").arg(self.config()).arg("-e").args(settings));
    }

    /// A parameter of the listener for strangers alone, in master.cf.
    pub(crate) fn set_mx(&self, setting: &str) {
        let setting = format!("127.0.0.1:{}/inet/{setting}", self.mx);
        run(program("postconf").arg("-c").arg(self.config()).args(["-P", &setting]));
    }

    /// `postfix start`, of one that does not run.
    pub(crate) fn run(&self) {
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

    /// Octets that were sent to the listener for strangers and that it has not read yet.
    pub(crate) fn unread(&self) -> u64 {
        let port = format!(":{:04X}", self.mx);
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
        let unread = |line: &str| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, mut queues) = (fields.next()?, fields.skip(2));
            let (_, unread) = queues.next()?.split_once(':')?;
            local.ends_with(&port).then(|| u64::from_str_radix(unread, 16).ok())?
        };
        sockets.lines().filter_map(unread).sum()
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

/// A file of a fresh installation.
fn debian(name: &str, to: &Path) {
    let from = Path::new("/usr/share/postfix").join(name);
    if let Err(error) = fs::copy(&from, to) {
        panic!("{}: {error}: `make test` installs Postfix", from.display());
    }
}

/// Debian's master.cf with the project's script applied, which takes postconf two seconds: once.
fn enabled(parts: &[&str]) -> String {
    static MASTER: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut known = MASTER.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .entry(parts.join(" "))
        .or_insert_with(|| {
            let dir = Dir::new("enable");
            let networks = "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\n";
            dir.write("main.cf", networks);
            debian("master.cf.dist", &dir.path().join("master.cf"));
            let enable = concat!(env!("CARGO_MANIFEST_DIR"), "/config/postfix/enable.sh");
            run(program("sh").arg(enable).arg("-c").arg(dir.path()).args(parts));
            fs::read_to_string(dir.path().join("master.cf")).unwrap()
        })
        .clone()
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
