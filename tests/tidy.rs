//! The house rules that no compiler holds: which folder may use which, what is pure, how long files
//! are, what must not be said, and that the documents tell the truth.
//!
//! Every look at a set of files first says how many it saw: one that saw none proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/pages.rs"]
mod pages;

/// Who may use whom, told from the ground up: a folder uses only folders above it in this list.
/// `ARCHITECTURE.md` has the same table with reasons; both are held to the code.
const ARROWS: &[(&str, &[&str])] = &[
    ("smtp", &[]),
    ("facts", &[]),
    ("message", &[]),
    ("dns", &[]),
    ("state", &["dns"]),
    ("policy", &["facts"]),
    ("history", &["facts"]),
    ("verdict", &["policy", "smtp"]),
    ("checks", &["dns", "facts", "message", "smtp", "state"]),
    ("session", &["facts", "smtp", "verdict"]),
    ("relay", &["smtp", "verdict"]),
    ("observe", &["history", "message"]),
    ("config", &["checks", "policy", "session"]),
    (
        "connection",
        &[
            "checks", "dns", "facts", "history", "message", "observe", "policy", "relay",
            "session", "smtp", "state", "verdict",
        ],
    ),
    (
        "app",
        &[
            "checks",
            "config",
            "connection",
            "dns",
            "facts",
            "message",
            "observe",
            "policy",
            "relay",
            "session",
            "state",
        ],
    ),
    (
        "cli",
        &[
            "app", "checks", "config", "dns", "history", "message", "observe", "policy", "relay",
            "smtp",
        ],
    ),
];

/// Folders that are functions of what they are given.
const PURE: &[&str] = &["smtp", "facts", "session", "policy", "verdict", "history"];

/// What a pure folder has no use for.
const IMPURE: &[&str] = &[
    "tokio",
    "std::net::Tcp",
    "std::net::Udp",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "rand::",
    "Mutex",
    "RwLock",
    "async ",
    ".await",
];

/// Where files are opened in `message`, which has no other business outside itself.
const SPOOL: &[&str] = &["src/message/spool.rs", "src/message/edits.rs"];

const LINES_MAX: usize = 600;

/// Longer files, and why each is still one thing.
const LONG: &[(&str, &str)] = &[
    ("tests/support/dialog.rs", "the grammar of dialog files, read, run and compared"),
    ("tests/relay.rs", "a test for each way in which a backend can fail"),
    ("tests/sim/observer.rs", "what must hold of a session, told without its code"),
];

/// Crates that have one place each.
const PLACES: &[(&str, &[&str], &str)] = &[
    ("hickory_", &["src/dns/"], "DNS comes in through one door"),
    (
        "mail_auth::",
        &["src/checks/dkim/crypto.rs", "src/checks/dkim/properties.rs"],
        "signatures are verified in one file; the tests sign",
    ),
    ("mail_parser", &["src/checks/header.rs"], "decodes the text of fields"),
    ("lookup_host", &[], "nobody else resolves a name"),
    ("to_socket_addrs", &[], "nobody else resolves a name"),
    ("ToSocketAddrs", &[], "nobody else resolves a name"),
];

struct File {
    /// From the project's root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below the directories with one of the endings; at least `least`.
fn files(directories: &[&str], endings: &[&str], least: usize) -> Vec<File> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    for directory in directories {
        walk(&root().join(directory), &mut paths);
    }
    paths.retain(|path| endings.iter().any(|end| path.to_string_lossy().ends_with(end)));
    paths.sort();
    assert!(paths.len() >= least, "{directories:?} {endings:?}: {} files", paths.len());
    paths.into_iter().map(|path| read(&path)).collect()
}

fn read(path: &Path) -> File {
    let text = fs::read_to_string(path).expect("text");
    let path = path.strip_prefix(root()).expect("below the root");
    File { path: path.to_string_lossy().replace('\\', "/"), text }
}

fn sources() -> Vec<File> {
    files(&["src"], &[".rs"], 120)
}

/// The sources without tests and without comments.
fn program() -> Vec<File> {
    let mut sources = sources();
    let mut tests = BTreeSet::new();
    for file in &sources {
        let stem = match file.path.strip_suffix("/mod.rs") {
            Some(folder) => folder,
            None => file.path.trim_end_matches(".rs"),
        };
        let mut lines = file.text.lines();
        while let Some(line) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                continue;
            }
            let next = lines.next().unwrap_or_default();
            if let Some(path) = next.trim().strip_prefix("#[path = \"") {
                let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                tests.insert(format!("{folder}/{}", path.trim_end_matches("\"]")));
            } else if let Some((_, name)) = next.trim_end_matches(';').rsplit_once("mod ")
                && next.ends_with(';')
            {
                tests.insert(format!("{stem}/{name}.rs"));
            }
        }
    }
    assert!(tests.len() >= 5, "test modules: {tests:?}");
    sources.retain(|file| !tests.contains(&file.path));
    for file in &mut sources {
        if let Some(at) = file.text.find("#[cfg(test)]\nmod tests {") {
            file.text.truncate(at);
        }
        let code: Vec<&str> =
            file.text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        file.text = code.join("\n");
    }
    sources
}

