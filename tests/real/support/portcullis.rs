//! The built program, run as an administrator runs it.

use std::fs;
use std::path::Path;

use std::process::Command;

use rustix::process::Signal;

use super::nsd::Nsd;
use super::postfix::Postfix;
use super::tls::Certificate;
use super::{Dir, Log, Process, free_port, until};

/// What it is to be started with.
pub(crate) struct Setup {
    dir: Dir,
    ports: Ports,
    tables: String,
}

#[derive(Clone, Copy)]
pub(crate) struct Ports {
    /// Mail from strangers, who come through a load balancer that tells their addresses.
    pub(crate) mx: u16,
    /// Mail from strangers without one: programs of this machine, as 127.0.0.1.
    pub(crate) direct: u16,
    pub(crate) submission: u16,
    pub(crate) submissions: u16,
}

impl Setup {
    pub(crate) fn new(postfix: &Postfix, nsd: &Nsd) -> Setup {
        let dir = Dir::new("gate");
        let ports = Ports {
            mx: free_port(),
            direct: free_port(),
            submission: free_port(),
            submissions: free_port(),
        };
        let tables = format!(
            "hostname = \"mx1.example.com\"\n\
             [[listener]]\naddress = \"127.0.0.1:{}\"\nproxy_protocol = [\"127.0.0.1\"]\n\
             [[listener]]\naddress = \"127.0.0.1:{}\"\n\
             [backend.default]\naddress = [\"127.0.0.1:{}\"]\n\
             [dns]\nservers = [\"127.0.0.1:{}\"]\n\
             [spool]\ndirectory = \"{}\"\n",
            ports.mx,
            ports.direct,
            postfix.mx,
            nsd.port,
            dir.path().join("spool").display(),
        );
        fs::create_dir(dir.path().join("rules.d")).unwrap();
        Setup { dir, ports, tables }
    }

    /// Keys of the backend.
    pub(crate) fn backend(mut self, lines: &str) -> Setup {
        self.tables = self.tables.replace("[dns]", &format!("{lines}\n[dns]"));
        self
    }

    /// Another directory for large messages.
    pub(crate) fn spool(mut self, spool: &Path) -> Setup {
        let own = self.dir.path().join("spool").display().to_string();
        self.tables = self.tables.replace(&own, &spool.display().to_string());
        self
    }

    pub(crate) fn table(mut self, table: &str) -> Setup {
        self.tables.push_str(table);
        self.tables.push('\n');
        self
    }

    pub(crate) fn rules(self, text: &str) -> Setup {
        self.dir.write("rules.d/test.toml", text);
        self
    }

    /// A certificate of its own, and a client that believes it.
    pub(crate) fn tls(self) -> (Setup, Certificate) {
        let certificate = Certificate::write(&self.dir);
        (self.table(&certificate.table()), certificate)
    }

    /// Listeners for users: STARTTLS and TLS from the first byte.
    pub(crate) fn submission(self, postfix: &Postfix) -> (Setup, Certificate) {
        let Ports { submission, submissions, .. } = self.ports;
        let tables = format!(
            "[[listener]]\naddress = \"127.0.0.1:{submission}\"\nrole = \"submission\"\n\
             backend = \"users\"\n\
             [[listener]]\naddress = \"127.0.0.1:{submissions}\"\nrole = \"submissions\"\n\
             backend = \"users\"\n\
             [backend.users]\naddress = [\"127.0.0.1:{}\"]\n",
            postfix.submission
        );
        self.table(&tables).tls()
    }

    /// Runs it; it serves.
    pub(crate) fn start(self) -> Portcullis {
        let mut portcullis = self.spawn();
        until("portcullis to be ready", || {
            let text = portcullis.log.text();
            assert!(portcullis.runs(), "it has ended");
            text.lines().any(|line| line.ends_with("ready")).then_some(())
        });
        portcullis
    }

    /// Runs it, whatever comes of it.
    pub(crate) fn spawn(self) -> Portcullis {
        let config = self.dir.write("portcullis.toml", &self.tables);
        let log = Log::new(self.dir.path().join("log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let process = Process::start(command.arg("run").arg("--config").arg(config), &log);
        Portcullis { log, ports: self.ports, process, dir: self.dir }
    }
}

pub(crate) struct Portcullis {
    pub(crate) log: Log,
    pub(crate) ports: Ports,
    process: Process,
    dir: Dir,
}

impl Portcullis {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn write_rules(&self, text: &str) {
        self.dir.write("rules.d/test.toml", text);
    }

    /// SIGHUP; returns what the log says of it, once it is over.
    pub(crate) fn reload(&self) -> String {
        let start = self.log.end();
        self.process.signal(Signal::HUP);
        until("the end of the reload", || {
            let text = self.log.text().get(start..)?.to_owned();
            (text.contains("reloaded: ") || text.contains("reload refused")).then_some(text)
        })
    }

    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// The exit status, once it has ended.
    pub(crate) fn wait(&mut self) -> i32 {
        until("the end of portcullis", || self.process.ended())
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }
}
