//! Reads any text as a page of a listing: refused, or only its own bytes are read.
#![no_main]

#[path = "../../src/store/s3/page.rs"]
#[allow(dead_code, reason = "a target reads what it likes")]
mod page;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(page) = page::ListingPage::parse(text) {
        assert!(
            page.objects
                .iter()
                .map(|object| object.key.len())
                .sum::<usize>()
                <= text.len()
        );
    }
});
