//! What can't be found out now refuses nobody, unless a rule says so: each check with a name server
//! that fails, is silent, or answers what can't be trusted; too many questions; too little time.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;

use support::dialog::{Dialog, Outcome};

const FAULTS: [&str; 3] = ["SERVFAIL", "TIMEOUT", "BOGUS"];
/// The hash of the body, so that the key is asked for; the signature itself does not matter.
const SIGNATURE: &str = "a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=s1; h=from; \
    bh=BODYHASH; b=AAAA";
const BODY_HASH: &str = "Ba3gj8+xBPQLJTahTfzW6RbWQ/XPgESxkCi2B66PSQg=";

struct Case {
    name: &'static str,
    /// `FAULT` stands for the fault.
    zone: &'static str,
    config: &'static str,
    client: &'static str,
    from: &'static str,
    header: String,
    /// What makes it matter.
    rules: &'static str,
    reply: &'static str,
}

impl Default for Case {
    fn default() -> Case {
        Case {
            name: "",
            zone: "",
            config: "",
            client: "192.0.2.7:4711",
            from: "a@sender.example",
            header: String::new(),
            rules: "",
            reply: "",
        }
    }
}

impl Case {
    fn play(&self, fault: &str, rules: &str) -> Outcome {
        let block = |name: &str, text: &str| {
            let lines: String = text.lines().map(|line| format!("  {line}\n")).collect();
            if lines.is_empty() { lines } else { format!("{name}:\n{lines}") }
        };
        let header = if self.header.is_empty() {
            String::new()
        } else {
            self.header.lines().map(|line| format!("C: {line}\n")).collect()
        };
        let text = format!(
            "client: {}\n{}{}{}---\nC: EHLO client.example\nC: MAIL FROM:<{}>\n\
             C: RCPT TO:<joe@example.org>\n+60s\nC: DATA\n{header}C: From: {}\nC:\nC: Hello\nC: .\n\
             +60s\nC: QUIT\n",
            self.client,
            block("config", self.config),
            block("zone", &self.zone.replace("FAULT", fault)),
            block("rules", rules),
            self.from,
            self.from,
        );
        Dialog::parse(Path::new(self.name), &text).run()
    }

    fn check(&self, fault: &str) {
        let by_default = self.play(fault, "");
        assert!(
            by_default.received.contains("250 2.0.0 Ok: queued"),
            "{} {fault}: {}",
            self.name,
            by_default.received
        );
        if self.rules.is_empty() {
            return;
        }
        let enforced = self.play(fault, self.rules);
        let said = enforced.received.lines().any(|line| line.starts_with(self.reply));
        assert!(said, "{} {fault}: {}", self.name, enforced.received);
        assert!(!enforced.received.contains("250 2.0.0 Ok: queued"), "{} {fault}", self.name);
    }
}

fn signature() -> String {
    format!("DKIM-Signature: v=1; {}", SIGNATURE.replace("BODYHASH", BODY_HASH))
}

fn chain() -> String {
    format!(
        "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=sender.example; s=s1; b=AAAA\n\
         ARC-Message-Signature: i=1; {}\n\
         ARC-Authentication-Results: i=1; sender.example; none",
        SIGNATURE.replace("BODYHASH", BODY_HASH)
    )
}

/// Three times nine mail servers, each to be looked up.
const BUDGET_ZONE: &str = "\
shop.example. A 192.0.2.50
shop.example. TXT \"v=spf1 mx:a.shop.example mx:b.shop.example mx:c.shop.example -all\"
*.shop.example. MX 1 m1.far.example.
*.shop.example. MX 2 m2.far.example.
*.shop.example. MX 3 m3.far.example.
*.shop.example. MX 4 m4.far.example.
*.shop.example. MX 5 m5.far.example.
*.shop.example. MX 6 m6.far.example.
*.shop.example. MX 7 m7.far.example.
*.shop.example. MX 8 m8.far.example.
*.shop.example. MX 9 m9.far.example.
*.far.example. A 192.0.2.51
";

fn each_fault(case: &Case) {
    for fault in FAULTS {
        case.check(fault);
    }
}

#[test]
fn reverse_name() {
    each_fault(&Case {
        name: "iprev",
        zone: "192.0.2.97 FAULT",
        client: "192.0.2.97:4711",
        rules: "[override.\"reverse-dns-temperror\"]\nmode = \"enforce\"",
        reply: "451 4.7.25 ",
        ..Case::default()
    });
}

#[test]
fn dns_list() {
    each_fault(&Case {
        name: "dnsbl",
        config: "[[dnsbl]]\nzone = \"bl.example.net\"\nweight = 4\nanswers = [\"127.0.0.2\"]",
        zone: "2.0.0.127.bl.example.net. A 127.0.0.2\n7.2.0.192.bl.example.net. FAULT",
        rules: "[[rule]]\nid = \"list-silent\"\nwhen = 'dnsbl.temperror'\naction = \"defer\"\n\
                reply = \"451 4.7.1 Try again later\"",
        reply: "451 4.7.1 ",
        ..Case::default()
    });
}

#[test]
fn spf_record() {
    each_fault(&Case {
        name: "spf",
        zone: "shop.example. A 192.0.2.50\nshop.example. FAULT TXT",
        from: "a@shop.example",
        rules: "[override.\"spf-temperror\"]\nmode = \"enforce\"",
        reply: "451 4.7.24 ",
        ..Case::default()
    });
}

#[test]
fn sender_domain() {
    each_fault(&Case {
        name: "sender domain",
        zone: "shop.example. FAULT",
        from: "a@shop.example",
        rules: "[override.\"sender-domain-temperror\"]\nmode = \"enforce\"",
        reply: "451 4.1.8 ",
        ..Case::default()
    });
}

#[test]
fn dkim_key() {
    each_fault(&Case {
        name: "dkim",
        zone: "s1._domainkey.sender.example. FAULT",
        header: signature(),
        rules: "[override.\"dkim-temperror\"]\nmode = \"enforce\"",
        reply: "451 4.7.5 ",
        ..Case::default()
    });
}

#[test]
fn dmarc_policy() {
    each_fault(&Case {
        name: "dmarc",
        zone: "_dmarc.sender.example. FAULT",
        rules: "[override.\"dmarc-temperror\"]\nmode = \"enforce\"",
        reply: "451 4.7.26 ",
        ..Case::default()
    });
}

#[test]
fn arc_key() {
    each_fault(&Case {
        name: "arc",
        zone: "s1._domainkey.sender.example. FAULT",
        header: chain(),
        rules: "[override.\"arc-fail\"]\nmode = \"enforce\"",
        reply: "550 5.7.29 ",
        ..Case::default()
    });
}

#[test]
fn too_many_questions() {
    Case {
        name: "budget",
        config: "[dns]\nquestions = 20",
        zone: BUDGET_ZONE,
        from: "a@shop.example",
        rules: "[override.\"spf-temperror\"]\nmode = \"enforce\"",
        reply: "451 4.7.24 ",
        ..Case::default()
    }
    .check("");
}

#[test]
fn out_of_time() {
    Case {
        name: "time",
        config: "[dns]\nstage_time = \"1s\"\nmessage_time = \"1s\"",
        zone: "_dmarc.sender.example. @5000 TXT \"v=DMARC1; p=none\"",
        rules: "[override.\"dmarc-temperror\"]\nmode = \"enforce\"",
        reply: "451 4.7.26 ",
        ..Case::default()
    }
    .check("");
}
