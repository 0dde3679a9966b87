//! JSON Pointers (RFC 6901), read strictly.

/// The unescaped tokens of a pointer; none for the whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

/// Deepest pointer that is followed.
const MAX_DEPTH: usize = 64;

// === impl Pointer ===

impl Pointer {
    /// Reads `text`, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a path is a JSON Pointer and begins with `/`".into());
        };
        let tokens = rest
            .split('/')
            .map(unescape)
            .collect::<Result<Vec<_>, _>>()?;
        if tokens.len() > MAX_DEPTH {
            return Err(format!("a path has at most {MAX_DEPTH} parts"));
        }
        Ok(Self(tokens))
    }

    pub(crate) fn tokens(&self) -> &[String] {
        &self.0
    }

    /// Section and key of formats that have exactly these two.
    pub(crate) fn pair(&self) -> Option<(&str, &str)> {
        match self.0.as_slice() {
            [section, key] => Some((section, key)),
            _ => None,
        }
    }
}

fn unescape(token: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '~' => match rest.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("in a path `~` is written `~0` and `/` inside a name `~1`".into()),
            },
            c => c,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::Pointer;

    #[test]
    fn escapes_are_undone_once() {
        let pointer = Pointer::parse("/a~1b/~01").expect("valid");
        assert_eq!(pointer.tokens(), ["a/b", "~1"]);
    }

    #[test]
    fn an_empty_section_is_a_section() {
        assert_eq!(
            Pointer::parse("//key").expect("valid").pair(),
            Some(("", "key"))
        );
    }

    #[test]
    fn sloppy_pointers_are_refused() {
        assert!(Pointer::parse("a/b").is_err());
        assert!(Pointer::parse("/a~2").is_err());
        assert!(Pointer::parse("/a~").is_err());
    }
}
