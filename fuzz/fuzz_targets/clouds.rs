//! Reads any text as `clouds.yaml`: refused, or read.
#![no_main]

#[path = "../../src/net/openstack/section.rs"]
mod section;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    section::section(text, "prod").unwrap_or_default();
});
