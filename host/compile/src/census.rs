//! How much of everything a component holds, counted before a compiler sees it.
//!
//! The validator and the code generator have limits of their own, made for any program there is. What a plugin needs is less: these are some ten times
//! what the largest one in the languages of the SDKs has, the interpreter of Python.

use wasmparser::{Parser, Payload};

use crate::Failure;

/// Components and modules within each other.
const MAX_DEPTH: usize = 16;
const MAX_MODULES: u64 = 200;
const MAX_TYPES: u64 = 50_000;
const MAX_IMPORTS: u64 = 20_000;
const MAX_FUNCTIONS: u64 = 300_000;

/// Refuses a component that has more of something than any plugin needs, by its name.
pub fn take(component: &[u8]) -> Result<(), Failure> {
    let mut depth = 0_usize;
    let (mut modules, mut types, mut imports, mut functions) = (0, 0, 0, 0);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload
            .map_err(|error| Failure::Refused(format!("it is not a valid component: {error}")))?;
        match payload {
            Payload::ModuleSection { .. } => {
                modules += 1;
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::TypeSection(section) => types += u64::from(section.count()),
            Payload::CoreTypeSection(section) => types += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => types += u64::from(section.count()),
            Payload::ImportSection(section) => imports += u64::from(section.count()),
            Payload::ComponentImportSection(section) => imports += u64::from(section.count()),
            Payload::FunctionSection(section) => functions += u64::from(section.count()),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Failure::Refused(format!(
                "its components nest more than {MAX_DEPTH} deep"
            )));
        }
    }
    for (what, count, most) in [
        ("modules", modules, MAX_MODULES),
        ("types", types, MAX_TYPES),
        ("imports", imports, MAX_IMPORTS),
        ("functions", functions, MAX_FUNCTIONS),
    ] {
        if count > most {
            return Err(Failure::Refused(format!(
                "it has {count} {what}; {most} are allowed"
            )));
        }
    }
    Ok(())
}
