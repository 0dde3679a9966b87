//! Every chore of a developer: setup, build, image, boot, demo, test, lint.
//!
//! `cargo xtask --help` lists them. Exit codes: 0 done, 1 a chore failed, 69 something must be installed first.
#![forbid(unsafe_code)]

mod bench;
mod bindings;
mod build;
mod check;
mod clients;
mod deb;
mod demo;
mod fuzz;
mod guests;
mod image;
mod links;
mod oracle;
mod phase;
mod promises;
mod reference;
mod run;
mod setup;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use bootsplice_tests::{Accel, Machine, places};
use clap::{Parser, Subcommand};

use crate::phase::Phases;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Every chore of a developer")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what is missing: Debian packages, Rust targets, tools for generators in Python and JavaScript
    Setup,
    /// Build the host's binaries, the static agent with its .deb, and the generators' components
    Build,
    /// Build and test the generators in other languages than Rust; part of `build` and `test`
    Guests,
    /// Make the Debian 12 image that the demo and the tests boot
    Image {
        /// Use the binaries that the last build left
        #[arg(long)]
        no_build: bool,
    },
    /// Boot the image and switch it off again; prints the console with times
    Boot,
    /// The whole job: import the image, launch a profile on it, boot the result without a network card
    Demo,
    /// Run all tests, real boots included
    Test {
        /// Arguments for `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure a release build of the host; times are printed and never asserted
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Formatting, clippy, promises, layering; licences and spelling with --all
    Lint {
        /// Install cargo-deny and typos when they are missing, and run them
        #[arg(long)]
        all: bool,
    },
    /// Run every fuzz target; needs a nightly compiler
    Fuzz {
        /// How long each target runs
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only targets with this in their crate or name
        filter: Option<String>,
    },
    /// Compare the resolver of Debian's packages with apt, dpkg's versions and dose; the whole takes an hour
    Oracle {
        /// How many requests each comparison makes
        #[arg(long, default_value_t = 1500)]
        requests: usize,
        /// Chooses the requests
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Write the bindings of the SDKs for Go and C anew from the generators' contract
    Bindings {
        /// Only say whether they are as the contract has them
        #[arg(long)]
        check: bool,
    },
    /// Follow each tutorial of docs/plugins to the letter, up to a committed launch, and print how long each took
    Tutorials {
        /// Only those of this language: rust, python, javascript, go or c
        language: Option<String>,
    },
    /// Write docs/plugins/contract.md anew from the generators' contract
    Reference,
    /// Check that every row of docs/PROMISES.md names a test that exists
    Promises,
}

fn main() -> ExitCode {
    let mut phases = Phases::new();
    match chore(Arguments::parse().chore, &mut phases) {
        Ok(()) => {
            phases.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<setup::Missing>() { 69 } else { 1 })
        }
    }
}

fn chore(chore: Chore, phases: &mut Phases) -> Result<()> {
    match chore {
        Chore::Setup => {
            setup::everything(phases)?;
            clients::setup(phases)?;
            guests::setup(phases)
        }
        Chore::Build => {
            setup::everything(phases)?;
            build::everything(phases)?;
            guests::build(phases)
        }
        Chore::Guests => {
            setup::everything(phases)?;
            guests::build(phases)?;
            guests::test(phases)
        }
        Chore::Image { no_build } => {
            setup::everything(phases)?;
            if !no_build {
                build::everything(phases)?;
            }
            image::make(phases)
        }
        Chore::Boot => {
            setup::everything(phases)?;
            boot(phases)
        }
        Chore::Demo => {
            setup::everything(phases)?;
            build::everything(phases)?;
            image::make(phases)?;
            demo::run(phases)
        }
        Chore::Test { arguments } => {
            setup::everything(phases)?;
            clients::setup(phases)?;
            build::everything(phases)?;
            guests::build(phases)?;
            image::make(phases)?;
            check::test(phases, &arguments)
        }
        Chore::Bench(bench) => bench::run(bench, phases),
        Chore::Lint { all } => check::lint(phases, all),
        Chore::Fuzz { seconds, filter } => fuzz::everything(phases, seconds, filter.as_deref()),
        Chore::Oracle { requests, seed } => oracle::everything(phases, requests, seed),
        Chore::Bindings { check: true } => bindings::check(),
        Chore::Bindings { check: false } => bindings::write(),
        Chore::Tutorials { language } => {
            setup::everything(phases)?;
            build::everything(phases)?;
            guests::build(phases)?;
            check::tutorials(phases, language.as_deref())
        }
        Chore::Reference => reference::write(&places::root()),
        Chore::Promises => promises::check(&places::root()),
    }
}

fn boot(phases: &mut Phases) -> Result<()> {
    let limit = Duration::from_secs(600);
    let accel = phases.run("probe the processor", || Ok(Accel::probe()))?;
    println!("accelerator: {accel:?}");
    let machine = phases.run("boot until login", || {
        let mut machine = Machine::new(places::image())
            .console(places::target().join("image/console.log"))
            .start()?;
        machine.watch(limit, |line| {
            println!("{line}");
            line.text.contains("multi-user.target").then_some(())
        })?;
        Ok(machine)
    })?;
    phases.run("power off", || {
        machine.press_power()?;
        let (transcript, _) = machine.wait_for_power_off(limit)?;
        print!("{}", transcript.tail(10));
        Ok(())
    })
}
