//! `docs/plugins/contract.md`: the contract of generators as a page, made from `wit/since-v0.1.0/generator.wit`.
//!
//! The WIT file says what there is, `docs/plugins/contract.notes.md` what more there is to say: the one is frozen, the other is not. Each interface,
//! type and function has an anchor `INTERFACE.NAME` that stays for as long as the name does. `cargo xtask reference` writes the page;
//! `cargo xtask lint` fails when the committed one is another.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wit_parser::{
    Docs, Function, FunctionKind, Handle, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeId,
    TypeOwner, WorldItem, WorldKey,
};

const SOURCE: &str = "wit/since-v0.1.0/generator.wit";
const NOTES: &str = "docs/plugins/contract.notes.md";
const PAGE: &str = "docs/plugins/contract.md";

/// The contract, read, and the page so far.
struct Page {
    resolve: Resolve,
    /// By anchor; taken out as they are used.
    notes: BTreeMap<String, String>,
    text: String,
}

/// Writes the page.
pub fn write(root: &Path) -> Result<()> {
    let page = page(root)?;
    std::fs::write(page.0, page.1).context(PAGE)?;
    println!("{PAGE}");
    Ok(())
}

/// Fails when the committed page is not what would be written.
pub fn check(root: &Path) -> Result<()> {
    let (path, text) = page(root)?;
    if std::fs::read_to_string(path).context(PAGE)? != text {
        bail!("{PAGE} is not what {SOURCE} and {NOTES} say: run `cargo xtask reference`");
    }
    Ok(())
}

fn page(root: &Path) -> Result<(PathBuf, String)> {
    let source = std::fs::read_to_string(root.join(SOURCE)).context(SOURCE)?;
    let notes = std::fs::read_to_string(root.join(NOTES)).context(NOTES)?;
    Ok((root.join(PAGE), markdown(&source, &notes)?))
}

/// The whole page of a WIT package with one world.
fn markdown(source: &str, notes: &str) -> Result<String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source(SOURCE, source)?;
    let name = resolve.packages[package].name.to_string();
    let docs = resolve.packages[package].docs.clone();
    let mut page = Page {
        resolve,
        notes: sections(notes),
        text: String::new(),
    };
    page.line(format!("# `{name}`\n"));
    page.line(format!(
        "Made from [generator.wit](../../{SOURCE}) and [notes on it](contract.notes.md) by `cargo xtask reference`; do not edit. \
         What generators are for, their life and their limits are in the [guide](README.md).\n"
    ));
    page.line(format!(
        "{}\n",
        docs.contents.as_deref().unwrap_or_default()
    ));
    for id in page.world(package)? {
        page.interface(id)?;
    }
    if let Some(anchor) = page.notes.keys().next() {
        bail!("{NOTES}: the contract has no `{anchor}`");
    }
    Ok(page.text)
}

// === impl Page ===

impl Page {
    fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    /// What the contract says of the item with this anchor, then what the notes do. Answers whether either says something.
    fn docs(&mut self, anchor: &str, docs: &Docs) -> bool {
        let note = self.notes.remove(anchor);
        let texts = [docs.contents.clone(), note].into_iter().flatten();
        let texts: Vec<_> = texts.map(|text| text.trim().to_owned()).collect();
        for text in &texts {
            self.line(format!("{text}\n"));
        }
        !texts.is_empty()
    }

