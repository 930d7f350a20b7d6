//! Configuration files, good and bad, and the pages printed from the table of options.
//!
//! `UPDATE_EXPECTED=1 cargo test --test config` writes the expected texts and the printed pages anew.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis::config::load::load;
use portcullis::config::parse::{Parsed, parse};
use portcullis::config::reference::{options_page, sample};
use portcullis::config::render::render;
use portcullis::config::{
    Config, Identity, LogTo, Mode, Profile, Query, Role, Tests, needs_restart,
};
use portcullis::policy::diagnostic::{Severity, Source};

fn parsed(path: &str, text: &str) -> Parsed {
    parse(&Arc::new(Source { path: path.into(), text: text.into() }))
}

fn config(text: &str) -> Config {
    let parsed = parsed("portcullis.toml", text);
    parsed.config.unwrap_or_else(|| panic!("{}", render(&parsed.found, false)))
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths
}

/// Holds a file equal to a text, or writes it when told to.
fn hold(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, text).unwrap();
    }
    let stands = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(stands, text, "{} has drifted", path.display());
}

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Each file is named after the code of its first error.
#[test]
fn bad_files_fail_for_the_expected_reason() {
    let paths = files("tests/config/bad");
    assert_eq!(paths.len(), 36);
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let parsed = parsed(name, &fs::read_to_string(&path).unwrap());
        assert!(parsed.config.is_none(), "{name} is accepted");
        let errors: Vec<_> =
            parsed.found.iter().filter(|d| d.severity == Severity::Error).collect();
        assert_eq!(errors[0].code, name.split('-').next().unwrap(), "{name}");
        hold(&path.with_extension("expected"), &render(&parsed.found, false));
    }
}

#[test]
fn good_files_are_accepted_without_a_warning() {
    let paths = files("tests/config/good");
    assert_eq!(paths.len(), 6);
    for path in paths {
        let parsed = parsed(path.to_str().unwrap(), &fs::read_to_string(&path).unwrap());
        assert!(parsed.found.is_empty(), "{}", render(&parsed.found, false));
    }
}

fn minimal() -> Config {
    config(&fs::read_to_string(in_project("config/minimal.toml")).unwrap())
}

#[test]
fn three_lines_are_enough() {
    let config = minimal();
    assert_eq!(config.hostname, "mx1.example.com");
    assert_eq!(config.authserv_id, "mx1.example.com");
    assert_eq!(config.listeners.len(), 2);
    assert!(config.listeners.iter().all(|l| l.role == Role::Mx && l.proxy_protocol.is_empty()));
    assert_eq!(config.backends.len(), 1);
    assert_eq!(config.backends[0].addresses, ["127.0.0.1:10025".parse().unwrap()]);
    assert_eq!(config.backends[0].identity, Identity::Xclient);
    assert_eq!(config.backends[0].connect_timeout, Duration::from_secs(5));
    assert_eq!((config.mode, config.profile), (Mode::Enforce, Profile::Balanced));
    assert_eq!(config.rules, ["rules.d/*.toml"]);
    assert_eq!(config.tls, None);
    assert_eq!(config.dns.message_time, Duration::from_secs(20));
    assert_eq!(config.limits.message_size, 50 << 20);
    assert_eq!(config.spool.memory_per_message, 256 << 10);
    assert_eq!(config.smtp.vrfy, Query::Hide);
    assert_eq!(config.log.to, LogTo::Stderr);
    assert_eq!(config.reload.tests, Tests::Required);
    assert!(portcullis::config::contains(&config.trusted, "127.9.9.9".parse().unwrap()));
    assert!(!portcullis::config::contains(&config.trusted, "192.0.2.1".parse().unwrap()));
}

#[test]
fn the_sample_is_printed_from_the_table() {
    hold(&in_project("config/portcullis.toml"), &sample());
}

#[test]
fn the_reference_is_printed_from_the_table() {
    hold(&in_project("docs/options.md"), &options_page());
}

