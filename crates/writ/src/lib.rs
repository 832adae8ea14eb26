//! Writ: the authorization gateway for APIs that AI agents call.
//!
//! The program is [`run`]; `main` is one line. What an agent needs to talk to Writ ([`agent`], [`http`]) is public, because
//! the whole-program tests are agents too.

pub mod agent;
mod app;
mod cli;
mod clock;
mod command;
mod config;
mod demo;
mod drift;
pub mod failure;
pub mod http;
mod keys;
mod lists;
mod operator;
mod progress;
mod project;
mod rows;
mod sign_in;
mod terminal;
mod tls;
mod trust;
mod vouching;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::terminal::{Terminal, Tone};

/// Runs the command line of this process. Exit codes: 0 done, 1 refused or failed, 2 usage.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => {
            // Help and version are no faults; clap knows where each is printed.
            drop(fault.print());
            return if fault.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let terminal = if cli.json {
        Terminal::for_program()
    } else {
        Terminal::for_person()
    };
    log_to_stderr();
    match execute(terminal, cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.talk(&format!("{} {failure}", terminal.paint(Tone::Bad, "writ:")));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn execute(terminal: Terminal, cli: Cli) -> Result<(), Failure> {
    let provider = rustls::crypto::CryptoProvider::install_default(
        rustls::crypto::aws_lc_rs::default_provider(),
    );
    if provider.is_err() {
        return Err(Failure::new(
            "another cryptography provider is installed in this process",
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|fault| Failure::caused("cannot start the runtime", &fault))?;
    runtime.block_on(command::run(terminal, cli))
}

/// The program's own log: events of calls at `debug`, faults at `warn` and above.
fn log_to_stderr() {
    let filter = config::log_filter().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true)
        .finish();
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::warn!("another log subscriber is installed");
    }
}
