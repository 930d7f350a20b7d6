//! A client that speaks by a grammar with weights: what a mail needs, anything else, and rubbish.

use std::time::Duration;

use portcullis::session::Role;

use crate::rng::Rng;
use crate::stream::Mode;

/// What the client can know of where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) mode: Mode,
    pub(crate) refused: bool,
    pub(crate) tls: bool,
    pub(crate) helo: bool,
    pub(crate) mail: bool,
    pub(crate) named: bool,
    pub(crate) accepted: usize,
    pub(crate) authenticated: bool,
    /// Some of a line or a message was sent, not all.
    pub(crate) partial: bool,
}

#[derive(Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Elapse(Duration),
    Shutdown,
    Disconnect,
}

/// Where the client wants to be when it tries things out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Anywhere,
    Refused,
    Greeted,
    Hello,
    Mail,
    Recipients,
    NoRecipients,
    Challenged,
}

pub(crate) const GOALS: &[Goal] = &[
    Goal::Anywhere,
    Goal::Anywhere,
    Goal::Refused,
    Goal::Greeted,
    Goal::Hello,
    Goal::Mail,
    Goal::Recipients,
    Goal::NoRecipients,
    Goal::Challenged,
];

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) rng: Rng,
    pub(crate) goal: Goal,
    pub(crate) wants_tls: bool,
    pub(crate) role: Role,
}

impl Client {
    pub(crate) fn next(&mut self, view: View) -> Step {
        match self.rng.below(1000) {
            0..8 => return Step::Disconnect,
            8..14 => return Step::Shutdown,
            14..22 => return Step::Elapse(Duration::from_secs(1000)),
            22..60 => return Step::Elapse(Duration::from_secs(self.rng.below(100) as u64)),
            _ => {}
        }
        match view.mode {
            Mode::Data => Step::Send(self.message(view.partial)),
            Mode::Response => Step::Send(self.response()),
            Mode::Command if self.is_there(view) || self.rng.permille(150) => self.try_out(),
            Mode::Command => Step::Send(self.towards(view)),
        }
    }

    fn is_there(&self, view: View) -> bool {
        if view.refused {
            return true;
        }
        let place = match self.goal {
            Goal::Anywhere => return false,
            Goal::Refused => true,
            Goal::Greeted => !view.helo,
            Goal::Hello => view.helo && !view.mail,
            Goal::Mail => view.mail && !view.named,
            Goal::Recipients => view.accepted > 0,
            Goal::NoRecipients => view.named && view.accepted == 0,
            Goal::Challenged => false,
        };
        place && view.tls == self.wants_tls
    }

    /// The next command on the way to the goal; without a goal, to a delivered message.
    fn towards(&mut self, view: View) -> Vec<u8> {
        if self.wants_tls && !view.tls {
            return b"STARTTLS\r\n".to_vec();
        }
        if !view.helo {
            return self.command("EHLO");
        }
        let submission = self.role != Role::Mx;
        if (submission || self.goal == Goal::Challenged) && view.tls && !view.authenticated {
            let initial = self.goal != Goal::Challenged && self.rng.permille(500);
            let line = if initial { "AUTH PLAIN AGEAYg==\r\n" } else { "AUTH LOGIN\r\n" };
            return line.into();
        }
        if view.mail && self.goal == Goal::Hello {
            return b"RSET\r\n".to_vec();
        }
        if !view.mail {
            return self
                .rng
                .pick(&["MAIL FROM:<good@a.example>\r\n", "MAIL FROM:<>\r\n"])
                .as_bytes()
                .into();
        }
        match self.goal {
            Goal::Mail => b"RSET\r\n".to_vec(),
            Goal::Recipients => b"RCPT TO:<good@b.example>\r\n".to_vec(),
            Goal::NoRecipients if view.accepted > 0 => b"RSET\r\n".to_vec(),
            Goal::NoRecipients => b"RCPT TO:<bad@b.example>\r\n".to_vec(),
            _ if view.accepted > 0 && self.rng.permille(600) => self.command("DATA"),
            _ => self.command("RCPT"),
        }
    }

