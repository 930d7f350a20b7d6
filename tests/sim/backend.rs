//! A backend and a policy that decide at random. Names that begin with `good` are always taken,
//! those with `bad` never, so that a client can steer.

use portcullis::facts::Stage;
use portcullis::policy::{Evaluation, Outcome};
use portcullis::session::Answer;
use portcullis::smtp::reply::{Enhanced, Reply};
use portcullis::verdict::{Reason, Verdict, decide, refuse};

use crate::rng::Rng;

/// What the backend may do wrong, or right, to each kind of command.
pub(crate) const RECIPIENT: &[&str] = &["2xx", "4xx", "5xx", "421", "3xx", "failed"];
pub(crate) const DELIVERY: &[&str] = RECIPIENT;
pub(crate) const PASS: &[&str] = RECIPIENT;
pub(crate) const AUTH: &[&str] =
    &["334", "334 lines", "235", "other 2xx", "535", "454", "421", "3xx", "failed"];
pub(crate) const FAILURES: &[Reason] = &[
    Reason::BackendDown,
    Reason::BackendBusy,
    Reason::BackendIdentity,
    Reason::BackendGreeting,
    Reason::BackendLost,
    Reason::BackendGarbage,
    Reason::Internal,
];
/// Found by others while they judge the message.
pub(crate) const JUDGED: &[Reason] =
    &[Reason::SizeActual, Reason::HeaderTooBig, Reason::NoSpace, Reason::Loop];

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) rng: Rng,
    /// So many in a thousand things go wrong.
    pub(crate) faults: usize,
    pub(crate) refuses_connection: bool,
}

impl Backend {
    pub(crate) fn decide(&mut self, stage: Stage, address: &str) -> (Verdict, Option<Reason>) {
        let rng = &mut self.rng;
        let group = if address.starts_with("good") { 0 } else { u64::from(rng.permille(200)) };
        let refuses = match stage {
            Stage::Connect => self.refuses_connection,
            _ => !address.starts_with("good") && rng.permille(self.faults),
        };
        if refuses && stage == Stage::Message && rng.permille(300) {
            let reason = *rng.pick(JUDGED);
            return (refuse(reason.reply("mx.example.com", "")), Some(reason));
        }
        let outcome = if refuses {
            let code = if rng.permille(70) { 421 } else { *rng.pick(&[450, 451, 550, 553, 554]) };
            let text = rng.pick(&["no", "two\nlines", "se\r\n250 no\0\u{e9}", ""]).to_string();
            Outcome::Refuse { rule: 0, code, subject: 7, detail: 1, text, defer: code < 500 }
        } else if rng.permille(100) {
            Outcome::Accept { rule: 0 }
        } else {
            Outcome::Pass
        };
        let evaluation = Evaluation { outcome, ..Evaluation::default() };
        (decide(&evaluation, group, |reply| reply.push_line("see mx.example.com")), None)
    }

    pub(crate) fn recipient(&mut self, address: &str) -> (&'static str, Answer) {
        let kind = if address.starts_with("good") {
            "2xx"
        } else if address.starts_with("bad") {
            *self.rng.pick(&["4xx", "5xx", "3xx", "failed"])
        } else {
            self.kind(RECIPIENT)
        };
        (kind, self.answer(kind))
    }

    pub(crate) fn delivery(&mut self) -> (&'static str, Answer) {
        let kind = self.kind(DELIVERY);
        (kind, self.answer(kind))
    }

    pub(crate) fn pass(&mut self) -> (&'static str, Answer) {
        let kind = self.kind(PASS);
        (kind, self.answer(kind))
    }

    pub(crate) fn auth(&mut self, responded: bool) -> (&'static str, Answer) {
        let kind = if self.rng.permille(self.faults) {
            if self.rng.permille(300) { "535" } else { *self.rng.pick(AUTH) }
        } else if responded {
            "235"
        } else {
            "334"
        };
        (kind, self.answer(kind))
    }

    fn kind(&mut self, kinds: &[&'static str]) -> &'static str {
        if self.rng.permille(self.faults) { kinds[self.rng.below(kinds.len())] } else { "2xx" }
    }

    fn answer(&mut self, kind: &str) -> Answer {
        let rng = &mut self.rng;
        let code = match kind {
            "2xx" => *rng.pick(&[250, 250, 251, 299]),
            "4xx" | "454" => *rng.pick(&[450, 451, 452, 454]),
            "5xx" => *rng.pick(&[550, 551, 552, 553, 554]),
            "421" => 421,
            "3xx" => *rng.pick(&[354, 399]),
            "334" => return Answer::Reply(Reply::bare(334, *rng.pick(&["", "VXNlcm5hbWU6"]))),
            "334 lines" => return Answer::Reply(Reply::bare(334, "VXNl\ncm5h")),
            "235" => 235,
            "other 2xx" => *rng.pick(&[250, 334 - 100]),
            "535" => *rng.pick(&[535, 534, 550]),
            _ => return Answer::Failed(*rng.pick(FAILURES)),
        };
        let long = "word ".repeat(400);
        let text = *rng.pick(&["Ok", "", "one\ntwo", "a\r\n250 b\0", &long]);
        if rng.permille(500) {
            let (subject, detail) = *rng.pick(&[(0, 0), (1, 1), (7, 1)]);
            Answer::Reply(Reply::new(code, Enhanced::new(subject, detail), text))
        } else {
            Answer::Reply(Reply::bare(code, text))
        }
    }
}
