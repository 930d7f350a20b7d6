//! `portcullis run`: the daemon, in the foreground.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::build::Shared;
use crate::app::listen::{self, Bound};
use crate::app::program::{Program, report};
use crate::app::workers::{self, Workers};
use crate::app::{Server, privileges};
use crate::config::render::render;
use crate::config::{Config, LogFormat, LogTo};
use crate::observe::sink::{Sink, Target};
use crate::observe::{Format, Level, Log, Reporter};
use crate::relay::TcpDial;

use super::{WithConfig, exit};

pub(super) fn run(with: &WithConfig) -> u8 {
    let program = match Program::load(&with.config) {
        Ok(program) => program,
        Err(found) => {
            eprint!("{}", render(&found, with.color.wanted()));
            return exit::CONFIG;
        }
    };
    // With root's rights, and while there is one thread: ports first, then no more of root.
    let bound = match bind(&program.config) {
        Ok(bound) => bound,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::NO;
        }
    };
    let (user, group) = (&program.config.run.user, &program.config.run.group);
    if let Err(error) = privileges::drop_to(user.as_deref(), group.as_deref()) {
        eprintln!("error: cannot become {}: {error}", user.as_deref().unwrap_or("itself"));
        return exit::NO;
    }
    let reporter: Arc<dyn Reporter> = Arc::new(log(&program.config));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::NO;
        }
    };
    let path = std::path::absolute(&with.config).unwrap_or_else(|_| with.config.clone());
    let outcome = runtime.block_on(serve(program, path, bound, reporter.clone()));
    if let Err(error) = &outcome {
        reporter.event(Level::Error, error);
    }
    runtime.shutdown_background();
    if outcome.is_ok() { exit::OK } else { exit::NO }
}

fn bind(config: &Config) -> Result<Vec<Bound>, String> {
    config
        .listeners
        .iter()
        .map(|listener| {
            listen::bind(listener.address, workers::cores())
                .map_err(|error| format!("cannot listen on {}: {error}", listener.address))
        })
        .collect()
}

fn log(config: &Config) -> Log {
    let target = match &config.log.to {
        LogTo::Stderr => Target::Stderr,
        LogTo::Syslog(socket) => Target::Syslog(socket.clone()),
    };
    let format = match config.log.format {
        LogFormat::Postfix => Format::Postfix,
        LogFormat::Json => Format::Json,
    };
    Log::new(format, Arc::new(Sink::new(target)))
}

async fn serve(
    program: Program,
    path: std::path::PathBuf,
    bound: Vec<Bound>,
    reporter: Arc<dyn Reporter>,
) -> Result<(), String> {
    let signals = |kind| signal(kind).map_err(|error| error.to_string());
    let mut hangup = signals(SignalKind::hangup())?;
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    report(&program.warnings, &*reporter);
    let shared = Shared::new(Arc::new(TcpDial));
    let workers = Workers::start().map_err(|error| error.to_string())?;
    let mut server = Server::new(&program, Some(path), shared, bound, workers, reporter.clone())?;
    drop(program);
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    tokio::select! {
        opened = server.open() => opened?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    reporter.event(Level::Info, "ready");
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                server.reload().await;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    server.drain().await;
    reporter.event(Level::Info, "stopped");
    Ok(())
}

/// Where systemd has not started us nobody listens, and that is well.
fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
