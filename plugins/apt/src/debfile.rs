//! The control file inside a `.deb`, read without the rest of it: an ar archive whose second member is a compressed tar (deb(5)).

use bootsplice_sdk::blobs::{Blob, Codec};
use bootsplice_sdk::prelude::*;

/// `!<arch>\n`, then members of a header of 60 bytes and their bytes, padded to even.
const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: u64 = 60;
/// Largest control archive without its compression.
const MAX_CONTROL: u64 = 16 << 20;
const BLOCK: usize = 512;

/// The text of `./control`.
pub fn control(deb: &Blob, name: &str) -> Result<String, Error> {
    let wrong = |what: &str| Error::Unsupported(format!("`{name}` is no Debian package: {what}"));
    if deb.read(0, 8)? != MAGIC {
        return Err(wrong("it does not begin as one"));
    }
    let mut at = MAGIC.len() as u64;
    // debian-binary, control.tar.*, data.tar.*; unknown members before control would be a format of the future.
    for _ in 0..2 {
        let header = deb.read(at, 60)?;
        let (member, size) =
            member(&header).ok_or_else(|| wrong("a member's header is damaged"))?;
        let codec = match member.as_str() {
            "debian-binary" => {
                at += HEADER + size + size % 2;
                continue;
            }
            "control.tar" => None,
            "control.tar.gz" => Some(Codec::Gzip),
            "control.tar.xz" => Some(Codec::Xz),
            "control.tar.zst" => Some(Codec::Zstd),
            other => return Err(wrong(&format!("its second member is `{other}`"))),
        };
        let packed = deb.slice(at + HEADER, size)?;
        let tar = match codec {
            Some(codec) => packed.decompress(codec, MAX_CONTROL)?,
            None => packed,
        };
        let bytes = tar.bytes(MAX_CONTROL as usize)?;
        let text = file(&bytes, "control").ok_or_else(|| wrong("it has no control file"))?;
        return String::from_utf8(text.to_vec())
            .map_err(|_| wrong("its control file is not UTF-8"));
    }
    Err(wrong("it has no control member"))
}

/// Name and size of an ar member.
fn member(header: &[u8]) -> Option<(String, u64)> {
    if header.len() != 60 || &header[58..] != b"`\n" {
        return None;
    }
    let name = std::str::from_utf8(&header[..16]).ok()?;
    let size = std::str::from_utf8(&header[48..58])
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some((name.trim_end().trim_end_matches('/').to_owned(), size))
}

/// A file of a tar archive by its name, with or without `./`.
fn file<'a>(tar: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut rest = tar;
    while rest.len() >= BLOCK {
        let (header, after) = rest.split_at(BLOCK);
        let name = text(&header[..100])?;
        if name.is_empty() {
            return None;
        }
        let size = usize::from_str_radix(text(&header[124..136])?.trim(), 8).ok()?;
        if name.trim_start_matches("./") == wanted && matches!(header[156], b'0' | 0) {
            return after.get(..size);
        }
        rest = after.get(size.checked_next_multiple_of(BLOCK)?..)?;
    }
    None
}

fn text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|byte| *byte == 0);
    std::str::from_utf8(&field[..end.unwrap_or(field.len())]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_and_a_file_are_found_and_damage_is_nothing() {
        let header = format!(
            "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            "control.tar.xz/", 0, 0, 0, "100644", 42
        );
        assert_eq!(
            member(header.as_bytes()),
            Some(("control.tar.xz".into(), 42))
        );
        assert_eq!(member(&header.as_bytes()[1..]), None);
        let mut tar = vec![0; 3 * BLOCK];
        tar[..9].copy_from_slice(b"./control");
        tar[124..135].copy_from_slice(b"00000000005");
        tar[156] = b'0';
        tar[BLOCK..BLOCK + 5].copy_from_slice(b"hello");
        assert_eq!(file(&tar, "control"), Some(&b"hello"[..]));
        assert_eq!(file(&tar, "other"), None);
        tar[124..135].copy_from_slice(b"77777777777");
        assert_eq!(file(&tar, "control"), None);
    }
}
