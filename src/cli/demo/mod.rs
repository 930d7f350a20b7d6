//! `portcullis demo`: the server itself in a small world of its own. A backend, a name server and
//! senders of all kinds stand around it, all in this process and on loopback.

mod backend;
mod cert;
mod check;
mod files;
mod folder;
mod play;
mod ports;
mod print;
mod scenes;
mod seal;
mod sender;
mod watch;
mod world;

use std::future::pending;
use std::io::{IsTerminal as _, stdout};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;

use self::backend::Backend;
use self::cert::Certificate;
use self::files::Listeners;
use self::folder::Folder;
use self::play::Play;
use self::ports::Ports;
use self::print::say;
use self::sender::Sender;
use self::watch::{Seen, Watch};
use self::world::World;
use super::exit;
use crate::app::build::Shared;
use crate::app::workers::Workers;
use crate::app::{Program, Server};
use crate::config::render::render;
use crate::dns::zone::Zone;
use crate::observe::Reporter;
use crate::relay::TcpDial;

const HOST: &str = "mx1.example.com";
const USER: &str = "joe";
const PASSWORD: &str = "open sesame";

const YOUR_TURN: &str = "
That was all of them. Now it is your turn: send mail to joe@example.com, to nobody@example.com, from
me@bank.example, with \"casino\" in its subject. Then change the rules. Ctrl-C ends it.
";

pub(super) fn demo(once: bool) -> u8 {
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(once));
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(true) => exit::OK,
        Ok(false) => exit::NO,
        Err(error) => {
            eprintln!("error: {error}");
            exit::NO
        }
    }
}

/// Whether all was as expected.
async fn run(once: bool) -> Result<bool, String> {
    let signals = |kind| signal(kind).map_err(|error| error.to_string());
    let mut hangup = signals(SignalKind::hangup())?;
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;

    let folder = Folder::new().map_err(|error| format!("no folder to work in: {error}"))?;
    let world = World::new().ok_or("no randomness")?;
    let scenes = scenes::all(&world).ok_or("no randomness")?;
    let (mut server, backend, listeners, certificate, seen) = start(&folder, &world, once).await?;
    let sender = Sender::new(listeners.senders, certificate)?;
    let mut play = Play::new(sender, backend, seen);
    tokio::select! {
        opened = server.open() => opened?,
        _ = terminate.recv() => return Ok(true),
        _ = interrupt.recv() => return Ok(true),
    }
    if once {
        say("Portcullis demo: senders of all kinds, each with what becomes of its mail.\n");
    } else {
        introduce(&folder, &listeners);
    }

    let acts = async {
        let tally = play.all(&scenes, once).await;
        if !once {
            say(YOUR_TURN);
            play.audience().await;
            return pending().await;
        }
        tally
    };
    let mut acts = std::pin::pin!(acts);
    let on_terminal = stdout().is_terminal();
    let tally = loop {
        tokio::select! {
            tally = &mut acts => break Some(tally),
            _ = hangup.recv() => {
                // The signal also says that the terminal is gone.
                if on_terminal && !stdout().is_terminal() {
                    break None;
                }
                server.reload().await;
            }
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
        }
    };
    server.drain().await;
    let Some(tally) = tally else {
        say("\nStopped; nothing is left behind.");
        return Ok(true);
    };
    say(&format!("\n{} passed, {} failed", tally.passed, tally.failed));
    Ok(tally.failed == 0)
}

type Started = (Server, Backend, Listeners, Vec<u8>, Receiver<Seen>);

/// The server as `portcullis run` would start it, and what stands around it.
async fn start(folder: &Folder, world: &World, once: bool) -> Result<Started, String> {
    let io = |error: std::io::Error| error.to_string();
    let backend = Backend::start().await.map_err(io)?;
    let zone = Zone::parse(&world.zone())?;
    let (dns, _) = crate::dns::server::serve(Arc::new(zone)).await.map_err(io)?;
    let ports = Ports::take(once).map_err(io)?;
    let certificate = Certificate::new(HOST).ok_or("no randomness")?;
    let configuration =
        files::configuration(folder.root(), &ports.listeners, dns, backend.mx, backend.submission);
    folder.write("portcullis.toml", &configuration).map_err(io)?;
    folder.write("rules.d/50-local.toml", files::RULES).map_err(io)?;
    folder.write("certificate.pem", &certificate.pem()).map_err(io)?;
    folder.write("key.pem", &certificate.key_pem()).map_err(io)?;

    let path = folder.path("portcullis.toml");
    let program = Program::load(&path).map_err(|found| render(&found, false))?;
    let (watch, seen) = Watch::new();
    let reporter: Arc<dyn Reporter> = Arc::new(watch);
    let shared = Shared::new(Arc::new(TcpDial));
    let workers = Workers::start().map_err(io)?;
    let server = Server::new(&program, Some(path), shared, ports.bound, workers, reporter)?;
    Ok((server, backend, ports.listeners, certificate.der, seen))
}

fn introduce(folder: &Folder, listeners: &Listeners) {
    let Listeners { smtp, submission, submissions, .. } = listeners;
    let (port, rules) = (smtp.port(), folder.path("rules.d/50-local.toml"));
    let ip = smtp.ip();
    say(&format!(
        "Portcullis demo. Nothing here touches your mail, your DNS or your files. Ctrl-C ends it.

  SMTP         {smtp}   try: swaks --server {smtp} --from me@friend.example --to joe@example.com
                                (or: nc -C {ip} {port})
  submission   {submission}   STARTTLS; user {USER}, password \"{PASSWORD}\"
  submissions  {submissions}   TLS from the start
  rules        {}
                                edit them, then: kill -HUP {}

Senders of all kinds come now. Their addresses and domains are those of documentation; times are UTC.
",
        rules.display(),
        std::process::id()
    ));
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
