//! Which part of a volume a request asks for (RFC 9110 section 14).

use std::ops::Range;

/// What a `Range` field means for a volume of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requested {
    /// 200: no range, or one that a server may ignore: another unit, several ranges, a field that is not well formed.
    Whole,
    /// 206 with `Content-Range` ([`content_range`]): these bytes.
    Part(Range<u64>),
    /// 416 with `Content-Range: bytes */SIZE`.
    Unsatisfiable,
}

// === impl Requested ===

impl Requested {
    /// Reads the value of a `Range` field. Several ranges are answered with the whole (RFC 9110 section 14.2 lets a server ignore the field).
    pub fn parse(field: Option<&str>, size: u64) -> Self {
        field
            .and_then(|field| field.trim().strip_prefix("bytes="))
            .and_then(|set| Self::single(set.trim(), size))
            .unwrap_or(Self::Whole)
    }

    /// `None` when the field is not one well-formed range.
    fn single(range: &str, size: u64) -> Option<Self> {
        let (first, last) = range.split_once('-')?;
        if first.is_empty() {
            let length = number(last)?;
            if length == 0 || size == 0 {
                return Some(Self::Unsatisfiable);
            }
            return Some(Self::Part(size.saturating_sub(length)..size));
        }
        let first = number(first)?;
        let end = match last {
            "" => size,
            last => {
                let last = number(last)?;
                if last < first {
                    return None;
                }
                last.saturating_add(1).min(size)
            }
        };
        Some(if first >= size {
            Self::Unsatisfiable
        } else {
            Self::Part(first..end)
        })
    }
}

/// The value of `Content-Range` for a part.
pub fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

/// Digits only; a number beyond 64 bits is beyond every volume.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_mean_what_rfc_9110_says() {
        use Requested::{Part, Unsatisfiable, Whole};
        for (field, expected) in [
            (None, Whole),
            (Some("bytes=0-0"), Part(0..1)),
            (Some("bytes=0-"), Part(0..1000)),
            (Some(" bytes=10-19 "), Part(10..20)),
            (Some("bytes=990-5000"), Part(990..1000)),
            (Some("bytes=-10"), Part(990..1000)),
            (Some("bytes=-5000"), Part(0..1000)),
            (Some("bytes=1000-"), Unsatisfiable),
            (Some("bytes=99999999999999999999-"), Unsatisfiable),
            (Some("bytes=0-99999999999999999999"), Part(0..1000)),
            (Some("bytes=-0"), Unsatisfiable),
            (Some("bytes=5-4"), Whole),
            (Some("bytes=1-2,4-5"), Whole),
            (Some("bytes=a-b"), Whole),
            (Some("bytes=+1-2"), Whole),
            (Some("bytes="), Whole),
            (Some("bytes=-"), Whole),
            (Some("blocks=1-2"), Whole),
        ] {
            assert_eq!(Requested::parse(field, 1000), expected, "{field:?}");
        }
        assert_eq!(content_range(&(10..20), 1000), "bytes 10-19/1000");
        assert_eq!(Requested::parse(Some("bytes=0-"), 0), Unsatisfiable);
    }
}
