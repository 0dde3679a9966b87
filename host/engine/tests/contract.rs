//! Promises about the contract's text itself.

#![allow(clippy::unwrap_used)]

use wit_parser::{Resolve, TypeDefKind, WorldItem};

/// Reserved words of Rust 2024, Python 3, ECMAScript, Go, C23 and C# (contextual ones that generators trip over included).
const KEYWORDS: &str = "
    as async await break const continue crate dyn else enum extern false fn for gen if impl in let loop match mod move mut pub ref return self
    static struct super trait true type unsafe use where while abstract become box do final macro override priv try typeof unsized virtual yield
    and assert class def del elif except finally from global import is lambda none nonlocal not or pass raise with
    case catch debugger default delete export extends function implements instanceof interface new null package private protected
    public switch this throw var void
    chan defer fallthrough func go goto map range select
    alignas alignof auto bool char constexpr double float inline int long nullptr register restrict short signed sizeof static_assert thread_local
    typedef typeof_unqual union unsigned volatile
    base byte checked decimal delegate event explicit fixed foreach implicit internal lock namespace object operator out params readonly sbyte
    sealed stackalloc string uint ulong unchecked ushort using
";

#[test]
fn no_name_of_the_contract_is_a_keyword_of_a_guest_language() {
    let mut resolve = Resolve::default();
    resolve.push_dir("../../wit/since-v0.1.0").unwrap();
    let mut names: Vec<String> = Vec::new();
    for world in resolve.worlds.iter().map(|(_, world)| world) {
        names.push(world.name.clone());
        for (key, item) in world.imports.iter().chain(&world.exports) {
            if let WorldItem::Function(_) = item {
                names.push(resolve.name_world_key(key));
            }
        }
    }
    for (_, interface) in resolve.interfaces.iter() {
        names.extend(interface.name.clone());
        for function in interface.functions.values() {
            let full = function.name.as_str();
            names.push(full.rsplit(['.', ']']).next().unwrap().to_owned());
            names.extend(function.params.iter().map(|param| param.name.clone()));
        }
    }
    for (_, kind) in resolve.types.iter() {
        names.extend(kind.name.clone());
        match &kind.kind {
            TypeDefKind::Record(record) => {
                names.extend(record.fields.iter().map(|field| field.name.clone()))
            }
            TypeDefKind::Variant(variant) => {
                names.extend(variant.cases.iter().map(|case| case.name.clone()))
            }
            TypeDefKind::Enum(cases) => {
                names.extend(cases.cases.iter().map(|case| case.name.clone()))
            }
            TypeDefKind::Flags(flags) => {
                names.extend(flags.flags.iter().map(|flag| flag.name.clone()))
            }
            _ => {}
        }
    }
    assert!(
        names.len() > 150,
        "the lint reads {} names only",
        names.len()
    );
    let keywords: Vec<&str> = KEYWORDS.split_whitespace().collect();
    let mut bad: Vec<&String> = names
        .iter()
        .filter(|name| keywords.contains(&name.replace('-', "_").as_str()))
        .collect();
    bad.sort();
    bad.dedup();
    // `self` is how wit-parser names a method's receiver.
    bad.retain(|name| *name != "self");
    assert!(bad.is_empty(), "keywords as names: {bad:?}");
}

/// Of `wit/since-v0.1.0/generator.wit`, since the day it was frozen. A change of the contract is a new directory beside it, never another digest here.
const FROZEN: &str = "sha256:291e5e5a43f51699b23c9c6ec9740a07c517b43399df878750bbf366d42c72fe";

#[test]
fn the_contract_of_0_1_0_is_frozen_byte_by_byte() {
    let mut files: Vec<_> = std::fs::read_dir("../../wit/since-v0.1.0")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let [only] = &files[..] else {
        panic!("a file was added: {files:?}")
    };
    let text = std::fs::read(only).unwrap();
    assert_eq!(bootsplice_content::Digest::of(&text).to_string(), FROZEN);
}
