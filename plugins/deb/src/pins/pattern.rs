//! Patterns of apt: a glob without regard to case (fnmatch(3)), or an extended regular expression between slashes.

use regex_lite::{Regex, RegexBuilder};

/// A pattern.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// A text with `*`, `?` and `[…]`.
    Glob(String),
    /// What stood between slashes.
    Regex(Regex),
}

/// The most bytes that a compiled expression may take.
const MOST_BYTES: usize = 1 << 20;

// === impl Pattern ===

impl Pattern {
    /// None: empty, or an expression that is none.
    pub fn parse(text: &str) -> Option<Self> {
        match text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
        {
            Some(expression) => RegexBuilder::new(expression)
                .case_insensitive(true)
                .size_limit(MOST_BYTES)
                .build()
                .ok()
                .map(Self::Regex),
            None if text.is_empty() => None,
            None => Some(Self::Glob(text.to_ascii_lowercase())),
        }
    }

    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob_matches(glob.as_bytes(), text.to_ascii_lowercase().as_bytes()),
            Self::Regex(expression) => expression.is_match(text),
        }
    }
}

/// Whether a glob matches a whole text: with one place to come back to, so that the time is at most their product.
pub(crate) fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                back = Some((g + 1, t));
                g += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = one_matches(&glob[g..], text[t]) {
                    g += length;
                    t += 1;
                    continue;
                }
            }
            None => {}
        }
        match &mut back {
            Some((glob_at, text_at)) => {
                *text_at += 1;
                (g, t) = (*glob_at, *text_at);
            }
            None => return false,
        }
    }
    glob[g..].iter().all(|&c| c == b'*')
}

/// How many bytes of the glob match one character of the text.
fn one_matches(glob: &[u8], c: u8) -> Option<usize> {
    match glob[0] {
        b'?' => Some(1),
        b'[' => match glob.iter().skip(2).position(|&end| end == b']') {
            Some(at) => {
                let end = at + 2;
                bracket_matches(&glob[1..end], c).then_some(end + 1)
            }
            None => (c == b'[').then_some(1),
        },
        b'\\' if glob.len() > 1 => (glob[1] == c).then_some(2),
        other => (other == c).then_some(1),
    }
}

fn bracket_matches(set: &[u8], c: u8) -> bool {
    let (negated, mut set) = match set {
        [b'!' | b'^', rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    while let Some(&from) = set.first() {
        if let [_, b'-', to, ..] = set {
            found |= (from..=*to).contains(&c);
            set = &set[3..];
        } else {
            found |= from == c;
            set = &set[1..];
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_fnmatch_does() {
        for (glob, text, expected) in [
            ("15*", "15+248", true),
            ("15*", "1.5", false),
            ("*b*d", "abcd", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[", "[", true),
            ("a\\*", "a*", true),
            ("", "", true),
            ("**", "", true),
        ] {
            assert_eq!(
                glob_matches(glob.as_bytes(), text.as_bytes()),
                expected,
                "{glob} {text}"
            );
        }
    }

    #[test]
    fn an_expression_stands_between_slashes() {
        assert!(Pattern::parse("/^lib.*6$/").unwrap().matches("LIBC6"));
        assert!(!Pattern::parse("/^lib.*6$/").unwrap().matches("libc6-dev"));
        assert!(Pattern::parse("/(/").is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_glob_ends(glob: Vec<u8>, text: Vec<u8>) {
            glob_matches(&glob, &text);
        }
    }
}
