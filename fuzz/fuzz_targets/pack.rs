//! `mesa_decoders::pack` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesa_decoders::pack::check(data));
