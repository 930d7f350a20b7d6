//! From a checked program to what sessions go by.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

use crate::checks::Check;
use crate::checks::arc::{ArcCheck, ArcConfig};
use crate::checks::dkim::{DkimCheck, DkimConfig};
use crate::checks::dmarc::{DmarcCheck, DmarcConfig};
use crate::checks::dnsbl::Dnsbl;
use crate::checks::header::HeaderCheck;
use crate::checks::iprev::Iprev;
use crate::checks::rate::Rates;
use crate::checks::sender_domain::SenderDomain;
use crate::checks::spf::{Spf, SpfHelo};
use crate::config::{self, Config, Network};
use crate::connection::tls::Acceptor;
use crate::connection::{Door, Networks, Snapshot};
use crate::dns::Resolver;
use crate::dns::hickory::{self, HickoryDns};
use crate::facts::Stage;
use crate::message::{SpoolConfig, SpoolSpace};
use crate::policy::{Action, RuleSet};
use crate::relay::{Backend, BackendConfig, Dial, IdentityMethod, Timeouts};
use crate::session::{Limits, Role, Settings};
use crate::state::{Counters, KeyHasher, MemoryCounters};

use super::program::Program;

/// Keys that rates may count at one time; each takes about a hundred octets.
const COUNTERS_MAX: usize = 1_000_000;

/// What outlives a reload, and what a reload changes only where its options changed.
pub struct Shared {
    dial: Arc<dyn Dial>,
    counters: Arc<dyn Counters>,
    hasher: Arc<KeyHasher>,
    dns: Option<(config::Dns, Arc<dyn Resolver>)>,
    spool: Option<(config::Spool, Arc<SpoolSpace>)>,
    backends: Vec<(config::Backend, String, Arc<Backend>)>,
    generation: u64,
}

impl Shared {
    pub fn new(dial: Arc<dyn Dial>) -> Shared {
        Shared {
            dial,
            counters: Arc::new(MemoryCounters::new(COUNTERS_MAX)),
            hasher: Arc::new(KeyHasher::random()),
            dns: None,
            spool: None,
            backends: Vec::new(),
            generation: 0,
        }
    }

    /// Uses this resolver whatever the configuration says: tests and the demonstration bring their
    /// own world.
    pub fn with_resolver(mut self, config: &config::Dns, dns: Arc<dyn Resolver>) -> Shared {
        self.dns = Some((config.clone(), dns));
        self
    }

    pub fn resolver(&self) -> Option<Arc<dyn Resolver>> {
        self.dns.as_ref().map(|(_, dns)| dns.clone())
    }
}

/// One generation.
pub struct Built {
    pub snapshot: Arc<Snapshot>,
    /// In the order of the listeners.
    pub doors: Vec<Arc<Door>>,
    pub dnsbl: Arc<Dnsbl>,
    pub backends: Vec<Arc<Backend>>,
}

/// Builds a generation; on failure nothing of `shared` that matters has changed.
pub fn build(program: &Program, shared: &mut Shared) -> Result<Built, String> {
    let config = &program.config;
    let tls = match &config.tls {
        Some(tls) => Some(acceptor(tls)?),
        None => None,
    };
    let dns = resolver(&config.dns, shared)?;
    let spool = spool(&config.spool, shared)?;
    let backends = backends(config, shared);
    let dnsbl = Arc::new(Dnsbl::new(config.dnsbl.clone()));
    shared.generation += 1;
    let snapshot = Arc::new(Snapshot {
        generation: shared.generation,
        hostname: config.hostname.clone(),
        authserv_id: config.authserv_id.clone(),
        rules: program.rules.clone(),
        checks: checks(config, &program.rules, dnsbl.clone()),
        rates: rates(&program.rules, shared),
        dns,
        dns_questions: config.dns.questions,
        stage_time: config.dns.stage_time,
        message_time: config.dns.message_time,
        spool,
        trusted: networks(&config.trusted),
        hops: config.limits.hops,
        client_name: config.client_name,
        authentication_results: config.headers.authentication_results,
        received: config.headers.received,
        tag_names: tag_names(&program.rules),
        help: config.reply.help.clone(),
    });
    let doors = config
        .listeners
        .iter()
        .map(|listener| {
            let backend = backends
                .iter()
                .find(|backend| backend.config().name == listener.backend.name)
                .cloned()
                .ok_or_else(|| format!("no backend is called {}", listener.backend.name))?;
            Ok(Arc::new(door(config, listener, backend, tls.clone(), &program.rules)))
        })
        .collect::<Result<_, String>>()?;
    Ok(Built { snapshot, doors, dnsbl, backends })
}

fn door(
    config: &Config,
    listener: &config::Listener,
    backend: Arc<Backend>,
    tls: Option<Acceptor>,
    rules: &RuleSet,
) -> Door {
    let role = listener.role;
    let limits = &config.limits;
    let settings = Settings {
        hostname: config.hostname.clone(),
        role,
        tls: tls.is_some(),
        ask_connect: rules.acts_before_rcpt(Stage::Connect),
        ask_helo: rules.acts_before_rcpt(Stage::Helo),
        ask_mail: rules.acts_before_rcpt(Stage::Mail),
        pass_vrfy: config.smtp.vrfy == config::Query::Pass,
        pass_expn: config.smtp.expn == config::Query::Pass,
        pass_etrn: config.smtp.etrn == config::Query::Pass,
        limits: Limits {
            recipients: limits.recipients,
            errors: limits.errors,
            auth_failures: limits.auth_failures,
            messages: limits.messages_per_session,
            message_size: limits.message_size,
            line: limits.line,
            idle_commands: limits.idle_commands,
            command_time: limits.command_timeout,
            data_time: limits.data_timeout,
            data_rate: limits.data_rate,
        },
    };
    Door {
        settings: Arc::new(settings),
        backend,
        tls,
        implicit_tls: role == Role::Submissions,
        proxies: networks(&listener.proxy_protocol),
        // Our own users' programs wait for the greeting; there is nothing to be found out.
        greet_delay: if role == Role::Mx { config.smtp.greet_delay } else { Duration::ZERO },
    }
}

