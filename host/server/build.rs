//! Puts the template and the SDK of each language into the binary: `bootsplice plugin new` works offline, and with the SDK of its own release.
//!
//! What is copied is the table "Templates" of `sdk/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Of each language what of its SDK is copied to a project's `sdk/`.
const SDKS: [(&str, &[&str]); 5] = [
    ("rust", &["src", "wit", "README.md"]),
    (
        "python",
        &[
            "bootsplice_sdk",
            "pyproject.toml",
            "requirements.txt",
            "README.md",
        ],
    ),
    (
        "js",
        &[
            "bin",
            "src",
            "wit",
            "package.json",
            "package-lock.json",
            ".npmrc",
            "README.md",
        ],
    ),
    (
        "go",
        &[
            "*.go",
            "go.mod",
            "bootsplicetest",
            "internal",
            "requirements.txt",
            "README.md",
        ],
    ),
    (
        "c",
        &[
            "flags",
            "include",
            "src",
            "bindings",
            "fake",
            "requirements.txt",
            "README.md",
        ],
    ),
];

/// What tools leave behind.
const MADE: [&str; 6] = [
    "node_modules",
    "__pycache__",
    "target",
    "build",
    ".venv",
    "zig-cache",
];

/// Files by where they lie in a project.
type Files = BTreeMap<String, PathBuf>;

fn main() -> io::Result<()> {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let sdks = fs::canonicalize(own.join("../../sdk"))?;
    let mut text = String::from("const KITS: &[Kit] = &[\n");
    for (language, parts) in SDKS {
        let mut files = Files::new();
        let sdk = sdks.join(language);
        for part in parts {
            match part.strip_prefix('*') {
                Some(end) => {
                    for (name, path) in entries(&sdk)? {
                        if name.ends_with(end) {
                            collect(&path, &format!("sdk/{name}"), &mut files)?;
                        }
                    }
                }
                None => collect(&sdk.join(part), &format!("sdk/{part}"), &mut files)?,
            }
        }
        let mut template = Files::new();
        for (name, path) in entries(&sdk.join("template"))? {
            collect(&path, &name, &mut template)?;
        }
        // What the template has below `sdk/` comes in the place of the SDK's own.
        let over: Vec<String> = template
            .keys()
            .filter(|name| name.starts_with("sdk/"))
            .cloned()
            .collect();
        for name in over {
            if let Some(path) = template.remove(&name) {
                files.insert(name, path);
            }
        }
        let _ = writeln!(text, "Kit {{ language: {language:?}, template: &[");
        list(&template, &mut text);
        text.push_str("], sdk: &[\n");
        list(&files, &mut text);
        text.push_str("] },\n");
        println!("cargo::rerun-if-changed={}", sdk.display());
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("kits.rs"), text)?;
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

/// A file, or all below a directory; links are followed.
fn collect(path: &Path, name: &str, files: &mut Files) -> io::Result<()> {
    let last = name.rsplit('/').next().unwrap_or(name);
    if MADE.contains(&last) || last.ends_with(".pyc") {
        return Ok(());
    }
    let meta = fs::metadata(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    if meta.is_dir() {
        for (inside, path) in entries(path)? {
            collect(&path, &format!("{name}/{inside}"), files)?;
        }
    } else {
        files.insert(name.to_owned(), path.to_owned());
    }
    Ok(())
}

fn entries(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let failed = |error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry?;
        found.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    found.sort();
    Ok(found)
}

fn list(files: &Files, text: &mut String) {
    for (name, path) in files {
        let _ = writeln!(
            text,
            "({name:?}, include_bytes!({:?})),",
            path.display().to_string()
        );
    }
}