    /// What a component exports and may import, as the table of contents. Answers the interfaces in its order: what an author writes comes first,
    /// what only has data comes last.
    fn world(&mut self, package: wit_parser::PackageId) -> Result<Vec<InterfaceId>> {
        let worlds = &self.resolve.packages[package].worlds;
        let (name, id) = worlds.first().context("the package has no world")?;
        let world = self.resolve.worlds[*id].clone();
        self.line(format!("## World `{name}`\n"));
        self.line("| interface | | |\n|---|---|---|");
        let mut rows = Vec::new();
        for (rank, items) in [world.exports, world.imports].into_iter().enumerate() {
            for (key, item) in items {
                let (WorldKey::Interface(id), WorldItem::Interface { .. }) = (key, item) else {
                    bail!("the world has something besides interfaces");
                };
                let is_data = self.resolve.interfaces[id].functions.is_empty();
                rows.push((if is_data { 2 } else { rank }, id));
            }
        }
        rows.sort_by_key(|(rank, _)| *rank);
        for (rank, id) in &rows {
            let interface = &self.resolve.interfaces[*id];
            let name = interface.name.as_deref().context("an interface's name")?;
            let side = ["you export it", "you may call it", "plain data"][*rank];
            let row = format!(
                "| [`{name}`](#{name}) | {side} | {} |",
                cell(&interface.docs)
            );
            self.line(row);
        }
        self.line("");
        Ok(rows.into_iter().map(|(_, id)| id).collect())
    }

    fn interface(&mut self, id: InterfaceId) -> Result<()> {
        let interface = self.resolve.interfaces[id].clone();
        let name = interface.name.as_deref().context("an interface's name")?;
        self.line(format!("<a id=\"{name}\"></a>\n\n## `{name}`\n"));
        self.docs(name, &interface.docs);
        for (function, item) in &interface.functions {
            if item.kind == FunctionKind::Freestanding {
                self.function(name, function, item)?;
            }
        }
        for id in interface.types.values() {
            let kind = self.resolve.types[*id].clone();
            let methods = interface
                .functions
                .values()
                .filter(|function| of_resource(&function.kind) == Some(*id));
            self.type_of(name, &kind, methods)?;
        }
        Ok(())
    }

    fn function(&mut self, interface: &str, name: &str, function: &Function) -> Result<()> {
        let level = if of_resource(&function.kind).is_some() {
            "####"
        } else {
            "###"
        };
        self.line(format!(
            "<a id=\"{interface}.{name}\"></a>\n\n{level} `{name}`\n"
        ));
        let mut mentioned = Vec::new();
        let parameters = function
            .params
            .iter()
            // The handle itself.
            .skip(usize::from(matches!(
                function.kind,
                FunctionKind::Method(_)
            )))
            .map(|parameter| {
                let kind = self.kind(&parameter.ty, &mut mentioned)?;
                Ok(format!("{}: {kind}", parameter.name))
            });
        let parameters = parameters.collect::<Result<Vec<_>>>()?.join(", ");
        let mut signature = match function.kind {
            FunctionKind::Constructor(_) => format!("constructor({parameters})"),
            _ => format!("{}: func({parameters})", function.item_name()),
        };
        if let (Some(kind), false) = (
            &function.result,
            matches!(function.kind, FunctionKind::Constructor(_)),
        ) {
            write!(signature, " -> {}", self.kind(kind, &mut mentioned)?)?;
        }
        self.line(format!("```wit\n{signature}\n```\n"));
        if !self.docs(&format!("{interface}.{name}"), &function.docs) {
            bail!("`{interface}.{name}` has no text: write one in {NOTES}");
        }
        let own = of_resource(&function.kind);
        mentioned.retain(|id| Some(*id) != own);
        if !mentioned.is_empty() {
            let links = mentioned.iter().map(|id| self.link(*id));
            let links = links.collect::<Result<Vec<_>>>()?.join(", ");
            self.line(format!("See {links}.\n"));
        }
        Ok(())
    }

