//! What rules do: order, stages, three values, skip, monitor, overrides, groups.

use super::mistakes::{file, options};
use super::{
    CheckSet, Delay, Effect, Evaluation, Mode, Options, Outcome, RuleSet, compile, shipped,
};
use crate::facts::registry::*;
use crate::facts::{Facts, FieldId, Stage, Value};

fn set_with(text: &str, options: &Options<'_>) -> RuleSet {
    match compile(&[file("rules.d/a.toml", text)], options) {
        Ok((set, _)) => set,
        Err(errors) => panic!("{errors:#?}"),
    }
}

fn set(text: &str) -> RuleSet {
    set_with(text, &options(None))
}

/// `id: action [more keys] if condition`, a line each.
pub(super) fn rules(lines: &[&str]) -> RuleSet {
    set(&rules_text(lines))
}

fn rules_text(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let (head, when) = line.split_once(" if ").unwrap();
        let (id, rest) = head.split_once(": ").unwrap();
        let (action, keys) = rest.split_once(' ').unwrap_or((rest, ""));
        let keys = keys.replace("; ", "\n");
        text.push_str(&format!(
            "[[rule]]\nid = \"{id}\"\nwhen = '{when}'\naction = \"{action}\"\n{keys}\n"
        ));
    }
    text
}

fn facts(known: &[(FieldId, Value)]) -> Facts {
    let mut facts = Facts::new();
    for (field, value) in known {
        facts.set(*field, value.clone());
    }
    facts
}

fn name(set: &RuleSet, rule: usize) -> String {
    set.rules()[rule].id.to_string()
}

fn outcome(set: &RuleSet, evaluation: &Evaluation) -> String {
    match &evaluation.outcome {
        Outcome::Pass => "pass".into(),
        Outcome::Accept { rule } => format!("accept {}", name(set, *rule)),
        Outcome::Refuse { rule, code, .. } => format!("{code} {}", name(set, *rule)),
    }
}

fn matched(set: &RuleSet, evaluation: &Evaluation) -> Vec<(String, Effect)> {
    evaluation.matched.iter().map(|m| (name(set, m.rule), m.effect)).collect()
}

#[track_caller]
fn at(set: &RuleSet, stage: Stage, known: &[(FieldId, Value)], expected: &str) {
    assert_eq!(outcome(set, &set.evaluate(stage, &facts(known))), expected);
}

#[track_caller]
fn needs(set: &RuleSet, stage: Stage, known: &[(FieldId, Value)], expected: &[&str]) {
    let needs = set.needs(stage, &facts(known));
    assert_eq!(needs.names().collect::<Vec<_>>(), expected);
}

fn spf(result: &str) -> (FieldId, Value) {
    (SPF, result.into())
}

fn dnsbl(score: i64) -> (FieldId, Value) {
    (DNSBL_SCORE, score.into())
}

#[test]
fn the_first_that_ends_wins() {
    let set = rules(&[
        "a: tag header = \"X-A\" if helo == \"x\"",
        "b: reject if dnsbl.score >= 4",
        "c: accept if helo == \"x\"",
        "d: defer if helo == \"x\"",
    ]);
    let x = (HELO, Value::from("X"));
    at(&set, Stage::Message, &[], "pass");
    at(&set, Stage::Message, std::slice::from_ref(&x), "accept c");
    at(&set, Stage::Message, &[x.clone(), dnsbl(4)], "550 b");
    let tagged = set.evaluate(Stage::Message, &facts(&[x]));
    assert_eq!(tagged.tags, [("X-A".to_owned(), "a".to_owned())]);
    assert_eq!(
        matched(&set, &tagged),
        [("a".to_owned(), Effect::Applied), ("c".to_owned(), Effect::Applied)]
    );
}

