//! Placeholders, which the host fills per launch: `{{instance:id}}`, `{{instance:profile}}`, `{{instance:attributes.NAME}}`,
//! `{{secret:NAME}}`. Any other `{{…}}` is plain text.

use serde_json::Value;

use crate::bindings::bootsplice::generator::archive::TemplateFormat;
use crate::bindings::bootsplice::generator::types::Diagnostic;
use crate::pointer::Pointer;

/// What stands between `{{` and `}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placeholder {
    Id,
    Profile,
    Attribute(String),
    Secret(String),
}

/// Text that begins like a placeholder and is none; at most its first 60 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

/// Every placeholder in `text`, in order.
pub fn placeholders(text: &str) -> Result<Vec<Placeholder>, Malformed> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let inside = &rest[start + 2..];
        if !inside.starts_with("instance:") && !inside.starts_with("secret:") {
            // One brace at a time, so that `{{{instance:id}}` still has its placeholder.
            rest = &rest[start + 1..];
            continue;
        }
        let known = inside
            .find("}}")
            .and_then(|end| Some((parse(&inside[..end])?, end)));
        let Some((placeholder, end)) = known else {
            return Err(Malformed(rest[start..].chars().take(60).collect()));
        };
        found.push(placeholder);
        rest = &inside[end + 2..];
    }
    Ok(found)
}

/// Whether the host has something to fill into `text`, or to refuse in it.
pub fn has_placeholders(text: &str) -> bool {
    placeholders(text).map_or(true, |found| !found.is_empty())
}

/// A finding for each text of which the host could make nothing.
pub fn check_text(at: &Pointer, text: &str, found: &mut Vec<Diagnostic>) {
    if let Err(Malformed(start)) = placeholders(text) {
        found.push(
            Diagnostic::error(at.clone(), "unknown-placeholder", format!("`{start}` begins like a placeholder and is none"))
                .with_hint("use {{instance:id}}, {{instance:profile}}, {{instance:attributes.NAME}} or {{secret:NAME}}"),
        );
    }
}

/// [`check_text`] for every string inside a JSON value.
pub fn check_value(at: &Pointer, value: &Value, found: &mut Vec<Diagnostic>) {
    match value {
        Value::String(text) => check_text(at, text, found),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| check_value(&at.index(index), item, found)),
        Value::Object(members) => members
            .iter()
            .for_each(|(name, item)| check_value(&at.key(name), item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The way of escaping that suits a file of this name.
pub fn format_of(path: &str) -> TemplateFormat {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "sh" | "bash" | "dash" | "ksh" | "zsh" => TemplateFormat::Shell,
        "json" => TemplateFormat::Json,
        "yaml" | "yml" => TemplateFormat::Yaml,
        "ini" | "desktop" | "service" | "socket" | "timer" | "path" | "mount" | "automount"
        | "target" | "slice" | "network" | "netdev" => TemplateFormat::Ini,
        _ => TemplateFormat::Plain,
    }
}

fn parse(inside: &str) -> Option<Placeholder> {
    let name = |name: &str| {
        let fits = (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        fits.then(|| name.to_owned())
    };
    match inside {
        "instance:id" => Some(Placeholder::Id),
        "instance:profile" => Some(Placeholder::Profile),
        _ => match inside.strip_prefix("instance:attributes.") {
            Some(attribute) => name(attribute).map(Placeholder::Attribute),
            None => name(inside.strip_prefix("secret:")?).map(Placeholder::Secret),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_in_order_and_other_braces_are_text() {
        let found = placeholders("{{x}} {{{instance:id}} {{instance:attributes.owner}}{{secret:api-key}} {{ instance:id }}").unwrap();
        assert_eq!(
            found,
            [
                Placeholder::Id,
                Placeholder::Attribute("owner".into()),
                Placeholder::Secret("api-key".into())
            ]
        );
        assert!(!has_placeholders("{{ jinja }} ${x}"));
    }

    #[test]
    fn a_misspelt_placeholder_is_a_finding() {
        for wrong in [
            "{{instance:ip}}",
            "{{secret:}}",
            "{{instance:id",
            "{{secret:a b}}",
        ] {
            let mut found = Vec::new();
            check_text(&Pointer::root().key("content"), wrong, &mut found);
            assert_eq!(found.len(), 1, "{wrong}");
            assert_eq!(found[0].pointer, "/content");
        }
    }

    #[test]
    fn the_format_follows_the_name() {
        assert_eq!(format_of("/etc/x.d/a.JSON"), TemplateFormat::Plain);
        assert_eq!(format_of("/etc/a.json"), TemplateFormat::Json);
        assert_eq!(format_of("/etc.sh/motd"), TemplateFormat::Plain);
        assert_eq!(
            format_of("/etc/systemd/system/a.service"),
            TemplateFormat::Ini
        );
    }
}
