//! Reads any bytes as packets of an SFTP server: refused, or only its own bytes are read.
#![no_main]

#[path = "../../src/store/sftp/wire.rs"]
#[allow(dead_code, reason = "requests are not read")]
mod wire;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    wire::decode_hello(data);
    let Some((_, answer)) = wire::decode(data) else {
        return;
    };
    match answer {
        wire::SftpAnswer::Status { words, .. } => {
            assert!(words.len() <= 1200 && !words.chars().any(char::is_control))
        }
        wire::SftpAnswer::Handle(bytes) | wire::SftpAnswer::Data(bytes) => {
            assert!(bytes.len() < data.len())
        }
        wire::SftpAnswer::Names(names) => {
            assert!(names.iter().map(|(name, _)| name.len() + 12).sum::<usize>() < data.len())
        }
        wire::SftpAnswer::Attributes(_) => {}
    }
});
