//! `docs/replies.md` and `docs/rule-fields.md` are printed from the tables that the program goes by,
//! and every reply in them was really given in a dialog.
//!
//! `UPDATE_EXPECTED=1 cargo test --test replies` writes the pages anew.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use portcullis::facts::registry::FIELDS;
use portcullis::facts::{Stage, Type};
use portcullis::history::{By, Kind};
use portcullis::policy::{Mode, Options, Rule, RuleSet, compile, shipped};
use portcullis::verdict::Reason;
use regex::Regex;
use support::dialog::{self, Dialog, Outcome};
use support::server::HOSTNAME;

/// RFC 5321 4.2.3.
const BASIC_CODES: [u16; 23] = [
    211, 214, 220, 221, 250, 251, 252, 354, 421, 450, 451, 452, 455, 500, 501, 502, 503, 504, 550,
    551, 552, 553, 554,
];

/// Replies that no dialog can bring about, each with the reason why.
const NOT_IN_DIALOGS: [(&str, &str); 1] =
    [("proxy.bug", "an error of our own that a client or a backend could cause would be mended")];

/// Recorded under this name, while the client is told in the words of the backend.
const IN_WORDS_OF_THE_BACKEND: [&str; 1] = ["auth.bad"];

fn rules() -> RuleSet {
    let options = Options {
        profile: "strict",
        mode: Mode::Enforce,
        zones: None,
        read_list: &|_| Err(std::io::ErrorKind::NotFound.into()),
    };
    compile(&shipped(), &options).unwrap().0
}

fn hold(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == text, "{} has drifted", path.display());
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<").replace('\n', "<br>")
}

const INTRODUCTION: &str = "\
# Replies

Everything that Portcullis says to a client, printed from the tables that it goes by. `{}` stands for
an argument and `{host}` for our name; `{field}` is a field of the rules. A reply that refuses a
client or a mail ends with `(id 7f3k-9q2m)`, under which the log has it. 421 ends the connection.
";

const PASSED_ON: &str = "
## What the backend says

Portcullis never says 2xx to RCPT or to a message by itself. These replies are the backend's, with
its codes and all its lines:

| to | when |
| --- | --- |
| RCPT | always; a refusal of MAIL is told at RCPT, since MAIL is answered before the backend is asked |
| the end of a message | always; a refusal of DATA is told here |
| AUTH | 235, 334, 4yz and 5yz |
| VRFY, EXPN, ETRN | where `smtp.vrfy`, `smtp.expn`, `smtp.etrn` are `\"pass\"` |

A reply without enhanced code gets `x.0.0` of its class, since ENHANCEDSTATUSCODES is offered
(RFC 2034 4). What is not printable ASCII becomes `?`, lines over 512 octets are folded. The
backend's 421 ends our session too, as `backend.421`; what is no SMTP reply, or makes no sense where
it comes, is told as `backend.garbage`.
";

fn replies_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str(
        "\n## Portcullis itself\n\n\
         | reason | reply | condition | source |\n| --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let row = reason.row();
        let enhanced = row
            .enhanced
            .map(|(subject, detail)| format!("{}.{subject}.{detail} ", row.code / 100))
            .unwrap_or_default();
        let _ = writeln!(
            page,
            "| <a id=\"{0}\"></a>`{0}` | {1} {enhanced}{2} | {3} | {4} |",
            row.id,
            row.code,
            cell(row.text),
            cell(row.condition),
            row.source
        );
    }
    page.push_str(
        "\n## Rules\n\nThe shipped rules; which of them are in force is a matter of `profile` and \
         of overrides.\n\n| rule | reply | condition | at | source |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    let rules = rules();
    let written = written_replies();
    for rule in rules.rules() {
        let Some(reply) = rule.action.reply() else { continue };
        let text = &written[&*rule.id];
        assert!(text.starts_with(&reply.code.to_string()), "{}: {text}", rule.id);
        let _ = writeln!(
            page,
            "| <a id=\"{0}\"></a>`{0}` | {1} | {2}: `{3}` | {4} | {5} |",
            rule.id,
            cell(text),
            cell(&rule.why),
            rule.when.replace('|', "\\|"),
            rule.at.name(),
            cell(&rule.source)
        );
    }
    page + PASSED_ON
}

/// The replies as the rule files have them, by rule.
fn written_replies() -> BTreeMap<String, String> {
    let mut replies = BTreeMap::new();
    for file in shipped() {
        let table: toml::Table = file.source.text.parse().unwrap();
        let rules = table.get("rule").and_then(toml::Value::as_array).into_iter().flatten();
        for rule in rules {
            if let Some(reply) = rule.get("reply") {
                let id = rule["id"].as_str().unwrap().to_owned();
                replies.insert(id, reply.as_str().unwrap().to_owned());
            }
        }
    }
    replies
}

#[test]
fn the_page_of_replies_is_printed_from_the_tables() {
    hold("docs/replies.md", &replies_page());
}

fn type_name(ty: &Type) -> String {
    match ty {
        Type::Enum(values) => format!("one of {}", values.join(", ")),
        Type::List(of) => format!("a list, each {}", type_name(of)),
        Type::Bool => "true or false".into(),
        Type::Int => "a whole number".into(),
        Type::Size => "a size".into(),
        Type::Duration => "a duration".into(),
        Type::Ip => "an address".into(),
        Type::Text => "text".into(),
        Type::TextNoCase => "text, letters of either case alike".into(),
        Type::Domain => "a domain".into(),
        Type::Address => "a mail address".into(),
    }
}

