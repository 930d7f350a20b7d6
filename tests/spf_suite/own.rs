//! Cases of our own: the section of RFC 7208, the client, the sender (empty: postmaster at the HELO
//! name mx.client.example), the result, and the matching term or the explanation or a part of the
//! reason, whichever there is.

use std::sync::Arc;

use crate::check;
use crate::zone::Zone;

const ZONE: &str = r#"
mx.client.example TXT v=spf1 a -all
mx.client.example A 192.0.2.10
# Records and their selection.
notxt.example A 192.0.2.1
other.example TXT google-site-verification=1234
beside.example TXT some words
beside.example TXT v=spf1 ip4:192.0.2.10 -all
twice.example TXT v=spf1 -all
twice.example TXT V=SPF1 ?all
slow.example TIMEOUT
tab.example TXT v=spf1	-all
version.example TXT v=spf1.0 -all
bare.example TXT v=spf1
late.example TXT v=spf1 ip4:192.0.2.10 -all ip5:192.0.2.1
alias.example CNAME beside.example
loop.example CNAME pool.example
pool.example CNAME loop.example
# Qualifiers.
plus.example TXT v=spf1 +ip4:192.0.2.10 -all
tilde.example TXT v=spf1 ~ip4:192.0.2.10 -all
quest.example TXT v=spf1 ?ip4:192.0.2.10 -all
minus.example TXT v=spf1 -ip4:192.0.2.10 +all
upper.example TXT v=spf1 IP4:192.0.2.10 -ALL
double.example TXT v=spf1 --all
# Networks.
net24.example TXT v=spf1 ip4:192.0.2.77/24 -all
net25.example TXT v=spf1 ip4:192.0.2.128/25 -all
net6.example TXT v=spf1 ip6:2001:db8:a::/47 -all
zone6.example TXT v=spf1 ip6:fe80::1%eth0 -all
octet.example TXT v=spf1 ip4:192.0.2.256 -all
zero.example TXT v=spf1 ip4:192.0.2.0/ -all
lead6.example TXT v=spf1 ip6:2001:db8::/032 -all
mapped.example TXT v=spf1 ip6:::ffff:192.0.2.10 -all
# a and mx.
a.example TXT v=spf1 a:host.a.example/28//96 -all
host.a.example A 192.0.2.1
host.a.example AAAA 2001:db8::1:1
aslow.example TXT v=spf1 a:slow.example +all
acidr.example TXT v=spf1 a/24/24 -all
mx.example TXT v=spf1 mx -all
mx.example MX one.mx.example
mx.example MX two.mx.example
one.mx.example A 192.0.2.200
two.mx.example A 192.0.2.10
mxslow.example TXT v=spf1 mx +all
mxslow.example MX slow.example
nullmx.example TXT v=spf1 mx ?all
nullmx.example MX
mx4.example TXT v=spf1 mx mx:mx.example mx:mx4.example mx:mx.example ip6:2001:db8::/32 -all
mx4.example MX one.mx.example
mx4.example MX two.mx.example
mxgone.example TXT v=spf1 mx mx mx +all
mxgone.example MX gone.mx.example
mxgone.example MX away.mx.example
# ptr.
10.2.0.192.in-addr.arpa PTR mail.ptr.example
10.2.0.192.in-addr.arpa PTR forged.bank.example
mail.ptr.example A 192.0.2.10
forged.bank.example A 203.0.113.1
ptr.example TXT v=spf1 ptr -all
bank.example TXT v=spf1 ptr -all
rptr.example TXT v=spf1 ptr:r.example ?all
voids.example TXT v=spf1 a:no1.example a:no2.example ptr -all
11.2.0.192.in-addr.arpa PTR n1.voids.example
11.2.0.192.in-addr.arpa PTR n2.voids.example
11.2.0.192.in-addr.arpa PTR n3.voids.example
# exists and macros.
exists.example TXT v=spf1 exists:%{ir}.%{v}.list.exists.example -all
10.2.0.192.in-addr.list.exists.example A 127.0.0.1
local.example TXT v=spf1 exists:%{l}._spf.local.example -all
jane._spf.local.example A 127.0.0.1
helo.example TXT v=spf1 exists:%{h2}.helo.example -all
client.example.helo.example A 127.0.0.1
pmacro.example TXT v=spf1 exists:%{p}.by.pmacro.example -all
mail.ptr.example.by.pmacro.example A 127.0.0.1
crt.example TXT v=spf1 exists:%{t}.crt.example -all
digits.example TXT v=spf1 exists:%{d0}.digits.example -all
brace.example TXT v=spf1 exists:%{d.brace.example -all
slash.example TXT v=spf1 a:%{d2/}/24 -all
slash.example A 192.0.2.1
# include.
inc.example TXT v=spf1 include:net24.example ~all
incfail.example TXT v=spf1 include:minus.example ~all
incsoft.example TXT v=spf1 -include:inc.example +all
incslow.example TXT v=spf1 include:slow.example +all
incbad.example TXT v=spf1 include:late.example +all
incnone.example TXT v=spf1 include:other.example +all
incself.example TXT v=spf1 include:incself.example +all
inclocal.example TXT v=spf1 include:%{l}.inclocal.example ip4:192.0.2.10 -all
deep.example TXT v=spf1 ?include:deep1.example -all
deep1.example TXT v=spf1 include:net24.example -all
# redirect.
red.example TXT v=spf1 redirect=minus.example
redall.example TXT v=spf1 redirect=late.example ?all
rednone.example TXT v=spf1 redirect=other.example
redslow.example TXT v=spf1 redirect=slow.example
redtwice.example TXT v=spf1 redirect=a.example redirect=a.example
redlong.example TXT v=spf1 redirect=%{l}.example
redupper.example TXT v=spf1 REDIRECT=minus.example
# exp.
exp.example TXT v=spf1 -all exp=why.exp.example
why.exp.example TXT %{i} is not %{d}'s, said %{r}; 100%%
exptext.example TXT v=spf1 -all exp=bad.exp.example
bad.exp.example TXT 100% wrong
expinc.example TXT v=spf1 include:exp.example -all
expred.example TXT v=spf1 exp=none.exp.example redirect=exp.example
expsoft.example TXT v=spf1 ~all exp=why.exp.example
expnone.example TXT v=spf1 -all exp=none.exp.example
# Unknown modifiers.
mod.example TXT v=spf1 x-y.z_1=%{d}/a:b -all
modbad.example TXT v=spf1 x=%{y} -all
modtwice.example TXT v=spf1 x=1 x=2 -all
moddigit.example TXT v=spf1 1x=1 -all
modqual.example TXT v=spf1 -x=1 -all
# Limits.
ten.example TXT v=spf1 a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example ip4:192.0.2.10 -all
eleven.example TXT v=spf1 a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example redirect=plus.example
early.example TXT v=spf1 ip4:192.0.2.10 a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example a:h.ten.example -all
h.ten.example A 203.0.113.1
void2.example TXT v=spf1 a:no1.example exists:no2.example ip4:192.0.2.10 -all
void3.example TXT v=spf1 a:no1.example exists:no2.example mx:no3.example ip4:192.0.2.10 -all
void6.example TXT v=spf1 a:h.ten.example a:h.ten.example a:h.ten.example -all
# Names.
long.example TXT v=spf1 a:abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd.example ?all
inclong.example TXT v=spf1 include:abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd.example ?all
top.example TXT v=spf1 a:localhost -all
dot.example TXT v=spf1 a:host.a.example. -all
under.example TXT v=spf1 a:_h.under.example -all
_h.under.example A 192.0.2.10
"#;

type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("2.4", "192.0.2.10", "", "pass", "a"),
    ("2.4", "192.0.2.11", "", "fail", "-all"),
    ("4.3", "192.0.2.10", "x@localhost", "none", "two labels"),
    ("4.3", "192.0.2.10", "x@[192.0.2.10]", "none", "two labels"),
    ("4.3", "192.0.2.10", "x@a..example", "none", "two labels"),
    ("4.3", "192.0.2.10", "x@plus.example.", "pass", "+ip4:192.0.2.10"),
    ("4.3", "192.0.2.10", "@plus.example", "pass", "+ip4:192.0.2.10"),
    ("4.3", "192.0.2.10", "x@missing.example", "none", "does not exist"),
    ("4.4", "192.0.2.10", "x@slow.example", "temperror", "slow.example: temporary"),
    ("4.4", "192.0.2.10", "x@loop.example", "temperror", "temporary"),
    ("4.4", "192.0.2.10", "x@alias.example", "pass", "ip4:192.0.2.10"),
    ("4.5", "192.0.2.10", "x@notxt.example", "none", "no TXT record"),
    ("4.5", "192.0.2.10", "x@other.example", "none", "no SPF record"),
    ("4.5", "192.0.2.10", "x@beside.example", "pass", "ip4:192.0.2.10"),
    ("4.5", "192.0.2.10", "x@twice.example", "permerror", "more than one SPF record"),
    ("4.5", "192.0.2.10", "x@tab.example", "none", "no SPF record"),
    ("4.5", "192.0.2.10", "x@version.example", "none", "no SPF record"),
    ("4.6", "192.0.2.10", "x@late.example", "permerror", "ip5:192.0.2.1: an unknown mechanism"),
    ("4.6.1", "192.0.2.10", "x@upper.example", "pass", "IP4:192.0.2.10"),
    ("4.6.1", "192.0.2.10", "x@double.example", "permerror", "unknown mechanism"),
    ("4.6.2", "192.0.2.10", "x@plus.example", "pass", "+ip4:192.0.2.10"),
    ("4.6.2", "192.0.2.10", "x@tilde.example", "softfail", "~ip4:192.0.2.10"),
    ("4.6.2", "192.0.2.10", "x@quest.example", "neutral", "?ip4:192.0.2.10"),
    ("4.6.2", "192.0.2.10", "x@minus.example", "fail", "-ip4:192.0.2.10"),
    ("4.6.4", "192.0.2.10", "x@ten.example", "pass", "ip4:192.0.2.10"),
    ("4.6.4", "192.0.2.10", "x@eleven.example", "permerror", "more than 10 terms"),
    ("4.6.4", "192.0.2.10", "x@early.example", "pass", "ip4:192.0.2.10"),
    ("4.6.4", "192.0.2.10", "x@void2.example", "pass", "ip4:192.0.2.10"),
    ("4.6.4", "192.0.2.10", "x@void3.example", "permerror", "void lookups"),
    ("4.6.4", "2001:db8::9", "x@void6.example", "permerror", "void lookups"),
    ("4.6.4", "2001:db8::9", "x@mx4.example", "pass", "ip6:2001:db8::/32"),
    ("4.6.4", "192.0.2.10", "x@mxgone.example", "permerror", "void lookups"),
    ("4.6.4", "192.0.2.11", "x@voids.example", "fail", "-all"),
    ("4.7", "192.0.2.10", "x@bare.example", "neutral", "no term matched"),
    ("4.8", "192.0.2.10", "x@long.example", "neutral", "?all"),
    ("4.8", "192.0.2.2", "x@dot.example", "fail", "-all"),
    ("4.8", "192.0.2.1", "x@dot.example", "pass", "a:host.a.example."),
    ("5", "::ffff:192.0.2.10", "x@net24.example", "pass", "ip4:192.0.2.77/24"),
    ("5", "::ffff:192.0.2.10", "x@mapped.example", "fail", "-all"),
    ("5.2", "192.0.2.10", "x@inc.example", "pass", "include:net24.example"),
    ("5.2", "198.51.100.1", "x@inc.example", "softfail", "~all"),
    ("5.2", "192.0.2.10", "x@incfail.example", "softfail", "~all"),
    ("5.2", "198.51.100.1", "x@incsoft.example", "pass", "+all"),
    ("5.2", "192.0.2.10", "x@incsoft.example", "fail", "-include:inc.example"),
    ("5.2", "192.0.2.10", "x@incslow.example", "temperror", "temporary"),
    ("5.2", "192.0.2.10", "x@incbad.example", "permerror", "late.example: ip5"),
    ("5.2", "192.0.2.10", "x@incnone.example", "permerror", "include:other.example: no SPF record"),
    ("5.2", "192.0.2.10", "x@incself.example", "permerror", "more than 10 terms"),
    ("5.2", "192.0.2.10", "x@inclong.example", "permerror", "malformed"),
    ("5.2", "192.0.2.10", "x@deep.example", "neutral", "?include:deep1.example"),
    ("5.3", "192.0.2.14", "x@a.example", "pass", "a:host.a.example/28//96"),
    ("5.3", "192.0.2.16", "x@a.example", "fail", "-all"),
    ("5.3", "2001:db8::2:1", "x@a.example", "pass", "a:host.a.example/28//96"),
    ("5.3", "192.0.2.10", "x@aslow.example", "temperror", "temporary"),
    ("5.3", "192.0.2.10", "x@acidr.example", "permerror", "acidr.example: a/24/24"),
    ("5.4", "192.0.2.10", "x@mx.example", "pass", "mx"),
    ("5.4", "192.0.2.11", "x@mx.example", "fail", "-all"),
    ("5.4", "192.0.2.10", "x@mxslow.example", "temperror", "temporary"),
    ("5.4", "192.0.2.10", "x@nullmx.example", "neutral", "?all"),
    ("5.5", "192.0.2.10", "x@ptr.example", "pass", "ptr"),
    ("5.5", "192.0.2.10", "x@bank.example", "fail", "-all"),
    ("5.5", "192.0.2.10", "x@rptr.example", "neutral", "?all"),
    ("5.6", "192.0.2.255", "x@net24.example", "pass", "ip4:192.0.2.77/24"),
    ("5.6", "192.0.2.127", "x@net25.example", "fail", "-all"),
    ("5.6", "2001:db8:b::1", "x@net6.example", "pass", "ip6:2001:db8:a::/47"),
    ("5.6", "2001:db8:c::1", "x@net6.example", "fail", "-all"),
    ("5.6", "192.0.2.10", "x@zone6.example", "permerror", "not an IPv6 address"),
    ("5.6", "192.0.2.10", "x@octet.example", "permerror", "not an IPv4 address"),
    ("5.6", "192.0.2.10", "x@zero.example", "permerror", "invalid prefix length"),
    ("5.6", "192.0.2.10", "x@lead6.example", "permerror", "invalid prefix length"),
    ("5.7", "192.0.2.10", "x@exists.example", "pass", "exists:%{ir}.%{v}.list.exists.example"),
    ("5.7", "192.0.2.11", "x@exists.example", "fail", "-all"),
    ("6", "192.0.2.10", "x@mod.example", "fail", "-all"),
    ("6", "192.0.2.10", "x@modtwice.example", "fail", "-all"),
    ("6", "192.0.2.10", "x@modbad.example", "permerror", "unknown macro letter"),
    ("6", "192.0.2.10", "x@moddigit.example", "permerror", "unknown mechanism"),
    ("6", "192.0.2.10", "x@modqual.example", "permerror", "unknown mechanism"),
    ("6", "192.0.2.10", "x@redtwice.example", "permerror", "appears twice"),
    ("6.1", "192.0.2.10", "x@red.example", "fail", "-ip4:192.0.2.10"),
    ("6.1", "192.0.2.10", "x@redupper.example", "fail", "-ip4:192.0.2.10"),
    ("6.1", "192.0.2.10", "x@redall.example", "neutral", "?all"),
    ("6.1", "192.0.2.10", "x@rednone.example", "permerror", "redirect=other.example: no SPF record"),
    ("6.1", "192.0.2.10", "x@redslow.example", "temperror", "temporary"),
    ("6.1", "192.0.2.10", "a..b@redlong.example", "permerror", "malformed"),
    ("6.2", "192.0.2.10", "x@exp.example", "fail", "192.0.2.10 is not exp.example's, said gate.example; 100%"),
    ("6.2", "192.0.2.10", "x@expred.example", "fail", "192.0.2.10 is not exp.example's, said gate.example; 100%"),
    ("6.2", "192.0.2.10", "x@exptext.example", "fail", "-all"),
    ("6.2", "192.0.2.10", "x@expinc.example", "fail", "-all"),
    ("6.2", "192.0.2.10", "x@expsoft.example", "softfail", "~all"),
    ("6.2", "192.0.2.10", "x@expnone.example", "fail", "-all"),
    ("7.1", "192.0.2.10", "x@top.example", "permerror", "one label only"),
    ("7.1", "192.0.2.10", "x@under.example", "pass", "a:_h.under.example"),
    ("7.1", "192.0.2.10", "x@brace.example", "permerror", "without closing brace"),
    ("7.1", "192.0.2.10", "x@digits.example", "permerror", "keeps no part"),
    ("7.2", "192.0.2.10", "x@crt.example", "permerror", "in explanations only"),
    ("7.2", "192.0.2.10", "jane@local.example", "pass", "exists:%{l}._spf.local.example"),
    ("7.2", "192.0.2.10", "joe@local.example", "fail", "-all"),
    ("7.2", "192.0.2.10", "x@helo.example", "pass", "exists:%{h2}.helo.example"),
    ("7.2", "192.0.2.10", "x@pmacro.example", "pass", "exists:%{p}.by.pmacro.example"),
    ("7.2", "192.0.2.11", "x@pmacro.example", "fail", "-all"),
    ("7.3", "192.0.2.10", "x@slash.example", "pass", "a:%{d2/}/24"),
    ("RFC 8616 4", "192.0.2.10", "jos\u{e9}@local.example", "fail", "-all"),
    ("RFC 8616 4", "192.0.2.10", "jos\u{e9}@inclocal.example", "pass", "ip4:192.0.2.10"),
];

