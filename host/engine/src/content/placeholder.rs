//! Placeholders: found when a generator writes a template, filled by the host per launch (RFC 0003).
//!
//! `{{instance:id}}`, `{{instance:profile}}`, `{{instance:attributes.NAME}}`, `{{secret:NAME}}`. Any other `{{…}}` is plain text. Text that
//! begins like a placeholder and is none is refused, so that a misspelling never reaches a guest.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::TemplateFormat;
use crate::contract::Instance;
use crate::secret::Secrets;

const MAX_NAME: usize = 128;

/// What stands between `{{` and `}}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placeholder {
    Id,
    Profile,
    Attribute(String),
    Secret(String),
}

/// Text, cut at its placeholders. Serialised as the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Hole(Placeholder),
}

/// What fills the holes of one launch.
#[derive(Clone)]
pub struct Values {
    pub instance: Instance,
    pub secrets: Secrets,
}

/// Why text could not be read or filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    #[error(
        "`{0}` is not a placeholder: use {{{{instance:id}}}}, {{{{instance:profile}}}}, {{{{instance:attributes.NAME}}}} or {{{{secret:NAME}}}}"
    )]
    Malformed(String),
    #[error("the launch has no value for {0}")]
    Missing(Placeholder),
    #[error("the value of {placeholder} cannot stand in {format:?} text: {reason}")]
    Unfit {
        placeholder: Placeholder,
        format: TemplateFormat,
        reason: &'static str,
    },
}

// === impl Placeholder ===

impl Placeholder {
    fn parse(inside: &str) -> Option<Self> {
        let name = |name: &str| {
            let fits = (1..=MAX_NAME).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
            fits.then(|| name.to_owned())
        };
        match inside {
            "instance:id" => Some(Self::Id),
            "instance:profile" => Some(Self::Profile),
            _ => {
                if let Some(attribute) = inside.strip_prefix("instance:attributes.") {
                    name(attribute).map(Self::Attribute)
                } else {
                    name(inside.strip_prefix("secret:")?).map(Self::Secret)
                }
            }
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("{{instance:id}}"),
            Self::Profile => f.write_str("{{instance:profile}}"),
            Self::Attribute(name) => write!(f, "{{{{instance:attributes.{name}}}}}"),
            Self::Secret(name) => write!(f, "{{{{secret:{name}}}}}"),
        }
    }
}

// === impl Text ===

impl Text {
    pub fn parse(text: &str) -> Result<Self, FillError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, from) = rest.split_at(start);
            literal.push_str(before);
            let inside = &from[2..];
            if !inside.starts_with("instance:") && !inside.starts_with("secret:") {
                // One brace at a time, so that `{{{instance:id}}` still finds its placeholder.
                literal.push('{');
                rest = &from[1..];
                continue;
            }
            let hole = inside
                .find("}}")
                .and_then(|end| Some((Placeholder::parse(&inside[..end])?, end)));
            let Some((placeholder, end)) = hole else {
                return Err(FillError::Malformed(from.chars().take(60).collect()));
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Hole(placeholder));
            rest = &inside[end + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(placeholder) => Some(placeholder),
            Piece::Literal(_) => None,
        })
    }

    /// True when nothing is to be filled.
    pub fn is_constant(&self) -> bool {
        self.placeholders().next().is_none()
    }

    /// The text with every hole filled, each value escaped for `format`. Wiped when dropped, since it may hold secrets.
    pub fn fill(
        &self,
        values: &Values,
        format: TemplateFormat,
    ) -> Result<Zeroizing<String>, FillError> {
        let mut filled = Zeroizing::new(String::new());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Hole(placeholder) => {
                    let value = values.of(placeholder)?;
                    escape(&value, format, &mut filled).map_err(|reason| FillError::Unfit {
                        placeholder: placeholder.clone(),
                        format,
                        reason,
                    })?;
                }
            }
        }
        Ok(filled)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(text),
            Piece::Hole(placeholder) => placeholder.fmt(f),
        })
    }
}

impl TryFrom<String> for Text {
    type Error = FillError;

