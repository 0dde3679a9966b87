//! The OpenAPI 3.1 document, made from the table of routes.

use serde_json::{Value, json};
use utoipa::ToSchema as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApiBuilder, Paths, Ref, SecurityRequirement,
};

use crate::problem::ProblemBody;
use crate::route::{Access, Route};

/// The document of the whole host.
pub fn document() -> Value {
    describe(crate::api::table())
}

fn describe(routes: Vec<Route>) -> Value {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new().schema(
        ProblemBody::name(),
        <ProblemBody as utoipa::PartialSchema>::schema(),
    );
    for route in routes {
        let mut operation = route.operation;
        let verb = match route.access {
            Access::Open => {
                operation.security = Some(Vec::new());
                "none"
            }
            Access::Token => "any token",
            Access::Verb(verb) => verb.as_str(),
            Access::Handler => "a one-launch token",
        };
        let described = operation.description.take().unwrap_or_default();
        let needs = format!("Needs: {verb}.");
        operation.description = Some(if described.is_empty() {
            needs
        } else {
            format!("{described}\n\n{needs}")
        });
        let tag = tag_of(&route.path);
        let own = operation.operation_id.as_deref().unwrap_or(&route.path);
        // The handler's name under its tag: each resource's handlers have the same short names.
        let id = format!("{tag}.{own}");
        operation.tags = Some(vec![tag.to_owned()]);
        operation.operation_id = Some(id);
        if route.access != Access::Open {
            use utoipa::openapi::{ContentBuilder, ResponseBuilder};
            let problem = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(ProblemBody::name())))
                .build();
            let answer = ResponseBuilder::new()
                .description("Any error: RFC 9457 problem details")
                .content("application/problem+json", problem)
                .build();
            operation
                .responses
                .responses
                .entry("default".to_owned())
                .or_insert_with(|| answer.into());
        }
        paths.add_path_operation(&route.path, vec![route.http_method], operation);
        components = components.schemas_from_iter(route.schemas);
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("bst_…")
        .build();
    let components = components
        .security_scheme("token", SecurityScheme::Http(bearer))
        .build();
    let info = InfoBuilder::new()
        .title("bootsplice")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Personalises a base volume while it streams to where a machine boots from.",
        ))
        .build();
    let document = OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(
            "token",
            Vec::<String>::new(),
        )]))
        .build();
    serde_json::to_value(document).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// The resource of a path: `profiles` of `/v1/profiles/{name}`, and `host` for what has no version.
fn tag_of(path: &str) -> &str {
    path.strip_prefix("/v1/")
        .and_then(|rest| rest.split('/').next())
        .unwrap_or("host")
}

/// The document as it is committed to `docs/openapi.json`.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The REST reference, `docs/rest.md`, made from the document.
pub fn markdown() -> String {
    use std::fmt::Write as _;
    let document = document();
    let mut text = String::from(
        "# REST reference\n\nMade from [openapi.json](openapi.json) by `bootsplice reference rest`; do not edit.\n\n\
         Requests carry `Authorization: Bearer bst_…`. Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details with \
         `errors: [{pointer, code, detail, hint}]`; every answer has an `x-request-id`.\n",
    );
    let empty = serde_json::Map::new();
    let mut last = String::new();
    for (path, item) in document["paths"].as_object().unwrap_or(&empty) {
        for (method, operation) in item.as_object().unwrap_or(&empty) {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            if tag != last {
                let _ = write!(text, "\n## {tag}\n");
                last = tag.to_owned();
            }
            let _ = write!(text, "\n### {} `{path}`\n\n", method.to_uppercase());
            for key in ["summary", "description"] {
                if let Some(words) = operation[key].as_str() {
                    let _ = write!(text, "{words}\n\n");
                }
            }
            for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
                let name = parameter["name"].as_str().unwrap_or_default();
                let place = parameter["in"].as_str().unwrap_or_default();
                let words = parameter["description"].as_str().unwrap_or_default();
                let _ = writeln!(text, "- {place} `{name}` {words}");
            }
            if let Some(body) = schema_name(&operation["requestBody"]) {
                let _ = writeln!(text, "- body: {body}");
            }
            for (status, answer) in operation["responses"].as_object().unwrap_or(&empty) {
                if status == "default" {
                    continue;
                }
                let words = answer["description"].as_str().unwrap_or_default();
                let _ = write!(text, "- answers {status}");
                if let Some(name) = schema_name(answer) {
                    let _ = write!(text, ": {name}");
                }
                if !words.is_empty() {
                    let _ = write!(text, " ({words})");
                }
                text.push('\n');
            }
        }
    }
    text.push_str("\n## Documents\n");
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .unwrap_or(&empty)
    {
        let _ = write!(text, "\n### {name}\n\n");
        if let Some(words) = schema["description"].as_str() {
            let _ = write!(text, "{words}\n\n");
        }
        properties(schema, &mut text);
    }
    text
}

fn properties(schema: &Value, text: &mut String) {
    use std::fmt::Write as _;
    for part in schema["allOf"].as_array().unwrap_or(&Vec::new()) {
        if let Some(name) = reference(part) {
            let _ = writeln!(text, "- all of {name}");
        }
        properties(part, text);
    }
    let empty = serde_json::Map::new();
    let required = schema["required"].as_array();
    for (name, property) in schema["properties"].as_object().unwrap_or(&empty) {
        let needed = required.is_some_and(|list| list.iter().any(|item| item == name));
        let needed = if needed { ", required" } else { "" };
        let words = property["description"].as_str().unwrap_or_default();
        let kind = kind_of(property);
        let _ = writeln!(text, "- `{name}` ({kind}{needed}) {words}");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values
            .iter()
            .map(|value| format!("`{}`", value.as_str().unwrap_or_default()))
            .collect();
        let _ = writeln!(text, "- one of {}", values.join(", "));
    }
}

fn kind_of(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return name;
    }
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<_> = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null")
                .collect();
            kinds.join(" or ")
        }
        _ => {
            let alternatives = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
            let names: Vec<_> = alternatives
                .into_iter()
                .flatten()
                .filter(|one| one["type"] != "null")
                .map(kind_of)
                .collect();
            return if names.is_empty() {
                "any".to_owned()
            } else {
                names.join(" or ")
            };
        }
    };
    match (&*kind, schema.get("items")) {
        ("array", Some(items)) => format!("list of {}", kind_of(items)),
        _ => kind,
    }
}

fn reference(schema: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(format!("[{name}](#{})", name.to_lowercase()))
}

fn schema_name(holder: &Value) -> Option<String> {
    let content = holder["content"].as_object()?;
    let (_, media) = content.iter().next()?;
    Some(kind_of(&media["schema"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(name: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(name);
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn the_committed_openapi_document_is_that_of_the_code() {
        let same = committed("openapi.json") == text();
        assert!(
            same,
            "run: cargo run -p bootsplice -- reference openapi > docs/openapi.json"
        );
    }

    #[test]
    fn the_committed_rest_reference_is_that_of_the_code() {
        let same = committed("rest.md") == markdown();
        assert!(
            same,
            "run: cargo run -p bootsplice -- reference rest > docs/rest.md"
        );
    }
}
