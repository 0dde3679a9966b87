//! ASCII armour (RFC 9580, 6.2) as strictly as trust needs it: which bytes lie inside a block, and which do not.
//!
//! The checksum is passed over, as the RFC asks: what is inside is signed.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding as it comes; bits behind the last byte must be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One block, found at the start of some bytes.
pub struct Block<'a> {
    pub content: Vec<u8>,
    /// Everything behind its last line.
    pub rest: &'a [u8],
}

/// Takes the first line: without its line ending and the white space before it, and what follows.
pub fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &bytes[bytes.len()..]),
    };
    (line.trim_ascii_end(), rest)
}

/// Whether `line` opens a block labelled `label`.
pub fn opens(line: &[u8], label: &str) -> bool {
    line == format!("-----BEGIN {label}-----").as_bytes()
}

/// Reads the block labelled `label` whose first line stands at the very start of `bytes`.
pub fn block<'a>(bytes: &'a [u8], label: &str) -> Result<Block<'a>, String> {
    let (first, mut rest) = line(bytes);
    if !opens(first, label) {
        return Err(format!("it does not begin with `-----BEGIN {label}-----`"));
    }
    // Headers (Version, Comment), up to a blank line. Some writers leave both out.
    let mut text = Vec::new();
    let mut in_headers = true;
    let end = format!("-----END {label}-----");
    loop {
        if rest.is_empty() {
            return Err(format!("its `{end}` is missing"));
        }
        let (now, next) = line(rest);
        rest = next;
        if now == end.as_bytes() {
            break;
        }
        if now.starts_with(b"-") {
            return Err("a line inside the armour begins with a dash".into());
        }
        if in_headers && now.contains(&b':') {
            continue;
        }
        in_headers = false;
        // A line of `=` and four characters is the checksum.
        if !(now.starts_with(b"=") && now.len() == 5) {
            text.extend_from_slice(now.trim_ascii_start());
        }
    }
    let content = BASE64
        .decode(text)
        .map_err(|error| format!("its base64 is damaged: {error}"))?;
    Ok(Block { content, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "PGP SIGNATURE";

    #[test]
    fn a_block_ends_where_its_last_line_says_and_the_rest_is_left() {
        let text = b"-----BEGIN PGP SIGNATURE-----\r\nComment: x\r\n\r\nYWJj\r\nZGU=\r\n=abcd\r\n-----END PGP SIGNATURE-----\r\nrest";
        let found = block(text, LABEL).unwrap();
        assert_eq!(found.content, b"abcde");
        assert_eq!(found.rest, b"rest");
        let bare = b"-----BEGIN PGP SIGNATURE-----\n\nYWJj\n-----END PGP SIGNATURE-----";
        assert_eq!(block(bare, LABEL).unwrap().content, b"abc");
    }

    #[test]
    fn a_block_that_is_cut_foreign_or_damaged_is_refused() {
        for bad in [
            "",
            "x",
            "-----BEGIN PGP SIGNATURE-----\n\nYWJj\n",
            " -----BEGIN PGP SIGNATURE-----\n\nYWJj\n-----END PGP SIGNATURE-----\n",
            "-----BEGIN PGP MESSAGE-----\n\nYWJj\n-----END PGP MESSAGE-----\n",
            "-----BEGIN PGP SIGNATURE-----\n\nYW*j\n-----END PGP SIGNATURE-----\n",
            "-----BEGIN PGP SIGNATURE-----\n\nYWJj\n-----BEGIN PGP SIGNATURE-----\n\nYWJj\n-----END PGP SIGNATURE-----\n",
        ] {
            assert!(block(bad.as_bytes(), LABEL).is_err(), "{bad}");
        }
    }
}
