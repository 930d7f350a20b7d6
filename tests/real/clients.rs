//! Programs that people send mail with: swaks, Python's smtplib, curl.

use std::process::Command;

use crate::support::dovecot::{Dovecot, PASSWORD, USER};
use crate::support::nsd::Nsd;
use crate::support::portcullis::{Portcullis, Setup};
use crate::support::postfix::Postfix;
use crate::support::tls::Certificate;
use crate::support::{program, run};

fn start() -> (Postfix, Dovecot, Nsd, Portcullis, Certificate) {
    let (postfix, nsd) = (Postfix::start_with_submission(), Nsd::start());
    let dovecot = Dovecot::start(&postfix);
    let (setup, certificate) = Setup::new(&postfix, &nsd).submission(&postfix);
    (postfix, dovecot, nsd, setup.start(), certificate)
}

fn swaks(port: u16) -> Command {
    let mut swaks = program("swaks");
    swaks.args(["--server", &format!("127.0.0.1:{port}"), "--ehlo", "laptop.example.com"]);
    swaks.args(["--from", "joe@example.com", "--to", "ann@example.com"]);
    swaks
}

#[test]
fn swaks_sends_plain_by_starttls_and_inside_tls() {
    let (postfix, _dovecot, _nsd, portcullis, _certificate) = start();
    let login = ["--auth-user", USER, "--auth-password", PASSWORD];
    run(&mut swaks(portcullis.ports.direct));
    run(swaks(portcullis.ports.direct).arg("--tls"));
    for mechanism in ["PLAIN", "LOGIN"] {
        run(swaks(portcullis.ports.submission).args(["--tls", "--auth", mechanism]).args(login));
        run(swaks(portcullis.ports.submissions)
            .args(["--tls-on-connect", "--auth", mechanism])
            .args(login));
    }
    postfix.wait_for_mail("ann", 6);
}

#[test]
fn pythons_smtplib_sends_by_starttls_and_inside_tls() {
    let (postfix, _dovecot, _nsd, portcullis, certificate) = start();
    let script = r#"
import smtplib, ssl, sys
starttls, inside, user, password, certificate = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
context = ssl.create_default_context(cafile=certificate)
message = "From: joe@example.com\r\nTo: ann@example.com\r\nSubject: hello\r\n\r\n.dots\r\n..\r\n"
with smtplib.SMTP("localhost", starttls) as client:
    client.starttls(context=context)
    client.login(user, password)
    client.sendmail("joe@example.com", ["ann@example.com"], message)
    client.sendmail("joe@example.com", ["ann@example.com", "joe@example.com"], message)
with smtplib.SMTP_SSL("localhost", inside, context=context) as client:
    client.login(user, password)
    client.sendmail("joe@example.com", ["ann@example.com"], message)
    try:
        client.sendmail("joe@example.com", ["nobody-here@example.com"], message)
        sys.exit("an unknown recipient was accepted")
    except smtplib.SMTPRecipientsRefused as refused:
        assert refused.recipients["nobody-here@example.com"][0] == 550, refused
"#;
    let ports = [portcullis.ports.submission, portcullis.ports.submissions].map(|p| p.to_string());
    run(program("python3")
        .args(["-c", script])
        .args(&ports)
        .args([USER, PASSWORD])
        .arg(certificate.path()));
    let mails = postfix.wait_for_mail("ann", 3);
    assert!(mails.iter().all(|mail| mail.contains("\n.dots\n..\n")), "{mails:?}");
    postfix.wait_for_mail("joe", 1);
}

#[test]
fn curl_sends_by_starttls_and_inside_tls() {
    let (postfix, _dovecot, _nsd, portcullis, certificate) = start();
    let message = portcullis.dir().write("message", "From: joe@example.com\r\n\r\nHello\r\n");
    let urls = [
        format!("smtp://localhost:{}", portcullis.ports.submission),
        format!("smtps://localhost:{}", portcullis.ports.submissions),
    ];
    for url in urls {
        let mut curl = program("curl");
        curl.args(["--silent", "--show-error", "--ssl-reqd", "--url", &url]);
        curl.arg("--cacert").arg(certificate.path());
        curl.args(["--user", &format!("{USER}:{PASSWORD}")]);
        curl.args(["--mail-from", "joe@example.com", "--mail-rcpt", "ann@example.com"]);
        run(curl.arg("--upload-file").arg(&message));
    }
    postfix.wait_for_mail("ann", 2);
}
