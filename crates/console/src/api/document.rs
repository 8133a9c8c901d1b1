//! What all routes have in common in the OpenAPI document.

use crate::problem::PROBLEM_TYPE;
use utoipa::Modify;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema};

/// The names of queues, as a regular expression.
const QUEUE_NAME: &str = "^[A-Za-z0-9_.-]{1,64}$";
const PROBLEM: &str = "#/components/schemas/Problem";

/// Tokens are sent as `Authorization: Bearer TOKEN`.
pub(super) struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|path| {
        [&mut path.get, &mut path.post, &mut path.put, &mut path.delete].into_iter().flatten()
    })
}

/// Describes what a queue or a definition may be called, wherever a parameter is one.
pub(super) fn add_names(document: &mut OpenApi) {
    for parameter in operations(document).filter_map(|operation| operation.parameters.as_mut()).flatten() {
        if ["queue", "name"].contains(&parameter.name.as_str())
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        {
            schema.pattern = Some(QUEUE_NAME.to_owned());
        }
    }
}

/// Every error is a problem, and each route can answer with some that it does not list.
pub(super) fn add_errors(document: &mut OpenApi) {
    operations(document).for_each(add_errors_of);
}

fn add_errors_of(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    for response in responses.values_mut() {
        if let RefOr::T(response) = response
            && let Some(content) = response.content.get("application/json")
            && matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location == PROBLEM)
            && let Some(content) = response.content.shift_remove("application/json")
        {
            response.content.insert(PROBLEM_TYPE.to_owned(), content);
        }
    }
    let content = ContentBuilder::new().schema(Some(Ref::new(PROBLEM))).build();
    let other = ResponseBuilder::new().description("Any other error.").content(PROBLEM_TYPE, content);
    responses.insert("default".to_owned(), other.build().into());
}
