//! `bootsplice plugin`: one file per subcommand.

mod bench;
mod build;
mod check;
mod dev;
mod grant;
mod inspect;
mod list;
mod namespace;
mod network;
mod new;
mod push;
mod record;
mod reference;
mod registry;
mod replay;
mod run;
mod show;
mod shown;
mod sign;
mod test;
mod upgrade;
mod usage;
mod workplace;
mod yank;

use clap::Subcommand;

use super::{Failure, Global, Output};

#[derive(Subcommand)]
pub enum Plugin {
    List(list::List),
    New(new::New),
    Build(build::Build),
    Check(check::Check),
    Inspect(inspect::Inspect),
    Run(Box<run::Run>),
    Test(test::Test),
    Dev(Box<dev::Dev>),
    Record(Box<record::Record>),
    Bench(Box<bench::Bench>),
    Replay(replay::Replay),
    Push(push::Push),
    Sign(sign::Sign),
    Verify(sign::Verify),
    Keygen(sign::Keygen),
    Show(show::Show),
    Usage(usage::Usage),
    Yank(yank::Yank),
    Unyank(yank::Unyank),
    Upgrade(upgrade::Upgrade),
    Grant(grant::Grant),
    Namespace(namespace::Namespace),
}

// === impl Plugin ===

impl Plugin {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        match self {
            Self::New(new) => new.run(output),
            Self::Build(build) => build.run(output).await,
            Self::Test(test) => test.run(output).await,
            Self::Dev(dev) => dev.run(output).await,
            Self::Check(check) => check.run(output).await,
            Self::Inspect(inspect) => inspect.run(global, output).await,
            Self::Run(run) => run.run(output).await,
            Self::Record(record) => record.run(global, output).await,
            Self::Bench(bench) => bench.run(output).await,
            Self::Replay(replay) => replay.run(output).await,
            Self::Push(push) => push.run(global, output).await,
            Self::Sign(sign) => sign.run(global, output).await,
            Self::Verify(verify) => verify.run(global, output).await,
            Self::Keygen(keygen) => keygen.run(output),
            Self::List(command) => command.run(global, output).await,
            Self::Show(command) => command.run(global, output).await,
            Self::Usage(command) => command.run(global, output).await,
            Self::Yank(command) => command.run(global, output).await,
            Self::Unyank(command) => command.run(global, output).await,
            Self::Upgrade(command) => command.run(global, output).await,
            Self::Grant(command) => command.run(global, output).await,
            Self::Namespace(command) => command.run(global, output).await,
        }
    }
}
