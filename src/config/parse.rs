//! The text of a configuration file to a [`Config`], or all that is wrong with it.

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use super::listeners::{backends, listeners, loops};
use super::reader::{Reader, Scope};
use super::value::{Choice, P_FORM, P_RANGE};
use super::*;
use crate::checks::dnsbl::AnswerSet;
use crate::policy::diagnostic::{Diagnostic, Severity, Source};

const P_SYNTAX: &str = "P0101";
pub(super) const P_TWICE: &str = "P0254";
pub(super) const P_CONFLICT: &str = "P0355";
const P_WIDE: &str = "P0551";
const P_SECRET: &str = "P0552";
const P_NO_TLS: &str = "P0553";

/// A file that was read: the configuration if nothing is wrong, and errors and warnings.
#[derive(Debug)]
pub struct Parsed {
    pub config: Option<Config>,
    /// Where each of [`Config::rules`] stands; empty when they are the default.
    pub rule_places: Vec<Range<usize>>,
    pub found: Vec<Diagnostic>,
}

pub fn parse(source: &Arc<Source>) -> Parsed {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let mut reader = Reader { source, found: Vec::new() };
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        reader.error(P_SYNTAX, span, format!("this is no TOML: {}", error.message()));
    }
    if !reader.found.is_empty() {
        // What a half-read file means would be guessed.
        return Parsed { config: None, rule_places: Vec::new(), found: reader.found };
    }
    let root = Scope { section: "", table: Some(document.get_ref()), place: 0..0 };
    let mut rule_places = Vec::new();
    let config = config(&mut reader, &root, &mut rule_places);
    no_starttls(&mut reader, &root);
    let mut found = reader.found;
    found.sort_by_key(|d| d.place.as_ref().map_or(0, |(_, span)| span.start));
    let wrong = found.iter().any(|d| d.severity == Severity::Error);
    Parsed { config: config.filter(|_| !wrong), rule_places, found }
}

/// One line among errors would only distract from them.
fn no_starttls(r: &mut Reader<'_>, root: &Scope<'_>) {
    let key = if root.has("listen") { "listen" } else { "listener" };
    if !root.has("tls") && r.found.iter().all(|d| d.severity == Severity::Warning) {
        let message = "STARTTLS is not offered: there is no certificate";
        let warning = r.warning(P_NO_TLS, root.place_of(key), message);
        warning.help.push("add [tls] with `certificate` and `key`".into());
    }
}

/// `None` only after an error was reported. Every part is read before that, so that all errors come
/// in one run.
fn config(
    r: &mut Reader<'_>,
    root: &Scope<'_>,
    rule_places: &mut Vec<Range<usize>>,
) -> Option<Config> {
    r.unknown(root);
    let hostname = r.get::<String>(root, "hostname");
    let tls = tls(r, root);
    let backends = backends(r, root);
    let listeners = listeners(r, root, &backends, root.has("tls"));
    loops(r, root, &listeners, &backends);
    let mode = r.choice(root, "mode", [Mode::Enforce, Mode::Monitor]);
    let profiles = [Profile::None, Profile::Minimal, Profile::Balanced, Profile::Strict];
    let profile = r.choice(root, "profile", profiles);
    let rules = r.get::<Vec<(String, Range<usize>)>>(root, "rules");
    if root.has("rules") {
        rule_places.extend(rules.iter().flatten().map(|(_, span)| span.clone()));
    }
    let trusted = r.get::<Vec<(Network, Range<usize>)>>(root, "trusted");
    everybody(r, "trusted", trusted.as_deref().unwrap_or_default(), root.has("trusted"));
    let authserv_id = r.get::<String>(root, "authserv_id");
    let arc_sealers = r.get(root, "arc_sealers");
    let forwarders = r.get(root, "forwarders");
    let client_name = r.get(root, "client_name");
    let (dns, dnsbl) = (dns(r, root), dnsbl(r, root));
    let (limits, spool, smtp) = (limits(r, root), spool(r, root), smtp(r, root));
    let (headers, reply, log) = (headers(r, root), reply(r, root), log(r, root));
    let run_scope = r.table(root, "run");
    let run = Run { user: r.get(&run_scope, "user"), group: r.get(&run_scope, "group") };
    let reload_scope = r.table(root, "reload");
    let tests = r.choice(&reload_scope, "tests", [Tests::Required, Tests::Off]);
    let hostname = hostname?;
    Some(Config {
        authserv_id: authserv_id.unwrap_or_else(|| hostname.clone()),
        hostname,
        listeners,
        backends: backends.into_iter().map(|(backend, _)| backend).collect(),
        mode: mode?,
        profile: profile?,
        rules: rules?.into_iter().map(|(pattern, _)| pattern).collect(),
        trusted: trusted?.into_iter().map(|(network, _)| network).collect(),
        tls,
        dns: dns?,
        dnsbl,
        arc_sealers: arc_sealers?,
        forwarders: forwarders?,
        client_name: client_name?,
        limits: limits?,
        spool: spool?,
        smtp: smtp?,
        headers: headers?,
        reply,
        log: log?,
        run,
        reload: Reload { tests: tests? },
    })
}

