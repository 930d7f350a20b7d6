//! The documents tell the truth: their links, the paths and names in them, and their form.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{File, files, nothing, read, root};

/// The pages, those at the root included.
fn pages() -> Vec<File> {
    let mut pages = files(&["docs", "config", "rules", "src"], &[".md"], 16);
    for entry in fs::read_dir(root()).expect("root").flatten() {
        if entry.path().extension().is_some_and(|end| end == "md") {
            pages.push(read(&entry.path()));
        }
    }
    assert!(pages.len() >= 21, "{} pages", pages.len());
    pages
}

/// The heading's anchor as the usual renderers make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut links = 0;
    for page in pages() {
        let directory = root().join(Path::new(&page.path).parent().expect("a file"));
        for (at, _) in page.text.match_indices("](") {
            let rest = &page.text[at + 2..];
            let Some(end) = rest.find(')') else { continue };
            let target = &rest[..end];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            links += 1;
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { root().join(&page.path) } else { directory.join(path) };
            if !file.exists() {
                wrong.push(format!("{}: {target}", page.path));
            } else if !heading.is_empty() {
                let text = fs::read_to_string(&file).expect("a page");
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                if !headings.any(|line| anchor(line) == heading) {
                    wrong.push(format!("{}: {target}: no such heading", page.path));
                }
            }
        }
    }
    assert!(links >= 20, "{links} links");
    nothing(wrong);
}

/// What stands between backquotes outside of code blocks.
fn quoted(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            block = !block;
        } else if !block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Pages whose names are all those of the code. Others name options of mail servers as well.
fn about_code(path: &str) -> bool {
    let pages = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/flow.md", "docs/past-failures.md"];
    pages.contains(&path) || path == "src/session/LIFECYCLE.md"
}

/// `shell.rs:12`
fn is_line_number(name: &str) -> bool {
    let number = name.split_once(".rs:").map(|(_, number)| number);
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn paths_and_symbols_in_pages_exist() {
    let sources: String = files(&["src", "tests"], &[".rs"], 130)
        .iter()
        .flat_map(|file| file.text.lines())
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let words: BTreeSet<&str> =
        sources.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut wrong = Vec::new();
    let (mut paths, mut symbols) = (0, 0);
    for page in pages() {
        for name in quoted(&page.text) {
            let path = ["src/", "tests/", "docs/", "rules/", "config/"]
                .iter()
                .any(|start| name.starts_with(start));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
            if path && !name.contains(['*', ' ', '{', '<']) {
                paths += 1;
                if !root().join(&name).exists() {
                    wrong.push(format!("{}: there is no {name}", page.path));
                }
            } else if is_line_number(&name) {
                wrong.push(format!("{}: {name}: line numbers lie soon", page.path));
            } else if name.chars().all(plain)
                && !name.starts_with("std::")
                && (name.contains("::") || (about_code(&page.path) && name.contains('_')))
            {
                symbols += 1;
                for part in name.split("::").filter(|part| !words.contains(part)) {
                    wrong.push(format!("{}: {name}: there is no {part}", page.path));
                }
            }
        }
    }
    assert!(paths >= 60 && symbols >= 120, "{paths} paths, {symbols} symbols");
    nothing(wrong);
}

/// A failure of others without a test or a symbol that guards against it is only a story.
#[test]
fn every_failure_has_a_guard() {
    let sources: String =
        files(&["src", "tests"], &[".rs"], 130).into_iter().map(|file| file.text).collect();
    let page = read(&root().join("docs/past-failures.md")).text;
    let mut wrong = Vec::new();
    let (mut rows, mut tests) = (0, 0);
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what ")) {
        rows += 1;
        let cells: Vec<&str> = line.split(" | ").collect();
        let [_, _, guards] = cells.as_slice() else { panic!("three cells: {line}") };
        let names = quoted(guards);
        let is_test = |name: &&String| sources.contains(&format!("fn {name}("));
        tests += names.iter().filter(is_test).count();
        if names.is_empty() {
            wrong.push(line.to_owned());
        }
    }
    assert!(rows >= 25 && tests >= 30, "{rows} rows, {tests} tests");
    nothing(wrong);
}

/// A decision is short, and has the three parts.
#[test]
fn decisions_have_one_form() {
    let mut wrong = Vec::new();
    let pages = files(&["docs/decisions"], &[".md"], 8);
    for (n, page) in pages.iter().enumerate() {
        let number = format!("{:04}", n + 1);
        let name = page.path.trim_start_matches("docs/decisions/");
        let headings: Vec<&str> = page.text.lines().filter(|line| line.starts_with('#')).collect();
        let form = name.starts_with(&format!("{number}-"))
            && headings.first().is_some_and(|first| first.starts_with(&format!("# {number}: ")))
            && headings.get(1..) == Some(&["## Context", "## Decision", "## Consequences"][..]);
        if !form || page.text.lines().count() > 40 {
            wrong.push(page.path.clone());
        }
    }
    nothing(wrong);
}

/// Pages that comments name.
#[test]
fn pages_in_comments_exist() {
    let mut named = BTreeSet::new();
    for file in files(&["src", "tests", "rules", "config"], &[".rs", ".toml", ".service"], 200) {
        for (at, _) in file.text.match_indices("docs/") {
            let rest = &file.text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/-_.".contains(c));
            let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            if name.ends_with(".md") {
                named.insert((name.to_owned(), file.path.clone()));
            }
        }
    }
    assert!(named.len() >= 3, "{named:?}");
    let missing = named.iter().filter(|(name, _)| !root().join(name).exists());
    nothing(missing.map(|(name, path)| format!("{path}: there is no {name}")).collect());
}
