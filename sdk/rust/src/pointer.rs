//! Pointers into a configuration (RFC 6901): how a diagnostic says where it stands.

use std::fmt;

/// A JSON Pointer that grows from the root: `Pointer::root().key("files").index(0).key("path")` is `/files/0/path`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(String);

// === impl Pointer ===

impl Pointer {
    /// The whole document.
    pub fn root() -> Self {
        Self::default()
    }

    /// A member of the object at this place. `~` and `/` are escaped.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        Self(format!(
            "{}/{}",
            self.0,
            name.replace('~', "~0").replace('/', "~1")
        ))
    }

    /// An item of the list at this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

/// The unescaped tokens of a pointer that someone wrote, or what is wrong with it.
pub fn tokens(text: &str) -> Result<Vec<String>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text
        .strip_prefix('/')
        .ok_or("a JSON Pointer begins with `/`")?;
    rest.split('/').map(unescaped).collect()
}

fn unescaped(token: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(character) = rest.next() {
        plain.push(match character {
            '~' => match rest.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("inside a name `~` is written `~0` and `/` is written `~1`"),
            },
            other => other,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slash_or_tilde_is_one_token() {
        let pointer = Pointer::root().key("set").key("/a~b").index(3);
        assert_eq!(pointer.as_str(), "/set/~1a~0b/3");
        assert_eq!(tokens(pointer.as_str()).unwrap(), ["set", "/a~b", "3"]);
    }

    #[test]
    fn a_text_that_is_no_pointer_is_refused() {
        assert!(tokens("set/x").is_err());
        assert!(tokens("/a~2").is_err());
        assert!(tokens("/a~").is_err());
        assert_eq!(tokens("//key").unwrap(), ["", "key"]);
    }
}
