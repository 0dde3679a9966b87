//! Lock files on disk.

use std::io::{Read as _, Write as _};
use std::path::Path;

use super::super::Failure;
use super::super::exit::Code;
use crate::lock::LockFile;

/// Most bytes of a lock file: 20,000 packages have some 20 MB.
const LARGEST: u64 = 256 << 20;

pub fn read(path: &Path) -> Result<LockFile, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Failure,
        };
        Failure::new(code, format!("cannot read the lock `{shown}`: {error}"))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > LARGEST {
        let message = format!("`{shown}` is larger than the {LARGEST} bytes of a lock file");
        return Err(Failure::new(Code::Invalid, message));
    }
    LockFile::parse(&text).map_err(|error| {
        let message =
            format!("`{shown}` is no lock file: {error}; make one with `bootsplice lock --out`");
        Failure::new(Code::Invalid, message)
    })
}

/// Writes a file whole or not at all.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    let beside = Path::new(&beside);
    let done = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(beside, path)
    };
    done().map_err(|error| {
        // The failure tells more than a file that cannot be removed either.
        let _ = std::fs::remove_file(beside);
        Failure::new(
            Code::Failure,
            format!("cannot write `{}`: {error}", path.display()),
        )
    })
}
