//! The tutorials of docs/plugins, followed to the letter: each page's commands are run in one shell, from an empty directory to a launch whose archive
//! holds what the page says.
//!
//! Needs what `cargo xtask build` builds, sgdisk, mkfs.ext4, zstd, tar, curl and patch, and Rust, Python and Node; the rest is got by the tutorials' own
//! commands, from the languages' registries. A tutorial whose tools are not there fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod page;
mod session;

use std::io::Write;

use anyhow::{Context, Result};

use crate::session::Session;

/// Follows a language's tutorial, and what comes `after` it; the greeting that it ends with then lies on the disk.
fn follow(language: &str, after: &[&str]) -> Result<()> {
    let page = format!("tutorial-{language}.md");
    let pages = [&["host.md", &page], after].concat();
    let session = Session::follow(&pages).context(page)?;
    let launches = session.launches()?;
    let last = launches.first().context("no launch")?;
    assert_eq!(last["state"], "committed", "{last}");
    let written = session.file("disks/i-1.raw", "etc/motd.d/motd")?;
    let expected = "Welcome to i-1, ada\n  Wiki: https://wiki.example.org\n";
    assert_eq!(written, expected);
    // Past the test's capture: the time is for whoever runs the tests.
    let seconds = session.took.as_secs_f64();
    writeln!(std::io::stderr(), "tutorial {language}: {seconds:.0} s")?;
    Ok(())
}

#[test]
fn the_rust_tutorial_leads_to_a_launch_with_its_file() -> Result<()> {
    follow("rust", &[])
}

#[test]
fn the_python_tutorial_leads_to_a_launch_with_its_file() -> Result<()> {
    follow("python", &[])
}

#[test]
fn the_javascript_tutorial_leads_to_a_launch_with_its_file_and_its_generator_is_published()
-> Result<()> {
    follow("js", &["publish.md"])
}

#[test]
fn the_go_tutorial_leads_to_a_launch_with_its_file() -> Result<()> {
    follow("go", &[])
}

#[test]
fn the_c_tutorial_leads_to_a_launch_with_its_file() -> Result<()> {
    follow("c", &[])
}
