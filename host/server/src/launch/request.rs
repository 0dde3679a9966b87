//! What a platform asks for: the body of `POST /v1/launches` and `POST /v1/plans`.

use std::collections::BTreeMap;

use bootsplice_content::{BLOCK_U64, Digest};
use bootsplice_sinks::NamedSink;
use serde::{Deserialize, Serialize};

use crate::problem::Fault;
use crate::size::ByteSize;

/// The body of a launch request, as it came: every text unread. [`Draft::check`] turns it into a [`LaunchRequest`] or names every fault.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// For whom or what the volume is made.
    pub instance: Instance,
    /// `name@version`, or a name alone for its newest version.
    #[schema(example = "web-developer@3")]
    pub profile: String,
    /// Name of a base volume in the operator's catalogue.
    #[schema(example = "debian-12")]
    pub volume: String,
    /// Size of the volume to make: bytes, or a number with KiB, MiB, GiB or TiB. Absent: the base's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "40GiB")]
    pub size: Option<ByteSize>,
    /// Where the volume goes. Absent: it is read by `GET /v1/launches/{id}/volume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<NamedTarget>,
    /// Free words, shown in lists and filters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Seconds until an unfinished launch is Failed. Never part of the idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 3600)]
    pub deadline_seconds: Option<u64>,
}

/// The person or purpose that a launch is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`.
    #[schema(example = "i-0042")]
    pub id: String,
    /// What `{{instance:attributes.NAME}}` stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The DMI product UUID of the machine; when given, the agent applies the archive on no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub product_uuid: Option<uuid::Uuid>,
}

/// A sink of the operator's and a name inside it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct NamedTarget {
    /// A sink from the operator's configuration.
    #[schema(example = "disks")]
    pub name: String,
    /// The file or device in it.
    #[serde(rename = "as")]
    #[schema(example = "i-0042.raw")]
    pub file: String,
}

/// A request in which everything that can be judged without looking anything up has been judged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchRequest {
    pub instance: Instance,
    pub profile: String,
    pub profile_version: Option<u32>,
    pub volume: String,
    pub size: Option<u64>,
    pub sink: Option<NamedTarget>,
    pub labels: BTreeMap<String, String>,
    pub deadline_seconds: u64,
}

/// A launch that never says when it should be done is given this long (one hour).
const DEADLINE: u64 = 3_600;
/// The longest deadline (a week): a record must end some day.
const LONGEST_DEADLINE: u64 = 7 * 24 * 3_600;
const MOST_ATTRIBUTES: usize = 64;
const LONGEST_VALUE: usize = 4_096;

// === impl Draft ===

impl Draft {
    /// Judges every field; all faults at once.
    pub fn check(self) -> Result<LaunchRequest, Vec<Fault>> {
        let mut faults = Vec::new();
        if !is_name(&self.instance.id, 128) {
            faults.push(Fault::new(
                "/instance/id",
                "invalid-id",
                format!(
                    "`{}` is not an instance id: expected 1 to 128 of A-Z a-z 0-9 . _ -",
                    shorten(&self.instance.id)
                ),
            ));
        }
        check_words(
            "/instance/attributes",
            &self.instance.attributes,
            &mut faults,
        );
        check_words("/labels", &self.labels, &mut faults);
        let (profile, profile_version) = match split_version(&self.profile) {
            Ok(parts) => parts,
            Err(detail) => {
                faults.push(Fault::new("/profile", "invalid-profile-name", detail));
                (String::new(), None)
            }
        };
        if !is_name(&self.volume, 128) {
            faults.push(Fault::new(
                "/volume",
                "invalid-volume-name",
                format!("`{}` is not the name of a volume", shorten(&self.volume)),
            ));
        }
        let size = self.size.map(|size| size.0);
        if let Some(size) = size
            && (size == 0 || !size.is_multiple_of(BLOCK_U64))
        {
            let up = size.max(1).div_ceil(BLOCK_U64).saturating_mul(BLOCK_U64);
            faults.push(
                Fault::new(
                    "/size",
                    "invalid-size",
                    format!("{size} bytes is not a multiple of 512 KiB"),
                )
                .hint(format!("{up} is the next")),
            );
        }
        if let Some(sink) = &self.sink {
            if !is_name(&sink.name, 64) {
                faults.push(Fault::new(
                    "/sink/name",
                    "invalid-sink-name",
                    format!("`{}` is not the name of a sink", shorten(&sink.name)),
                ));
            }
            if let Err(error) = NamedSink::check_name(&sink.file) {
                faults.push(Fault::new("/sink/as", "invalid-target", error.to_string()));
            }
        }
        let deadline_seconds = self.deadline_seconds.unwrap_or(DEADLINE);
        if deadline_seconds == 0 || deadline_seconds > LONGEST_DEADLINE {
            faults.push(Fault::new(
                "/deadline_seconds",
                "invalid-deadline",
                format!("{deadline_seconds} is out of range: expected 1 to {LONGEST_DEADLINE}"),
            ));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(LaunchRequest {
            instance: self.instance,
            profile,
            profile_version,
            volume: self.volume,
            size,
            sink: self.sink,
            labels: self.labels,
            deadline_seconds,
        })
    }
}

// === impl LaunchRequest ===

impl LaunchRequest {
    /// What must be equal for two requests to be the same one. The deadline is left out: asking again with more patience is asking the same.
    pub fn digest(&self) -> Digest {
        let mut same = self.clone();
        same.deadline_seconds = 0;
        Digest::of(&bootsplice_content::cbor::encode(&same))
    }

