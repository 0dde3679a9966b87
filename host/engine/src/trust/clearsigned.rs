//! Clearsigned messages (RFC 9580, 7): which text is signed, and nothing else.
//!
//! The text that comes out is a function of what the signature covers: dash escapes, white space at the ends of lines and the kind of line ending,
//! none of which is covered, are gone. So a mirror cannot change a byte of it, not even to join two lines.

use super::armour;
use super::{Distrust, Rejection};

const MESSAGE: &str = "PGP SIGNED MESSAGE";
pub(super) const SIGNATURE: &str = "PGP SIGNATURE";

/// A message taken apart.
#[derive(Debug)]
pub struct Clearsigned {
    /// Each line ended by a line feed.
    pub text: Vec<u8>,
    /// The signature packets.
    pub signatures: Vec<u8>,
}

// === impl Clearsigned ===

impl Clearsigned {
    /// Splits `bytes`, which must be one whole message. White space may follow it.
    pub fn split(bytes: &[u8]) -> Result<Self, Rejection> {
        let (first, mut rest) = armour::line(bytes);
        if !armour::opens(first, MESSAGE) {
            return Err(unopened(bytes));
        }
        // Headers: `Hash` and nothing else. It is a hint that is not signed; the signatures say themselves which digest they used.
        loop {
            let (header, next) = armour::line(rest);
            if rest.is_empty() {
                return Err(cut());
            }
            rest = next;
            if header.is_empty() {
                break;
            }
            if !header.starts_with(b"Hash:") {
                return Err(Distrust::UnsignedBytes.because(
                    "a header other than `Hash` stands before the signed text, and no signature covers it",
                ));
            }
        }
        let mut text = Vec::with_capacity(rest.len());
        loop {
            if rest.is_empty() {
                return Err(cut());
            }
            if rest.starts_with(b"-----") {
                break;
            }
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .ok_or_else(cut)?;
            let (line, next) = (&rest[..end], &rest[end + 1..]);
            text.extend_from_slice(plain(line)?);
            text.push(b'\n');
            rest = next;
        }
        if text.is_empty() {
            // No line and one empty line are signed alike: there is one way to answer both.
            text.push(b'\n');
        }
        let block = armour::block(rest, SIGNATURE).map_err(|why| {
            Distrust::Malformed.because(format!("the signature behind the text: {why}"))
        })?;
        if !block.rest.trim_ascii().is_empty() {
            return Err(Distrust::UnsignedBytes.because(
                "bytes follow the signature: a second message, or something that was appended",
            ));
        }
        Ok(Self {
            text,
            signatures: block.content,
        })
    }

    /// What is hashed, before its line endings become those of the network: the last line's is not part of it.
    pub fn hashed(&self) -> &[u8] {
        &self.text[..self.text.len() - 1]
    }
}

/// One line without escape, white space at its end and line ending.
fn plain(line: &[u8]) -> Result<&[u8], Rejection> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.contains(&b'\r') {
        return Err(Distrust::Malformed.because(
            "a carriage return stands inside a line of the signed text, where readers disagree on what it means",
        ));
    }
    let line = match line.strip_prefix(b"- ") {
        Some(escaped) => escaped,
        None if line.starts_with(b"-") => {
            return Err(Distrust::Malformed
                .because("a line of the signed text begins with a dash that is not escaped"));
        }
        None => line,
    };
    let end = line
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t'))
        .map_or(0, |last| last + 1);
    Ok(&line[..end])
}

fn unopened(bytes: &[u8]) -> Rejection {
    let opening = format!("-----BEGIN {MESSAGE}-----");
    let inside = bytes
        .windows(opening.len())
        .any(|window| window == opening.as_bytes());
    if inside {
        Distrust::UnsignedBytes.because("bytes stand before the signed message")
    } else {
        Distrust::Missing.because(format!(
            "it is not signed: it does not begin with `{opening}`"
        ))
    }
}

fn cut() -> Rejection {
    Distrust::Malformed.because("the message is cut off before its signature")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "-----BEGIN PGP SIGNATURE-----\n\nYWJj\n-----END PGP SIGNATURE-----\n";

    fn split(head: &str, tail: &str) -> Result<Clearsigned, Rejection> {
        Clearsigned::split(format!("{head}{tail}").as_bytes())
    }

    fn reason(head: &str, tail: &str) -> Distrust {
        split(head, tail).unwrap_err().reason
    }

    const HEAD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n";

    #[test]
    fn the_text_has_no_trace_of_what_the_signature_does_not_cover() {
        let unix = split(&format!("{HEAD}a \t\n- -b\n\n- - c\n"), TAIL).unwrap();
        assert_eq!(unix.text, b"a\n-b\n\n- c\n");
        assert_eq!(unix.hashed(), b"a\n-b\n\n- c");
        assert_eq!(unix.signatures, b"abc");
        let dos = split(
            &format!("{HEAD}a\n- -b\n\n- - c\n").replace('\n', "\r\n"),
            &TAIL.replace('\n', "\r\n"),
        );
        assert_eq!(dos.unwrap().text, unix.text);
        for empty in ["", "\n"] {
            let empty = split(&format!("{HEAD}{empty}"), TAIL).unwrap();
            assert_eq!((empty.hashed(), &empty.text[..]), (&b""[..], &b"\n"[..]));
        }
    }

    #[test]
    fn bytes_outside_the_armour_are_refused_wherever_they_stand() {
        let whole = format!("{HEAD}a\n{TAIL}");
        for (head, tail) in [
            (format!("Origin: Evil\n{HEAD}a\n"), TAIL.to_owned()),
            (format!("\n{HEAD}a\n"), TAIL.to_owned()),
            (format!("{HEAD}a\n"), format!("{TAIL}Suite: evil\n")),
            (format!("{HEAD}a\n"), format!("{TAIL}{TAIL}")),
            (whole.clone(), whole.clone()),
            (
                HEAD.replace("\n\n", "\nSuite: evil\n\n") + "a\n",
                TAIL.to_owned(),
            ),
        ] {
            assert_eq!(
                reason(&head, &tail),
                Distrust::UnsignedBytes,
                "{head}{tail}"
            );
        }
        assert!(split(&format!("{HEAD}a\n"), &format!("{TAIL}\r\n \n")).is_ok());
    }

    #[test]
    fn what_is_no_message_or_half_of_one_is_refused_by_its_name() {
        assert_eq!(reason("Origin: Debian\n", ""), Distrust::Missing);
        assert_eq!(reason("", ""), Distrust::Missing);
        for head in [
            HEAD.to_owned(),
            HEAD.trim_end().to_owned(),
            format!("{HEAD}a"),
            format!("{HEAD}a\n"),
            format!("{HEAD}a\n-----BEGIN PGP SIGNATURE-----\n"),
        ] {
            assert_eq!(reason(&head, ""), Distrust::Malformed, "{head}");
        }
        for body in [
            "-b",
            "-----BEGIN PGP SIGNED MESSAGE-----",
            "a\rb",
            "a\r\r",
            "a\r ",
        ] {
            assert_eq!(
                reason(&format!("{HEAD}{body}\n"), TAIL),
                Distrust::Malformed,
                "{body:?}"
            );
        }
    }
}
