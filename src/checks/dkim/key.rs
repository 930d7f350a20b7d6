//! Key records (RFC 6376 3.6.1, RFC 8301, RFC 8463 4).

use super::crypto::{Algorithm, BadKey, PublicKey};
use super::signature::{Reason, base64};
use super::tags::{TagList, colon_list, without_fws};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub key: PublicKey,
    /// `t=y`: the domain is testing DKIM.
    pub testing: bool,
    /// `t=s`: `i=` must be of `d=` itself, not of a domain beneath it.
    pub strict: bool,
}

impl KeyRecord {
    /// A record of use for verifying mail; else why it is not.
    pub fn parse(record: &[u8]) -> Result<KeyRecord, Reason> {
        let tags = TagList::parse(record).map_err(|_| "key record is malformed")?;
        if let Some(version) = tags.get("v")
            && (version != "DKIM1" || tags.position("v") != Some(0))
        {
            return Err("key record is not of version DKIM1");
        }
        if let Some(hashes) = tags.get("h")
            && !colon_list(hashes).any(|hash| hash == "sha256")
        {
            return Err("key is not for sha256");
        }
        if let Some(services) = tags.get("s")
            && !colon_list(services).any(|service| matches!(service, "*" | "email"))
        {
            return Err("key is not for email");
        }
        let p = tags.get("p").ok_or("key record has no p=")?;
        if without_fws(p).is_empty() {
            return Err("key was revoked");
        }
        let raw = base64(p).ok_or("key is not base64")?;
        let key = match tags.get("k").unwrap_or("rsa") {
            "rsa" => PublicKey::rsa(&raw),
            "ed25519" => PublicKey::ed25519(&raw),
            _ => return Err("key is of an unknown type"),
        };
        let key = key.map_err(|bad| match bad {
            BadKey::Malformed => "key is malformed",
            BadKey::Length(bits) if bits < 1024 => "RSA key is shorter than 1024 bits",
            BadKey::Length(_) => "RSA key is longer than 4096 bits",
        })?;
        let flag = |flag| tags.get("t").is_some_and(|t| colon_list(t).any(|f| f == flag));
        Ok(KeyRecord { key, testing: flag("y"), strict: flag("s") })
    }

    /// The key for a signature among the TXT records of its name. There should be one record; of
    /// several the first that can be used is taken (RFC 6376 3.6.2.2 leaves it open).
    pub fn choose(records: &[Box<[u8]>], algorithm: Algorithm) -> Result<KeyRecord, Reason> {
        let mut reason = "no key";
        for record in records {
            match KeyRecord::parse(record) {
                Ok(key) if key.key.fits(algorithm) => return Ok(key),
                Ok(_) => reason = "key is not for this algorithm",
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn variants_of_a_record() {
        for (record, expected) in [
            (format!("v=DKIM1; k=ed25519; p={ED}"), Ok((false, false))),
            (format!("k=ed25519; p={ED}"), Ok((false, false))),
            (format!("k=ed25519; p={ED}; n=a note; unknown=1;"), Ok((false, false))),
            (format!("k=ed25519; h=sha1:sha256; s=other : email; p={ED}"), Ok((false, false))),
            (format!("k=ed25519; s=*; t=y:s:z; p={ED}"), Ok((true, true))),
            (format!("k=ed25519; t=; p={ED}"), Ok((false, false))),
            (format!("k=ed25519; v=DKIM1; p={ED}"), Err("key record is not of version DKIM1")),
            (format!("v=DKIM2; k=ed25519; p={ED}"), Err("key record is not of version DKIM1")),
            (format!("v=dkim1; k=ed25519; p={ED}"), Err("key record is not of version DKIM1")),
            (format!("k=ed25519; h=sha1; p={ED}"), Err("key is not for sha256")),
            (format!("k=ed25519; h=; p={ED}"), Err("key is not for sha256")),
            (format!("k=ed25519; s=tlsrpt; p={ED}"), Err("key is not for email")),
            (format!("k=dsa; p={ED}"), Err("key is of an unknown type")),
            (format!("k=; p={ED}"), Err("key is of an unknown type")),
            (format!("p={ED}"), Err("key is malformed")), // k= defaults to rsa
            ("k=ed25519; p=AAAA".into(), Err("key is malformed")), // RFC 8463 4.2: 32 octets
            ("v=DKIM1; p=".into(), Err("key was revoked")),
            ("v=DKIM1; p= ;".into(), Err("key was revoked")),
            ("v=DKIM1".into(), Err("key record has no p=")),
            ("v=DKIM1; p=???".into(), Err("key is not base64")),
            (format!("k=ed25519; p={ED}; p={ED}"), Err("key record is malformed")),
            ("v=spf1 -all".into(), Err("key record is not of version DKIM1")),
            ("hello".into(), Err("key record is malformed")),
        ] {
            let seen = KeyRecord::parse(record.as_bytes()).map(|key| (key.testing, key.strict));
            assert_eq!(seen, expected, "{record}");
        }
    }

    #[test]
    fn the_first_fitting_record_of_several() {
        let records: Vec<Box<[u8]>> = ["v=spf1 -all", "p=", &format!("k=ed25519; p={ED}")]
            .iter()
            .map(|text| text.as_bytes().into())
            .collect();
        assert!(KeyRecord::choose(&records, Algorithm::Ed25519Sha256).is_ok());
        assert_eq!(
            KeyRecord::choose(&records, Algorithm::RsaSha256),
            Err("key is not for this algorithm")
        );
        assert_eq!(KeyRecord::choose(&records[..2], Algorithm::RsaSha256), Err("key was revoked"));
        assert_eq!(KeyRecord::choose(&[], Algorithm::RsaSha256), Err("no key"));
    }
}
