//! Debian's security tracker as JSON: `{SOURCE: {CVE: {"releases": {CODENAME: {"status", "fixed_version", "urgency"}}}}}`.

use serde_json::Value;

use super::{Advisory, Affected, End, Release, Severity, Span};

type Wrong = (String, String);

/// Whether a document is the tracker's: an object of objects of entries with releases.
pub fn is(value: &Value) -> bool {
    let Some(packages) = value.as_object() else {
        return false;
    };
    let mut entries = packages.values().filter_map(Value::as_object).flatten();
    !packages.contains_key("id")
        && (packages.is_empty() || entries.any(|(_, entry)| entry.get("releases").is_some()))
}

pub fn read(value: &Value, release: &Release<'_>) -> Result<Vec<Advisory>, Wrong> {
    let mut found = Vec::new();
    let packages = value.as_object().into_iter().flatten();
    for (package, entries) in packages {
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
                        format!("/{package}/{id}/releases/{}/status", release.codename),
                        format!(
                            "`{}`: expected open, resolved or undetermined",
                            other.unwrap_or_default()
                        ),
                    ));
                }
            };
            found.push(Advisory {
                id: id.clone(),
                package: package.clone(),
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
    }
    Ok(found)
}
