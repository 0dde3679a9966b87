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
        if route.access == Access::Open {
            operation.description = Some(operation.description.unwrap_or_default());
        }
        let described = operation.description.take().unwrap_or_default();
        let needs = format!("Needs: {verb}.");
        operation.description = Some(if described.is_empty() {
            needs
        } else {
            format!("{described}\n\n{needs}")
        });
        let id = operation_id(&operation.tags, &operation.operation_id, &route.path);
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

/// `profiles.list`: the handler's name under its tag, as each resource's handlers have the same short names.
fn operation_id(tags: &Option<Vec<String>>, own: &Option<String>, path: &str) -> String {
    let tag = tags.as_ref().and_then(|tags| tags.first());
    let own = own.as_deref().unwrap_or(path);
    match tag {
        Some(tag) => format!("{tag}.{own}"),
        None => own.to_owned(),
    }
}
