//! A generator's JSON Schema, asked for every fault of a configuration at once.

use bootsplice_engine::schema::{Schema, Verdict, brief};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::extract::escape;
use crate::problem::Fault;

/// Most faults of one configuration that are told.
const MOST: usize = 100;

/// Every fault of `config` by `schema` (JSON Schema 2020-12), with pointers that start with `at`. References that leave the schema are not followed.
pub fn faults_of(schema: &Value, config: &Value, at: &str) -> Result<Vec<Fault>, String> {
    let schema = Schema::new(schema)?;
    let verdict = schema.judge(config);
    if let Some((code, detail)) = verdict.whole() {
        return Ok(vec![Fault::new(at, code, detail)]);
    }
    let mut faults = Vec::new();
    if let Verdict::Breaks(errors) = verdict {
        for error in &errors {
            describe(error, at, &mut faults);
            if faults.len() >= MOST {
                faults.truncate(MOST);
                break;
            }
        }
    }
    Ok(faults)
}

fn describe(error: &ValidationError<'_>, at: &str, faults: &mut Vec<Fault>) {
    let pointer = format!("{at}{}", error.instance_path());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for key in unexpected.iter().take(MOST) {
                faults.push(Fault::new(
                    format!("{pointer}/{}", escape(key)),
                    "unknown-key",
                    format!("the generator does not know the key `{key}`"),
                ));
            }
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            faults.push(Fault::new(
                format!("{pointer}/{}", escape(key)),
                "missing-key",
                format!("the key `{key}` is required"),
            ));
        }
        ValidationErrorKind::Type { .. } => {
            faults.push(Fault::new(pointer, "wrong-type", brief(error)));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // The alternative that fails least is most likely the one that was meant.
            let nearest = context
                .iter()
                .filter(|errors| !errors.is_empty())
                .min_by_key(|errors| errors.len());
            let mut detail = "none of the allowed forms fits".to_owned();
            if let Some(first) = nearest.and_then(|errors| errors.first()) {
                detail.push_str("; the nearest: ");
                detail.push_str(&brief(first));
            }
            faults.push(Fault::new(pointer, "invalid-value", detail));
        }
        _ => faults.push(Fault::new(pointer, "invalid-value", brief(error))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_is_told_with_its_pointer_from_the_profiles_root() {
        let schema = json!({
            "type": "object",
            "required": ["packages"],
            "additionalProperties": false,
            "properties": {
                "packages": { "type": "array", "items": { "type": "string", "minLength": 1 } },
                "recommends": { "type": "boolean" }
            }
        });
        let config = json!({ "packages": ["nginx", 7, ""], "recomends": true });
        let faults = faults_of(&schema, &config, "/steps/0/with").unwrap();
        let mut told: Vec<_> = faults
            .iter()
            .map(|fault| (&*fault.pointer, &*fault.code))
            .collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                ("/steps/0/with/packages/1", "wrong-type"),
                ("/steps/0/with/packages/2", "invalid-value"),
                ("/steps/0/with/recomends", "unknown-key"),
            ]
        );
        let missing = faults_of(&schema, &json!({}), "/w").unwrap();
        assert_eq!(missing[0].pointer, "/w/packages");
    }

    #[test]
    fn a_schema_that_refers_elsewhere_is_an_error_and_fetches_nothing() {
        let schema = json!({ "$ref": "https://example.invalid/schema.json" });
        assert!(faults_of(&schema, &json!({}), "").is_err());
    }
}