#[test]
fn refusals_are_given_at_rcpt_or_later() {
    let set = rules(&[
        "early: reject if client.early_talker",
        "now: reject at = \"helo\" if helo == \"x\"",
        "spf: reject if spf == \"fail\"",
        "late: reject at = \"message\" if dnsbl.score >= 4",
    ]);
    let talker = (CLIENT_EARLY_TALKER, Value::from(true));
    let waiting = set.evaluate(Stage::Connect, &facts(std::slice::from_ref(&talker)));
    assert_eq!(outcome(&set, &waiting), "pass");
    assert_eq!(matched(&set, &waiting), [("early".to_owned(), Effect::Pending)]);
    at(&set, Stage::Helo, std::slice::from_ref(&talker), "pass");
    at(&set, Stage::Rcpt, std::slice::from_ref(&talker), "550 early");
    // A refusal that may be given now is given, though another waits.
    at(&set, Stage::Helo, &[talker, (HELO, "x".into())], "550 now");
    at(&set, Stage::Mail, &[spf("fail")], "pass");
    at(&set, Stage::Rcpt, &[spf("fail")], "550 spf");
    at(&set, Stage::Rcpt, &[dnsbl(9)], "pass");
    at(&set, Stage::Message, &[dnsbl(9)], "550 late");
    assert!(set.acts_before_rcpt(Stage::Helo) && !set.acts_before_rcpt(Stage::Connect));
    assert!(!set.acts_before_rcpt(Stage::Rcpt) && !set.acts_before_rcpt(Stage::Message));
}

#[test]
fn a_refusal_waits_for_what_may_accept() {
    let set = rules(&[
        "good: accept if dkim == \"pass\" and from.domain == \"a.example\"",
        "bad: reject if dnsbl.score >= 4",
    ]);
    let from = |domain: &str| (FROM_DOMAIN, Value::from(domain));
    at(&set, Stage::Rcpt, &[from("b.example"), dnsbl(4)], "550 bad");
    let waiting = set.evaluate(Stage::Rcpt, &facts(&[from("a.example"), dnsbl(4)]));
    assert_eq!(outcome(&set, &waiting), "pass");
    assert_eq!(matched(&set, &waiting), [("bad".to_owned(), Effect::Pending)]);
    let dkim = (DKIM, Value::from("pass"));
    at(&set, Stage::Message, &[from("a.example"), dnsbl(4), dkim], "accept good");
    at(&set, Stage::Message, &[from("a.example"), dnsbl(4)], "550 bad");
    // Nothing is asked before it can matter.
    needs(&set, Stage::Rcpt, &[from("a.example")], &[]);
    needs(&set, Stage::Rcpt, &[from("b.example")], &["dnsbl"]);
    needs(&set, Stage::Message, &[from("a.example")], &["dnsbl", "dkim"]);
    assert_eq!(set.delays(), [Delay { rule: 1, because_of: 0, until: Stage::Message }]);
}

#[test]
fn an_accept_waits_for_what_may_refuse() {
    let set = rules(&["bad: reject if size > 100", "good: accept if helo == \"x\""]);
    let x = (HELO, Value::from("x"));
    at(&set, Stage::Rcpt, std::slice::from_ref(&x), "pass");
    at(&set, Stage::Message, &[x.clone(), (SIZE, 101.into())], "550 bad");
    at(&set, Stage::Message, &[x, (SIZE, 100.into())], "accept good");
}

#[test]
fn skip_hides_findings_from_later_rules() {
    let set = rules(&[
        "before: reject if spf == \"fail\"",
        "skip: skip skip = [\"dnsbl\", \"spf\"] if helo == \"x\"",
        "after: reject if dnsbl.score >= 4 or spf == \"softfail\"",
    ]);
    let x = (HELO, Value::from("x"));
    at(&set, Stage::Rcpt, &[x.clone(), spf("fail")], "550 before");
    at(&set, Stage::Rcpt, &[x.clone(), spf("softfail"), dnsbl(9)], "pass");
    at(&set, Stage::Rcpt, &[spf("softfail")], "550 after");
    let skipped = set.evaluate(Stage::Rcpt, &facts(&[x.clone(), spf("none"), dnsbl(9)])).skipped;
    assert_eq!(skipped.names().collect::<Vec<_>>(), ["dnsbl", "spf"]);
    needs(&set, Stage::Rcpt, &[x], &["spf"]);
    needs(&set, Stage::Rcpt, &[], &["dnsbl", "spf"]);
}

#[test]
fn a_skip_not_decided_yet_holds_only_what_rests_on_it() {
    let set = rules(&[
        "skip: skip skip = [\"dnsbl\"] if size > 100",
        "lists: reject if dnsbl.score >= 4",
        "spf: reject if spf == \"fail\"",
    ]);
    at(&set, Stage::Rcpt, &[dnsbl(4), spf("none")], "pass");
    at(&set, Stage::Rcpt, &[dnsbl(4), spf("fail")], "550 spf");
    at(&set, Stage::Message, &[dnsbl(4), (SIZE, 99.into())], "550 lists");
    at(&set, Stage::Message, &[dnsbl(4), (SIZE, 101.into())], "pass");
    assert_eq!(set.delays(), [Delay { rule: 1, because_of: 0, until: Stage::Message }]);
}

