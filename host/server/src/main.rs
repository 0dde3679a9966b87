//! The `bootsplice` command.

use std::process::ExitCode;

use bootsplice_server::cli::Cli;
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The one provider of cryptography for every TLS connection of the process; it fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("bootsplice: the runtime does not start: {error}");
            ExitCode::FAILURE
        }
    }
}
