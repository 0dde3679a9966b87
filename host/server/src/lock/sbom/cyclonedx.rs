//! CycloneDX 1.5 as JSON (cyclonedx.org/docs/1.5/json).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use uuid::Builder;

use super::super::document::{Artefact, LockFile, Package};
use super::purl::{self, purl};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bill<'a> {
    bom_format: &'a str,
    spec_version: &'a str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: &'a str,
    tools: Tools<'a>,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: Vec<Component<'a>>,
}

#[derive(Serialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "bom-ref", skip_serializing_if = "String::is_empty")]
    reference: String,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organisation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "String::is_empty")]
    purl: String,
    #[serde(rename = "externalReferences", skip_serializing_if = "Vec::is_empty")]
    external: Vec<External<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Organisation<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct External<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: &'a str,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    depends_on: BTreeSet<String>,
}

pub fn document(lock: &LockFile) -> Value {
    let digest = lock.digest();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    let uuid = Builder::from_custom_bytes(bytes).into_uuid();
    let root = format!("profile:{}", lock.profile.name);
    let mut components = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    edges.entry(root.clone()).or_default();
    for package in lock.packages() {
        let own = purl(lock, package);
        let parent = super::parent(lock, package);
        let from = parent.map_or_else(|| root.clone(), |parent| purl(lock, parent));
        edges.entry(from).or_default().insert(own.clone());
        edges.entry(own).or_default();
        components.push(binary(lock, package));
    }
    for artefact in lock.steps.iter().flat_map(|step| &step.artefacts) {
        let component = file(artefact);
        let into = edges.entry(root.clone()).or_default();
        // The same file in two steps is one component.
        if into.insert(component.reference.clone()) {
            components.push(component);
        }
    }
    let mut subject = Component::new("operating-system", root, &lock.profile.name);
    subject.properties = vec![property("bootsplice:base", lock.base.to_string())];
    let mut tool = Component::new("application", String::new(), "bootsplice");
    tool.version = env!("CARGO_PKG_VERSION");
    let bill = Bill {
        bom_format: "CycloneDX",
        spec_version: "1.5",
        serial_number: uuid.urn().to_string(),
        version: 1,
        metadata: Metadata {
            timestamp: super::created(lock),
            tools: Tools {
                components: vec![tool],
            },
            component: subject,
        },
        components,
        dependencies: edges
            .into_iter()
            .map(|(reference, depends_on)| Dependency {
                reference,
                depends_on,
            })
            .collect(),
    };
    serde_json::to_value(bill).expect("a bill has string keys only")
}

fn binary<'a>(lock: &LockFile, package: &'a Package) -> Component<'a> {
    let own = purl(lock, package);
    let mut component = Component::new("library", own.clone(), &package.name);
    component.version = &package.version;
    component.hashes = vec![sha256(package.sha256.hex())];
    component.purl = own;
    component.external = distributions(&package.urls);
    let source = &package.source;
    component.properties = vec![
        property("bootsplice:reason", package.why()),
        property(
            "bootsplice:source",
            format!("{} {}", source.name, source.version),
        ),
        property("bootsplice:source-purl", purl::source(lock, package)),
    ];
    if let Some(repository) = &package.repository {
        if !repository.origin.is_empty() {
            component.supplier = Some(Organisation {
                name: &repository.origin,
            });
        }
        let suite = format!("{} {}", repository.suite, repository.component);
        component
            .properties
            .push(property("bootsplice:suite", suite));
        let keys = repository.signed_by.join(" ");
        component
            .properties
            .push(property("bootsplice:signed-by", keys));
    }
    component
}

fn file(artefact: &Artefact) -> Component<'_> {
    let reference = format!("file:{}", artefact.sha256.hex());
    let mut component = Component::new("file", reference, &artefact.name);
    component.version = &artefact.version;
    component.hashes = vec![sha256(artefact.sha256.hex())];
    component.external = distributions(&artefact.urls);
    component
}

// === impl Component ===

impl<'a> Component<'a> {
    fn new(kind: &'a str, reference: String, name: &'a str) -> Self {
        Self {
            kind,
            reference,
            name,
            version: "",
            supplier: None,
            hashes: Vec::new(),
            purl: String::new(),
            external: Vec::new(),
            properties: Vec::new(),
        }
    }
}

fn distributions(urls: &[String]) -> Vec<External<'_>> {
    let one = |url| External {
        kind: "distribution",
        url,
    };
    urls.iter().map(String::as_str).map(one).collect()
}

fn sha256(content: String) -> Hash {
    Hash {
        alg: "SHA-256",
        content,
    }
}

fn property(name: &'static str, value: String) -> Property {
    Property { name, value }
}
