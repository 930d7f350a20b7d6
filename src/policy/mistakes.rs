//! Every mistake with its code, its place and what helps.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Source};
use super::{Mode, Options, RuleFile, compile, run_tests};

pub(super) fn file(path: &str, text: &str) -> RuleFile {
    let source = Source { path: path.into(), text: text.into() };
    RuleFile { source: Arc::new(source), shipped: false }
}

fn read_list(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("rules.d/nets.txt") => {
            Ok("# ours\n192.0.2.0/24\n\n  198.51.100.0/24 # theirs\n".into())
        }
        Some("rules.d/bad.txt") => Ok("192.0.2.0/24\n  192.0.2.300\n".into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

pub(super) fn options(zones: Option<&[String]>) -> Options<'_> {
    Options { profile: "none", mode: Mode::Enforce, zones, read_list: &read_list }
}

/// `code: the text at the place: message (help)`, a line each.
fn findings(text: &str) -> Vec<String> {
    let zones = ["zen.spamhaus.org".to_owned()];
    let found = match compile(&[file("rules.d/a.toml", text)], &options(Some(&zones))) {
        Ok((_, warnings)) => warnings,
        Err(errors) => errors,
    };
    found.iter().map(show).collect()
}

fn show(found: &Diagnostic) -> String {
    let place = found.place.as_ref().map_or("", |(source, span)| &source.text[span.clone()]);
    let mut line = format!("{}: {place}: {}", found.code, found.message);
    for help in found.help.iter().chain(Some(&found.label).filter(|label| !label.is_empty())) {
        line.push_str(&format!(" ({help})"));
    }
    line
}

fn rule(when: &str) -> String {
    format!("[[rule]]\nid = \"a\"\nwhen = '''{when}'''\naction = \"accept\"\n")
}

#[track_caller]
fn condition(when: &str, expected: &str) {
    assert_eq!(findings(&rule(when)), [expected], "{when}");
}

#[track_caller]
fn whole(text: &str, expected: &[&str]) {
    assert_eq!(findings(text), expected, "{text}");
}

#[test]
fn names_in_conditions() {
    condition(
        "spf.result == \"fail\"",
        "P0203: spf.result: no field is called `spf.result` (`spf` is a field: none, neutral, pass, fail, softfail, temperror, permerror)",
    );
    condition(
        "clint.ip == \"192.0.2.1\"",
        "P0203: clint.ip: no field is called `clint.ip` (did you mean `client.ip`?)",
    );
    condition(
        "header.Subject == \"a\"",
        "P0203: header.Subject: no field is called `header.Subject` (its key stands in brackets: header[\"Subject\"] contains \"invoice\")",
    );
    condition("zebra", "P0203: zebra: no field is called `zebra`");
    condition(
        "tls.name == \"x\"",
        "P0203: tls.name: no field is called `tls.name` (there are tls.used, tls.version, tls.cipher, tls.sni)",
    );
    condition(
        "client.ip in @partner",
        "P0204: @partner: no list is called `@partner` (declare it with [list.partner])",
    );
    condition("rate.mails", "P0206: mails: no rate is called `mails` (declare it with [[rate]])");
    condition(
        "rate[\"mails\"]",
        "P0206: \"mails\": no rate is called `mails` (declare it with [[rate]])",
    );
    condition(
        "\"127.0.0.4\" in dnsbl.zone[\"zen.spamhaus.com\"]",
        "P0207: \"zen.spamhaus.com\": no DNS list is called `zen.spamhaus.com` (did you mean `zen.spamhaus.org`?)",
    );
}

#[test]
fn types_in_conditions() {
    condition(
        "spf",
        "P0303: spf: `spf` is one of none, neutral, pass, fail, softfail, temperror, permerror, not a condition by itself (compare it: spf == \"fail\")",
    );
    condition("\"x\"", "P0303: \"x\": a value by itself is not a condition");
    condition(
        "helo == client.name",
        "P0303: client.name: `client.name` is no value: a field is compared with a value (text is written in quotes: \"client.name\")",
    );
    condition("\"a\" == \"a\"", "P0303: \"a\": a comparison needs a field");
    condition(
        "header == \"a\"",
        "P0303: header: `header` needs a key (such as header[\"Subject\"] contains \"invoice\")",
    );
    condition("helo[\"a\"] == \"b\"", "P0303: helo[\"a\"]: `helo` has no keys");
    condition(
        "dnsbl.score == \"4\"",
        "P0303: \"4\": `dnsbl.score` is compared with a number, this is text",
    );
    condition("helo == 4", "P0303: 4: `helo` is compared with text, this is a number");
    condition(
        "auth.ok == \"yes\"",
        "P0303: \"yes\": `auth.ok` is compared with true or false, this is text",
    );
    condition(
        "auth.ok > true",
        "P0401: >: `>` does not go with `auth.ok`, a bool (its operators are == and !=, or none at all)",
    );
    condition(
        "size > \"10 Megs\"",
        "P0307: \"10 Megs\": `size` is compared with a size such as \"10MiB\"",
    );
    condition(
        "spf == \"failed\"",
        "P0304: \"failed\": `spf` is never \"failed\" (did you mean `fail`?)",
    );
    condition(
        "spf in [\"pass\", \"Fail\"]",
        "P0304: \"Fail\": `spf` is never \"Fail\" (did you mean `fail`?)",
    );
    condition(
        "spf contains \"f\"",
        "P0401: contains: `contains` does not go with `spf`, a name (its operators are == != in)",
    );
    condition(
        "client.ip == \"192.0.2.0/24\"",
        "P0305: \"192.0.2.0/24\": `192.0.2.0/24` is not an IP address (write client.ip in [\"192.0.2.0/24\"])",
    );
    condition(
        "client.ip in [\"192.0.2.1/24\"]",
        "P0305: \"192.0.2.1/24\": `192.0.2.1/24` has bits set beyond its prefix; the network is 192.0.2.0/24",
    );
    condition(
        "client.ip in \"10.0.0.0/33\"",
        "P0305: \"10.0.0.0/33\": the prefix of `10.0.0.0/33` must be 0 to 32",
    );
    condition(
        "client.ip starts_with \"10.\"",
        "P0401: starts_with: `starts_with` does not go with `client.ip`, an ip (its operators are == != in)",
    );
    condition("helo matches \"(\"", "P0306: \"(\": not a regular expression: unclosed group");
    condition(
        "helo matches \"(a{1000}){1000}\"",
        "P0306: \"(a{1000}){1000}\": this regular expression is too large",
    );
    condition(
        "dkim.domains != \"a.example\"",
        "P0401: !=: `dkim.domains` holds any number of values: `!=` would hold for any other (write not (dkim.domains == ...))",
    );
    condition(
        "\"a.example\" in helo",
        "P0401: in: `helo` holds one value; `in` looks into a list (turn it round: helo == ...)",
    );
    condition(
        "helo in \"a.example\"",
        "P0401: in: `in` looks into a list, \"a.example\" is one text (write helo == \"a.example\", or helo contains \"a.example\")",
    );
    condition(
        "\"a.example\" == helo",
        "P0401: ==: the field stands on the left (write helo == ...)",
    );
    condition(
        "helo < \"a\"",
        "P0401: <: `<` does not go with `helo`, a domain (its operators are == != in under matches contains starts_with ends_with)",
    );
    condition(
        "from.local under \"a.example\"",
        "P0401: under: `under` does not go with `from.local`, a string (its operators are == != in matches contains starts_with ends_with)",
    );
    condition(
        "from == \"@a.example\"",
        "P0303: \"@a.example\": `@a.example` is not an address (write from under \"a.example\")",
    );
    condition("from.domain == \"a..b\"", "P0303: \"a..b\": `a..b` is not a domain name");
    condition(
        "from.domain == \"*.a.example\"",
        "P0303: \"*.a.example\": `*.a.example` is not a domain name (under \"a.example\" takes it and all below it)",
    );
    condition(
        "header[\"Sub ject\"] == \"a\"",
        "P0314: \"Sub ject\": `Sub ject` cannot be the name of a header field",
    );
}

#[test]
fn syntax_of_conditions() {
    condition("spf = \"fail\"", "P0110: =: `=` is not an operator (write `==`)");
    condition("auth.ok && tls.used", "P0110: &&: `&&` is not an operator (write `and`)");
    condition("(auth.ok", "P0110: (: this parenthesis is not closed");
    condition(
        "auth.ok tls.used",
        "P0110: tls.used: `tls.used` is not expected here (join conditions with `and` or `or`)",
    );
    condition(
        "size > 10MiB",
        "P0110: 10MiB: `10MiB` is not a whole number (sizes, times and addresses are written in quotes: \"10MiB\")",
    );
    let deep = format!("{}auth.ok{}", "(".repeat(40), ")".repeat(40));
    condition(&deep, "P0403: (: conditions nest at most 32 deep");
    let long = "a".repeat(4097);
    condition(&long, &format!("P0403: {long}: a condition has at most 4096 octets"));
}

#[test]
fn every_mistake_in_one_run() {
    let two = [
        file("rules.d/a.toml", &rule("spff == \"fail\" or helo < \"x\" and not autt.ok")),
        file(
            "rules.d/b.toml",
            "[[rule]\nid = \"x\"\n[[rule]]\nid = \"b\"\nwhen = 'spf'\naction = \"drop\"\n",
        ),
    ];
    let errors = compile(&two, &options(None)).unwrap_err();
    let codes: Vec<_> = errors.iter().map(|error| error.code).collect();
    for expected in ["P0203", "P0401", "P0101", "P0303", "P0302"] {
        assert!(codes.contains(&expected), "{expected} in {errors:#?}");
    }
    assert_eq!(codes.iter().filter(|code| **code == "P0203").count(), 2);
}

#[test]
fn places_in_escaped_strings() {
    whole(
        "[[rule]]\nid = \"a\"\nwhen = \"spf == \\\"fial\\\"\"\naction = \"accept\"",
        &["P0304: \\\"fial\\\": `spf` is never \"fial\" (did you mean `fail`?)"],
    );
}

#[test]
fn keys_and_tables() {
    whole(
        "[[rules]]\nid = \"a\"",
        &["P0201: rules: a rule file has no key `rules` (did you mean `rule`?)"],
    );
    whole("rule = 3", &["P0301: 3: a rule is written as [[rule]]"]);
    whole("[rule]\nid = \"a\"", &["P0301: [rule]: a rule is written as [[rule]]"]);
    whole(
        "[[rule]]\nid = \"a\"\nwhen = 'auth.ok'\naction = \"accept\"\nwhy = 3\nmod = \"off\"",
        &[
            "P0301: 3: `why` must be a string, this is an integer",
            "P0201: mod: a rule has no key `mod` (did you mean `mode`?)",
        ],
    );
    whole(
        "[[rule]]\nid = \"a\"",
        &["P0210: [[rule]]: a rule needs `when`", "P0210: [[rule]]: a rule needs `action`"],
    );
    whole("[[rule]]\nwhen = 'auth.ok'", &["P0210: [[rule]]: a rule needs `id`"]);
    whole(
        "[[rule]]\nid = \"A b\"\nwhen = 'auth.ok'\naction = \"accept\"",
        &["P0309: \"A b\": the name of a rule is 1 to 64 of a-z, 0-9, - and _"],
    );
    whole(
        &format!("{}{}", rule("auth.ok"), rule("tls.used")),
        &["P0209: \"a\": there is a rule `a` already (to change it, write [override.\"a\"])"],
    );
    whole(
        &format!("{}mode = \"monitr\"", rule("auth.ok")),
        &["P0302: \"monitr\": `mode` cannot be \"monitr\" (did you mean \"monitor\"?)"],
    );
    whole(
        &format!("{}profiles = {{ strict = \"off\" }}", rule("auth.ok")),
        &[
            "P0201: { strict = \"off\" }: `profiles` belongs to the built-in rules; this one takes `mode`",
        ],
    );
    whole(
        &format!("{}[override.\"b\"]\nmode = \"off\"", rule("auth.ok")),
        &["P0208: \"b\": there is no rule `b` to override (did you mean `a`?)"],
    );
}

fn refusal(rest: &str) -> String {
    format!("[[rule]]\nid = \"a\"\nwhen = 'auth.ok'\n{rest}\n")
}

#[test]
fn actions_and_replies() {
    for (rest, expected) in [
        (
            "action = \"reject\"\nreply = \"450 4.7.1 no\"",
            "P0311: 450: a \"reject\" rule must answer with 5xx, this reply is 450 (use 550)",
        ),
        (
            "action = \"defer\"\nreply = \"550 5.7.1 no\"",
            "P0311: 550: a \"defer\" rule must answer with 4xx, this reply is 550 (use 450)",
        ),
        (
            "action = \"reject\"\nreply = \"550 4.7.1 no\"",
            "P0312: 4.7.1: both codes must be of one class (RFC 2034 4) (use 5.7.1)",
        ),
        (
            "action = \"reject\"\nreply = \"550 5.7.99 no\"",
            "P0312: 5.7.99: 5.7.99 is not a registered enhanced status code",
        ),
        (
            "action = \"reject\"\nreply = \"550 5.3.1 no\"",
            "P0312: 5.3.1: 5.3.1 does not exist: \"Mail system full\" is of another class",
        ),
        (
            "action = \"reject\"\nreply = \"521 5.7.1 no\"",
            "P0311: 521: 521 is not for a rule to say (521 says that the host never takes mail (RFC 7504 3); use 554)",
        ),
        (
            "action = \"reject\"\nreply = \"550 no\"",
            "P0310: \"550 no\": a reply begins with a basic and an enhanced code (such as \"550 5.7.1 Text\")",
        ),
        (
            "action = \"reject\"\nreply = \"\"",
            "P0310: \"\": a reply begins with a basic and an enhanced code (such as \"550 5.7.1 Text\")",
        ),
        (
            "action = \"reject\"\nreply = \"550 5.7.1 \"",
            "P0310: \"550 5.7.1 \": a reply needs a text after its codes",
        ),
        (
            "action = \"reject\"\nreply = \"550 5.7.1 a {hello}\"",
            "P0313: hello: no field that can be shown is called `hello` (did you mean {helo}?)",
        ),
        (
            "action = \"reject\"\nreply = \"550 5.7.1 a {helo\"",
            "P0313: {: this brace has no partner (a field is {name}, a brace is {{ or }})",
        ),
        (
            "action = \"reject\"\nreply = \"550 5.7.1 {size}\"",
            "P0313: \"550 5.7.1 {size}\": `size` is known at message, this reply is given at rcpt",
        ),
        (
            "action = \"rejct\"",
            "P0302: \"rejct\": `action` cannot be \"rejct\" (did you mean \"reject\"?)",
        ),
        (
            "action = \"accept\"\nreply = \"550 5.7.1 no\"",
            "P0310: \"550 5.7.1 no\": `reply` has no meaning with action \"accept\"",
        ),
        (
            "action = \"accept\"\nat = \"rcpt\"",
            "P0402: \"rcpt\": `at` is for refusals, not for `accept`",
        ),
        (
            "action = \"reject\"\nat = \"helo\"",
            "P0402: \"helo\": `auth.ok` is not known at helo yet (the earliest is \"mail\")",
        ),
        (
            "action = \"reject\"\nat = \"data\"",
            "P0302: \"data\": `at` cannot be \"data\" (write one of connect, helo, mail, rcpt, message)",
        ),
        ("action = \"skip\"", "P0210: [[rule]]: a skip rule names the checks: skip = [\"dnsbl\"]"),
        (
            "action = \"skip\"\nskip = [\"dnsbls\"]",
            "P0205: \"dnsbls\": no check is called `dnsbls` (did you mean `dnsbl`?)",
        ),
        ("action = \"tag\"", "P0210: [[rule]]: a rule needs `header`"),
        (
            "action = \"tag\"\nheader = \"X Y\"",
            "P0314: \"X Y\": `X Y` cannot be the name of a header field",
        ),
        (
            "action = \"tag\"\nheader = \"from\"",
            "P0314: \"from\": a tag cannot be called from: it would pass for the real one (X-... is free)",
        ),
        (
            "action = \"tag\"\nadd_header = { value = \"x\" }",
            "P0210: { value = \"x\" }: `add_header` needs `name`",
        ),
        (
            "action = \"reject\"\nreply = \"550 5.7.23 no\"",
            "P0501: 5.7.23: 5.7.23 says \"SPF validation failed\", but the condition does not ask about that (5.7.1 is the general refusal)",
        ),
    ] {
        whole(&refusal(rest), &[expected]);
    }
}

#[test]
fn lists_and_rates() {
    let used = |list: &str| format!("{list}\n{}", rule("client.ip in @l"));
    whole(
        &used("[list.l]\ntype = \"ip\"\nitems = [\"1.2.3.4/8\"]"),
        &[
            "P0305: \"1.2.3.4/8\": `1.2.3.4/8` has bits set beyond its prefix; the network is 1.0.0.0/8",
        ],
    );
    whole(
        &used("[list.l]\ntype = \"ip\"\nfile = \"bad.txt\""),
        &["P0305: 192.0.2.300: `192.0.2.300` is not an IP address or network"],
    );
    whole(
        &used("[list.l]\ntype = \"ip\"\nfile = \"no.txt\""),
        &["P0601: \"no.txt\": cannot read rules.d/no.txt: entity not found"],
    );
    whole(&used("[list.l]\ntype = \"ip\"\nfile = \"nets.txt\""), &[]);
    whole(&used("[list.l]\ntype = \"ip\"\nitems = []"), &["P0505: l: the list `l` is empty"]);
    whole(
        &used("[list.l]\ntype = \"domain\"\nitems = [\"a.example\"]"),
        &["P0303: @l: `@l` is a list of type domain, `client.ip` needs one of type ip"],
    );
    whole(
        "[list.l]\ntype = \"ip\"\nitems = [\"192.0.2.1\"]",
        &["P0503: l: no rule uses the list `l`"],
    );
    whole(
        "[list.l]\ntype = \"ips\"\nitems = []",
        &["P0302: \"ips\": `type` cannot be \"ips\" (did you mean \"ip\"?)"],
    );
    whole("[list.l]\ntype = \"ip\"", &["P0210: [list.l]: a list needs `items` or `file`"]);
    let rate = "[[rate]]\nname = \"r\"\nwhat = \"messages\"\nper = \"client.ip\"\nlimit = 5\nwithin = \"1m\"\n";
    whole(rate, &["P0504: \"r\": no rule uses the rate `r`"]);
    whole(&rate.replace("5", "0"), &["P0308: 0: `limit` must be 1 to 1000000"]);
    whole(&rate.replace("1m", "1y"), &["P0307: \"1y\": `within` is a time from \"1s\" to \"7d\""]);
    whole(
        &rate.replace("client.ip", "client"),
        &[
            "P0302: \"client\": `per` cannot be \"client\" (write one of client.ip, client.network, from, from.domain, rcpt, rcpt.domain, auth.user, listener, all)",
        ],
    );
    whole(
        &rate.replace("messages", "auth_failures").replace("client.ip", "auth.user"),
        &[
            "P0315: \"auth.user\": `auth_failures` are counted before `auth.user` is known: this rate would count nothing",
        ],
    );
    whole(
        &format!("{rate}{rate}{}", rule("rate.r")),
        &["P0209: \"r\": there is a rate `r` already"],
    );
    whole(
        &format!(
            "{rate}[[rule]]\nid = \"a\"\nwhen = 'rate.r'\naction = \"defer\"\nat = \"connect\""
        ),
        &["P0402: \"connect\": `rate` is not known at connect yet (the earliest is \"mail\")"],
    );
}

#[test]
fn lints() {
    let twice = format!(
        "{}{}",
        refusal("action = \"reject\""),
        refusal("action = \"defer\"").replace("\"a\"", "\"b\"")
    );
    whole(
        &twice,
        &[
            "P0507: \"b\": this rule can never act: `a` has the same condition (it is in rules.d/a.toml line 1)",
        ],
    );
    let late = format!(
        "{}[[rule]]\nid = \"b\"\nwhen = 'client.early_talker'\naction = \"reject\"\nat = \"connect\"\n",
        rule("size < 100")
    );
    whole(
        &late,
        &[
            "P0502: \"connect\": this refusal is given at message when `a` may still accept the mail (put it before `a`)",
        ],
    );
}

#[test]
fn tests_in_files() {
    let text = format!(
        "{}{}",
        refusal("action = \"reject\""),
        r#"
[[test]]
name = "wrong values"
session = { ip = "x", form = "a@b" }
facts = { spf = "failed", spff = "fail", "dnsbl.score" = "4", rate = { r = true }, "dkim.domains" = "a.example" }
expect = { verdict = "rejct", rule = "c" }

[[test]]
name = "wrong expectation"
session = { user = "joe" }
expect = { verdict = "accept", code = "550 5.7.0" }

[[test]]
name = "right"
session = { user = "joe" }
expect = { verdict = "reject", rule = "a", stage = "rcpt", code = "550 5.7.1", text = "Message refused by policy" }
"#
    );
    let files = [file("rules.d/a.toml", &text)];
    let (set, _) = compile(&files, &options(None)).unwrap();
    let outcomes = run_tests(&set, &files);
    let mut shown: Vec<String> = outcomes[0].diagnostics.iter().map(show).collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            "P0201: form: a session has no key `form` (did you mean `from`?)",
            "P0203: spff: no field is called `spff` (did you mean `spf`?)",
            "P0206: r: no rate is called `r`",
            "P0302: \"c\": `rule` cannot be \"c\" (did you mean \"a\"?)",
            "P0302: \"rejct\": `verdict` cannot be \"rejct\" (did you mean \"reject\"?)",
            "P0303: \"4\": `dnsbl.score` cannot have this value; it is an int",
            "P0303: \"failed\": `spf` cannot have this value; it is one of none, neutral, pass, fail, softfail, temperror, permerror",
            "P0305: \"x\": `x` is not an IP address",
        ]
    );
    assert!(!outcomes[1].ok && outcomes[1].diagnostics.is_empty());
    assert_eq!(
        outcomes[1].detail,
        "verdict: expected \"accept\", got \"reject by a\"\ncode: expected \"550 5.7.0\", got \"550 5.7.1\""
    );
    assert!(outcomes[2].ok, "{:?}", outcomes[2]);
    assert_eq!((outcomes[0].line, outcomes[1].line), (6, 12));
}
