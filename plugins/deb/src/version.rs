//! Version numbers and their order (Debian Policy 5.6.12, deb-version(7)).

use std::cmp::Ordering;

use crate::{Error, Result};

/// Versions longer than this are refused.
pub const MOST_BYTES: usize = 1024;

/// How two versions are ordered, as dpkg orders them: by epoch, then the upstream version, then the revision, each by alternating runs of other
/// characters (`~` before the end, letters before the rest) and of digits (as numbers of any length).
///
/// Never fails: what is no version is ordered in some way, the same every time. Use [`check`] on foreign text first.
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (a, b) = (parts(a), parts(b));
    number(a.epoch)
        .cmp(&number(b.epoch))
        .then_with(|| runs(a.upstream, b.upstream))
        .then_with(|| runs(a.revision, b.revision))
}

/// That a text is a version: not empty, an epoch of digits below 2³¹, only the characters that Policy allows.
pub fn check(text: &str) -> Result<()> {
    let fail = |expected| Err(Error::malformed("version", text, expected));
    if text.len() > MOST_BYTES {
        return fail("at most 1024 bytes long");
    }
    let rest = match text.split_once(':') {
        Some((epoch, rest)) => {
            if epoch.is_empty()
                || epoch.parse::<i32>().is_err()
                || !epoch.bytes().all(|c| c.is_ascii_digit())
            {
                return fail("a version: its epoch is no number below 2^31");
            }
            rest
        }
        None => text,
    };
    if rest.is_empty() || rest.starts_with('-') {
        return fail("a version: it has no upstream version");
    }
    let known = |c: u8| c.is_ascii_alphanumeric() || b".+-~:".contains(&c);
    if !rest.bytes().all(known) {
        return fail("a version: only letters, digits and . + - ~ : may stand there");
    }
    Ok(())
}

/// A version without its epoch, as it stands in file names.
pub fn without_epoch(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, rest)| rest)
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

fn parts(text: &str) -> Parts<'_> {
    let (epoch, rest) = text.split_once(':').unwrap_or(("", text));
    // An absent revision is equal to "0", and so is an empty one.
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    Parts {
        epoch: epoch.as_bytes(),
        upstream: upstream.as_bytes(),
        revision: revision.as_bytes(),
    }
}

/// Digits as a number of any length: more digits first, then by digit.
fn number(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|&&c| c == b'0').count();
    (digits.len() - zeros, &digits[zeros..])
}

/// The weight of a character outside numbers; the end, and a digit, weigh nothing.
fn weight(c: Option<&u8>) -> i32 {
    match c {
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

fn runs(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let other = |s: &[u8]| s.first().is_some_and(|c| !c.is_ascii_digit());
    while !a.is_empty() || !b.is_empty() {
        while other(a) || other(b) {
            match weight(a.first()).cmp(&weight(b.first())) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
            // Equal weights: both have a character here, for only digits and the end weigh nothing.
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
        let (left, a_rest) = a.split_at(digits(a));
        let (right, b_rest) = b.split_at(digits(b));
        match number(left).cmp(&number(right)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
        (a, b) = (a_rest, b_rest);
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_policy_says() {
        let ascending = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0+b1",
            "1~rc1-1",
            "1-0",
            "1-1",
            "1a",
            "1+",
            "1.0",
            "1.1~",
            "1.1",
            "1.9",
            "1.10",
            "2.0-1~deb12u1",
            "2.0-1",
            "2.0-1+b1",
            "2.0-1.1",
            "2.0-2",
            "99999999999999999999999",
            "1:0",
            "10:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn an_absent_revision_equals_zero_and_leading_zeros_mean_nothing() {
        for (a, b) in [
            ("1", "1-0"),
            ("1-", "1"),
            ("0:1", "1"),
            ("1.01", "1.1"),
            ("1-00", "1"),
        ] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} and {b}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for bad in [
            "",
            "x:1",
            ":1",
            "1:",
            "-1:2",
            "1 2",
            "1_2",
            "3000000000:1",
            "1\u{e9}",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in ["1", "1:2", "0.1~rc1+dfsg-1ubuntu2", "1:2:3-4"] {
            check(good).unwrap();
        }
    }
}