    /// Anything: one command, or several at once.
    fn try_out(&mut self) -> Step {
        let count = if self.rng.permille(200) { 2 + self.rng.below(4) } else { 1 };
        let mut octets = Vec::new();
        for _ in 0..count {
            let command = *self.rng.pick(crate::coverage::COMMANDS);
            octets.extend(self.command(command));
            if command == "DATA" && self.rng.permille(300) {
                octets.extend(self.message(false));
            }
        }
        if self.rng.permille(40) {
            // A line whose rest comes later, or never.
            octets.truncate(octets.len() / 2);
        }
        if self.rng.permille(10) {
            octets = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec();
        }
        Step::Send(octets)
    }

    fn command(&mut self, name: &str) -> Vec<u8> {
        let long = "x".repeat(2047 + self.rng.below(3));
        let choice: &[&str] = match name {
            "HELO" => &["HELO a.example", "helo [192.0.2.1]"],
            "EHLO" => &["EHLO a.example", "ehlo  a", "EHLO [IPv6:2001:db8::1] "],
            "MAIL" => &[
                "MAIL FROM:<good@a.example>",
                "MAIL FROM:<a@a.example>",
                "mail from:<>",
                "MAIL FROM:<a@a.example> SIZE=50",
                "MAIL FROM:<a@a.example> SIZE=99999999",
                "MAIL FROM:<a@a.example> BODY=8BITMIME SMTPUTF8",
                "MAIL FROM:<a@a.example> RET=HDRS ENVID=x",
                "MAIL FROM:<a@a.example> AUTH=<>",
                "MAIL FROM:<\u{fc}@a.example>",
            ],
            "RCPT" => &[
                "RCPT TO:<good@b.example>",
                "RCPT TO:<bad@b.example>",
                "RCPT TO:<b@b.example>",
                "rcpt to:<Postmaster>",
                "RCPT TO:<@c.example:b@b.example> NOTIFY=NEVER",
                "RCPT TO:<\u{fc}@b.example>",
            ],
            "DATA" => &["DATA", "data "],
            "BDAT" => &["BDAT 5", "BDAT 0 LAST"],
            "RSET" => &["RSET", "rset "],
            "NOOP" => &["NOOP", "noop what"],
            "QUIT" => &["QUIT"],
            "HELP" => &["HELP", "HELP MAIL"],
            "VRFY" => &["VRFY postmaster", "vrfy  a\u{fc} "],
            "EXPN" => &["EXPN list"],
            "ETRN" => &["ETRN a.example"],
            "STARTTLS" => &["STARTTLS"],
            "AUTH" => &[
                "AUTH PLAIN",
                "AUTH PLAIN AGEAYg==",
                "AUTH PLAIN =",
                "AUTH LOGIN",
                "auth login YQ==",
                "AUTH PLAIN %%%",
                "AUTH SCRAM-SHA-256 abc",
            ],
            "obsolete" => &["SEND FROM:<a@b>", "TURN", "saml"],
            "forbidden" => &["XCLIENT ADDR=192.0.2.1", "xforward NAME=a", "LHLO a"],
            "HTTP" => &["GET / HTTP/1.1", "POST / HTTP/1.0"],
            "UNKNOWN" => &["FOO", "", "MAI", "MAILFROM:<a@b>", "\x01\x02"],
            "too long" => &["NOOP "],
            "arguments" => &["MAIL", "RCPT <b@b.example>", "DATA now", "RSET x", "AUTH", "BDAT x"],
            "helo name" => &["EHLO", "HELO a b"],
            "sender" => &["MAIL FROM:<a>", "MAIL FROM:<a b@c>"],
            "recipient" => &["RCPT TO:<>", "RCPT TO:<b@>"],
            "unknown parameter" => &["MAIL FROM:<a@b> X=1", "RCPT TO:<b@b.example> {host}"],
            "bad parameter" => &["MAIL FROM:<a@b> SIZE=x", "RCPT TO:<b@b.example> NOTIFY=x"],
            "double parameter" => &["MAIL FROM:<a@b> SIZE=1 SIZE=1"],
            "not ASCII" => &["N\u{d6}OP", "NOOP \u{fc}"],
            _ => &["NOOP", "MAIL FROM:<a@a.example>", "RCPT TO:<good@b.example>", "DATA", "QUIT"],
        };
        let mut line = self.rng.pick(choice).as_bytes().to_vec();
        match name {
            "too long" => line.extend_from_slice(long.as_bytes()),
            "bare CR" | "NUL" => {
                let at = self.rng.below(line.len() + 1);
                line.insert(at, if name == "NUL" { 0 } else { b'\r' });
            }
            _ => {}
        }
        line.extend_from_slice(if name == "bare LF" { b"\n" } else { b"\r\n" });
        line
    }