fn folder(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split_once('/').map(|(folder, _)| folder)
}

/// Fails with all that was found, a line each.
fn nothing(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn folders_use_only_what_they_may() {
    let mut used: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut climbing = Vec::new();
    for file in program() {
        let Some(from) = folder(&file.path) else { continue };
        let arrows = used.entry(from.to_owned()).or_default();
        // Ways around `crate::`.
        let above = file.path.matches('/').count() == 2 && file.path.ends_with("/mod.rs");
        if file.text.contains("super::super::") || (above && file.text.contains("super::")) {
            climbing.push(format!("{}: leaves its folder by `super`", file.path));
        }
        for (at, _) in file.text.match_indices("crate::") {
            let rest = &file.text[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                // `use crate::{a::B, c}`
                Some(list) => {
                    let end = list.find("};").expect("the end of an import");
                    list[..end].split(',').collect()
                }
                None => vec![rest],
            };
            for name in names {
                let name = name.trim_start();
                let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = &name[..end.unwrap_or(name.len())];
                if name != from && ARROWS.iter().any(|(known, _)| *known == name) {
                    arrows.entry(name.to_owned()).or_insert_with(|| file.path.clone());
                }
            }
        }
    }
    let mut wrong = climbing;
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for (from, allowed) in ARROWS {
        for to in *allowed {
            if !below.contains(to) {
                wrong.push(format!("{from} uses {to}, which does not stand above it in the list"));
            }
        }
        below.insert(from);
        let found = used.remove(*from).unwrap_or_default();
        for (to, path) in &found {
            if !allowed.contains(&to.as_str()) {
                wrong.push(format!("{path}: {from} may not use {to}"));
            }
        }
        for to in allowed.iter().filter(|to| !found.contains_key(**to)) {
            wrong.push(format!("{from} may use {to} and does not: take it out of the list"));
        }
    }
    wrong.extend(used.keys().map(|folder| format!("src/{folder} is not in the list")));
    nothing(wrong);
}

#[test]
fn the_page_has_the_same_arrows() {
    let page = read(&root().join("ARCHITECTURE.md")).text;
    let mut rows = BTreeMap::new();
    let table = page.split("| Folder | may use |").nth(1).expect("the table of imports");
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let names = |cell: &str| -> Vec<String> {
            cell.split(['`', ' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned).collect()
        };
        let [_, folder, may, ..] = cells.as_slice() else { panic!("{line}") };
        rows.insert(names(folder).concat(), names(may));
    }
    let arrows: BTreeMap<String, Vec<String>> = ARROWS
        .iter()
        .map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect()))
        .collect();
    assert_eq!(rows, arrows);
}

/// Whether the word stands there, and not as the beginning of a longer one.
fn says(text: &str, word: &str) -> bool {
    let whole = word.ends_with(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        let after = text[at + word.len()..].chars().next();
        !(whole && after.is_some_and(|c| c.is_lowercase() || c == '_'))
    })
}

#[test]
fn pure_folders_are_pure() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in program() {
        let Some(folder) = folder(&file.path) else { continue };
        let pure = PURE.contains(&folder);
        if !pure && folder != "message" {
            continue;
        }
        seen.insert(folder.to_owned());
        for word in IMPURE {
            let spool = *word == "std::fs" || *word == "std::process";
            if says(&file.text, word) && !(spool && SPOOL.contains(&file.path.as_str())) {
                wrong.push(format!("{}: {word}", file.path));
            }
        }
    }
    assert_eq!(seen.len(), PURE.len() + 1);
    nothing(wrong);
}

#[test]
fn some_crates_have_one_place() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (word, places, why) in PLACES {
            let allowed = places.iter().any(|place| file.path.starts_with(place));
            if !allowed && file.text.contains(word) {
                wrong.push(format!("{}: {word}: {why}", file.path));
            }
        }
    }
    nothing(wrong);
}

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    let mut long: BTreeSet<&str> = LONG.iter().map(|(path, _)| *path).collect();
    for file in files(&["src", "tests"], &[".rs"], 130) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !long.remove(file.path.as_str()) {
            wrong.push(format!("{}: {lines} lines; is it still one thing?", file.path));
        }
    }
    wrong.extend(long.iter().map(|path| format!("{path} is no longer long")));
    nothing(wrong);
}

