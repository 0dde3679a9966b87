//! Compares versions for `xtask/oracle/versions.py`: reads pairs, one a line with a blank between, and prints -1, 0 or 1 for each.

use std::cmp::Ordering;
use std::io::{BufRead, Write};

use anyhow::{Context, Result};
use bootsplice_deb::version::compare;

fn main() -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (a, b) = line.split_once(' ').context("a line without a blank")?;
        let order = match compare(a, b) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        };
        writeln!(out, "{order}")?;
    }
    out.flush()?;
    Ok(())
}
