//! SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::super::document::{LockFile, Package};
use super::purl::{self, purl};

const ROOT: &str = "SPDXRef-Addition";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const UNKNOWN: &str = "NOASSERTION";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bill<'a> {
    spdx_version: &'a str,
    data_license: &'a str,
    #[serde(rename = "SPDXID")]
    id: &'a str,
    name: &'a str,
    document_namespace: String,
    creation_info: Creation<'a>,
    packages: Vec<Entry<'a>>,
    relationships: Vec<Relation>,
}

#[derive(Serialize)]
struct Creation<'a> {
    created: &'a str,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version_info: &'a str,
    download_location: &'a str,
    files_analyzed: bool,
    license_concluded: &'a str,
    license_declared: &'a str,
    copyright_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relation {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

pub fn document(lock: &LockFile) -> Value {
    let digest = lock.digest();
    let mut packages = vec![Entry::new(ROOT.into(), &lock.profile.name)];
    packages[0].comment = Some(format!("what the profile adds to the base {}", lock.base));
    let mut relationships = vec![relation(DOCUMENT, "DESCRIBES", ROOT)];
    let mut sources = BTreeMap::new();
    for package in lock.packages() {
        let own = id(package);
        packages.push(binary(lock, package));
        relationships.push(relation(ROOT, "CONTAINS", &own));
        let source = source_id(package);
        sources.entry(source.clone()).or_insert(package);
        relationships.push(relation(&own, "GENERATED_FROM", &source));
        if let Some(parent) = super::parent(lock, package) {
            relationships.push(if package.reason.starts_with("depends-of") {
                relation(&id(parent), "DEPENDS_ON", &own)
            } else {
                relation(&own, "OPTIONAL_DEPENDENCY_OF", &id(parent))
            });
        }
    }
    for (id, package) in sources {
        let mut entry = Entry::new(id, &package.source.name);
        entry.version_info = &package.source.version;
        entry.primary_package_purpose = Some("SOURCE");
        entry.external_refs = vec![reference(purl::source(lock, package))];
        packages.push(entry);
    }
    for (index, artefact) in lock
        .steps
        .iter()
        .flat_map(|step| &step.artefacts)
        .enumerate()
    {
        let own = format!("SPDXRef-File-{index}-{}", &artefact.sha256.hex()[..12]);
        let mut entry = Entry::new(own.clone(), &artefact.name);
        entry.version_info = &artefact.version;
        entry.download_location = location(&artefact.urls);
        entry.checksums = vec![sha256(artefact.sha256.hex())];
        packages.push(entry);
        relationships.push(relation(ROOT, "CONTAINS", &own));
    }
    let bill = Bill {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: &lock.profile.name,
        document_namespace: format!(
            "https://bootsplice.github.io/spdx/{}-{}",
            lock.profile.name,
            digest.hex()
        ),
        creation_info: Creation {
            created: super::created(lock),
            creators: [format!("Tool: bootsplice-{}", env!("CARGO_PKG_VERSION"))],
        },
        packages,
        relationships,
    };
    serde_json::to_value(bill).expect("a bill has string keys only")
}

fn binary<'a>(lock: &LockFile, package: &'a Package) -> Entry<'a> {
    let mut entry = Entry::new(id(package), &package.name);
    entry.version_info = &package.version;
    entry.download_location = location(&package.urls);
    entry.checksums = vec![sha256(package.sha256.hex())];
    entry.external_refs = vec![reference(purl(lock, package))];
    let repository = package.repository.as_ref();
    entry.supplier = repository
        .filter(|repository| !repository.origin.is_empty())
        .map(|repository| format!("Organization: {}", repository.origin));
    entry.comment = Some(package.why());
    entry
}

// === impl Entry ===

impl<'a> Entry<'a> {
    fn new(id: String, name: &'a str) -> Self {
        Self {
            id,
            name,
            version_info: "",
            download_location: UNKNOWN,
            files_analyzed: false,
            license_concluded: UNKNOWN,
            license_declared: UNKNOWN,
            copyright_text: UNKNOWN,
            supplier: None,
            checksums: Vec::new(),
            external_refs: Vec::new(),
            primary_package_purpose: None,
            comment: None,
        }
    }
}

/// SPDX takes web addresses here, and no `file:`.
fn location(urls: &[String]) -> &str {
    let web = |url: &&String| url.starts_with("http");
    urls.iter().find(web).map_or(UNKNOWN, String::as_str)
}

fn id(package: &Package) -> String {
    named("Package", &[&package.name, &package.architecture], "")
}

fn source_id(package: &Package) -> String {
    let source = &package.source;
    named("Source", &[&source.name], &source.version)
}

/// Letters, digits, `.` and `-` only; what else stands in a name or version is told apart by a digest.
fn named(kind: &str, parts: &[&str], version: &str) -> String {
    let text = parts.join("-");
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let safe: String = text
        .chars()
        .map(|c| if plain(c) { c } else { '.' })
        .collect();
    if safe == text && version.is_empty() {
        return format!("SPDXRef-{kind}-{safe}");
    }
    let digest = bootsplice_content::Digest::of(format!("{text} {version}").as_bytes()).hex();
    format!("SPDXRef-{kind}-{safe}-{}", &digest[..12])
}

fn relation(from: &str, kind: &'static str, to: &str) -> Relation {
    Relation {
        spdx_element_id: from.to_owned(),
        relationship_type: kind,
        related_spdx_element: to.to_owned(),
    }
}

fn sha256(hex: String) -> Checksum {
    Checksum {
        algorithm: "SHA256",
        checksum_value: hex,
    }
}

fn reference(locator: String) -> Reference {
    Reference {
        reference_category: "PACKAGE-MANAGER",
        reference_type: "purl",
        reference_locator: locator,
    }
}