#[tokio::test]
async fn our_own_cases() {
    let zone = Arc::new(Zone::parse(ZONE));
    let mut failed = 0;
    for (section, ip, from, result, why) in CASES {
        let outcome = check(&zone, ip, from, "mx.client.example").await;
        let explained = match (&outcome.explanation, outcome.mechanism(), &outcome.reason) {
            (Some(words), ..) => words == why,
            (None, Some(term), _) => term == *why,
            (None, None, Some(reason)) => reason.contains(why),
            (None, None, None) => false,
        };
        if outcome.result.name() != *result || !explained {
            failed += 1;
            println!("{section} {from:?} from {ip}: expected {result} ({why}), got {outcome:#?}");
        }
    }
    println!("{} passed, {failed} failed", CASES.len() - failed);
    assert_eq!(failed, 0);
}

/// The evidence names what matched inside an include, and all that was asked.
#[tokio::test]
async fn the_evidence_is_complete() {
    let zone = Arc::new(Zone::parse(ZONE));
    let outcome = check(&zone, "192.0.2.10", "x@deep.example", "mx.client.example").await;
    let path: Vec<_> = outcome.matched.iter().map(|m| (&*m.domain, &*m.term)).collect();
    assert_eq!(
        path,
        [
            ("deep.example", "?include:deep1.example"),
            ("deep1.example", "include:net24.example"),
            ("net24.example", "ip4:192.0.2.77/24"),
        ]
    );
    assert_eq!((outcome.records.len(), outcome.lookups.len(), outcome.terms), (3, 3, 2));
}