#[test]
fn a_skip_is_decided_before_what_it_hides_is_asked() {
    let set = rules(&[
        "skip: skip skip = [\"dnsbl\"] if client.name under \"a.example\"",
        "lists: reject if dnsbl.score >= 4",
        "spf: reject if spf == \"fail\"",
    ]);
    let name = |name: &str| (CLIENT_NAME, Value::from(name));
    needs(&set, Stage::Rcpt, &[], &["iprev", "spf"]);
    needs(&set, Stage::Rcpt, &[name("mx.a.example"), spf("none")], &[]);
    needs(&set, Stage::Rcpt, &[name("mx.b.example"), spf("none")], &["dnsbl"]);
}

#[test]
fn only_what_can_matter_is_asked() {
    let set = rules(&[
        "a: reject if not client.trusted and dnsbl.score >= 4",
        "b: reject if spf == \"fail\" and (helo == \"x\" or iprev == \"fail\")",
        "c: reject at = \"message\" if sender_domain == \"missing\"",
    ]);
    let trusted = (CLIENT_TRUSTED, Value::from(true));
    needs(&set, Stage::Connect, &[], &[]);
    needs(&set, Stage::Mail, &[], &[]);
    needs(&set, Stage::Rcpt, &[], &["iprev", "dnsbl", "spf"]);
    needs(&set, Stage::Rcpt, std::slice::from_ref(&trusted), &["iprev", "spf"]);
    needs(&set, Stage::Rcpt, &[trusted.clone(), spf("none")], &[]);
    needs(&set, Stage::Rcpt, &[trusted.clone(), (HELO, "x".into())], &["spf"]);
    needs(&set, Stage::Message, &[trusted.clone(), spf("none")], &["sender_domain"]);
    // A certain refusal makes the rest useless.
    needs(&set, Stage::Rcpt, &[dnsbl(4)], &[]);
}

#[test]
fn what_a_reply_shows_is_asked() {
    let set = rules(&["a: reject reply = \"550 5.7.1 {client.name}\" if helo == \"x\""]);
    let x = (HELO, Value::from("x"));
    needs(&set, Stage::Rcpt, &[], &[]);
    needs(&set, Stage::Rcpt, std::slice::from_ref(&x), &["iprev"]);
    needs(&set, Stage::Rcpt, &[x, (CLIENT_NAME, "mx.example".into())], &[]);
}

#[test]
fn a_check_that_found_nothing_is_not_asked_again() {
    let set = set(concat!(
        "[[rate]]\nname = \"r\"\nwhat = \"recipients\"\nper = \"client.ip\"\nlimit = 1\nwithin = \"1s\"\n",
        "[[rate]]\nname = \"c\"\nwhat = \"connections\"\nper = \"client.ip\"\nlimit = 1\nwithin = \"1s\"\n",
        "[[rule]]\nid = \"a\"\naction = \"reject\"\n",
        "when = 'rate.r or rate.c or header[\"X-A\"] == \"1\" or \"127.0.0.2\" in dnsbl.zone[\"a.example\"]'\n",
        "[[rule]]\nid = \"b\"\naction = \"defer\"\nat = \"connect\"\nwhen = 'rate.c'\n",
    ));
    assert_eq!(set.header_names(), ["x-a"]);
    assert_eq!(set.used_rates().map(|rate| &*rate.name).collect::<Vec<_>>(), ["r", "c"]);
    let mut facts = Facts::new();
    let ask = |stage, facts: &mut Facts| {
        let mut asked = Vec::new();
        loop {
            let needs = set.needs(stage, facts);
            if needs.is_empty() {
                return asked;
            }
            for check in needs.names() {
                asked.push(check);
                set.settle(check, stage, facts);
            }
        }
    };
    assert_eq!(ask(Stage::Connect, &mut facts), ["rate"]);
    assert_eq!(facts.get_keyed(RATE, "c"), Some(&Value::Bool(false)));
    assert_eq!(facts.get_keyed(RATE, "r"), None);
    assert_eq!(ask(Stage::Message, &mut facts), ["dnsbl", "rate", "header"]);
    assert_eq!(facts.get_keyed(HEADER, "x-a"), Some(&Value::List(Vec::new())));
    assert_eq!(facts.keyed(RATE).count(), 2);
}