    fn response(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 | 1 => b"*\r\n".to_vec(),
            2 => b"%%%\r\n".to_vec(),
            3 => b"YQ=\r\n".to_vec(),
            4 => b"YQ==\n".to_vec(),
            5 => b"YQ\r==\r\n".to_vec(),
            6 => b"Y\0Q=\r\n".to_vec(),
            7 => [vec![b'A'; 12288 - self.rng.below(4)], b"\r\n".to_vec()].concat(),
            8 => b"\r\n".to_vec(),
            9 => b"AGEAYg==\r\n".to_vec(),
            10 => b"QUIT\r\n".to_vec(),
            _ => b"YWxpY2U=\r\n".to_vec(),
        }
    }

    /// A message, or a part of one.
    fn message(&mut self, started: bool) -> Vec<u8> {
        let mut octets = Vec::new();
        if !started && self.rng.permille(500) {
            octets.extend_from_slice(b"Subject: x\r\n\r\n");
        }
        for _ in 0..self.rng.below(8) {
            let piece: &[u8] = match self.rng.below(40) {
                0 => b"\n",
                1 => b"\r",
                2 => b"\0",
                3 => b"\n.\n",
                4 => b"\r\n.\n",
                5 => b"\r.\r",
                6 => b"\n.\r\nQUIT\r\n",
                7 => b"a line that is longer than most lines are, by some \r\n",
                8..16 => b"..\r\n",
                16..20 => b".a\r\n",
                20..24 => b"\r\n...b\r\n",
                24..26 => b"\xc3\xbc\r\n",
                _ => b"text\r\n",
            };
            octets.extend_from_slice(piece);
        }
        if self.rng.permille(30) {
            octets.extend(b"0123456789 123\r\n".repeat(self.rng.below(400)));
        }
        if self.rng.permille(850) {
            let bare = octets.is_empty() && !started || octets.ends_with(b"\r\n");
            octets.extend_from_slice(if bare { b".\r\n" } else { b"\r\n.\r\n" });
        }
        octets
    }

    /// The shortest way out.
    pub(crate) fn leave(&mut self, view: View) -> Vec<u8> {
        match view.mode {
            Mode::Data => b"\r\n.\r\n".to_vec(),
            Mode::Response if view.partial => b"\r\n".to_vec(),
            Mode::Response => b"*\r\n".to_vec(),
            Mode::Command if view.partial => b"\r\n".to_vec(),
            Mode::Command => b"QUIT\r\n".to_vec(),
        }
    }

    /// How many octets the network delivers at once.
    pub(crate) fn chunk(&mut self, waiting: usize) -> usize {
        let chunk = match self.rng.below(4) {
            0 if waiting < 400 => 1,
            1 => 1 + self.rng.below(waiting.min(7)),
            _ => 1 + self.rng.below(waiting),
        };
        let whole = self.rng.permille(500);
        if whole { waiting } else { chunk.max(waiting / 200) }
    }
}