    fn try_from(text: String) -> Result<Self, FillError> {
        Self::parse(&text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.to_string()
    }
}

// === impl Values ===

impl Values {
    /// The value of one placeholder.
    pub fn of(&self, placeholder: &Placeholder) -> Result<Zeroizing<String>, FillError> {
        let value = match placeholder {
            Placeholder::Id => Some(self.instance.id.clone()),
            Placeholder::Profile => Some(self.instance.profile.clone()),
            Placeholder::Attribute(name) => self.instance.attributes.get(name).cloned(),
            Placeholder::Secret(name) => {
                (self.secrets)(name).map(|secret| secret.reveal().to_owned())
            }
        };
        value
            .map(Zeroizing::new)
            .ok_or_else(|| FillError::Missing(placeholder.clone()))
    }
}

fn escape(value: &str, format: TemplateFormat, to: &mut String) -> Result<(), &'static str> {
    match format {
        TemplateFormat::Plain => to.push_str(value),
        TemplateFormat::Shell => {
            if value.contains('\0') {
                return Err("a shell word cannot hold NUL");
            }
            to.push('\'');
            for (index, part) in value.split('\'').enumerate() {
                if index > 0 {
                    to.push_str("'\\''");
                }
                to.push_str(part);
            }
            to.push('\'');
        }
        // The inside of a double-quoted string. YAML 1.2 reads JSON's escapes; U+0085, U+2028 and U+2029 break its lines, so they are escaped.
        TemplateFormat::Json | TemplateFormat::Yaml => {
            for character in value.chars() {
                match character {
                    '"' => to.push_str("\\\""),
                    '\\' => to.push_str("\\\\"),
                    '\n' => to.push_str("\\n"),
                    '\r' => to.push_str("\\r"),
                    '\t' => to.push_str("\\t"),
                    other
                        if other.is_control()
                            || matches!(other, '\u{2028}' | '\u{2029}' | '\u{feff}') =>
                    {
                        to.push_str(&format!("\\u{:04x}", u32::from(other)));
                    }
                    other => to.push(other),
                }
            }
        }
        TemplateFormat::Ini => {
            if value.contains(['\n', '\r', '\0']) {
                return Err("an INI value is one line");
            }
            to.push_str(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::secret::Secret;

    fn values(owner: &str) -> Values {
        Values {
            instance: Instance {
                id: "i-1".into(),
                profile: "web@3".into(),
                attributes: BTreeMap::from([("owner".into(), owner.into())]),
            },
            secrets: Arc::new(|name| (name == "key").then(|| Secret::new("s3'cret"))),
        }
    }

    fn fill(text: &str, format: TemplateFormat, owner: &str) -> String {
        let text = Text::parse(text).unwrap();
        text.fill(&values(owner), format).unwrap().to_string()
    }

    #[test]
    fn every_placeholder_is_filled_and_other_braces_stay() {
        let text = "{{{instance:id}} {{ jinja }} {{instance:profile}} {{instance:attributes.owner}} {{secret:key}} }}";
        assert_eq!(
            fill(text, TemplateFormat::Plain, "ada"),
            "{i-1 {{ jinja }} web@3 ada s3'cret }}"
        );
        assert_eq!(Text::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn a_value_cannot_break_out_of_its_format() {
        let nasty = "a'b\"c\\d\n$(id)`x`";
        let shell = fill(
            "x={{instance:attributes.owner}}",
            TemplateFormat::Shell,
            nasty,
        );
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("{shell}; printf %s \"$x\"")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), nasty);
        for format in [TemplateFormat::Json, TemplateFormat::Yaml] {
            let json = fill("\"{{instance:attributes.owner}}\"", format, nasty);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), nasty);
        }
        let text = Text::parse("k = {{instance:attributes.owner}}").unwrap();
        assert!(matches!(
            text.fill(&values("x\n[root]"), TemplateFormat::Ini),
            Err(FillError::Unfit { .. })
        ));
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_is_not_filled_again() {
        assert_eq!(
            fill(
                "{{instance:attributes.owner}}",
                TemplateFormat::Plain,
                "{{secret:key}}"
            ),
            "{{secret:key}}"
        );
    }

    #[test]
    fn misspelt_and_missing_placeholders_are_refused() {
        for wrong in [
            "{{instance:name}}",
            "{{secret:}}",
            "{{secret:a b}}",
            "{{instance:id",
            "{{instance:attributes.}}",
        ] {
            assert!(
                matches!(Text::parse(wrong), Err(FillError::Malformed(_))),
                "{wrong}"
            );
        }
        let text = Text::parse("{{secret:other}}").unwrap();
        assert_eq!(
            text.fill(&values("x"), TemplateFormat::Plain).unwrap_err(),
            FillError::Missing(Placeholder::Secret("other".into()))
        );
    }
}
