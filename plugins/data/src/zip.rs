//! How large a zip is without its compression, from its central directory (APPNOTE.TXT 6.3, sections 4.3.12, 4.3.14 to 4.3.16).
//!
//! Only for the bound that `resolve` promises: the host unpacks, and checks for itself. Reads from the end, in bounded memory.

use std::io::{self, Read, Seek, SeekFrom};

/// Most members that are counted; the host takes no more entries anyway.
const MAX_MEMBERS: u64 = 1_000_000;
/// Longest end of central directory record with its comment, in bytes.
const END_MAX: u64 = 22 + 65_535;

/// Bytes of all members together, as the directory tells them.
pub fn unpacked_size<R: Read + Seek>(zip: &mut R) -> io::Result<u64> {
    let size = zip.seek(SeekFrom::End(0))?;
    let (mut members, mut at, end_at) = end_record(zip, size)?;
    if members == 0xffff || at == 0xffff_ffff {
        (members, at) = end_record_64(zip, end_at)?;
    }
    if members > MAX_MEMBERS {
        return Err(wrong("it claims more than a million members"));
    }
    zip.seek(SeekFrom::Start(at))?;
    let mut total = 0u64;
    for _ in 0..members {
        total = total.saturating_add(member_size(zip)?);
    }
    Ok(total)
}

/// Count of members, where the directory begins, where this record begins.
fn end_record<R: Read + Seek>(zip: &mut R, size: u64) -> io::Result<(u64, u64, u64)> {
    let tail_at = size.saturating_sub(END_MAX);
    zip.seek(SeekFrom::Start(tail_at))?;
    let mut tail = Vec::new();
    zip.by_ref().take(END_MAX).read_to_end(&mut tail)?;
    let last = tail
        .len()
        .checked_sub(22)
        .ok_or_else(|| wrong("it is too short"))?;
    let found = (0..=last).rev().find(|at| {
        tail[*at..].starts_with(b"PK\x05\x06")
            && at + 22 + usize::from(u16_at(&tail, at + 20)) == tail.len()
    });
    let at = found.ok_or_else(|| wrong("its end record is missing: it is cut off, or no zip"))?;
    Ok((
        u16_at(&tail, at + 10).into(),
        u32_at(&tail, at + 16).into(),
        tail_at + at as u64,
    ))
}

/// The same from the Zip64 records, which lie before the end record.
fn end_record_64<R: Read + Seek>(zip: &mut R, end_at: u64) -> io::Result<(u64, u64)> {
    let mut locator = [0; 20];
    zip.seek(SeekFrom::Start(
        end_at
            .checked_sub(20)
            .ok_or_else(|| wrong("its Zip64 locator is missing"))?,
    ))?;
    zip.read_exact(&mut locator)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Err(wrong("its Zip64 locator is missing"));
    }
    let mut record = [0; 56];
    zip.seek(SeekFrom::Start(u64_at(&locator, 8)))?;
    zip.read_exact(&mut record)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(wrong("its Zip64 end record is missing"));
    }
    Ok((u64_at(&record, 32), u64_at(&record, 48)))
}

/// Reads one header of the directory and answers the member's unpacked size.
fn member_size<R: Read + Seek>(zip: &mut R) -> io::Result<u64> {
    let mut header = [0; 46];
    zip.read_exact(&mut header)?;
    if !header.starts_with(b"PK\x01\x02") {
        return Err(wrong("its directory is damaged"));
    }
    let size = u32_at(&header, 24);
    let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(&header, at));
    let mut fields = vec![0; usize::from(name) + usize::from(extra) + usize::from(comment)];
    zip.read_exact(&mut fields)?;
    if size != 0xffff_ffff {
        return Ok(size.into());
    }
    let extra = &fields[usize::from(name)..usize::from(name) + usize::from(extra)];
    zip64_size(extra).ok_or_else(|| wrong("a member's Zip64 size is missing"))
}

/// The unpacked size in the Zip64 extra field (0x0001): its first value when the header's own is full.
fn zip64_size(mut extra: &[u8]) -> Option<u64> {
    while extra.len() >= 4 {
        let length = usize::from(u16_at(extra, 2));
        let body = extra.get(4..4 + length)?;
        if u16_at(extra, 0) == 1 {
            return (body.len() >= 8).then(|| u64_at(body, 0));
        }
        extra = &extra[4 + length..];
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::CompressionMethod;
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(sizes: &[usize], large: bool, comment: &str) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (index, size) in sizes.iter().enumerate() {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(large);
            writer
                .start_file(format!("member-{index}"), options)
                .unwrap();
            writer.write_all(&vec![7; *size]).unwrap();
        }
        writer.set_comment(comment).unwrap();
        writer.finish().unwrap().into_inner()
    }

    fn size(bytes: &[u8]) -> io::Result<u64> {
        unpacked_size(&mut Cursor::new(bytes))
    }

    #[test]
    fn the_sizes_of_all_members_are_added() {
        assert_eq!(size(&archive(&[], false, "")).unwrap(), 0);
        assert_eq!(
            size(&archive(&[1, 100_000, 0], false, "")).unwrap(),
            100_001
        );
        assert_eq!(
            size(&archive(&[5; 300], true, "PK\x05\x06 in a comment")).unwrap(),
            1500
        );
    }

    #[test]
    fn many_members_need_zip64_and_are_counted() {
        assert_eq!(size(&archive(&vec![1; 65_600], false, "")).unwrap(), 65_600);
    }

    #[test]
    fn a_zip_cut_anywhere_is_an_error_and_no_panic() {
        let whole = archive(&[10, 20], false, "note");
        for end in 0..whole.len() {
            assert!(size(&whole[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_flipped_byte_is_never_a_panic() {
        let whole = archive(&[10, 20], false, "");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _any = size(&damaged);
        }
    }
}
