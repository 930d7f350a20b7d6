//! The command line, one file a subcommand: each is a thin face on the library.

mod check;
mod demo;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Exit codes, the same for all commands.
pub(crate) mod exit {
    /// Done, nothing wrong.
    pub(crate) const OK: u8 = 0;
    /// Done, and the answer is "no".
    pub(crate) const NO: u8 = 1;
    /// `run`: the configuration is invalid, do not restart.
    pub(crate) const CONFIG: u8 = 78;
}

/// An anti-spam SMTP filtering proxy that stands in front of a mail server.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve mail, in the foreground, until SIGTERM. SIGHUP reloads.
    Run(WithConfig),
    /// Check the configuration, the rules and their tests. Binds nothing, asks nobody.
    Check {
        #[command(flatten)]
        with: WithConfig,
        /// Exit with 3 when there are warnings.
        #[arg(long)]
        deny_warnings: bool,
    },
    /// See it at work: a mail server, a name server and senders of all kinds, all on loopback.
    Demo {
        /// Check what was decided, and end. Exit with 1 when something is not as expected.
        #[arg(long)]
        once: bool,
    },
}

#[derive(Debug, clap::Args)]
struct WithConfig {
    /// The configuration file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "PORTCULLIS_CONFIG",
        default_value = "/etc/portcullis/portcullis.toml"
    )]
    config: PathBuf,
    /// Colours in messages.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether messages on standard error are coloured.
    fn wanted(self) -> bool {
        use std::io::IsTerminal as _;
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::io::stderr().is_terminal()
            }
        }
    }
}

pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ExitCode::from(match arguments.command {
        Command::Run(with) => run::run(&with),
        Command::Check { with, deny_warnings } => check::check(&with, deny_warnings),
        Command::Demo { once } => demo::demo(once),
    })
}