/// The most that a hostile policy can make us ask: ten terms of one question and ten hosts each.
#[tokio::test]
async fn the_questions_of_one_check_are_bounded() {
    let mut zone = Zone::parse("many.example TXT v=spf1 mx mx mx mx mx mx mx mx mx mx mx ?all");
    for n in 0..10 {
        let host = format!("h{n}.many.example");
        zone.name("many.example").push(crate::zone::Entry::Mx(n, host.clone()));
        zone.name(&host).push(crate::zone::Entry::A([203, 0, 113, 1].into()));
    }
    let outcome = check(&Arc::new(zone), "192.0.2.10", "x@many.example", "h.example").await;
    assert_eq!(outcome.result.name(), "permerror");
    assert_eq!(outcome.lookups.len(), 1 + 10 * 11);
}

/// A budget that is used up is temperror, wherever it happens.
#[tokio::test]
async fn a_spent_budget_is_temperror() {
    use portcullis::checks::spf::{Query, check_host};
    use portcullis::dns::Budget;
    let zone = Arc::new(Zone::parse(ZONE));
    for (domain, questions) in [
        ("plus.example", 0),
        ("ptr.example", 1),
        ("ptr.example", 2),
        ("inc.example", 1),
        ("mx.example", 2),
    ] {
        let budget = Budget::new(zone.clone(), questions, std::time::Duration::from_secs(5));
        let query = Query {
            ip: [192, 0, 2, 10].into(),
            domain,
            sender: "x@y.example",
            helo: "h.example",
            receiver: "gate.example",
            now: 0,
        };
        let outcome = check_host(&query, &budget).await;
        assert_eq!(outcome.result.name(), "temperror", "{domain} with {questions}");
        assert_eq!(outcome.reason.as_deref().map(|r| r.ends_with("budget")), Some(true));
    }
}
