//! What an artefact is: recognised by its first bytes, and by its extension where tar of 1979 has no mark.

use std::fmt;

use bootsplice_sdk::archive::UnpackFormat;
use bootsplice_sdk::blobs::Codec;

use crate::config::Unpack;

/// Bytes from the start that [`Kind::of`] wants to see.
pub const HEAD: usize = 512;

/// An archive and how it is packed. Written into the lock file as `tar`, `tar+zstd`, `zip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub format: UnpackFormat,
    pub codec: Option<Codec>,
}

// === impl Kind ===

impl Kind {
    /// The kind of the artefact that begins with `head`, or why it cannot be unpacked as wished. A packed one may still turn out to be no tar
    /// when it is opened.
    pub fn of(head: &[u8], name: &str, wish: Unpack) -> Result<Self, String> {
        let tar = |codec| Self {
            format: UnpackFormat::Tar,
            codec,
        };
        let zip = Self {
            format: UnpackFormat::Zip,
            codec: None,
        };
        let is_zip = head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06");
        if let Some(codec) = codec_of(head) {
            return match wish {
                Unpack::Zip => Err(format!(
                    "`{name}` is packed with {}; a zip is not",
                    codec_name(codec)
                )),
                Unpack::No | Unpack::Any | Unpack::Tar => Ok(tar(Some(codec))),
            };
        }
        match wish {
            Unpack::Zip if is_zip => Ok(zip),
            Unpack::Zip => Err(format!("`{name}` does not begin like a zip")),
            Unpack::Tar if is_zip => Err(format!("`{name}` is a zip, not a tar")),
            Unpack::Tar => Ok(tar(None)),
            Unpack::No | Unpack::Any => {
                if is_zip {
                    Ok(zip)
                } else if is_tar(head) || extension(name) == Some("tar") {
                    Ok(tar(None))
                } else {
                    Err(format!(
                        "`{name}` begins like no archive that is known (tar, with gzip, xz, zstd or bzip2 around it, or zip)"
                    ))
                }
            }
        }
    }

    /// Reads what [`Display`](fmt::Display) wrote into a lock file.
    pub fn parse(text: &str) -> Option<Self> {
        let tar = |codec| Self {
            format: UnpackFormat::Tar,
            codec,
        };
        Some(match text {
            "tar" => tar(None),
            "tar+gzip" => tar(Some(Codec::Gzip)),
            "tar+xz" => tar(Some(Codec::Xz)),
            "tar+zstd" => tar(Some(Codec::Zstd)),
            "tar+bzip2" => tar(Some(Codec::Bzip2)),
            "zip" => Self {
                format: UnpackFormat::Zip,
                codec: None,
            },
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.format, self.codec) {
            (UnpackFormat::Zip, _) => f.write_str("zip"),
            (UnpackFormat::Tar, None) => f.write_str("tar"),
            (UnpackFormat::Tar, Some(codec)) => write!(f, "tar+{}", codec_name(codec)),
        }
    }
}

/// Whether the first block is a tar header (POSIX.1-1988 or GNU), or the first of the two that end an empty archive.
pub fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
        || (head.len() >= 512 && head[..512].iter().all(|byte| *byte == 0))
}

fn codec_of(head: &[u8]) -> Option<Codec> {
    match head {
        [0x1f, 0x8b, ..] => Some(Codec::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Codec::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Codec::Zstd),
        // A skippable frame (RFC 8878, section 3.1.2) may come first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Codec::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Codec::Bzip2),
        _ => None,
    }
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Gzip => "gzip",
        Codec::Xz => "xz",
        Codec::Zstd => "zstd",
        Codec::Bzip2 => "bzip2",
    }
}

fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(head: &[u8], name: &str, wish: Unpack) -> Option<String> {
        Kind::of(head, name, wish).ok().map(|kind| kind.to_string())
    }

    fn tar_head() -> Vec<u8> {
        let mut head = vec![0; 512];
        head[0] = b'x';
        head[257..262].copy_from_slice(b"ustar");
        head
    }

    #[test]
    fn the_first_bytes_decide_whatever_the_name_says() {
        assert_eq!(
            kind(&[0x1f, 0x8b, 8], "x.zip", Unpack::Any).as_deref(),
            Some("tar+gzip")
        );
        assert_eq!(
            kind(b"\xfd7zXZ\0", "x", Unpack::Any).as_deref(),
            Some("tar+xz")
        );
        assert_eq!(
            kind(b"\x28\xb5\x2f\xfd", "x", Unpack::Tar).as_deref(),
            Some("tar+zstd")
        );
        assert_eq!(
            kind(b"\x50\x2a\x4d\x18", "x", Unpack::Any).as_deref(),
            Some("tar+zstd")
        );
        assert_eq!(
            kind(b"BZh9", "x", Unpack::Any).as_deref(),
            Some("tar+bzip2")
        );
        assert_eq!(
            kind(b"PK\x03\x04", "x.tar", Unpack::Any).as_deref(),
            Some("zip")
        );
        assert_eq!(kind(&tar_head(), "x", Unpack::Any).as_deref(), Some("tar"));
    }

    #[test]
    fn a_tar_without_a_mark_is_known_by_its_extension() {
        assert_eq!(
            kind(b"plain", "old.tar", Unpack::Any).as_deref(),
            Some("tar")
        );
        assert_eq!(kind(b"plain", "old", Unpack::Tar).as_deref(), Some("tar"));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert_eq!(kind(b"plain text", "notes.txt", Unpack::Any), None);
        assert_eq!(kind(b"", "x.zip", Unpack::Any), None);
        assert_eq!(kind(b"PK\x03\x04", "x.tar", Unpack::Tar), None);
        assert_eq!(kind(&tar_head(), "x.zip", Unpack::Zip), None);
        assert_eq!(kind(b"BZh9", "x.zip", Unpack::Zip), None);
    }

    #[test]
    fn a_kind_survives_the_lock_file() {
        for text in ["tar", "tar+gzip", "tar+xz", "tar+zstd", "tar+bzip2", "zip"] {
            assert_eq!(Kind::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Kind::parse("cpio"), None);
    }
}
