//! What tests of DKIM, ARC and DMARC share: keys, and a message put before a check.

use std::net::IpAddr;
use std::time::Duration;

use super::crypto::SigningKey;
use super::{MAX_BODY_HASHES, sign};
use crate::checks::{Check, Context, Findings, MessageView};
use crate::dns::Budget;
use crate::dns::fake::FakeDns;
use crate::facts::{Facts, FieldId, Value};
use crate::message::Header;
use crate::message::body_hash::BodyHasher;

/// Made for these tests.
pub(crate) const RSA_2048: &str = "\
-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCtQpFxUgeh1+u7
K3zj4ZYtU5sXGCo1JBRPNigF6H9WXU5sHxA0eU1Ki2c1aUxvOFYRlql9HT/ioxMZ
6OioHmZuklD9Tc+ypfj47VetQOylf1AniyiYO1KctsoYBIInzkWNYb50jeT5R+Nx
fupPOoEJHqd6hyP3vfi5DhoZMfAvQsWT2j8bDGonGy+J2HES+DEuBSmNLqp4Yjiy
6pdO5vlsI5n1F1Y3GLG2Zqzgfeb/j53GEtHeJayJIlBEjIeit625rqlV9CwZvSNV
zKN6cGENY32f0k3EwDcOaFERs8qR6AMLkE2oWrnltUUf+pvXqx1/4UR1YyvjgNgS
Y6tLkqPNAgMBAAECggEAA+aNdo5aX8VTvJUc5YVLGpQtV/dTsTSI/A/Q/rdrgqih
JiVQ+b0WvLZqf0IVgbBRYtJkkqqrnWmzIlHx0sS/5Ozf2vI4TracWpFnslfyozbq
+W5izPbBHmVQo6kxafIjoaxeR0eyyay8n/PK8ZUXcOlHYAONiZWv3d857Q2aAtay
5JyXjbAs1Cy+I0SwSzcM3s01dk1CPpRsqgc32Qbebmb+HpV/ZX2KWH14WVxCPpW7
5EVEKB3Y3A23le0eTamBb5ZAu0mVA+pNxRKif6pC+GO7KRW6ET4h9BVz8aUcCOce
0pgWLDauWnynME2MeYg5kKwH033Cwd2mTn7P/6tKoQKBgQDZXTzwom3Db1IHYJ18
upHQ8T8/U9cZ1x/1rHkrevQaKbuYcYnVuJ8xNXrlfFDUcWnO9mrU/3ttN3aYlIJu
to1cmThUgIepQC1WvaZXruy/zGOBnLOlkSFD+Is5rO2qrODJ97kBvu/AsyWdaPfP
abxiGvxZ0z0IKpmM8CeCvJKYYQKBgQDMDnMpoYAfZDuiUSjT7H8sPvvCZODGSrIz
FBd+jEmgMXmL1IuNqLsf4LG2hPhd6aZKgZTd/GK18/eANgYLDGJf7Ay0PZjIOuVZ
pIdUhFekR6QhbWTAcWMEAR42H4fi+639FtJ5jTUqkCXtKlVMC/PNVawElLn3EbZu
yMdQNFzS7QKBgQC+s5i1niwi3NXg9xj0x1MLN70/uDTtzNmTVyBvz02+boLRujst
sO6p47vQ/wKDgIVOOM991C/boF+Cejj9HVhkt2C+co2TJmUgxv7byvKXS6C5pFvQ
lMXUtoifr2JM7aPCTn6YU4ZRUFteASv5Y1EN2ZMw062mLonNJx3jC8KpwQKBgBLi
T3QN1x6Qlxg5bI7YNxiwJ3pg/ZA8P2uMs3PppbKmgXoYTGXqtI6Jq8iZW6bNRa9l
eJJmlfgCwOfjmAGTvtLjtHVFsgrtsGXwXPnMWZQBcUYKqqVImQI43EPj/R5bbkma
wBWxpLbwqiHdphEolgJtqEKwRNmBkSGFgTSB9AktAoGAAwkHS7L2+SltAkPXCpeV
soVSy3x4cPJ5L+48zJ0p7WAjDnv64jbg+TIyfDuv3wQJcymrKmR6z1ncQAtKlunE
JdssRWYXdrIBeYM6B4H577/reSqtpgqyT8XuaFY8AWhl1UWZ1KqLV6ANTnC+9bJO
7nE3rVzt9mM/Z5ylNf1WV3A=
-----END PRIVATE KEY-----
";

/// Keys of a forbidden length (RFC 8301 3.2), and one longer than we take.
pub(crate) const RSA_512: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKexsJO4fvq5R3JqbQN4vGwZGrSbaQzth2lvSZPhgMdHQW5DmknIlz\
     wcX72/z4mJy7ZBoytEOUAiVQ0JRbQKwXkCAwEAAQ==";
pub(crate) const RSA_1023: &str = "MIGeMA0GCSqGSIb3DQEBAQUAA4GMADCBiAKBgGcUGrVemAFZIAvQPz7wA1InI0kzO6zaC0WqwuYsIoXa540Amu\
     2aLbWnjACiEMSHbxvCxSUT93wgw3d6Ktn2M8muLqGyb3iqLtArA7X/JbblynizW/aqhNr35nBmS5/v6uopfPCk\
     DDvWTKMUPgdN32a6qEylepVULsL4dNEHg/sdAgMBAAE=";