pub fn networks(list: &[Network]) -> Networks {
    let list = list.to_vec();
    Box::new(move |ip| config::contains(&list, ip))
}

fn checks(config: &Config, rules: &RuleSet, dnsbl: Arc<Dnsbl>) -> Vec<Box<dyn Check>> {
    vec![
        Box::new(Iprev::new()),
        Box::new(dnsbl),
        Box::new(SpfHelo),
        Box::new(Spf),
        Box::new(SenderDomain::new()),
        Box::new(HeaderCheck::new(rules.header_names().to_vec())),
        Box::new(DkimCheck::new(DkimConfig::default())),
        Box::new(ArcCheck::new(ArcConfig { trusted_sealers: config.arc_sealers.clone() })),
        Box::new(DmarcCheck::new(DmarcConfig { forwarders: config.forwarders.clone() })),
    ]
}

fn tag_names(rules: &RuleSet) -> Vec<String> {
    let tags = rules.rules().iter().filter_map(|rule| match &rule.action {
        Action::Tag { name, .. } => Some(name.to_string()),
        _ => None,
    });
    let mut names: Vec<String> = tags.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Those that some rule reads: the others are not counted.
fn rates(rules: &RuleSet, shared: &Shared) -> Rates {
    let used = rules.used_rates().cloned().collect();
    Rates::new(used, shared.hasher.clone(), shared.counters.clone())
}

fn resolver(config: &config::Dns, shared: &mut Shared) -> Result<Arc<dyn Resolver>, String> {
    if let Some((known, dns)) = &shared.dns
        && known == config
    {
        return Ok(dns.clone());
    }
    let settings = hickory::Config {
        servers: config.servers.clone(),
        timeout: config.timeout,
        ..hickory::Config::default()
    };
    let dns = HickoryDns::new(&settings).map_err(|error| format!("DNS: {error}"))?;
    let dns: Arc<dyn Resolver> = Arc::new(dns);
    shared.dns = Some((config.clone(), dns.clone()));
    Ok(dns)
}

fn spool(config: &config::Spool, shared: &mut Shared) -> Result<Arc<SpoolSpace>, String> {
    if let Some((known, space)) = &shared.spool
        && known == config
    {
        return Ok(space.clone());
    }
    let dir = config.directory.clone().unwrap_or_else(std::env::temp_dir);
    let space = SpoolSpace::new(SpoolConfig {
        dir: dir.clone(),
        memory_per_message: config.memory_per_message,
        memory_total: config.memory,
        disk_total: config.disk,
    })
    .map_err(|error| format!("the spool directory {}: {error}", dir.display()))?;
    shared.spool = Some((config.clone(), space.clone()));
    Ok(space)
}

/// A backend whose options have not changed keeps what was learned of it.
fn backends(config: &Config, shared: &mut Shared) -> Vec<Arc<Backend>> {
    let known = std::mem::take(&mut shared.backends);
    for wanted in &config.backends {
        let same = |(of, host, _): &&(config::Backend, String, Arc<Backend>)| {
            *of == **wanted && *host == config.hostname
        };
        let backend = match known.iter().find(same) {
            Some((_, _, backend)) => backend.clone(),
            None => Arc::new(Backend::new(relay_config(config, wanted), shared.dial.clone())),
        };
        shared.backends.push(((**wanted).clone(), config.hostname.clone(), backend));
    }
    shared.backends.iter().map(|(_, _, backend)| backend.clone()).collect()
}

/// For connect, greeting, identity and EHLO together: where `reply_timeout` is short, so is this.
fn opening_time(backend: &config::Backend) -> Duration {
    let tries = u32::try_from(backend.addresses.len()).unwrap_or(u32::MAX);
    let connect = backend.connect_timeout.saturating_mul(tries);
    Timeouts::default().open.min(connect.saturating_add(backend.reply_timeout))
}

fn relay_config(config: &Config, backend: &config::Backend) -> BackendConfig {
    BackendConfig {
        name: backend.name.clone(),
        address: backend.addresses.clone(),
        identity: match backend.identity {
            config::Identity::Xclient => IdentityMethod::Xclient,
            config::Identity::None => IdentityMethod::None,
        },
        helo: config.hostname.clone(),
        timeouts: Timeouts {
            connect: backend.connect_timeout,
            open: opening_time(backend),
            command: backend.reply_timeout,
            data_command: backend.reply_timeout,
            data_reply: backend.data_timeout,
            ..Timeouts::default()
        },
        max_connections: backend.max_connections,
    }
}

fn acceptor(tls: &config::Tls) -> Result<Acceptor, String> {
    let read = |path: &Path, error: String| format!("{}: {error}", path.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| read(&tls.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(read(&tls.certificate, "there is no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| read(&tls.key, error.to_string()))?;
    static BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
    static NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];
    let versions = match tls.min_version {
        config::TlsVersion::Tls12 => BOTH,
        config::TlsVersion::Tls13 => NEWEST,
    };
    let provider = Arc::new(ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| read(&tls.certificate, format!("with its key: {error}")))?;
    server.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(Arc::new(server))
}

/// Errors of files that the configuration names: found by `check` as well as by `run`.
pub fn check_files(config: &Config) -> io::Result<()> {
    match &config.tls {
        Some(tls) => acceptor(tls).map(drop).map_err(io::Error::other),
        None => Ok(()),
    }
}
