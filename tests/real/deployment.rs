//! As an administrator starts it: by systemd's unit, and from root.

use std::net::TcpListener;

use crate::support::{Dir, Log, Process, program, run, until};

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let dir = Dir::new("unit");
    let unit = include_str!("../../config/systemd/portcullis.service");
    // As if it were installed where the unit's search path leads.
    let built = format!("ExecStart={} run", env!("CARGO_BIN_EXE_portcullis"));
    assert!(unit.contains("\nExecStart=portcullis run\n"));
    let unit = unit.replace("ExecStart=portcullis run", &built);
    let copy = dir.write("portcullis.service", &unit);
    run(program("systemd-analyze").args(["verify", "--man=no"]).arg(&copy));
}

#[test]
fn root_is_given_up_once_a_low_port_is_bound() {
    let dir = Dir::new("root");
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (600..1024).rev().find(free).expect("a free port below 1024");
    let config = dir.write(
        "portcullis.toml",
        &format!(
            "hostname = \"mx1.example.com\"\nlisten = [\"127.0.0.1:{port}\"]\n\
             backend = \"127.0.0.1:1\"\n[run]\nuser = \"nobody\"\n"
        ),
    );
    let log = Log::new(dir.path().join("log"));
    let mut command = program(env!("CARGO_BIN_EXE_portcullis"));
    let process = Process::start(command.args(["run", "--config"]).arg(&config), &log);
    log.wait_for(&["ready"]);
    let tasks = format!("/proc/{}/task", process.id());
    for task in std::fs::read_dir(tasks).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let ids = |name: &str| -> Vec<u32> {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(1).map(|id| id.parse().unwrap()).collect()
        };
        assert_eq!(ids("Uid:"), [65534; 4]);
        assert!(ids("Gid:").iter().all(|gid| *gid != 0));
        assert!(ids("Groups:").iter().all(|gid| *gid != 0));
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    }
    let greeting = until("a greeting", || {
        use std::io::Read as _;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    });
    assert!(greeting.starts_with("421 4.3.2 mx1.example.com "), "{greeting}");
}
