//! A disk image as a sparse raw file: opened as it is, or converted after every way it could reach outside itself was refused (rule 12).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use bootsplice_volume::MAX_SIZE;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::qemu::Sandbox;
use crate::{Format, ImportError, Isolation, Result};

/// A raw image. A converted one is deleted with this value.
pub(crate) struct Image {
    pub(crate) file: File,
    /// Bytes.
    pub(crate) size: u64,
    /// What the operator should know about how it was opened.
    pub(crate) warning: Option<String>,
    _scratch: Option<NamedTempFile>,
}

// === impl Image ===

impl Image {
    pub(crate) fn open(
        path: &Path,
        format: Format,
        scratch: &Path,
        isolation: Isolation,
    ) -> Result<Self> {
        let absolute = path.canonicalize().map_err(|error| {
            ImportError::image(
                path,
                format!("{error}; an image is a file, URLs and protocols are not read"),
            )
        })?;
        let kind = absolute
            .metadata()
            .map_err(ImportError::file(path))?
            .file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(ImportError::image(
                path,
                "it is neither a file nor a block device",
            ));
        }
        if format == Format::Raw {
            let file = File::open(&absolute).map_err(ImportError::file(path))?;
            refuse_luks(&file).map_err(|reason| ImportError::image(path, reason))?;
            return Self::of(file, path, None);
        }
        let header = File::open(&absolute).map_err(ImportError::file(path))?;
        refuse_references(&header, format).map_err(|reason| ImportError::image(path, reason))?;
        let sandbox = Sandbox::new(isolation)?;
        let size = described_size(&sandbox, &absolute, format)?;
        let target = NamedTempFile::new_in(scratch).map_err(ImportError::file(scratch))?;
        convert(&sandbox, &absolute, format, target.path(), size)?;
        let file = target.reopen().map_err(ImportError::file(target.path()))?;
        let mut image = Self::of(file, path, Some(target))?;
        image.warning = sandbox.warning();
        Ok(image)
    }

    fn of(mut file: File, path: &Path, scratch: Option<NamedTempFile>) -> Result<Self> {
        let size = file
            .seek(SeekFrom::End(0))
            .map_err(ImportError::file(path))?;
        if size == 0 || size > MAX_SIZE {
            return Err(ImportError::image(
                path,
                format!("{size} bytes, expected 1 to {MAX_SIZE}"),
            ));
        }
        Ok(Self {
            file,
            size,
            warning: None,
            _scratch: scratch,
        })
    }
}

/// A disk that is encrypted as a whole has no table to read.
fn refuse_luks(file: &File) -> std::result::Result<(), String> {
    let mut magic = [0; 6];
    let read = file
        .read_at(&mut magic, 0)
        .map_err(|error| error.to_string())?;
    if magic[..read] == *b"LUKS\xba\xbe" {
        return Err("it is encrypted (LUKS); decrypt it first".into());
    }
    Ok(())
}

/// Looks at the header before qemu-img does: whatever names another file is refused by its own bytes.
fn refuse_references(file: &File, format: Format) -> std::result::Result<(), String> {
    let mut head = [0; 512];
    // A header cut short is zeros from there on, which no format's checks pass.
    file.read_at(&mut head, 0)
        .map_err(|error| error.to_string())?;
    let be32 = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    match format {
        Format::Qcow2 => {
            if &head[..4] != b"QFI\xfb" || be32(4) < 2 {
                return Err("not a qcow2 image; give its real format".into());
            }
            if head[8..16] != [0; 8] {
                return Err("it has a backing file; flatten it with `qemu-img convert`".into());
            }
            if be32(32) != 0 {
                return Err("it is encrypted; decrypt it first".into());
            }
            // Incompatible feature bit 2: the content lies in an external data file.
            if be32(4) >= 3 && head[79] & 4 != 0 {
                return Err(
                    "it has an external data file; flatten it with `qemu-img convert`".into(),
                );
            }
        }
        Format::Vmdk => {
            if &head[..4] != b"KDMV" {
                return Err("a VMDK whose extents are other files, or no VMDK; convert it to monolithicSparse or streamOptimized".into());
            }
            // Without a capacity of its own qemu-img reads the descriptor, which may name any file.
            if head[12..20] == [0; 8] {
                return Err(
                    "a VMDK whose descriptor names its extents; convert it to monolithicSparse"
                        .into(),
                );
            }
        }
        _ => {}
    }
    Ok(())
}

/// The size that `qemu-img info` tells, when it tells of nothing outside the file.
fn described_size(sandbox: &Sandbox, path: &Path, format: Format) -> Result<u64> {
    let arguments: [&OsStr; 5] = [
        "info".as_ref(),
        "--output=json".as_ref(),
        "-f".as_ref(),
        format.driver().as_ref(),
        path.as_ref(),
    ];
    let output = sandbox.qemu_img(&arguments, 0)?;
    if !output.status.success() {
        return Err(refused(path, "info", &output.stderr, output.status));
    }
    let info: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| ImportError::image(path, format!("qemu-img info: {error}")))?;
    let outside = |reason: &str| {
        Err(ImportError::image(
            path,
            format!("{reason}; flatten it with `qemu-img convert`"),
        ))
    };
    if info.get("backing-filename").is_some() || info.get("full-backing-filename").is_some() {
        return outside("it has a backing file");
    }
    let data = &info["format-specific"]["data"];
    if data.get("data-file").is_some() {
        return outside("it has an external data file");
    }
    if info["encrypted"] == true || data.get("encrypt").is_some() {
        return outside("it is encrypted");
    }
    let own = |extent: &Value| {
        extent["filename"]
            .as_str()
            .map(PathBuf::from)
            .is_some_and(|name| name == path)
    };
    if let Some(extents) = data["extents"].as_array()
        && !extents.iter().all(own)
    {
        return outside("it has extents outside itself");
    }
    let size = info["virtual-size"].as_u64().unwrap_or(0);
    if size == 0 || size > MAX_SIZE {
        return Err(ImportError::image(
            path,
            format!("a disk of {size} bytes, expected 1 to {MAX_SIZE}"),
        ));
    }
    Ok(size)
}

fn convert(sandbox: &Sandbox, path: &Path, format: Format, target: &Path, size: u64) -> Result<()> {
    let arguments: [&OsStr; 9] = [
        "convert".as_ref(),
        "-f".as_ref(),
        format.driver().as_ref(),
        "-O".as_ref(),
        "raw".as_ref(),
        "-S".as_ref(),
        "64k".as_ref(),
        path.as_ref(),
        target.as_ref(),
    ];
    let output = sandbox.qemu_img(&arguments, size)?;
    if !output.status.success() {
        return Err(refused(path, "convert", &output.stderr, output.status));
    }
    Ok(())
}

fn refused(
    path: &Path,
    verb: &str,
    stderr: &[u8],
    status: std::process::ExitStatus,
) -> ImportError {
    let text = String::from_utf8_lossy(stderr);
    let text: String = text.trim().chars().take(500).collect();
    ImportError::image(
        path,
        format!("qemu-img {verb} refused it ({status}): {text}"),
    )
}
