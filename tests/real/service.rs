//! As a service of the system: the unit file, and root's rights given up.

use std::fs;
use std::net::TcpListener;

use crate::support::client::Client;
use crate::support::nsd::Nsd;
use crate::support::portcullis::Setup;
use crate::support::postfix::Postfix;
use crate::support::{Dir, program, run};

#[test]
fn systemd_finds_no_fault_in_the_unit_file() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/config/systemd/portcullis.service");
    let text = fs::read_to_string(unit).unwrap();
    let start = "ExecStart=";
    assert_eq!(text.matches(start).count(), 1);
    // The program need not be installed to be tested.
    let (before, line) = text.split_once(start).unwrap();
    let (_, arguments) = line.split_once(' ').unwrap();
    let built = env!("CARGO_BIN_EXE_portcullis");
    let dir = Dir::new("unit");
    let copy = dir.write("portcullis.service", &format!("{before}{start}{built} {arguments}"));
    let said = run(program("systemd-analyze").arg("verify").arg(copy));
    // Of other units of this machine it may say what it wants.
    assert!(!said.contains("portcullis"), "{said}");
}

/// The fields of a status file that tell what a process may do.
fn rights(status: &str) -> Vec<String> {
    let of = |name: &&str| {
        let line = status.lines().find(|line| line.starts_with(*name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    ["Uid:", "Gid:", "Groups:", "CapEff:", "CapPrm:", "NoNewPrivs:"].iter().map(of).collect()
}

#[test]
fn roots_rights_are_given_up_once_a_low_port_is_bound() {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let low = (700..1024).find(free).expect("a free port below 1024, and root's right to take it");
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let dir = Dir::new("service");
    run(program("install").args(["-d", "-o", "nobody"]).arg(dir.path().join("spool")));
    let setup = Setup::new(&postfix, &nsd)
        .table("[run]\nuser = \"nobody\"")
        .table(&format!("[[listener]]\naddress = \"127.0.0.1:{low}\""))
        .spool(&dir.path().join("spool"));
    let portcullis = setup.start();

    let expected = [
        "65534 65534 65534 65534",
        "65534 65534 65534 65534",
        "65534",
        "0000000000000000",
        "0000000000000000",
        "1",
    ];
    let threads = fs::read_dir(format!("/proc/{}/task", portcullis.id())).unwrap();
    let mut seen = 0;
    for thread in threads {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert_eq!(rights(&status), expected);
        seen += 1;
    }
    assert!(seen > 1, "{seen} threads");

    // It serves, with a message that needs a file in the spool; and it can read its files again.
    for _ in 0..2 {
        let mut client = Client::connect(low);
        client.say("EHLO localhost", "250-");
        let body = "more than is kept in memory\r\n".repeat(20_000);
        let message = format!("From: root@thief.example\r\n\r\n{body}");
        let reply = client.send("root@thief.example", "joe@example.com", &message);
        assert!(reply.starts_with("250 "), "{reply}");
        client.quit();
        assert!(portcullis.reload().contains("reloaded: "));
    }
    postfix.wait_for_mail("joe", 2);
}

#[test]
fn a_user_who_does_not_exist_is_no_start() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let mut portcullis = Setup::new(&postfix, &nsd).table("[run]\nuser = \"no-such-user\"").spawn();
    assert_ne!(portcullis.wait(), 0);
    portcullis.log.wait_for(&["cannot become no-such-user"]);
}