pub(crate) const RSA_4104: &str = "MIICIzANBgkqhkiG9w0BAQEFAAOCAhAAMIICCwKCAgIAsEEi6McE38kp1woSUZzrQk47lKfwfbYAcIQrfDQ26y\
     3+p8Bh042ZsCiA6HsJcqqkN1wjXILLNvBfbKv3hpfZVGr3whhFDnskWF6B0JR6o99QSLV05rc9bu2TxQuEdRL7\
     Ray5kQyejImkcSD1KoKO06zfsXldvb9g43u3H5+cRP6teuLjgGRxLYsreBrjk12Ewa+veW/RCkwJu4hVxpg7XC\
     NjKP5NGej5V0bcb/fo2ZFYlwQ6ptrwqx60BPgNgeK5uQKpm2Ke90eeuOrNQG6QZA3fv5M6na8tEhYOiFQz5OIK\
     Yp7MXhRt3EStqe74/Z/+UufdPmuyOBArk+glrBcHSvTshVzYv1n5UfR1C89MVn+hAbjaJf4W2ha2kJYYFuC44y\
     O0DsfmmLIsFOUchXHpQUivEjVh5xRvCqo9/4OI7x2xVG5ZtRe5EI98rNTI7DwNE+sJJGpCvCS1wpCP2Wp/sSQS\
     X00/VJ/gdbE13JGgMeiTVzOEwi3GCoI0zfXUIp5rC10QW0XY6xW1sqbXjCNjUxMl/hnpmJUKEsC+iPa4VzHJkh\
     TCGx8oB+zO9VEPAEHgzUJNDMz9lBPNYNhdTS+mXq0Z1R2E9paum5/y0X1YWSxhhfSYshssuC4/plx0Fu1o62oh\
     VUM6Qn4l2crCB2kBzL1FQCSJzW9JTaRjV8GeI9c/AgMBAAE=";

/// The `SubjectPublicKeyInfo` of [`RSA_2048`].
pub(crate) const RSA_2048_SPKI: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArUKRcVIHodfruyt84+GWLVObFxgqNSQUTzYoBeh/Vl\
     1ObB8QNHlNSotnNWlMbzhWEZapfR0/4qMTGejoqB5mbpJQ/U3PsqX4+O1XrUDspX9QJ4somDtSnLbKGASCJ85F\
     jWG+dI3k+UfjcX7qTzqBCR6neocj9734uQ4aGTHwL0LFk9o/GwxqJxsvidhxEvgxLgUpjS6qeGI4suqXTub5bC\
     OZ9RdWNxixtmas4H3m/4+dxhLR3iWsiSJQRIyHoretua6pVfQsGb0jVcyjenBhDWN9n9JNxMA3DmhREbPKkegD\
     C5BNqFq55bVFH/qb16sdf+FEdWMr44DYEmOrS5KjzQIDAQAB";

pub(crate) fn rsa() -> SigningKey {
    SigningKey::rsa_from_pkcs8_pem(RSA_2048).expect("a key")
}

pub(crate) fn ed25519() -> SigningKey {
    SigningKey::ed25519_from_seed(&[9; 32]).expect("a key")
}

/// A line of zone text that publishes a key. TXT strings end at 255 octets.
pub(crate) fn key_line(selector: &str, domain: &str, record: &str) -> String {
    let strings: Vec<String> = record
        .as_bytes()
        .chunks(200)
        .map(|chunk| format!("\"{}\"", String::from_utf8_lossy(chunk)))
        .collect();
    format!("{selector}._domainkey.{domain}. TXT {}\n", strings.join(" "))
}

/// Puts a message before a check, at the time 1_700_000_000.
pub(crate) async fn run(
    check: &dyn Check,
    message: &str,
    facts: &Facts,
    dns: &FakeDns,
) -> Findings {
    let (header, body) = sign::split(message.as_bytes());
    let header = Header::parse(header.into());
    let mut hasher = BodyHasher::new(&super::body_hashes(&header), MAX_BODY_HASHES);
    hasher.update(body);
    let hashes = hasher.finish();
    let budget = Budget::new(dns.resolver(), 100, Duration::from_secs(8));
    let view = MessageView { header: &header, size: message.len() as u64, body_hashes: &hashes };
    check
        .run(&Context {
            facts,
            message: Some(view),
            client_ip: IpAddr::from([192, 0, 2, 1]),
            helo: "mail.example.org",
            hostname: "mx.example.net",
            dns: &budget,
            now: 1_700_000_000,
        })
        .await
}

pub(crate) fn value(found: &Findings, field: FieldId) -> Value {
    let mut values = found.values.iter().filter(|(id, _, _)| *id == field);
    let (_, _, value) = values.next().unwrap_or_else(|| panic!("{} was not set", field.name()));
    assert!(values.next().is_none(), "{} was set twice", field.name());
    value.clone()
}