#[test]
fn nothing_is_left_lying_about() {
    // In two halves, so that this file may be looked at as well.
    let words = [
        ["to", "do!"],
        ["unimple", "mented!"],
        ["db", "g!("],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["TO", "DO"],
        ["/ho", "me/"],
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["crates", ".io"],
        ["static.", "rust-lang"],
        ["local", "host:8"],
    ];
    let mut wrong = Vec::new();
    let directories = ["src", "tests", "rules", "config", "docs", "benches"];
    let mut all = files(&directories, &[".rs", ".toml", ".md", ".sh", ".service"], 200);
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        all.push(read(&root().join(name)));
    }
    for name in ["Cargo.toml", "clippy.toml", "rustfmt.toml"] {
        all.push(read(&root().join(name)));
    }
    for file in &all {
        for word in words.iter().map(|halves| halves.concat()) {
            if file.text.contains(&word) {
                wrong.push(format!("{}: {word}", file.path));
            }
        }
        for (n, line) in file.text.lines().enumerate() {
            let code = file.path.ends_with(".rs") && !line.trim_start().starts_with("//");
            let number = |at: usize| {
                let rest = &line[at + 1..];
                let before = line[..at].ends_with([' ', '(']);
                before && rest.starts_with(|c: char| c.is_ascii_digit())
            };
            if !code && line.match_indices('#').any(|(at, _)| number(at)) {
                wrong.push(format!("{}:{}: a number that says nothing here", file.path, n + 1));
            }
            if line.ends_with([' ', '\t']) && !file.path.ends_with(".md") {
                wrong.push(format!("{}:{}: space at the end", file.path, n + 1));
            }
        }
    }
    nothing(wrong);
}

/// The compiler does not see a file that no module names.
#[test]
fn no_file_is_dead() {
    let sources = sources();
    let mut wrong = Vec::new();
    for file in &sources {
        let path = Path::new(&file.path);
        let (Some(stem), Some(folder)) = (path.file_stem(), path.parent()) else { continue };
        let (stem, folder) = (stem.to_string_lossy(), folder.to_string_lossy());
        let (name, parents) = match (&*stem, folder.rsplit_once('/')) {
            ("main" | "lib", None) => continue,
            ("mod", Some((above, name))) => {
                (name, [format!("{above}/mod.rs"), "src/lib.rs".into()])
            }
            (stem, _) => (stem, [format!("{folder}/mod.rs"), format!("{folder}.rs")]),
        };
        let named = sources
            .iter()
            .filter(|other| parents.contains(&other.path))
            .any(|other| other.text.lines().any(|line| line.ends_with(&format!("mod {name};"))));
        // `#[path = "..."]` stands where a file of tests has its parent's name before its own.
        let by_path =
            sources.iter().any(|other| other.text.contains(&format!("#[path = \"{stem}.rs\"]")));
        if !named && !by_path {
            wrong.push(format!("{} is in no module", file.path));
        }
    }
    nothing(wrong);
}

#[test]
fn every_sample_is_loaded_by_a_test() {
    let shipped = read(&root().join("src/policy/shipped.rs")).text;
    let mut wrong = Vec::new();
    for file in files(&["rules"], &[".toml"], 6) {
        let name = file.path.trim_start_matches("rules/");
        if !shipped.contains(&format!("\"{name}\"")) {
            wrong.push(format!("{} is not compiled in", file.path));
        }
    }
    let tests = read(&root().join("tests/config.rs")).text;
    for file in files(&["config"], &[".toml"], 2) {
        if !tests.contains(&file.path) {
            wrong.push(format!("{} is not read by tests/config.rs", file.path));
        }
    }
    nothing(wrong);
}

/// A dependency says why it is there; what only tests use stands apart.
#[test]
fn dependencies_have_reasons() {
    let manifest = read(&root().join("Cargo.toml")).text;
    let code: String = program().into_iter().map(|file| file.text).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for section in ["[dependencies]", "[dev-dependencies]"] {
        let list = manifest.split(section).nth(1).expect(section);
        for line in list.lines().take_while(|line| !line.starts_with('[')) {
            let Some((name, _)) = line.split_once(" = ") else { continue };
            seen += 1;
            if !line.contains("# ") {
                wrong.push(format!("{name}: why?"));
            }
            let used = code.contains(&format!("{}::", name.replace('-', "_")));
            if section == "[dependencies]" && !used {
                wrong.push(format!("{name} is not used outside of tests"));
            }
        }
    }
    assert!(seen >= 20, "{seen} dependencies");
    nothing(wrong);
}