/// Warns of a network that has everybody in it.
pub(super) fn everybody(
    r: &mut Reader<'_>,
    key: &str,
    networks: &[(Network, Range<usize>)],
    given: bool,
) {
    for (network, span) in networks.iter().filter(|(network, _)| given && network.prefix() == 0) {
        let help = match key {
            "trusted" => "no client would be checked; use mode = \"monitor\" to refuse nothing",
            _ => "whoever is in it can claim to be any client; name the load balancer's addresses",
        };
        r.warning(P_WIDE, span.clone(), format!("`{key}`: {network} is everybody"))
            .help
            .push(help.into());
    }
}

fn tls(r: &mut Reader<'_>, root: &Scope<'_>) -> Option<Tls> {
    if !root.has("tls") {
        return None;
    }
    let scope = r.table(root, "tls");
    scope.table?;
    let (certificate, key) = (r.get(&scope, "certificate"), r.get(&scope, "key"));
    let min_version = r.choice(&scope, "min_version", [TlsVersion::Tls12, TlsVersion::Tls13]);
    Some(Tls { certificate: certificate?, key: key?, min_version: min_version? })
}

fn dns(r: &mut Reader<'_>, root: &Scope<'_>) -> Option<Dns> {
    let scope = &r.table(root, "dns");
    let servers = r.get(scope, "servers");
    let (timeout, message_time) = (r.get(scope, "timeout"), r.get(scope, "message_time"));
    let (stage_time, questions) = (r.get(scope, "stage_time"), r.get(scope, "questions"));
    Some(Dns {
        servers: servers?,
        timeout: timeout?,
        message_time: message_time?,
        stage_time: stage_time?,
        questions: questions?,
    })
}

/// A zone may come several times, with other answers and another weight.
fn dnsbl(r: &mut Reader<'_>, root: &Scope<'_>) -> Vec<DnsList> {
    let mut list: Vec<DnsList> = Vec::new();
    for scope in &r.array(root, "dnsbl", "dnsbl[]") {
        let zone = r.get::<String>(scope, "zone");
        let weight = r.get::<i64>(scope, "weight");
        let answers = r.get::<Vec<String>>(scope, "answers");
        let display = r.get::<String>(scope, "display");
        let families = r.get::<Vec<Choice>>(scope, "addresses");
        if weight == Some(0) {
            r.error(P_RANGE, scope.place_of("weight"), "`weight`: a list of weight 0 does nothing");
        }
        let answers = answers.and_then(|patterns| AnswerSet::parse(&patterns.join(" ")).ok());
        let (Some(name), Some(weight), Some(answers), Some(families)) =
            (zone, weight, answers, families)
        else {
            continue;
        };
        if list.iter().any(|other| other.name == name && other.answers == answers) {
            let message = format!("`{name}` is here twice with the same answers");
            r.error(P_TWICE, scope.place_of("zone"), message);
        }
        if name.ends_with(".dq.spamhaus.net") && display.is_none() {
            let message = "every refusal would show your key to the sender";
            let warning = r.warning(P_SECRET, scope.place_of("zone"), message);
            warning.help.push("add: display = \"zen.spamhaus.org\"".into());
        }
        let [ipv4, ipv6] = [0, 1].map(|family| families.iter().any(|Choice(at)| *at == family));
        list.push(DnsList { name, weight, answers, display, ipv4, ipv6 });
    }
    list
}