/// `mark` is what stands before the lines to be brought to life.
fn uncomment(text: &str, mark: &str) -> String {
    let line = |line: &str| match line.strip_prefix(mark) {
        Some(rest) if !rest.starts_with([' ', ':']) && !rest.is_empty() => rest.to_owned() + "\n",
        _ => line.to_owned() + "\n",
    };
    text.lines().map(line).collect()
}

#[test]
fn the_sample_shows_the_defaults() {
    assert_eq!(config(&sample()), minimal());
    let with_defaults = uncomment(&sample(), "#");
    assert!(with_defaults.contains("\nrecipients = 1000\n"), "{with_defaults}");
    assert_eq!(config(&with_defaults), minimal());
}

#[test]
fn the_examples_in_the_sample_work() {
    let all = uncomment(&uncomment(&sample(), "#"), "#: ");
    let all: String = all
        .lines()
        .filter(|line| !line.starts_with("backend = \"127"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    // The example listener names a backend that the example backend is not.
    let all = all.replace("backend = \"submission\"", "backend = \"default\"");
    let config = config(&all);
    assert_eq!(config.listeners.len(), 3);
    assert_eq!(config.dnsbl.len(), 1);
    assert!(config.tls.is_some() && config.run.user.is_some() && config.reply.help.is_some());
}

/// What the pages tell people to write is accepted.
#[test]
fn the_quickstart_can_be_copied() {
    let page = fs::read_to_string(in_project("docs/quickstart.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4);
    let minimal = fs::read_to_string(in_project("config/minimal.toml")).unwrap();
    for block in blocks {
        let whole =
            if block.contains("hostname") { block.to_owned() } else { format!("{minimal}{block}") };
        config(&whole);
    }
}

#[test]
fn only_what_was_bound_needs_a_restart() {
    let old = minimal();
    let mut new = old.clone();
    new.listeners.reverse();
    new.mode = Mode::Monitor;
    new.limits.sessions = 1;
    assert!(needs_restart(&old, &new).is_empty());
    new.listeners.pop();
    new.run.user = Some("mail".into());
    new.run.group = Some("mail".into());
    assert_eq!(needs_restart(&old, &new), ["listen", "run.user", "run.group"]);
}

/// A directory of its own that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("portcullis-config-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("rules.d")).unwrap();
        Directory(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LINES: &str = "hostname = \"mx1.example.com\"\nlisten = [\"127.0.0.1:2525\"]\nbackend = \"localhost:10025\"\n";

#[test]
fn rule_files_are_read_in_name_order() {
    let directory = Directory::new("order");
    let path = directory.write("portcullis.toml", LINES);
    for name in
        ["50-b.toml", "10-a.toml", "70-new.toml.bak", "80-typo.tml", ".hidden.toml", "README"]
    {
        directory.write(&format!("rules.d/{name}"), format!("# {name}"));
    }
    let loaded = load(&path).unwrap_or_else(|found| panic!("{}", render(&found, false)));
    let texts: Vec<&str> = loaded.rule_sources.iter().map(|source| source.text.as_str()).collect();
    assert_eq!(texts, ["# 10-a.toml", "# 50-b.toml"]);
    let warnings: Vec<_> =
        loaded.warnings.iter().filter(|d| d.code == "P0702").map(|d| d.message.as_str()).collect();
    assert_eq!(
        warnings,
        [
            "not loaded: rules.d/70-new.toml.bak does not match rules = [\"rules.d/*.toml\"]",
            "not loaded: rules.d/80-typo.tml does not match rules = [\"rules.d/*.toml\"]",
        ]
    );
}

#[test]
fn a_file_named_twice_is_loaded_once_and_the_configuration_is_no_rule_file() {
    let directory = Directory::new("twice");
    let rules = "rules = [\"rules.d/last.toml\", \"rules.d/*.toml\", \"*.toml\"]\n";
    let path = directory.write("portcullis.toml", LINES.to_owned() + rules);
    directory.write("rules.d/first.toml", "# first");
    directory.write("rules.d/last.toml", "# last");
    directory.write("beside.toml", "# beside");
    directory.write("notes.txt", "");
    directory.write("portcullis.toml.orig", "");
    let loaded = load(&path).unwrap_or_else(|found| panic!("{}", render(&found, false)));
    let texts: Vec<&str> = loaded.rule_sources.iter().map(|source| source.text.as_str()).collect();
    assert_eq!(texts, ["# last", "# first", "# beside"]);
    let warnings: Vec<_> = loaded.warnings.iter().filter(|d| d.code == "P0702").collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("portcullis.toml.orig"), "{}", warnings[0].message);
}

#[test]
fn files_that_cannot_be_read() {
    let directory = Directory::new("unreadable");
    let missing = load(&directory.0.join("none.toml")).unwrap_err();
    assert_eq!(missing.len(), 1);
    assert!(render(&missing, false).starts_with("error[P0601]: cannot read "));

    let path = directory.write(
        "portcullis.toml",
        LINES.to_owned() + "rules = [\"rules.d/x.toml\", \"none.d/*.toml\"]\n",
    );
    let found = load(&path).unwrap_err();
    let codes: Vec<_> =
        found.iter().filter(|d| d.severity == Severity::Error).map(|d| d.code).collect();
    assert_eq!(codes, ["P0603", "P0603"]);
    assert!(render(&found, false).contains("portcullis.toml:4:10"), "{}", render(&found, false));

    let path = directory.write("portcullis.toml", LINES);
    directory.write("rules.d/a.toml", b"# ok\n# \xff\n");
    let found = load(&path).unwrap_err();
    assert!(render(&found, false).contains("line 2 is not UTF-8"), "{}", render(&found, false));
}

#[test]
fn no_default_directory_is_no_error() {
    let directory = Directory::new("bare");
    let path = directory.write("portcullis.toml", LINES);
    fs::remove_dir(directory.0.join("rules.d")).unwrap();
    assert!(load(&path).unwrap().rule_sources.is_empty());
}

const MASTER: &str = "\
smtp      inet  n       -       y       -       1       postscreen
smtpd     pass  -       -       y       -       -       smtpd
  -o content_filter=scan:[127.0.0.1]:10030
  -o { smtpd_client_restrictions = check_client_access cidr:/etc/postfix/a, permit }
submission inet n       -       n       -       50      smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
submissions inet n      -       y       -       -       smtpd
  -o smtpd_tls_wrappermode=yes
# the end
smtp      unix  -       -       y       -       -       smtp
";

/// Runs a script of `config/postfix` on a directory; whether it went well.
fn script(name: &str, directory: &Path, arguments: &[&str]) -> bool {
    let mut command = std::process::Command::new(in_project("config/postfix").join(name));
    command.arg("-c").arg(directory).args(arguments).output().unwrap().status.success()
}

fn postconf(directory: &Path, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("postconf");
    let output = command.arg("-c").arg(directory).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_postfix_page_has_the_scripts_commands() {
    let directory = Directory::new("postfix-page");
    directory.write("main.cf", "compatibility_level = 3.6\nmynetworks = 127.0.0.0/8\n");
    directory.write(
        "master.cf",
        "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\nsmtp unix - - y - - smtp\n",
    );
    let mut script = std::process::Command::new(in_project("config/postfix/enable.sh"));
    let output =
        script.arg("-c").arg(&directory.0).args(["-n", "mx", "submission"]).output().unwrap();
    let plain = |text: &str| {
        let lines = text.lines().map(|line| line.replace('\'', ""));
        let commands = lines.filter(|line| line.starts_with("postconf -"));
        // A comment may stand behind.
        let commands = commands.map(|line| line.split("  ").next().unwrap().to_owned());
        commands.collect::<std::collections::BTreeSet<_>>()
    };
    let printed = plain(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(printed.len(), 27);
    let page = plain(&fs::read_to_string(in_project("config/postfix/README.md")).unwrap());
    let missing: Vec<_> = printed.difference(&page).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_postfix_scripts_go_there_and_back() {
    let directory = Directory::new("postfix");
    directory.write(
        "main.cf",
        "compatibility_level = 3.6\nmynetworks = 127.0.0.0/8 [::1]/128 192.0.2.0/28\n",
    );
    let master = directory.write("master.cf", MASTER);
    let (at, read) = (directory.0.clone(), || fs::read_to_string(&master).unwrap());

    assert!(script("enable.sh", &at, &["-n", "mx", "submission"]));
    assert_eq!(read(), MASTER, "-n changes nothing");
    assert!(!script("enable.sh", &at, &["-r", "0.0.0.0/0"]));
    assert_eq!(read(), MASTER, "what fails changes nothing");

    assert!(script("enable.sh", &at, &["mx", "submission"]));
    let once = read();
    assert!(script("enable.sh", &at, &["mx", "submission"]));
    assert_eq!(read(), once, "twice is once");
    let listeners = postconf(&at, &["-M"]);
    let inet: Vec<&str> = listeners.lines().filter(|line| line.contains(" inet ")).collect();
    assert_eq!(inet.len(), 2, "{listeners}");
    let option = |service: &str, name: &str| {
        let line = postconf(&at, &["-P", &format!("{service}/inet/{name}")]);
        line.split_once('=').map(|(_, value)| value.trim().to_owned())
    };
    let (mx, submission) = ("127.0.0.1:10025", "127.0.0.1:10587");
    assert_eq!(option(mx, "mynetworks").unwrap(), "192.0.2.0/28", "loopback may not relay");
    assert_eq!(option(mx, "content_filter").unwrap(), "scan:[127.0.0.1]:10030");
    assert!(option(mx, "smtpd_client_restrictions").unwrap().contains("cidr:/etc/postfix/a"));
    assert_eq!(option(submission, "mynetworks").unwrap(), "");
    assert_eq!(option(submission, "smtpd_tls_auth_only").unwrap(), "no");
    assert_eq!(
        option(submission, "smtpd_recipient_restrictions").unwrap(),
        "permit_sasl_authenticated,reject"
    );

    assert!(script("enable.sh", &at, &["-r", ""]));
    assert!(script("enable.sh", &at, &[]));
    assert_eq!(option(mx, "mynetworks").unwrap(), "", "a right taken away does not come back");
    assert!(!option(mx, "smtpd_relay_restrictions").unwrap().contains("permit_mynetworks"));

    assert!(script("disable.sh", &at, &[]));
    assert_eq!(read(), MASTER, "byte for byte");
    assert!(script("disable.sh", &at, &[]));
    assert_eq!(read(), MASTER);

    // Somebody else's change in between stays.
    let services = postconf(&at, &["-M"]);
    assert!(script("enable.sh", &at, &["mx", "submission"]));
    fs::write(&master, read() + "added unix - - n - - pipe\n").unwrap();
    assert!(script("disable.sh", &at, &[]));
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        lines.sort();
        lines
    };
    let expected = sorted(&(services + "added unix - - n - - pipe"));
    assert_eq!(sorted(&postconf(&at, &["-M"])), expected);
}

proptest::proptest! {
    /// Hostile or broken text ends in diagnostics that can be printed, never in a panic.
    #[test]
    fn any_text_can_be_reported(text in "([a-z_]{1,9}( = |\\.)?|\\[|\\]|\"|[0-9]{1,4}|\n|listen|backend|listener|dnsbl|tls|é|#|\u{0}|\\{|\\}|,){0,40}") {
        let parsed = parsed("x", &text);
        proptest::prop_assert!(parsed.config.is_some() || !parsed.found.is_empty());
        render(&parsed.found, false);
    }
}