    /// The key of a request that brings none: instance, profile version, base and target, within the tenant.
    pub fn implicit_key(&self, profile_version: u32, base: Digest) -> String {
        let target = match &self.sink {
            Some(sink) => format!("{}/{}", sink.name, sink.file),
            None => "http".into(),
        };
        let whole = bootsplice_content::cbor::encode(&(
            &self.instance.id,
            &self.profile,
            profile_version,
            base,
            target,
        ));
        format!("implicit-{}", Digest::of(&whole).hex())
    }
}

fn split_version(text: &str) -> Result<(String, Option<u32>), String> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => {
            let number = version
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| {
                    format!(
                        "`{}` is not a version: expected a number from 1, as in `web-developer@3`",
                        shorten(version)
                    )
                })?;
            (name, Some(number))
        }
        None => (text, None),
    };
    if !is_name(name, 128) {
        return Err(format!("`{}` is not the name of a profile", shorten(name)));
    }
    Ok((name.to_owned(), version))
}

fn is_name(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !text.starts_with('.')
}

fn check_words(pointer: &str, words: &BTreeMap<String, String>, faults: &mut Vec<Fault>) {
    if words.len() > MOST_ATTRIBUTES {
        faults.push(Fault::new(
            pointer,
            "too-many",
            format!(
                "{} entries: expected at most {MOST_ATTRIBUTES}",
                words.len()
            ),
        ));
    }
    for (name, value) in words {
        let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        if !is_name(name, 128) {
            faults.push(Fault::new(
                at.as_str(),
                "invalid-name",
                format!(
                    "`{}` is not a name: expected A-Z a-z 0-9 . _ -",
                    shorten(name)
                ),
            ));
        }
        if value.len() > LONGEST_VALUE || value.contains('\0') {
            faults.push(Fault::new(
                at.as_str(),
                "invalid-value",
                format!("expected at most {LONGEST_VALUE} bytes and no NUL"),
            ));
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft(change: impl FnOnce(&mut serde_json::Value)) -> serde_json::Value {
        let mut body = json!({
            "instance": {"id": "i-0042", "attributes": {"owner": "ada"}}, "profile": "web-developer@3", "volume": "debian-12",
            "size": "40GiB", "sink": {"name": "disks", "as": "i-0042.raw"}, "labels": {"team": "web"}
        });
        change(&mut body);
        body
    }

    fn read(body: serde_json::Value) -> Result<LaunchRequest, Vec<Fault>> {
        serde_json::from_value::<Draft>(body).unwrap().check()
    }

    #[test]
    fn the_example_of_the_design_is_read() {
        let request = read(draft(|_| ())).unwrap();
        assert_eq!(request.profile_version, Some(3));
        assert_eq!(request.size, Some(40 << 30));
        assert_eq!(request.instance.attributes["owner"], "ada");
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = read(draft(|body| {
            body["instance"]["id"] = json!("a b");
            body["size"] = json!(1000);
            body["profile"] = json!("web@0");
            body["deadline_seconds"] = json!(0);
        }))
        .unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/instance/id", "/profile", "/size", "/deadline_seconds"]
        );
    }

    #[test]
    fn a_target_outside_its_sink_is_refused_at_once() {
        for file in ["../x", "/etc/x", "a/../../x", ".", ""] {
            let faults = read(draft(|body| body["sink"]["as"] = json!(file))).unwrap_err();
            assert_eq!(faults[0].pointer, "/sink/as", "{file:?}");
        }
    }

    #[test]
    fn unknown_instance_fields_are_refused() {
        let body = draft(|body| body["instance"]["owner"] = json!("ada"));
        let refused = serde_json::from_value::<Draft>(body)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("unknown field `owner`"), "{refused}");
    }

    #[test]
    fn the_deadline_is_no_part_of_the_digest() {
        let patient = read(draft(|body| body["deadline_seconds"] = json!(60))).unwrap();
        let other = read(draft(|body| body["volume"] = json!("debian-13"))).unwrap();
        let plain = read(draft(|_| ())).unwrap();
        assert_eq!(plain.digest(), patient.digest());
        assert_ne!(plain.digest(), other.digest());
    }
}
