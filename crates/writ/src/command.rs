//! The commands, one file for each.

mod agents;
mod apis;
mod apply;
mod approve;
mod ask;
pub(crate) mod audit;
mod callback;
mod changes;
mod credential;
mod doctor;
mod exceptions;
pub(crate) mod init;
mod key;
mod kill;
pub(crate) mod login;
mod operators;
mod plan;
mod policy;
mod replay;
mod rollback;
pub(crate) mod serve;
mod shadow;
mod suggest;
mod task;
mod trust;
mod who_can;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Runs the command that was typed.
#[expect(clippy::cognitive_complexity, reason = "one line for each command")]
pub(crate) async fn run(terminal: Terminal, cli: Cli) -> Result<(), Failure> {
    let config = || Config::load(&cli.config).map_err(Failure::from);
    match &cli.command {
        Command::Init(args) => init::run(terminal, args),
        Command::Demo(args) => Box::pin(crate::demo::run(terminal, args)).await,
        Command::Serve => Box::pin(serve::run(terminal, &config()?)).await,
        Command::Doctor => doctor::run(terminal, &config()?).await,
        Command::Login(args) => login::run(terminal, &config()?, args).await,
        Command::Plan(args) => plan::run(terminal, &config()?, args).await,
        Command::Apply(args) => apply::run(terminal, &config()?, args).await,
        Command::Revisions => rollback::list(terminal, &config()?).await,
        Command::Rollback(args) => rollback::run(terminal, &config()?, args).await,
        Command::Replay(args) => replay::run(terminal, &config()?, args).await,
        Command::Api(command) => apis::run(terminal, &cli.config, command).await,
        Command::Agent(command) => agents::run(terminal, &cli.config, command).await,
        Command::Exception(command) => exceptions::run(terminal, &cli.config, command).await,
        Command::Task(command) => task::run(terminal, &config()?, command).await,
        Command::Credential(command) => credential::run(terminal, &config()?, command).await,
        Command::Approve(command) => approve::run(terminal, &config()?, command).await,
        Command::Operator(command) => operators::run(terminal, &config()?, command).await,
        Command::Policy(command) => policy::run(terminal, &cli.config, command).await,
        Command::Change(command) => changes::run(terminal, &config()?, command).await,
        Command::Trust(command) => trust::run(terminal, &config()?, command).await,
        Command::CanI(args) => ask::can_i(terminal, &config()?, args).await,
        Command::WhoCan(args) => who_can::run(terminal, &config()?, args).await,
        Command::Shadow => shadow::run(terminal, &config()?).await,
        Command::Suggest(args) => suggest::run(terminal, &config()?, args).await,
        Command::Explain(args) => ask::explain(terminal, &config()?, args).await,
        Command::Kill(command) => kill::run(terminal, &config()?, command).await,
        Command::Resume(command) => kill::resume(terminal, &config()?, command).await,
        Command::Key(command) => key::run(terminal, &config()?, command).await,
        Command::Audit(command) => audit::run(terminal, &config()?, command).await,
    }
}
