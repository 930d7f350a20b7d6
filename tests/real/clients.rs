//! Programs that people really use send through Portcullis.

use std::process::Command;

use crate::support::dovecot::{Dovecot, PASSWORD, USER};
use crate::support::nsd::Nsd;
use crate::support::portcullis::{Portcullis, Setup};
use crate::support::postfix::Postfix;
use crate::support::tls::Certificate;
use crate::support::{program, run};

/// As one of the three ways in.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Port 25, STARTTLS, no login.
    Mx,
    /// Port 587: STARTTLS and a login.
    Submission,
    /// Port 465: TLS at once and a login.
    Submissions,
}

const WAYS: [Way; 3] = [Way::Mx, Way::Submission, Way::Submissions];

impl Way {
    fn port(self, portcullis: &Portcullis) -> u16 {
        match self {
            Way::Mx => portcullis.ports.direct,
            Way::Submission => portcullis.ports.submission,
            Way::Submissions => portcullis.ports.submissions,
        }
    }
}

/// Sends one mail by each way; each arrives, over TLS and with the login that was to be.
fn sends(name: &str, command: impl Fn(&Portcullis, &Certificate, Way) -> Command) {
    let (postfix, nsd) = (Postfix::start_with_submission(), Nsd::start());
    let _dovecot = Dovecot::start(&postfix);
    let (setup, certificate) = Setup::new(&postfix, &nsd).submission(&postfix);
    let portcullis = setup.start();
    for (n, way) in WAYS.into_iter().enumerate() {
        run(&mut command(&portcullis, &certificate, way));
        let mail = postfix.wait_for_mail("ann", n + 1);
        let sent = mail.iter().filter(|mail| mail.contains(&format!("\nSubject: by {name}\n")));
        assert_eq!(sent.count(), n + 1, "{mail:#?}");
    }
    let logins = postfix.log.text().matches(&format!("sasl_username={USER}")).count();
    assert_eq!(logins, 2);
}

#[test]
fn swaks_sends() {
    sends("swaks", |portcullis, _, way| {
        let mut swaks = program("swaks");
        let server = format!("127.0.0.1:{}", way.port(portcullis));
        swaks.args(["--server", &server, "--from", "joe@example.com", "--to", "ann@example.com"]);
        swaks.args(["--ehlo", "laptop.example.com", "--header", "Subject: by swaks"]);
        swaks.arg(if way == Way::Submissions { "--tlsc" } else { "--tls" });
        if way != Way::Mx {
            swaks.args(["--auth", "LOGIN", "--auth-user", USER, "--auth-password", PASSWORD]);
        }
        swaks
    });
}

#[test]
fn pythons_smtplib_sends() {
    const SCRIPT: &str = "\
import smtplib, ssl, sys
port, way, certificate, user, password = int(sys.argv[1]), *sys.argv[2:]
context = ssl.create_default_context(cafile=certificate)
if way == 'submissions':
    smtp = smtplib.SMTP_SSL('localhost', port, 'laptop.example.com', timeout=60, context=context)
else:
    smtp = smtplib.SMTP('localhost', port, 'laptop.example.com', timeout=60)
    smtp.starttls(context=context)
if way != 'mx':
    smtp.login(user, password)
text = 'From: joe@example.com\\r\\nTo: ann@example.com\\r\\nSubject: by smtplib\\r\\n\\r\\n.dot\\r\\n'
refused = smtp.sendmail('joe@example.com', ['ann@example.com'], text)
assert not refused, refused
smtp.quit()
";
    sends("smtplib", |portcullis, certificate, way| {
        let mut python = program("python3");
        python.args(["-c", SCRIPT, &way.port(portcullis).to_string()]);
        python.arg(match way {
            Way::Mx => "mx",
            Way::Submission => "submission",
            Way::Submissions => "submissions",
        });
        python.arg(certificate.path()).args([USER, PASSWORD]);
        python
    });
}

#[test]
fn curl_sends() {
    sends("curl", |portcullis, certificate, way| {
        let message =
            "From: joe@example.com\r\nTo: ann@example.com\r\nSubject: by curl\r\n\r\nHello\r\n";
        let message = portcullis.dir().write("message", message);
        let scheme = if way == Way::Submissions { "smtps" } else { "smtp" };
        let mut curl = program("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--ssl-reqd", "--cacert"]);
        curl.arg(certificate.path());
        let host = format!("localhost:{}", way.port(portcullis));
        curl.arg(format!("{scheme}://{host}/laptop.example.com"));
        curl.args(["--ipv4", "--mail-from", "joe@example.com", "--mail-rcpt", "ann@example.com"]);
        curl.arg("--upload-file").arg(message);
        if way != Way::Mx {
            curl.args(["--user", &format!("{USER}:{PASSWORD}")]);
        }
        curl
    });
}
