//! What `wit-bindgen` makes of the contract for Go and C, checked in with their SDKs, so that nobody who writes a generator needs the tool.
//!
//! Rust makes its bindings as it compiles; Python and JavaScript have tools of their own for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bootsplice_tests::places;
use wit_bindgen_core::{Files, WorldGenerator};
use wit_parser::Resolve;

/// The module that the Go bindings lie in, and where that of Go's runtime for them is in the world, and here.
const GO_MODULE: &str = "github.com/bootsplice/bootsplice/sdk/go/internal";
const GO_RUNTIME: &str = "go.bytecodealliance.org/pkg/wit";

/// Files by their paths below the repository's root.
type Made = BTreeMap<PathBuf, Vec<u8>>;

/// Writes the bindings anew.
pub fn write() -> Result<()> {
    for (name, bytes) in made()? {
        let file = places::root().join(name);
        fs::create_dir_all(file.parent().context("a directory for bindings")?)?;
        fs::write(file, bytes)?;
    }
    Ok(())
}

/// Fails when a file is not as the contract has it.
pub fn check() -> Result<()> {
    for (name, bytes) in made()? {
        let held = fs::read(places::root().join(&name)).unwrap_or_default();
        ensure!(
            held == bytes,
            "{} is not what the contract makes: run `cargo xtask bindings`",
            name.display()
        );
    }
    Ok(())
}

fn made() -> Result<Made> {
    let go = wit_bindgen_go::Opts {
        pkg_name: Some(format!("{GO_MODULE}/bindings")),
        // `gofmt` is not everywhere, and nobody reads these.
        format: wit_bindgen_go::Format::False,
        ..wit_bindgen_go::Opts::default()
    };
    let c = wit_bindgen_c::Opts {
        // The world is put into the module by `componentize`.
        no_object_file: true,
        ..wit_bindgen_c::Opts::default()
    };
    let mut made = Made::new();
    for (name, bytes) in generated(&mut *go.build())? {
        let text = String::from_utf8(bytes)?.replace(GO_RUNTIME, &format!("{GO_MODULE}/wit"));
        made.insert(
            Path::new("sdk/go/internal/bindings").join(name),
            text.into_bytes(),
        );
    }
    for (name, bytes) in generated(&mut *c.build())? {
        made.insert(Path::new("sdk/c/bindings").join(name), bytes);
    }
    Ok(made)
}

fn generated(generator: &mut dyn WorldGenerator) -> Result<Vec<(String, Vec<u8>)>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(places::root().join("wit/since-v0.1.0"))?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    Ok(files
        .iter()
        .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
        .collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bindings_of_go_and_c_are_the_contracts() {
        super::check().unwrap();
    }
}
