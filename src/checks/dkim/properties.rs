//! A second opinion, and hostile input: whatever mail-auth signs verifies here, and nothing panics.

use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use proptest::prelude::*;

use super::testing::{key_line, run};
use super::*;
use crate::dns::fake::FakeDns;
use crate::facts::Facts;

fn canonicalization(relaxed: bool) -> Canonicalization {
    if relaxed { Canonicalization::Relaxed } else { Canonicalization::Simple }
}

/// A field value with white space and folding in odd places.
fn field_value() -> impl Strategy<Value = String> {
    "[a-z:; \t]{0,12}(\r\n[ \t]{1,2}[a-z=][a-z \t]{0,6}){0,2}"
}

/// Lines; not of white space alone, which mail-auth 0.13 leaves at the end of a relaxed body.
fn body() -> impl Strategy<Value = String> {
    "([a-z.]{1,6}[ \t]{0,3}[a-z.]{0,3}[ \t]{0,2}\r\n|\r\n){0,8}"
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_mail_auth_signs_verifies(
        values in proptest::collection::vec(field_value(), 4),
        body in body(),
        relaxed_header: bool,
        relaxed_body: bool,
    ) {
        let [a, b, c, d] = values.as_slice() else { unreachable!() };
        let message = format!("From:{a}\r\nX-Two:{b}\r\nTo:{c}\r\nX-two:{d}\r\n\r\n{body}");
        let pkcs8 = Ed25519Key::generate_pkcs8().expect("a key");
        let key = Ed25519Key::from_pkcs8_der(&pkcs8).expect("a key");
        let record = {
            use base64::Engine as _;
            let public = base64::engine::general_purpose::STANDARD.encode(key.public_key());
            format!("v=DKIM1; k=ed25519; p={public}")
        };
        let signature = DkimSigner::from_key(key)
            .domain("example.com")
            .selector("sel")
            .headers(["From", "X-Two", "To"])
            .header_canonicalization(canonicalization(relaxed_header))
            .body_canonicalization(canonicalization(relaxed_body))
            .sign(message.as_bytes())
            .expect("a signature");
        let signed = signature.to_header() + &message;
        let dns = FakeDns::parse(&key_line("sel", "example.com", &record)).expect("zone text");
        let found = block_on(run(&DkimCheck::default(), &signed, &Facts::new(), &dns));
        prop_assert_eq!(found.results[0].result, "pass", "{} {:?}", found.evidence, signed);
    }

    #[test]
    fn hostile_fields_do_not_panic(value in "(v=1;|a=rsa-sha256;|b=|h=|d=a.b|s=|c=/|l=9|[ -~\t\u{e9}\u{0}]|\r\n ){0,40}") {
        let _ = Signature::parse(value.as_bytes());
        let _ = key::KeyRecord::parse(value.as_bytes());
        let _ = arc::chain::Seal::parse(value.as_bytes());
        let _ = arc::chain::results_instance(value.as_bytes());
        let _ = arc::results::vouched(value.as_bytes(), "example.com");
        let _ = crate::checks::dmarc::record::Record::parse(value.as_bytes());
        let mut out = Vec::new();
        canonical::push_own_field(&mut out, value.as_bytes(), true);
        canonical::push_own_field(&mut out, value.as_bytes(), false);
    }

    #[test]
    fn hostile_keys_do_not_panic(der: Vec<u8>, change in 0..294_usize, to: u8) {
        use base64::Engine as _;
        let _ = crypto::PublicKey::rsa(&der);
        let spki = base64::engine::general_purpose::STANDARD.decode(super::testing::RSA_2048_SPKI);
        let mut spki = spki.expect("base64");
        spki[change] = to;
        if let Ok(key) = crypto::PublicKey::rsa(&spki) {
            key.verify(b"data", &[0; 256]);
        }
    }
}