    fn type_of<'a>(
        &mut self,
        interface: &str,
        kind: &TypeDef,
        methods: impl Iterator<Item = &'a Function>,
    ) -> Result<()> {
        let name = kind.name.as_deref().context("a type's name")?;
        let word = match &kind.kind {
            // Brought in by `use`; told where it is defined.
            TypeDefKind::Type(Type::Id(_)) => return Ok(()),
            TypeDefKind::Type(plain) => self.kind(plain, &mut Vec::new())?,
            other => other.as_str().to_owned(),
        };
        self.line(format!(
            "<a id=\"{interface}.{name}\"></a>\n\n### {word} `{name}`\n"
        ));
        self.docs(&format!("{interface}.{name}"), &kind.docs);
        match &kind.kind {
            TypeDefKind::Record(record) => {
                self.line("| field | type | |\n|---|---|---|");
                for field in &record.fields {
                    let row = format!(
                        "| `{}` | {} | {} |",
                        field.name,
                        self.linked(&field.ty)?,
                        cell(&field.docs)
                    );
                    self.line(row);
                }
                self.line("");
            }
            TypeDefKind::Variant(variant) => {
                self.line("| case | carries | |\n|---|---|---|");
                for case in &variant.cases {
                    let carries = match &case.ty {
                        Some(kind) => self.linked(kind)?,
                        None => "nothing".to_owned(),
                    };
                    let row = format!("| `{}` | {carries} | {} |", case.name, cell(&case.docs));
                    self.line(row);
                }
                self.line("");
            }
            TypeDefKind::Enum(cases) => {
                let cases = &cases.cases;
                if cases.iter().all(|case| case.docs.contents.is_none()) {
                    let names: Vec<_> = cases
                        .iter()
                        .map(|case| format!("`{}`", case.name))
                        .collect();
                    self.line(format!("{}\n", names.join(" · ")));
                } else {
                    self.line("| case | |\n|---|---|");
                    for case in cases {
                        self.line(format!("| `{}` | {} |", case.name, cell(&case.docs)));
                    }
                    self.line("");
                }
            }
            TypeDefKind::Resource => {
                for method in methods {
                    let method_name = match method.kind {
                        FunctionKind::Constructor(_) => format!("{name}.new"),
                        _ => format!("{name}.{}", method.item_name()),
                    };
                    self.function(interface, &method_name, method)?;
                }
            }
            TypeDefKind::Type(_) => {}
            other => bail!("{name}: this page has no words for {}", other.as_str()),
        }
        Ok(())
    }

    /// A type in a table: a link where it names one of the contract's own.
    fn linked(&self, kind: &Type) -> Result<String> {
        let mut mentioned = Vec::new();
        let text = self.kind(kind, &mut mentioned)?;
        match mentioned.first() {
            Some(id) => Ok(format!("[`{text}`](#{})", self.anchor(*id)?)),
            None => Ok(format!("`{text}`")),
        }
    }

    fn link(&self, id: TypeId) -> Result<String> {
        let anchor = self.anchor(id)?;
        let name = self.resolve.types[id].name.as_deref();
        Ok(format!("[`{}`](#{anchor})", name.context("a name")?))
    }

    fn anchor(&self, id: TypeId) -> Result<String> {
        let kind = &self.resolve.types[id];
        let TypeOwner::Interface(owner) = kind.owner else {
            bail!("a named type of no interface");
        };
        let interface = self.resolve.interfaces[owner].name.as_deref();
        let name = kind.name.as_deref().context("a type's name")?;
        Ok(format!(
            "{}.{name}",
            interface.context("an interface's name")?
        ))
    }

    /// The type as WIT writes it. Named types are added to `mentioned`, once each, where they are defined.
    fn kind(&self, kind: &Type, mentioned: &mut Vec<TypeId>) -> Result<String> {
        let Type::Id(id) = kind else {
            return Ok(plain(kind)?.to_owned());
        };
        let found = &self.resolve.types[*id];
        if let Some(name) = &found.name {
            let id = self.defined(*id);
            if !mentioned.contains(&id) {
                mentioned.push(id);
            }
            return Ok(name.clone());
        }
        Ok(match &found.kind {
            TypeDefKind::Handle(Handle::Own(id)) => self.kind(&Type::Id(*id), mentioned)?,
            TypeDefKind::Handle(Handle::Borrow(id)) => {
                format!("borrow<{}>", self.kind(&Type::Id(*id), mentioned)?)
            }
            TypeDefKind::Option(of) => format!("option<{}>", self.kind(of, mentioned)?),
            TypeDefKind::List(of) => format!("list<{}>", self.kind(of, mentioned)?),
            TypeDefKind::Tuple(tuple) => {
                let parts = tuple.types.iter().map(|part| self.kind(part, mentioned));
                format!("tuple<{}>", parts.collect::<Result<Vec<_>>>()?.join(", "))
            }
            TypeDefKind::Result(result) => {
                let mut side = |kind: &Option<Type>| match kind {
                    Some(kind) => self.kind(kind, mentioned),
                    None => Ok("_".to_owned()),
                };
                format!("result<{}, {}>", side(&result.ok)?, side(&result.err)?)
            }
            other => bail!("this page has no words for {}", other.as_str()),
        })
    }

    /// Where a type that `use` brought in is defined.
    fn defined(&self, id: TypeId) -> TypeId {
        match self.resolve.types[id].kind {
            TypeDefKind::Type(Type::Id(other)) => self.defined(other),
            _ => id,
        }
    }
}

