//! What the first page shows can be copied: its configuration loads, its rule and test pass.

use std::path::Path;

use portcullis::app::Program;

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