fn fields_page() -> String {
    let mut page = "\
# Fields of rules

Everything that a rule can ask about, printed from the table that the program goes by. A field can be
used from its stage on. What was not found, or could not be found, reads as the empty or first value.
"
    .to_owned();
    for stage in Stage::ALL {
        let fields: Vec<_> = FIELDS.iter().filter(|field| field.stage == stage).collect();
        if fields.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "\n## Known at {}\n\n| field | value | found by | meaning | example | source |\n\
             | --- | --- | --- | --- | --- | --- |\n",
            stage.name()
        );
        for field in fields {
            let key = if field.keyed { "[\"KEY\"]" } else { "" };
            let key = if field.name == "rate" { ".NAME" } else { key };
            let _ = writeln!(
                page,
                "| `{}{key}` | {} | {} | {} | `{}` | {} |",
                field.name,
                type_name(&field.ty),
                field.check.unwrap_or("the session"),
                cell(field.doc),
                field.example.replace('|', "\\|"),
                field.source
            );
        }
    }
    page
}

#[test]
fn the_page_of_fields_is_printed_from_the_table() {
    hold("docs/rule-fields.md", &fields_page());
}

/// All lines of a reply in one, as logs have it.
fn replies_in(received: &str) -> Vec<String> {
    let enhanced = Regex::new(r"^.\d\.\d+\.\d+ ").unwrap();
    let mut replies = Vec::new();
    let mut open = String::new();
    for line in received.lines().filter(|line| line.len() > 3) {
        let (code, text) = line.split_at(3);
        if open.is_empty() {
            open = format!("{code} {}", &text[1..]);
        } else {
            // The enhanced code stands on each line.
            let text = enhanced.replace(text, " ");
            open.push(' ');
            open.push_str(text.trim_start());
        }
        if text.starts_with(' ') {
            replies.push(std::mem::take(&mut open));
        }
    }
    replies
}

/// What the reason's reply looks like, whatever its argument.
fn pattern(reason: Reason) -> Regex {
    let argument = "\u{1}";
    let line = reason.reply(HOSTNAME, "ARGUMENT").to_string();
    let escaped = regex::escape(&line.replace("ARGUMENT", argument)).replace(argument, ".*");
    Regex::new(&format!(r"^{escaped}( \(id [0-9a-z-]+\))?$")).unwrap()
}

/// The client was told so, and it was not the backend's word.
fn told(reason: Reason, outcome: &Outcome) -> bool {
    let pattern = pattern(reason);
    let by_backend =
        |reply: &str| replies_in(&outcome.backend_said).iter().any(|said| said == reply);
    let told = replies_in(&outcome.received)
        .iter()
        .any(|reply| pattern.is_match(reply) && !by_backend(reply));
    // What turns a client away before its session began is in the log alone.
    let recorded =
        || outcome.decisions.iter().any(|made| made.by == By::Reason(reason.id().into()));
    if IN_WORDS_OF_THE_BACKEND.contains(&reason.id()) {
        return recorded();
    }
    told && (!reason.row().decision || reason.id().starts_with("conc.") || recorded())
}

fn refused_by(rule: &Rule, outcome: &Outcome) -> bool {
    let squeezed = |text: &str| text.replace(' ', "");
    let received: Vec<_> = replies_in(&outcome.received).iter().map(|r| squeezed(r)).collect();
    outcome.decisions.iter().any(|made| {
        made.by == By::Rule(rule.id.to_string())
            && matches!(made.kind, Kind::Defer | Kind::Reject)
            && received.contains(&squeezed(&made.reply))
    })
}

#[test]
fn every_reply_was_given_in_a_dialog() {
    let played: Vec<(Dialog, Outcome)> = dialog::all()
        .into_iter()
        .map(|dialog| (dialog.run(), dialog))
        .map(|(o, d)| (d, o))
        .collect();
    let covering = |id: &str| -> Vec<&Outcome> {
        let covers = |dialog: &Dialog| dialog.covers.iter().any(|covered| covered == id);
        played.iter().filter(|(dialog, _)| covers(dialog)).map(|(_, outcome)| outcome).collect()
    };
    let excused = |id: &str| NOT_IN_DIALOGS.iter().any(|(excused, _)| *excused == id);
    let mut missing = Vec::new();
    let mut known = BTreeSet::new();
    for reason in Reason::ALL {
        known.insert(reason.id().to_owned());
        let outcomes = covering(reason.id());
        let all = outcomes.iter().all(|outcome| told(*reason, outcome));
        if !excused(reason.id()) && (outcomes.is_empty() || !all) {
            missing.push(reason.id().to_owned());
        }
    }
    for rule in rules().rules().iter().filter(|rule| rule.action.reply().is_some()) {
        known.insert(rule.id.to_string());
        let outcomes = covering(&rule.id);
        let all = outcomes.iter().all(|outcome| refused_by(rule, outcome));
        if outcomes.is_empty() || !all {
            missing.push(rule.id.to_string());
        }
    }
    assert!(missing.is_empty(), "no dialog, or not each that says so, gives: {missing:#?}");
    for (dialog, _) in &played {
        for covered in &dialog.covers {
            assert!(known.contains(covered), "{}: there is no {covered}", dialog.name());
        }
    }
    let codes: BTreeSet<u16> = played
        .iter()
        .flat_map(|(_, outcome)| outcome.received.lines())
        .filter_map(|line| line.get(..3)?.parse().ok())
        .collect();
    let unseen: Vec<_> = BASIC_CODES.iter().filter(|code| !codes.contains(code)).collect();
    assert!(unseen.is_empty(), "seen in no dialog: {unseen:?}");
}