#[test]
fn a_rate_of_a_later_stage_is_not_known_early() {
    let set = set(concat!(
        "[[rate]]\nname = \"r\"\nwhat = \"recipients\"\nper = \"client.ip\"\nlimit = 1\nwithin = \"1s\"\n",
        "[[rule]]\nid = \"a\"\naction = \"defer\"\nreply = \"450 4.7.0 slow\"\nwhen = 'rate.r'\n",
    ));
    let mut facts = Facts::new();
    facts.set_keyed(RATE, "r", true);
    assert_eq!(outcome(&set, &set.evaluate(Stage::Mail, &facts)), "pass");
    assert_eq!(outcome(&set, &set.evaluate(Stage::Rcpt, &facts)), "450 a");
}

#[test]
fn monitor_records_and_goes_on() {
    let text = rules_text(&[
        "off: reject mode = \"off\" if helo == \"x\"",
        "mon: reject mode = \"monitor\" if helo == \"x\"",
        "acc: accept mode = \"monitor\" if helo == \"x\"",
        "skip: skip mode = \"monitor\"; skip = [\"dnsbl\"] if helo == \"x\"",
        "bad: reject if dnsbl.score >= 4",
    ]);
    let enforced = set(&text);
    let known = facts(&[(HELO, "x".into()), dnsbl(4)]);
    let result = enforced.evaluate(Stage::Rcpt, &known);
    assert_eq!(outcome(&enforced, &result), "550 bad");
    let effects: Vec<_> = matched(&enforced, &result);
    let monitored = |id: &str| (id.to_owned(), Effect::Monitored);
    assert_eq!(
        effects,
        [monitored("mon"), monitored("acc"), monitored("skip"), ("bad".into(), Effect::Applied)]
    );
    assert!(result.skipped.is_empty());

    let all = set_with(&text, &Options { mode: Mode::Monitor, ..options(None) });
    let result = all.evaluate(Stage::Rcpt, &known);
    assert_eq!(outcome(&all, &result), "pass");
    assert_eq!(matched(&all, &result).last(), Some(&monitored("bad")));
    assert!(matched(&all, &result).iter().all(|(id, _)| id != "off"));
}

