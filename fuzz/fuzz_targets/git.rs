//! `mesa_decoders::git` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesa_decoders::git::check(data));
