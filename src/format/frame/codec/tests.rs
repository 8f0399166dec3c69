use super::{Decoder, Encoder, Glimpse};
use crate::format::frame::Compression;
use std::ops::ControlFlow;

fn samples() -> Vec<Vec<u8>> {
    let mut noise = vec![0_u8; 200_000];
    let mut state = 1_u32;
    for byte in &mut noise {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = state.to_be_bytes()[0];
    }
    vec![
        Vec::new(),
        b"a".to_vec(),
        vec![0; 1 << 20],
        b"to be or not to be ".repeat(20_000),
        noise,
    ]
}

#[test]
fn every_method_and_level_decodes_to_the_original() {
    let mut decoder = Decoder::new();
    for method in Compression::ALL {
        for level in [
            *method.levels().start(),
            method.default_level(),
            *method.levels().end(),
        ] {
            let mut encoder = Encoder::new(method, level).expect("a level of the method");
            for raw in samples() {
                let mut stored = b"before".to_vec();
                encoder.append(&raw, &mut stored).expect("encoded");
                assert_eq!(&stored[..6], b"before");
                let back = decoder
                    .decode(method, &stored[6..], raw.len(), None)
                    .expect("decoded");
                assert!(back == raw, "{method} {level}, {} bytes", raw.len());
            }
        }
    }
}

#[test]
fn a_glimpse_shows_the_beginning_and_the_frame_is_still_whole() {
    let mut decoder = Decoder::new();
    for method in Compression::ALL {
        let mut encoder = Encoder::new(method, method.default_level()).expect("a level");
        for raw in samples() {
            let mut stored = Vec::new();
            encoder.append(&raw, &mut stored).expect("encoded");
            for until in [1, 4096, raw.len() / 2, raw.len()] {
                let mut seen = None;
                let glimpse = Glimpse {
                    until,
                    show: &mut |bytes| {
                        seen = Some(bytes.to_vec());
                        ControlFlow::Continue(())
                    },
                };
                let back = decoder
                    .decode(method, &stored, raw.len(), Some(glimpse))
                    .expect("decoded");
                assert!(back == raw, "{method}, {} bytes", raw.len());
                assert!(
                    seen.as_ref()
                        .is_none_or(|seen| seen.len() >= until && raw.starts_with(seen)),
                    "{method} until {until}"
                );
                if method == Compression::Zstd && raw.len() == 200_000 && until == 4096 {
                    assert!(
                        seen.is_some_and(|seen| seen.len() < raw.len()),
                        "there was something to see before the end"
                    );
                }
            }
        }
    }
}

#[test]
fn an_unwanted_rest_is_not_decoded_and_the_next_frame_is_whole() {
    let mut decoder = Decoder::new();
    let mut encoder = Encoder::new(Compression::Zstd, 3).expect("a level");
    let raw = samples().pop().expect("several");
    let mut stored = Vec::new();
    encoder.append(&raw, &mut stored).expect("encoded");
    for _ in 0..2 {
        let mut seen = 0;
        let mut show = |bytes: &[u8]| {
            seen = bytes.len();
            ControlFlow::Break(())
        };
        let glimpse = Glimpse {
            until: 4096,
            show: &mut show,
        };
        decoder
            .decode(Compression::Zstd, &stored, raw.len(), Some(glimpse))
            .expect_err("it was left off");
        assert!((4096..raw.len()).contains(&seen), "{seen}");
        let whole = Glimpse {
            until: 4096,
            show: &mut |_| ControlFlow::Continue(()),
        };
        assert!(
            decoder
                .decode(Compression::Zstd, &stored, raw.len(), Some(whole))
                .expect("decoded")
                == raw
        );
    }
}

#[test]
fn a_frame_of_another_length_than_promised_is_refused() {
    let mut decoder = Decoder::new();
    for method in Compression::ALL {
        let mut encoder = Encoder::new(method, method.default_level()).expect("a level");
        let mut stored = Vec::new();
        encoder.append(&[7; 5000], &mut stored).expect("encoded");
        for wrong in [0, 4999, 5001, 1 << 20] {
            assert!(
                decoder.decode(method, &stored, wrong, None).is_err(),
                "{method} as {wrong}"
            );
            let glimpse = Glimpse {
                until: 1,
                show: &mut |_| ControlFlow::Continue(()),
            };
            assert!(
                decoder
                    .decode(method, &stored, wrong, Some(glimpse))
                    .is_err(),
                "{method} as {wrong}"
            );
        }
        if method == Compression::Gzip {
            // libdeflate stops at the member's end; the frame's checksum covers what stands behind.
            continue;
        }
        stored.push(0);
        assert!(
            decoder.decode(method, &stored, 5000, None).is_err(),
            "{method} with a byte behind its end"
        );
    }
}