#[test]
fn overrides_change_other_rules() {
    let base = rules_text(&["a: reject if helo == \"x\"", "b: reject if helo == \"y\""]);
    let over = |text: &str| set(&format!("{text}\n{base}"));
    let known = |helo: &str| [(HELO, Value::from(helo)), (RCPT_LOCAL, "joe".into())];
    let set = over("[override.\"a\"]\nmode = \"monitor\"");
    at(&set, Stage::Rcpt, &known("x"), "pass");
    at(&set, Stage::Rcpt, &known("y"), "550 b");
    let set = over("[override.\"a\"]\nexcept = 'rcpt.local == \"JOE\"'");
    at(&set, Stage::Rcpt, &known("x"), "pass");
    let set = over("[override.\"a\"]\nreply = \"554 5.7.1 {helo} is not wanted\"\nat = \"helo\"");
    match set.evaluate(Stage::Helo, &facts(&known("x"))).outcome {
        Outcome::Refuse { code, subject, detail, text, defer, .. } => {
            assert_eq!((code, subject, detail, defer), (554, 7, 1, false));
            assert_eq!(text, "x is not wanted");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn shipped_rules_are_overridden_and_redeclared() {
    let mine = concat!(
        "[override.\"dmarc-reject\"]\nmode = \"monitor\"\n",
        "[override.\"spf-temperror\"]\nmode = \"enforce\"\n",
        "[[rate]]\nname = \"messages-per-client\"\nwhat = \"messages\"\nper = \"from\"\nlimit = 7\nwithin = \"1h\"\n",
    );
    let mut files = vec![file("rules.d/a.toml", mine)];
    files.extend(shipped());
    let (set, warnings) =
        compile(&files, &Options { profile: "balanced", ..options(None) }).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(set.rule("dmarc-reject").unwrap().1.mode, Mode::Monitor);
    assert_eq!(set.rule("spf-temperror").unwrap().1.mode, Mode::Enforce);
    assert_eq!(set.rates().iter().find(|r| &*r.name == "messages-per-client").unwrap().limit, 7);
}

#[test]
fn default_replies() {
    let set = set(concat!(
        "[[rule]]\nid = \"a\"\nwhy = \"No {x}\"\nwhen = 'helo == \"x\"'\naction = \"reject\"\n",
        "[[rule]]\nid = \"b\"\nwhen = 'helo == \"y\"'\naction = \"defer\"\n",
    ));
    let reply = |helo: &str| match set.evaluate(Stage::Rcpt, &facts(&[(HELO, helo.into())])).outcome
    {
        Outcome::Refuse { code, subject, detail, text, defer, .. } => {
            (code, subject, detail, text, defer)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(reply("x"), (550, 7, 1, "No {x}".to_owned(), false));
    assert_eq!(reply("y"), (451, 7, 1, "Message refused by policy".to_owned(), true));
}

#[test]
fn operators() {
    let known = || {
        let mut facts = facts(&[
            (CLIENT_IP, "192.0.2.9".parse::<std::net::IpAddr>().unwrap().into()),
            (HELO, "mx.Example.com".into()),
            (FROM, "Joe@b\u{fc}cher.example".into()),
            (FROM_LOCAL, "Joe".into()),
            (RCPT_COUNT, 3.into()),
            (SIZE, (11 << 20).into()),
            (DKIM_DOMAINS, vec!["a.example", "b.example"].into()),
            (TLS_USED, true.into()),
            spf("fail"),
        ]);
        facts.set_keyed(HEADER, "subject", vec!["Your INVOICE", "x"]);
        let ip: std::net::IpAddr = "127.0.0.4".parse().unwrap();
        facts.set_keyed(DNSBL_ZONE, "bl.example", vec![ip]);
        facts
    };
    let lists = concat!(
        "[list.nets]\ntype = \"ip\"\nitems = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n",
        "[list.doms]\ntype = \"domain\"\nitems = [\"example.com\", \"b.example\"]\n",
        "[list.words]\ntype = \"string\"\nitems = [\"joe\"]\n",
    );
    for (when, expected) in [
        ("client.ip == \"192.0.2.9\"", true),
        ("client.ip != \"192.0.2.9\"", false),
        ("client.ip in \"192.0.2.0/28\"", true),
        ("client.ip in [\"10.0.0.0/8\", \"192.0.2.9\"]", true),
        ("client.ip not in @nets", false),
        ("client.ip in @nets", true),
        ("helo == \"MX.example.COM.\"", true),
        ("helo in @doms", false),
        ("helo under @doms", true),
        ("helo under \"com\"", true),
        ("helo under [\"example.org\", \"example.com\"]", true),
        ("helo starts_with \"MX\" and helo ends_with \".com\"", true),
        ("helo matches \"^mx\\.example\"", true),
        ("from.local == \"joe\"", false),
        ("from.local matches \"^joe\"", false),
        ("from.local in @words", true),
        ("from matches \"\u{fc}\"", true),
        ("from matches \"^joe@b..?cher\"", true),
        ("rcpt.count >= 3 and rcpt.count < 4 and rcpt.count in [1, 3]", true),
        ("rcpt.count > 3 or rcpt.count == 2", false),
        ("size > \"10MiB\" and size <= \"11 MiB\"", true),
        ("spf == \"fail\"", true),
        ("spf in [\"fail\", \"softfail\"]", true),
        ("spf not in [\"fail\", \"softfail\"]", false),
        ("tls.used == true and not (tls.used == false)", true),
        ("tls.used != true", false),
        ("\"B.example\" in dkim.domains", true),
        ("\"c.example\" not in dkim.domains", true),
        ("dkim.domains in @doms", true),
        ("dkim.domains under \"example\"", true),
        ("header[\"Subject\"] contains \"invoice\"", true),
        ("header[\"subject\"] == \"X\"", true),
        ("header[\"Other\"] contains \"\"", false),
        ("\"127.0.0.4\" in dnsbl.zone[\"BL.example\"]", true),
        ("dnsbl.zone[\"bl.example\"] in \"127.0.0.0/29\"", true),
        ("not (client.trusted or spf == \"pass\")", true),
        ("true and not false", true),
        ("false or client.trusted", false),
    ] {
        let text = format!("{lists}[[rule]]\nid = \"a\"\nwhen = '{when}'\naction = \"accept\"\n");
        let set = set(&text);
        let holds = outcome(&set, &set.evaluate(Stage::Message, &known())) == "accept a";
        assert_eq!(holds, expected, "{when}");
    }
}

#[test]
fn the_examples_of_all_fields_compile() {
    for field in FIELDS {
        let lists = "[[rate]]\nname = \"messages-per-client\"\nwhat = \"messages\"\nper = \"client.ip\"\nlimit = 1\nwithin = \"1m\"\n";
        let text = format!(
            "{lists}[[rule]]\nid = \"a\"\nwhen = '{}'\naction = \"tag\"\nheader = \"X-A\"",
            field.example
        );
        let set = set(&text);
        let (_, rule) = set.rule("a").unwrap();
        assert!(rule.reads().iter().any(|(read, _)| read.name() == field.name), "{}", field.name);
        assert_eq!(rule.known_at.max(field.stage), rule.known_at);
    }
}

/// The page on the language shows nothing that does not work.
#[test]
fn the_page_on_the_language_holds() {
    let page = include_str!("../../rules/README.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let read_list = |_: &std::path::Path| Ok("198.51.100.7".to_owned());
    let options = Options { profile: "balanced", read_list: &read_list, ..options(None) };
    let mut text = blocks.concat();
    // The examples of the table of operators, and a use of the rate.
    let table = page.split("| field | operators |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut conditions = vec!["rate.mails-per-sender".to_owned()];
    for line in table.lines().skip(2) {
        let examples = line.rsplit('|').nth(1).unwrap();
        conditions.extend(examples.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    assert!(conditions.len() > 9, "{conditions:?}");
    text.push_str("[list.ours]\ntype = \"domain\"\nitems = [\"a.example\"]\n");
    for (n, when) in conditions.iter().enumerate() {
        text.push_str(&format!(
            "[[rule]]\nid = \"c{n}\"\nwhen = '{when}'\naction = \"tag\"\nheader = \"X-C\"\n"
        ));
    }
    let mut files = vec![file("rules.d/page.toml", &text)];
    files.extend(shipped());
    let (set, warnings) = match compile(&files, &options) {
        Ok(compiled) => compiled,
        Err(errors) => panic!("{errors:#?}"),
    };
    assert!(warnings.is_empty(), "{warnings:#?}");
    let outcomes = super::run_tests(&set, &files[..1]);
    assert_eq!(outcomes.len(), 1);
    assert!(outcomes[0].ok, "{:#?}", outcomes[0]);
}

#[test]
fn recipients_of_different_groups_cannot_share_a_message() {
    let joe = || facts(&[(RCPT_LOCAL, "joe".into()), (HELO, "x".into())]);
    let ann = || facts(&[(RCPT_LOCAL, "ann".into()), (HELO, "x".into())]);
    let differ = |lines: &[&str]| {
        let set = rules(lines);
        set.group(&joe()) != set.group(&ann())
    };
    // Decided at RCPT: each recipient has its own answer there.
    assert!(!differ(&["a: reject if rcpt.local == \"joe\""]));
    assert!(differ(&["a: reject if rcpt.local == \"joe\" and size > 100"]));
    assert!(differ(&["a: tag header = \"X-A\" if rcpt.local == \"joe\""]));
    // Already false for both by what does not depend on the recipient.
    assert!(!differ(&["a: reject if helo == \"y\" and rcpt.local == \"joe\" and size > 100"]));
    // Neither name is in the rule.
    assert!(!differ(&["a: reject if rcpt.local == \"eve\" and size > 100"]));
    // An accept matters when the message can still be refused.
    assert!(differ(&["a: accept if rcpt.local == \"joe\"", "b: reject if size > 100"]));
    assert!(!differ(&["a: accept if rcpt.local == \"joe\"", "b: reject if helo == \"y\""]));
    // A refusal that waits for an accept at the message stage is given there.
    assert!(differ(&["a: accept if size > 100", "b: reject if rcpt.local == \"joe\""]));
    assert!(!differ(&["a: reject mode = \"monitor\" if rcpt.local == \"joe\" and size > 100"]));
}

#[test]
fn an_empty_set_passes_everything() {
    let set = RuleSet::empty();
    assert_eq!(set.evaluate(Stage::Message, &Facts::new()), Evaluation::default());
    assert_eq!(set.needs(Stage::Message, &Facts::new()), CheckSet::EMPTY);
}
