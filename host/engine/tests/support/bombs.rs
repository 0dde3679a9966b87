//! Components that are plugins but for one thing too much. Each is an honest plugin with sections put at its end: a component is a row of sections, and
//! the last may hold whatever the format allows.

/// A hostile component.
pub struct Bomb {
    pub name: &'static str,
    pub component: Vec<u8>,
    /// What its refusal says: one of these.
    pub says: &'static [&'static str],
}

const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const COMPONENT: u8 = 4;
const TYPE: u8 = 7;
const IMPORT: u8 = 10;
const EXPORT: u8 = 11;

/// All of them, made from an honest plugin.
pub fn all(honest: &[u8]) -> Vec<Bomb> {
    let modules = core_modules(honest);
    let with = |sections: &[Vec<u8>]| [honest, &sections.concat()].concat();
    // A core module, instantiated so many times.
    let core = |text: &str, times: usize| {
        let module = wat::parse_str(text).expect("the text is a module");
        let one = [&[0][..], &number(modules), &[0]].concat();
        with(&[
            section(CORE_MODULE, &module),
            section(CORE_INSTANCE, &[number(times), one.repeat(times)].concat()),
        ])
    };
    let types = {
        // `(func (param i64 …))`, a hundred thousand times.
        let one = [&[0x60, 100][..], &[0x7e; 100], &[0]].concat();
        let all = [number(100_000), one.repeat(100_000)].concat();
        [b"\0asm\x01\0\0\0".to_vec(), section(1, &all)].concat()
    };
    let nested = (0..5000).fold(b"\0asm\x0d\0\x01\0".to_vec(), |inner, _| {
        [b"\0asm\x0d\0\x01\0".to_vec(), section(COMPONENT, &inner)].concat()
    });
    // Each type holds the one before twice.
    let doubling = {
        let start = section(TYPE, &[1, 0x6f, 2, 0x79, 0x79]);
        let pair = |of: usize| {
            section(
                TYPE,
                &[&[1, 0x6f, 2][..], &number(of), &number(of)].concat(),
            )
        };
        let all: Vec<u8> = std::iter::once(start)
            .chain((0..60).map(pair))
            .flatten()
            .collect();
        section(COMPONENT, &[&b"\0asm\x0d\0\x01\0"[..], &all].concat())
    };
    let exports = {
        // The first core module, under many names.
        let name = |index: usize| format!("module-{index}");
        let one = |index: usize| [&[0][..], &text(&name(index)), &[0, 0x11, 0, 0]].concat();
        let all: Vec<u8> = (0..5000).flat_map(one).collect();
        section(EXPORT, &[number(5000), all].concat())
    };
    let imports = {
        // `(import "n" (type (sub resource)))`
        let one = |index: usize| [&[0][..], &text(&format!("import-{index}")), &[3, 1]].concat();
        let all: Vec<u8> = (0..5000).flat_map(one).collect();
        section(IMPORT, &[number(5000), all].concat())
    };
    let core_imports: String = (0..200_000)
        .map(|n| format!(r#"(import "m" "f{n}" (func))"#))
        .collect();
    let grow = "(module (table 1 funcref) (func $f (loop $l
        (br_if $l (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable) (start $f))";
    let many_memories = "(module (memory 4096))";
    let labels = "0 ".repeat(100_000);
    let branches = format!("(module (func (block (br_table {labels} (i32.const 1)))))");
    let bomb = |name, component, says| Bomb {
        name,
        component,
        says,
    };
    vec![
        bomb(
            "a table of a million places",
            core("(module (table 1000000 funcref))", 1),
            &["table"],
        ),
        bomb(
            "a table that grows without end",
            core(grow, 1),
            &["trapped", "memory"],
        ),
        bomb(
            "nine thousand instances",
            core("(module)", 9000),
            &["instances"],
        ),
        bomb(
            "a hundred instances with memories",
            core("(module (memory 1))", 100),
            &["instances", "memories"],
        ),
        bomb(
            "a memory of four gigabytes",
            core("(module (memory 65536))", 1),
            &["memory"],
        ),
        bomb(
            "memories that are too large together",
            core(many_memories, 2),
            &["memory"],
        ),
        bomb(
            "a memory of 64 bits",
            core("(module (memory i64 1))", 1),
            &["memory64", "64-bit"],
        ),
        bomb(
            "a memory that threads share",
            core("(module (memory 1 1 shared))", 1),
            &["threads", "shared"],
        ),
        bomb(
            "pages of one byte",
            core("(module (memory 1 (pagesize 1)))", 1),
            &["page size"],
        ),
        bomb(
            "garbage collection",
            core("(module (type (struct (field i32))))", 1),
            &["gc", "GC"],
        ),
        bomb(
            "a hundred thousand types",
            with(&[section(CORE_MODULE, &types)]),
            &["types"],
        ),
        bomb(
            "types that double sixty times",
            with(&[doubling]),
            &["size", "limit"],
        ),
        bomb(
            "two hundred thousand core imports",
            with(&[section(
                CORE_MODULE,
                &wat::parse_str(format!("(module {core_imports})")).expect("a module"),
            )]),
            &["imports"],
        ),
        bomb(
            "five thousand components within each other",
            with(&[section(COMPONENT, &nested)]),
            &["nest"],
        ),
        bomb(
            "five thousand exports",
            with(&[exports]),
            &["exports", "limit"],
        ),
        bomb("five thousand imports", with(&[imports]), &["imports"]),
        bomb(
            "jumps to a hundred thousand places",
            core(&branches, 1),
            &["limit", "large"],
        ),
    ]
}

/// A number of the format: LEB128, unsigned.
pub fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

pub fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &number(content.len()), content].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&number(text.len()), text.as_bytes()].concat()
}

/// How many core modules a component has at its outermost level.
fn core_modules(component: &[u8]) -> usize {
    let mut rest = &component[8..];
    let mut found = 0;
    while let [id, after @ ..] = rest {
        let (mut length, mut bytes) = (0_usize, 0);
        for byte in after {
            length |= usize::from(byte & 0x7f) << (7 * bytes);
            bytes += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        found += usize::from(*id == CORE_MODULE);
        rest = &after[bytes + length..];
    }
    found
}