/// The sections of the notes by their headings; what stands before the first is for who writes them.
fn sections(notes: &str) -> BTreeMap<String, String> {
    let sections = notes.split("\n## ").skip(1);
    sections
        .filter_map(|section| section.split_once('\n'))
        .map(|(anchor, text)| (anchor.trim().to_owned(), text.trim().to_owned()))
        .collect()
}

/// Documentation within a table's cell.
fn cell(docs: &Docs) -> String {
    let text = docs.contents.as_deref().unwrap_or_default();
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn of_resource(kind: &FunctionKind) -> Option<TypeId> {
    match kind {
        FunctionKind::Method(id) | FunctionKind::Static(id) | FunctionKind::Constructor(id) => {
            Some(*id)
        }
        _ => None,
    }
}

fn plain(kind: &Type) -> Result<&'static str> {
    Ok(match kind {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        other => bail!("this page has no words for {other:?}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bootsplice_tests::places;

    use super::*;

    #[test]
    fn the_committed_reference_is_what_the_contract_says() {
        check(&places::root()).unwrap();
    }

    #[test]
    fn every_link_of_the_reference_leads_to_an_anchor_and_every_anchor_is_there_once() {
        let (_, text) = page(&places::root()).unwrap();
        let mut anchors = BTreeSet::new();
        for rest in text.split("<a id=\"").skip(1) {
            let anchor = rest.split('"').next().unwrap();
            assert!(anchors.insert(anchor), "{anchor} twice");
        }
        let links: Vec<_> = text
            .split("](#")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect();
        assert!(links.len() > 50, "{}", links.len());
        for link in links {
            assert!(anchors.contains(link), "{link} leads nowhere");
        }
    }

    #[test]
    fn a_note_on_nothing_and_a_function_without_a_text_are_refused() {
        let source = "package a:b@0.1.0; interface c { d: func(); } world e { export c; }";
        let said = markdown(source, "").unwrap_err().to_string();
        assert!(said.contains("`c.d` has no text"), "{said}");
        let said = markdown(source, "\n## c.d\nWorks.\n\n## c.x\nIs not there.\n");
        let said = said.unwrap_err().to_string();
        assert!(said.contains("no `c.x`"), "{said}");
        assert!(
            markdown(source, "\n## c.d\nWorks.\n")
                .unwrap()
                .contains("Works.")
        );
    }

    #[test]
    fn signatures_read_as_in_the_contract() {
        let (_, text) = page(&places::root()).unwrap();
        let source = std::fs::read_to_string(places::root().join(SOURCE)).unwrap();
        let signatures: Vec<_> = text
            .split("```wit\n")
            .skip(1)
            .filter_map(|rest| rest.split("\n```").next())
            .collect();
        assert!(signatures.len() > 30, "{}", signatures.len());
        for signature in signatures {
            assert!(source.contains(&format!("{signature};")), "{signature}");
        }
    }
}
