//! What one asks an import for.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use bootsplice_content::BLOCK_U64;
use bootsplice_volume::gpt::NewPoint;
use bootsplice_volume::{Point, PointName, Stage};

use crate::{ImportError, Result};

/// One import.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    pub image: PathBuf,
    /// None: by the file's extension. Never probed.
    pub format: Option<Format>,
    pub name: String,
    /// Points that the image already carries are kept and need not be named.
    pub points: Vec<NewPoint>,
    /// Bytes of the volume, a multiple of 512 KiB. None: the image, the new points and one block.
    pub size: Option<u64>,
    /// A directory with room for the converted image and one pack.
    pub scratch: PathBuf,
    pub isolation: Isolation,
}

/// Whether `qemu-img`, which reads every format but raw, must be cut off from the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Without a network namespace of its own it is not run.
    #[default]
    Required,
    /// It is run all the same, and a warning says so.
    WherePossible,
}

/// A format of disk images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Raw,
    Qcow2,
    Qcow,
    Qed,
    Vmdk,
    Vdi,
    Vhdx,
    Vhd,
    Parallels,
}

const FORMATS: &str = "raw, qcow2, qcow, qed, vmdk, vdi, vhdx, vhd or parallels";

// === impl ImportRequest ===

impl ImportRequest {
    pub(crate) fn format(&self) -> Result<Format> {
        self.format.map_or_else(|| Format::of(&self.image), Ok)
    }
}

// === impl Format ===

impl Format {
    /// The format that a file's extension names.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path
            .extension()
            .and_then(|text| text.to_str())
            .unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            "raw" | "img" => Ok(Self::Raw),
            "hdd" => Ok(Self::Parallels),
            other => other.parse().map_err(|_| {
                ImportError::image(
                    path,
                    format!("its extension names no format; give --format: {FORMATS}"),
                )
            }),
        }
    }

    /// The name that qemu-img has for it.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qcow => "qcow",
            Self::Qed => "qed",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vhdx => "vhdx",
            Self::Vhd => "vpc",
            Self::Parallels => "parallels",
        }
    }
}

impl FromStr for Format {
    type Err = ImportError;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "raw" => Self::Raw,
            "qcow2" => Self::Qcow2,
            "qcow" => Self::Qcow,
            "qed" => Self::Qed,
            "vmdk" => Self::Vmdk,
            "vdi" => Self::Vdi,
            "vhdx" => Self::Vhdx,
            "vhd" | "vpc" => Self::Vhd,
            "parallels" => Self::Parallels,
            _ => return Err(ImportError::invalid("format", text, FORMATS)),
        })
    }
}

/// A point from `NAME=SIZE[,stage=files|packages|late]`.
pub fn parse_point(text: &str) -> Result<NewPoint> {
    let wrong = || {
        ImportError::invalid(
            "point",
            text,
            "NAME=SIZE[,stage=files|packages|late], such as base=512MiB",
        )
    };
    let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
    let name: PointName = name.parse()?;
    let (size, stage) = match rest.split_once(',') {
        None => (rest, Stage::default_of(&name)),
        Some((size, stage)) => {
            let stage = stage.strip_prefix("stage=").ok_or_else(wrong)?;
            (size, stage.parse().map_err(|_| wrong())?)
        }
    };
    let bytes = parse_size(size)?;
    if !bytes.is_multiple_of(BLOCK_U64) || bytes / BLOCK_U64 < Point::LEAST {
        let expected = "a multiple of 512 KiB, at least 4 MiB";
        return Err(ImportError::invalid("point size", size, expected));
    }
    Ok(NewPoint {
        name,
        blocks: bytes / BLOCK_U64,
        stage,
    })
}

/// Bytes from a text such as `512MiB`, `40GiB`, `1GB` or `4194304`.
pub fn parse_size(text: &str) -> Result<u64> {
    let wrong = || {
        let expected = "a number and B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, such as 512MiB";
        ImportError::invalid("size", text, expected)
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "" | "B" => 1,
        "kB" => 1000,
        "MB" => 1000_u64.pow(2),
        "GB" => 1000_u64.pow(3),
        "TB" => 1000_u64.pow(4),
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_has_a_name_a_size_and_a_stage() {
        let base = parse_point("base=512MiB").unwrap();
        assert_eq!((base.blocks, base.stage), (1024, Stage::Files));
        assert_eq!(parse_point("users=4MiB").unwrap().stage, Stage::Late);
        let packages = parse_point("users=4MiB,stage=packages").unwrap();
        assert_eq!(packages.stage, Stage::Packages);
    }

    #[test]
    fn a_malformed_point_is_refused_with_what_was_expected() {
        for wrong in [
            "",
            "base",
            "base=",
            "Base=4MiB",
            "base=3MiB",
            "base=4194305",
            "base=4MiBx",
            "base=99999999999TiB",
            "base=4MiB,stage=soon",
            "base=4MiB,x=y",
            "base=4MiB,stage=late,stage=late",
        ] {
            let error = parse_point(wrong).unwrap_err().to_string();
            assert!(error.contains("expected"), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_format_comes_from_the_extension_and_is_never_guessed() {
        assert_eq!(Format::of(Path::new("a.QCOW2")).unwrap(), Format::Qcow2);
        assert_eq!(Format::of(Path::new("a.img")).unwrap(), Format::Raw);
        assert!(Format::of(Path::new("image")).is_err());
    }
}
