//! Pages that are printed from tables in the code are what the tables say.
//!
//! `UPDATE_EXPECTED=1 cargo test --test reference` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use portcullis::app::Program;
use portcullis::facts::Stage;
use portcullis::facts::registry::FIELDS;
use portcullis::verdict::Reason;

fn hold(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(known, text, "{page} is not what the table says");
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn replies() {
    let mut page = "\
# Replies

Printed from the table in `src/verdict/reason.rs`: all that Portcullis says of its own accord. What a rule refuses has
its reply in the rule, and 2xx to RCPT and to a message come from the mail server behind alone, as do its refusals.
`{host}` is the configured name, `{}` what it is about. A reply marked *id* ends with the id of the decision, which is
in the log too. After 421 the connection is closed.

| name in the log | reply | when | source | |
|---|---|---|---|---|
"
    .to_owned();
    for reason in Reason::ALL {
        let row = reason.row();
        let mut reply = row.code.to_string();
        if let Some((subject, detail)) = row.enhanced {
            let _ = write!(reply, " {}.{subject}.{detail}", row.code / 100);
        }
        let mark = if row.decision { "*id*" } else { "" };
        let (text, when) = (cell(row.text), cell(row.condition));
        let _ =
            writeln!(page, "| `{}` | {reply} {text} | {when} | {} | {mark} |", row.id, row.source);
    }
    assert!(Reason::ALL.len() > 50);
    hold("docs/replies.md", &page);
}

#[test]
fn rule_fields() {
    let mut page = "\
# Fields of rules

Printed from the table in `src/facts/registry.rs`. The language is told in [`rules/README.md`](../rules/README.md). A
field is known from its stage on; one that a check finds is looked up only when a rule that can still matter asks for
it. A field marked *key* is written with one, as in its example.

"
    .to_owned();
    let mut seen = 0;
    for stage in [Stage::Connect, Stage::Helo, Stage::Mail, Stage::Rcpt, Stage::Message] {
        let _ = writeln!(page, "## From the stage {}\n", stage.name());
        page.push_str("| field | type | found by | what it is | example | source |\n");
        page.push_str("|---|---|---|---|---|---|\n");
        for field in FIELDS.iter().filter(|field| field.stage == stage) {
            seen += 1;
            let by = field.check.map_or("the session".to_owned(), |check| format!("`{check}`"));
            let key = if field.keyed { " *key*" } else { "" };
            let (ty, doc) = (field.ty.name(), cell(field.doc));
            let example = field.example.replace('|', "\\|");
            let _ = writeln!(
                page,
                "| `{}`{key} | {} | {by} | {doc} | `{example}` | {} |",
                field.name,
                cell(&ty),
                field.source
            );
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    assert_eq!(seen, FIELDS.len());
    hold("docs/rule-fields.md", &page);
}

/// What the first page shows works: the three lines, and the rule with its test.
#[test]
fn the_first_page_can_be_copied() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let page = page.expect("README.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [config, rule] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
    let folder = std::env::temp_dir().join(format!("portcullis-first-page-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("rules.d")).expect("created");
    let file = folder.join("portcullis.toml");
    std::fs::write(&file, config).expect("written");
    std::fs::write(folder.join("rules.d/example.toml"), rule).expect("written");
    let program = Program::load(&file);
    std::fs::remove_dir_all(&folder).expect("removed");
    let program = program.expect("valid");
    // It has no certificate yet, which is worth a word and nothing more.
    let codes: Vec<&str> = program.warnings.iter().map(|found| found.code).collect();
    assert_eq!(codes, ["P0553"]);
    assert_eq!((program.rule_files, program.tests.len()), (1, 1));
}
