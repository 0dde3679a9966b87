#![no_main]

mod promise;

libfuzzer_sys::fuzz_target!(|input: &[u8]| promise::keep(bootsplice_edit::Format::Yaml, input));