fn limits(r: &mut Reader<'_>, root: &Scope<'_>) -> Option<Limits> {
    let scope = &r.table(root, "limits");
    let sessions = r.get(scope, "sessions");
    let sessions_per_client = r.get(scope, "sessions_per_client");
    let sessions_per_network = r.get(scope, "sessions_per_network");
    let (message_size, line) = (r.get(scope, "message_size"), r.get(scope, "line"));
    let recipients = r.get(scope, "recipients");
    let messages_per_session = r.get(scope, "messages_per_session");
    let (errors, auth_failures) = (r.get(scope, "errors"), r.get(scope, "auth_failures"));
    let (idle_commands, hops) = (r.get(scope, "idle_commands"), r.get(scope, "hops"));
    let command_timeout = r.get(scope, "command_timeout");
    let (data_timeout, data_rate) = (r.get(scope, "data_timeout"), r.get(scope, "data_rate"));
    let drain = r.get(scope, "drain");
    Some(Limits {
        sessions: sessions?,
        sessions_per_client: sessions_per_client?,
        sessions_per_network: sessions_per_network?,
        message_size: message_size?,
        line: line?,
        recipients: recipients?,
        messages_per_session: messages_per_session?,
        errors: errors?,
        auth_failures: auth_failures?,
        idle_commands: idle_commands?,
        hops: hops?,
        command_timeout: command_timeout?,
        data_timeout: data_timeout?,
        data_rate: data_rate?,
        drain: drain?,
    })
}

fn spool(r: &mut Reader<'_>, root: &Scope<'_>) -> Option<Spool> {
    let scope = &r.table(root, "spool");
    let directory = r.get(scope, "directory");
    let memory_per_message = r.get::<u64>(scope, "memory_per_message");
    let (memory, disk) = (r.get::<u64>(scope, "memory"), r.get(scope, "disk"));
    if let (Some(each), Some(all)) = (memory_per_message, memory)
        && each > all
    {
        let place = scope.place_of("memory_per_message");
        let error =
            r.error(P_CONFLICT, place, "one message may not have more memory than all together");
        error.help.push("raise `memory`, or lower `memory_per_message`".into());
    }
    Some(Spool { directory, memory_per_message: memory_per_message?, memory: memory?, disk: disk? })
}

fn smtp(r: &mut Reader<'_>, root: &Scope<'_>) -> Option<Smtp> {
    let scope = &r.table(root, "smtp");
    let words = [Query::Hide, Query::Pass];
    let (vrfy, expn) = (r.choice(scope, "vrfy", words), r.choice(scope, "expn", words));
    let (etrn, greet_delay) = (r.choice(scope, "etrn", words), r.get(scope, "greet_delay"));
    Some(Smtp { vrfy: vrfy?, expn: expn?, etrn: etrn?, greet_delay: greet_delay? })
}

fn headers(r: &mut Reader<'_>, root: &Scope<'_>) -> Option<Headers> {
    let scope = &r.table(root, "headers");
    let (results, received) = (r.get(scope, "authentication_results"), r.get(scope, "received"));
    Some(Headers { authentication_results: results?, received: received? })
}

fn reply(r: &mut Reader<'_>, root: &Scope<'_>) -> ReplyText {
    let scope = &r.table(root, "reply");
    let help = r.get::<String>(scope, "help");
    if help.as_ref().is_some_and(|text| text.replace("{id}", "").contains(['{', '}'])) {
        let error =
            r.error(P_FORM, scope.place_of("help"), "`help`: only {id} can stand in braces");
        error.help.push("write it as \"https://example.com/mail?id={id}\"".into());
    }
    ReplyText { help }
}

fn log(r: &mut Reader<'_>, root: &Scope<'_>) -> Option<Log> {
    let scope = &r.table(root, "log");
    let socket = r.get(scope, "socket");
    let syslog = r.choice(scope, "to", [false, true]);
    let format = r.choice(scope, "format", [LogFormat::Postfix, LogFormat::Json]);
    let to = if syslog? { LogTo::Syslog(socket?) } else { LogTo::Stderr };
    Some(Log { to, format: format? })
}
