//! The AES-256-CFB cipher of frames, and its keys.
//!
//! CFB with full blocks, as in NIST SP 800-38A section 6.3: each ciphertext block is the plaintext
//! XOR the encrypted previous block. The IV stands before the first block. The last block may be
//! shorter.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, InnerIvInit, KeyInit, array::sizes::U16};
use hmac::Hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of an initialization vector in bytes.
pub const IV_BYTES: usize = 16;

type Block = Array<u8, U16>;

/// The two keys of the frames of one key epoch: one encrypts, the other authenticates.
pub struct EpochKeys {
    cipher: Aes256,
    authentication: Hmac<Sha256>,
}

impl std::fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochKeys(***)")
    }
}

impl EpochKeys {
    /// Prepares the keys for use.
    pub fn new(encryption: &Zeroizing<[u8; 32]>, authentication: &Zeroizing<[u8; 32]>) -> Self {
        let key: &Array<u8, _> = encryption[..]
            .try_into()
            .expect("32 bytes are the key's length");
        let cipher = Aes256::new(key);
        let authentication = <Hmac<Sha256> as KeyInit>::new_from_slice(&authentication[..])
            .expect("HMAC takes a key of any length");
        Self {
            cipher,
            authentication,
        }
    }

    /// Returns an authentication code that covers no bytes yet.
    pub(in crate::format) fn mac(&self) -> Hmac<Sha256> {
        self.authentication.clone()
    }

    /// Decrypts one frame in place.
    pub(in crate::format) fn decrypt(&self, iv: &[u8; IV_BYTES], data: &mut [u8]) {
        cfb_mode::Decryptor::<&Aes256>::inner_iv_init(&self.cipher, &Array(*iv)).decrypt(data);
    }

    /// Encrypts several frames in place. A CFB stream is serial and leaves most of an AES unit
    /// idle, so blocks of up to [`LANES`] frames go through it together.
    pub(in crate::format) fn encrypt(&self, frames: &mut [(&[u8; IV_BYTES], &mut [u8])]) {
        for group in frames.chunks_mut(LANES) {
            self.encrypt_group(group);
        }
    }

    fn encrypt_group(&self, frames: &mut [(&[u8; IV_BYTES], &mut [u8])]) {
        let mut state: [Block; LANES] = Default::default();
        for (block, (iv, _)) in state.iter_mut().zip(frames.iter()) {
            block.0 = **iv;
        }
        let lanes = frames.len();
        let shared = frames
            .iter()
            .map(|(_, data)| data.len() / IV_BYTES)
            .min()
            .unwrap_or(0)
            * IV_BYTES;
        for at in (0..shared).step_by(IV_BYTES) {
            self.cipher.encrypt_blocks(&mut state[..lanes]);
            for (block, (_, data)) in state.iter_mut().zip(frames.iter_mut()) {
                let data: &mut [u8; IV_BYTES] = (&mut data[at..at + IV_BYTES])
                    .try_into()
                    .expect("the range is a block long");
                let next = u128::from_ne_bytes(*data) ^ u128::from_ne_bytes(block.0);
                *data = next.to_ne_bytes();
                block.0 = *data;
            }
        }
        for (block, (_, data)) in state.iter().zip(frames.iter_mut()) {
            cfb_mode::Encryptor::<&Aes256>::inner_iv_init(&self.cipher, block)
                .encrypt(&mut data[shared..]);
        }
    }
}

/// How many frames are encrypted together.
pub const LANES: usize = 4;

#[cfg(test)]
mod tests {
    use super::{EpochKeys, IV_BYTES};
    use zeroize::Zeroizing;

    /// NIST SP 800-38A, F.3.17 CFB128-AES256.
    #[test]
    fn the_cipher_is_the_one_of_the_standard() {
        let key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let iv: [u8; IV_BYTES] = hex("000102030405060708090a0b0c0d0e0f")
            .try_into()
            .expect("16 bytes");
        let plain = hex(concat!(
            "6bc1bee22e409f96e93d7e117393172a",
            "ae2d8a571e03ac9c9eb76fac45af8e51"
        ));
        let keys = EpochKeys::new(
            &Zeroizing::new(key.try_into().expect("32 bytes")),
            &Zeroizing::new([0; 32]),
        );
        let mut data = plain.clone();
        keys.encrypt(&mut [(&iv, &mut data)]);
        assert_eq!(
            data,
            hex(concat!(
                "dc7e84bfda79164b7ecd8486985d3860",
                "39ffed143b28b1c832113c6331e5407b"
            ))
        );
        keys.decrypt(&iv, &mut data);
        assert_eq!(data, plain);
    }

    #[test]
    fn frames_encrypted_together_are_the_same_as_alone() {
        let keys = EpochKeys::new(&Zeroizing::new([1; 32]), &Zeroizing::new([2; 32]));
        let ivs: Vec<[u8; IV_BYTES]> = (0..7).map(|n| [n; IV_BYTES]).collect();
        let plain: Vec<Vec<u8>> = [0, 5, 16, 1000, 4096, 33, 48]
            .iter()
            .map(|length| vec![9; *length])
            .collect();
        let mut together = plain.clone();
        keys.encrypt(
            &mut ivs
                .iter()
                .zip(together.iter_mut().map(|data| &mut data[..]))
                .collect::<Vec<_>>(),
        );
        for ((iv, together), plain) in ivs.iter().zip(&together).zip(&plain) {
            let mut alone = plain.clone();
            keys.encrypt(&mut [(iv, &mut alone)]);
            assert_eq!(together, &alone);
            keys.decrypt(iv, &mut alone);
            assert_eq!(&alone, plain);
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    }
}
