//! Builds everything that runs: host binaries, the guest's agent and the generators' components.

use anyhow::{Context, Result};
use bootsplice_tests::places;

use crate::phase::Phases;
use crate::{deb, run};

/// The generators that are built in.
pub const GENERATORS: &[&str] = &["apt", "config", "data", "script"];

pub fn everything(phases: &mut Phases) -> Result<()> {
    // Apart, so that the server's build of the sandbox stays without a compiler in it.
    phases.run("build the host", || {
        cargo(&["build", "--bins", "-p", "bootsplice"])
    })?;
    phases.run("build the compiler", || {
        cargo(&["build", "--bins", "-p", "bootsplice-compile"])
    })?;
    phases.run("build the agent", || {
        let mut cargo = run::command("cargo", &["build", "-p", "bootsplice-agent", "--bins"]);
        cargo.args([
            "--profile",
            "small",
            "--target",
            "x86_64-unknown-linux-musl",
        ]);
        cargo.env("CC_x86_64_unknown_linux_musl", "musl-gcc");
        run::loud(cargo)
    })?;
    phases.run("pack the agent", || deb::pack().map(|_| ()))?;
    generators(phases)
}

/// The host as operators run it, and the generators: what benches need.
pub fn release(phases: &mut Phases) -> Result<()> {
    phases.run("build the host for release", || {
        cargo(&["build", "--release", "--bins", "-p", "bootsplice"])
    })?;
    phases.run("build the compiler for release", || {
        cargo(&["build", "--release", "--bins", "-p", "bootsplice-compile"])
    })?;
    generators(phases)
}

fn generators(phases: &mut Phases) -> Result<()> {
    phases.run("build the generators", || {
        let mut cargo = run::command(
            "cargo",
            &["build", "--profile", "small", "--target", "wasm32-wasip2"],
        );
        for generator in GENERATORS {
            cargo.args(["-p", &format!("bootsplice-generator-{generator}")]);
        }
        // Not built in: tests of a step that needs the instance install it.
        cargo.args(["-p", "bootsplice-example-timers"]);
        run::loud(cargo)?;
        // The host installs what lies in `plugins` beside its binary.
        let plugins = places::plugins();
        std::fs::create_dir_all(&plugins)?;
        for generator in GENERATORS {
            let component = places::component(generator);
            std::fs::copy(&component, plugins.join(format!("{generator}.wasm")))
                .with_context(|| format!("component {}", component.display()))?;
        }
        Ok(())
    })
}

fn cargo(arguments: &[&str]) -> Result<()> {
    run::loud(run::command("cargo", arguments))
}
