//! Debian's security tracker as JSON: `{SOURCE: {CVE: {"releases": {CODENAME: {"status", "fixed_version", "urgency"}}}}}`.

use serde_json::Value;

use super::stream::Wrong;
use super::{Advisory, Affected, End, Release, Severity, Span};

/// Whether a member of a document is one of the tracker's packages: an object of entries with releases.
pub fn is_package(value: &Value) -> bool {
    let mut entries = value.as_object().into_iter().flatten();
    entries.any(|(_, entry)| entry.get("releases").is_some())
}

/// Adds what is known of a source package in the release.
pub fn package(
    name: &str,
    entries: &Value,
    release: &Release<'_>,
    found: &mut Vec<Advisory>,
) -> Result<(), Wrong> {
    for (id, entry) in entries.as_object().into_iter().flatten() {
        let Some(state) = entry.pointer(&format!("/releases/{}", release.codename)) else {
            continue;
        };
        let text = |key: &str| state.get(key).and_then(Value::as_str);
        let fixed = text("fixed_version");
        let end = match text("status") {
            Some("open") => End::Never,
            // `0`: this release never had it.
            Some("resolved") if fixed == Some("0") => continue,
            Some("resolved") => match fixed {
                Some(version) => End::Fixed(version.to_owned()),
                None => continue,
            },
            Some("undetermined") => continue,
            other => {
                return Err((
                    format!("/{name}/{id}/releases/{}/status", release.codename),
                    format!(
                        "`{}`: expected open, resolved or undetermined",
                        other.unwrap_or_default()
                    ),
                ));
            }
        };
        found.push(Advisory {
            id: id.clone(),
            package: name.to_owned(),
            severity: text("urgency").map_or(Severity::Unknown, Severity::named),
            affected: Affected {
                spans: vec![Span {
                    from: "0".into(),
                    end,
                }],
                versions: Vec::new(),
            },
        });
    }
    Ok(())
}
