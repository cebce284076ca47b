//! The command line: what can be typed, and where each command goes.

pub(crate) mod agents;
mod args;
#[cfg(feature = "bench")]
mod bench;
mod channels;
pub mod client;
mod configure;
#[cfg(feature = "devnet")]
mod demo;
#[cfg(feature = "devnet")]
mod devnet;
mod doctor;
mod inspect;
mod keys;
mod lifecycle;
mod look;
mod market;
mod networks;
mod orders;
mod outcome;
mod pay;
mod receipts;
pub mod terminal;
mod wallet;

pub use args::Cli;
pub use outcome::{CliError, Exit};

use args::{A2aCommand, Command};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

/// Runs the command line of this process and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let shown = usage.print();
            let code = if usage.use_stderr() || shown.is_err() { Exit::Usage } else { Exit::Ok };
            return code.into();
        }
    };
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            terminal::error(
                json,
                &CliError::failure("runtime_error", cause.to_string(), "try again; the system refused a thread"),
            );
            return Exit::Failure.into();
        }
    };
    match runtime.block_on(Box::pin(run(cli))) {
        Ok(()) => Exit::Ok.into(),
        Err(problem) => {
            if !(json && problem.told) {
                terminal::error(json, &problem);
            }
            problem.exit.into()
        }
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let globals = cli.globals();
    match cli.command {
        Command::Init(args) => lifecycle::init(&globals, &args),
        Command::Up(args) => Box::pin(lifecycle::up(&globals, args)).await,
        Command::Down => lifecycle::down(&globals).await,
        Command::Status => lifecycle::status(&globals).await,
        Command::Doctor => doctor::run(&globals).await,
        Command::Find(args) => market::find(&globals, args).await,
        Command::Show(args) => market::show(&globals, &args).await,
        Command::Publish(args) => agents::publish(&globals, &args).await,
        Command::Agent(command) => agents::run(&globals, command).await,
        Command::A2a(A2aCommand::Inspect(args)) => inspect::run(&globals, args).await,
        Command::Hire(args) => orders::hire(&globals, args).await,
        Command::Order(command) => orders::run(&globals, command).await,
        Command::Pay(args) => pay::run(&globals, args).await,
        Command::Wallet(args) => wallet::run(&globals, args.command).await,
        Command::Key(command) => keys::run(&globals, command).await,
        Command::Receipt(command) => receipts::run(&globals, command).await,
        Command::Network(command) => networks::run(&globals, &command),
        Command::Peer(command) => look::peers(&globals, command).await,
        Command::Listing(command) => look::listing(&globals, command).await,
        #[cfg(feature = "devnet")]
        Command::Devnet(command) => Box::pin(devnet::run(&globals, command)).await,
        #[cfg(feature = "devnet")]
        Command::Demo(args) => Box::pin(demo::run(&globals, args)).await,
        #[cfg(feature = "bench")]
        Command::Bench(command) => Box::pin(bench::run(&globals, command)).await,
        Command::Config(command) => configure::run(&globals, &command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "haggle", &mut std::io::stdout());
            Ok(())
        }
    }
}
