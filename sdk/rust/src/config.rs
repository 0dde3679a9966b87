//! From the configuration's JSON text to the generator's own type, and the small types that many configurations share.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::bindings::bootsplice::generator::archive::{
    Conflict, EntryAttrs, Ownership, TemplateFormat,
};
use crate::bindings::bootsplice::generator::types::{Diagnostic, Error, Target};
use crate::diagnostic::refuse;
use crate::generator::Generator;
use crate::path::check_user;
use crate::pointer::Pointer;

/// Permission bits, written as octal digits in quotes: `"0644"`. At most `0777`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

/// What the agent does when the path exists with other content: `replace` unless the profile says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    Fail,
    #[default]
    Replace,
    KeepExisting,
    Backup,
}

/// How the host escapes what it fills into a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Plain,
    Shell,
    Json,
    Yaml,
    Ini,
}

/// Reads a configuration, or says where it is at fault.
pub fn read<C: DeserializeOwned>(text: &str) -> Result<C, Diagnostic> {
    let mut json = serde_json::Deserializer::from_str(text);
    let config = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = error
            .path()
            .iter()
            .fold(Pointer::root(), |at, segment| match segment {
                Segment::Seq { index } => at.index(*index),
                Segment::Map { key } => at.key(key),
                Segment::Enum { .. } | Segment::Unknown => at,
            });
        Diagnostic::error(pointer, "malformed", error.into_inner().to_string())
    })?;
    json.end()
        .map_err(|error| Diagnostic::error("", "malformed", error.to_string()))?;
    Ok(config)
}

/// Reads a configuration and refuses one with errors: `resolve` and `generate` may be called without a `validate` before them.
pub(crate) fn accept<G: Generator>(target: &Target, text: &str) -> Result<G::Config, Error> {
    let config = read(text).map_err(|finding| Error::InvalidConfig(vec![finding]))?;
    refuse(G::validate(Some(target), &config))?;
    Ok(config)
}

/// What an entry carries, from what configurations say. A group alone belongs to root; an owner alone has the group of that name.
pub fn entry_attrs(
    mode: Option<Mode>,
    default: u32,
    owner: Option<&str>,
    group: Option<&str>,
    on_conflict: OnConflict,
) -> EntryAttrs {
    EntryAttrs {
        mode: mode.map_or(default, |mode| mode.0),
        owner: ownership(owner, group),
        on_conflict: on_conflict.into(),
    }
}

/// The owner that `owner` and `group` name together, if any.
pub fn ownership(owner: Option<&str>, group: Option<&str>) -> Option<Ownership> {
    let user = owner.or(group.map(|_| "root"))?;
    Some(Ownership {
        user: user.to_owned(),
        group: group.unwrap_or(user).to_owned(),
    })
}

/// Findings about `owner` and `group` of the object at `at`.
pub fn check_owner(
    at: &Pointer,
    owner: Option<&str>,
    group: Option<&str>,
    found: &mut Vec<Diagnostic>,
) {
    for (key, name) in [("owner", owner), ("group", group)] {
        if let Some(Err(reason)) = name.map(check_user) {
            found.push(Diagnostic::error(at.key(key), "invalid-name", reason));
        }
    }
}

// === impl Mode ===

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => {
                return Err(D::Error::custom(format!(
                    "mode {other} is not text: write the octal digits in quotes, such as \"0644\""
                )));
            }
        };
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        match u32::from_str_radix(digits, 8) {
            Ok(bits)
                if bits <= 0o777 && (3..=4).contains(&digits.len()) && !digits.starts_with('+') =>
            {
                Ok(Self(bits))
            }
            _ => Err(D::Error::custom(format!(
                "mode {text:?} is not three octal digits, such as \"0644\""
            ))),
        }
    }
}

// === impl OnConflict ===

impl From<OnConflict> for Conflict {
    fn from(on_conflict: OnConflict) -> Self {
        match on_conflict {
            OnConflict::Fail => Self::Fail,
            OnConflict::Replace => Self::Replace,
            OnConflict::KeepExisting => Self::KeepExisting,
            OnConflict::Backup => Self::Backup,
        }
    }
}

// === impl Format ===

impl From<Format> for TemplateFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Plain => Self::Plain,
            Format::Shell => Self::Shell,
            Format::Json => Self::Json,
            Format::Yaml => Self::Yaml,
            Format::Ini => Self::Ini,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code)]
        items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        mode: Mode,
    }

    #[test]
    fn a_fault_is_named_by_its_pointer() {
        let finding = read::<Outer>(r#"{"items": [{"mode": "0644"}, {"mode": 644}]}"#).unwrap_err();
        assert_eq!(finding.pointer, "/items/1/mode");
        assert!(finding.message.contains("in quotes"), "{}", finding.message);
        assert_eq!(
            read::<Outer>(r#"{"items": []} x"#).unwrap_err().code,
            "malformed"
        );
    }

    #[test]
    fn a_mode_is_three_octal_digits() {
        let mode = |text: &str| {
            serde_json::from_value::<Mode>(Value::from(text))
                .map(|mode| mode.0)
                .ok()
        };
        assert_eq!(mode("0644"), Some(0o644));
        assert_eq!(mode("755"), Some(0o755));
        for wrong in ["4755", "0888", "", "+644", "7", "00644"] {
            assert_eq!(mode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_owner_without_a_group_has_the_group_of_that_name() {
        assert_eq!(ownership(None, None), None);
        assert_eq!(ownership(Some("ada"), None).unwrap().group, "ada");
        assert_eq!(ownership(None, Some("adm")).unwrap().user, "root");
    }
}
